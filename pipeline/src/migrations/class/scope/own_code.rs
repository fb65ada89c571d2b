//! The code of the database's own that statements run, as the facts and the run have it.

use std::collections::{BTreeMap, BTreeSet};

use super::Scope;
use crate::migrations::class::builtin::{is_builtin_operator, may_be_own_type};
use crate::migrations::class::facts::ConstraintFacts;
use crate::migrations::statement::ObjectName;

/// The code that the run's earlier statements brought, or tied to an object.
#[derive(Debug, Default)]
pub(super) struct CodeOfRun {
    /// By table or view: the code that runs as it is read, in words.
    reads: BTreeMap<ObjectName, String>,
    /// By table or view: the code that runs as its rows are written, in words.
    writes: BTreeMap<ObjectName, String>,
    /// Tables, each with one whose rows change with its own: a partition, an inheriting table.
    children: Vec<(ObjectName, ObjectName)>,
    /// Tables, each with one whose rows change with its keys.
    referencing: Vec<(ObjectName, ObjectName)>,
    /// The types whose values are checked or converted by it.
    types: BTreeSet<ObjectName>,
    operators: BTreeSet<String>,
    /// The functions of earlier files, too.
    routines: BTreeSet<ObjectName>,
    /// The tables into which the run wrote rows.
    written: BTreeSet<ObjectName>,
}

impl CodeOfRun {
    pub(super) fn add_routine(&mut self, name: ObjectName) {
        self.routines.insert(name);
    }

    pub(super) fn has_routine_named(&self, name: &str) -> bool {
        self.routines.iter().any(|routine| routine.name == name)
    }

    /// Records that a relation of the run is gone.
    pub(super) fn forget(&mut self, name: &ObjectName) {
        self.reads.remove(name);
        self.writes.remove(name);
        self.written.remove(name);
    }

    /// Records that a relation of the run has another name.
    pub(super) fn rename(&mut self, from: &ObjectName, to: &ObjectName) {
        for code in [&mut self.reads, &mut self.writes] {
            if let Some(words) = code.remove(from) {
                code.insert(to.clone(), words);
            }
        }
        if self.written.remove(from) {
            self.written.insert(to.clone());
        }
        for (one, other) in self.children.iter_mut().chain(&mut self.referencing) {
            for name in [one, other] {
                if name == from {
                    name.clone_from(to);
                }
            }
        }
    }
}

impl Scope<'_> {
    /// Returns the code that runs as a relation is read, in words.
    pub(in crate::migrations::class) fn code_of_reads(&self, name: &ObjectName) -> Option<String> {
        let full = self.resolve(name);
        let of_run = self.code.reads.get(&full).cloned();
        of_run.or_else(|| self.relation(name)?.code_of_reads.clone())
    }

    /// Returns the code that runs as rows of a table are written: of the table, of its partitions, and,
    /// with a change of keys, of the tables whose rows change with them.
    pub(in crate::migrations::class) fn code_of_writes(
        &self,
        name: &ObjectName,
        changes_keys: bool,
    ) -> Option<String> {
        let mut open = vec![self.resolve(name)];
        let mut seen = BTreeSet::new();
        while let Some(table) = open.pop() {
            if !seen.insert(table.clone()) {
                continue;
            }
            let of_run = self.code.writes.get(&table).cloned();
            let code = of_run.or_else(|| self.relation(&table)?.code_of_writes.clone());
            if code.is_some() {
                return code;
            }
            open.extend(self.facts.descendants(&table));
            let tied = |ties: &[(ObjectName, ObjectName)]| {
                let of_table = ties.iter().filter(|(one, _)| *one == table);
                of_table.map(|(_, other)| other.clone()).collect::<Vec<_>>()
            };
            open.extend(tied(&self.code.children));
            if changes_keys {
                open.extend(self.changed_with(&table));
                open.extend(tied(&self.code.referencing));
            }
        }
        None
    }

    /// Returns the tables with a foreign key to a table that changes their rows.
    fn changed_with(&self, table: &ObjectName) -> Vec<ObjectName> {
        let changes = |one: &ConstraintFacts| {
            let acts = ["CASCADE", "SET NULL", "SET DEFAULT"];
            one.references.as_ref() == Some(table)
                && acts.iter().any(|action| one.definition.contains(action))
        };
        let relations = self.facts.relations.iter();
        let changed = relations.filter(|(_, facts)| facts.constraints.iter().any(changes));
        changed.map(|(name, _)| name.clone()).collect()
    }

    /// Returns whether a cast to the type runs code of the database's own, or may do so.
    pub(in crate::migrations::class) fn runs_code_of_type(&self, name: &ObjectName) -> bool {
        let mut known = self.facts.types_with_code.iter().chain(&self.code.types);
        if known.any(|one| self.may_mean(name, one)) {
            return true;
        }
        !self.facts.is_known() && may_be_own_type(name) && !self.has_type(name)
    }

    /// Returns whether an operator of this name may be one of the database's own.
    pub(in crate::migrations::class) fn has_own_operator(&self, name: &str) -> bool {
        let is_own = self.facts.operators.contains(name) || self.code.operators.contains(name);
        is_own || (!self.facts.is_known() && !is_builtin_operator(name))
    }

    /// Returns whether an operator of the database's own has the name of one of Postgres.
    pub(in crate::migrations::class) fn has_own_operator_of_postgres(&self) -> bool {
        let mut own = self.facts.operators.iter().chain(&self.code.operators);
        own.any(|name| is_builtin_operator(name))
    }

    /// Returns whether the run has written rows into the table.
    pub(in crate::migrations::class) fn was_written(&self, name: &ObjectName) -> bool {
        self.code.written.contains(&self.resolve(name)) || self.is_filled(name)
    }

    /// Records that the run writes rows into a table.
    pub(in crate::migrations::class) fn write(&mut self, name: &ObjectName) {
        let name = self.resolve(name);
        self.code.written.insert(name);
    }

    /// Records the code that runs as a relation is read.
    pub(in crate::migrations::class) fn add_code_of_reads(
        &mut self,
        name: &ObjectName,
        words: String,
    ) {
        let name = self.resolve(name);
        self.code.reads.entry(name).or_insert(words);
    }

    /// Records the code that runs as rows of a relation are written.
    pub(in crate::migrations::class) fn add_code_of_writes(
        &mut self,
        name: &ObjectName,
        words: String,
    ) {
        let name = self.resolve(name);
        self.code.writes.entry(name).or_insert(words);
    }

    /// Records a partition, or an inheriting table.
    pub(in crate::migrations::class) fn add_child(
        &mut self,
        parent: &ObjectName,
        child: &ObjectName,
    ) {
        let tie = (self.resolve(parent), self.resolve(child));
        self.code.children.push(tie);
    }

    /// Records a table whose rows change with the keys of another one.
    pub(in crate::migrations::class) fn add_referencing(
        &mut self,
        table: &ObjectName,
        other: &ObjectName,
    ) {
        let tie = (self.resolve(table), self.resolve(other));
        self.code.referencing.push(tie);
    }

    /// Records a type whose values are checked or converted by code.
    pub(in crate::migrations::class) fn add_code_of_type(&mut self, name: &ObjectName) {
        let name = self.creation_name(name);
        self.code.types.insert(name);
    }

    /// Records an operator of the database's own.
    pub(in crate::migrations::class) fn add_own_operator(&mut self, name: &str) {
        self.code.operators.insert(name.to_owned());
    }
}
