//! The code of the database's own that statements run, as the facts and the run have it, by the occasion
//! on which it runs.

use std::collections::{BTreeMap, BTreeSet};

use super::Scope;
use crate::migrations::class::builtin::{is_builtin_operator, may_be_own_type};
use crate::migrations::class::facts::ConstraintFacts;
use crate::migrations::statement::ObjectName;

/// The code that the run's earlier statements brought, or tied to an object.
#[derive(Debug, Default)]
pub(super) struct CodeOfRun {
    /// By relation and occasion: the code that runs, in words.
    tied: BTreeMap<Occasion, BTreeMap<ObjectName, String>>,
    /// The tables whose row security the run enabled, and those whose owner it holds for then.
    row_security: BTreeSet<ObjectName>,
    forced_row_security: BTreeSet<ObjectName>,
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

/// An occasion on which code that is tied to a relation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::migrations::class) enum Occasion {
    /// It is read.
    Read,
    /// Its rows are written.
    Write,
    /// A materialized view is refreshed.
    Refresh,
    /// One of its indexes is built.
    Index,
    /// It is analyzed, but for its indexes.
    Analysis,
    /// The partition of a row is looked for, or a row is checked against it.
    Key,
    /// It is read or written by a role for which its policies hold.
    Policy,
}

impl CodeOfRun {
    fn of(&self, occasion: Occasion, name: &ObjectName) -> Option<String> {
        self.tied.get(&occasion)?.get(name).cloned()
    }

    pub(super) fn add_routine(&mut self, name: ObjectName) {
        self.routines.insert(name);
    }

    pub(super) fn has_routine_named(&self, name: &str) -> bool {
        self.routines_named(name) > 0
    }

    pub(super) fn routines_named(&self, name: &str) -> usize {
        let of_name = self.routines.iter().filter(|one| one.name == name);
        of_name.count()
    }

    /// Records that a relation of the run is gone.
    pub(super) fn forget(&mut self, name: &ObjectName) {
        for code in self.tied.values_mut() {
            code.remove(name);
        }
        self.row_security.remove(name);
        self.forced_row_security.remove(name);
        self.written.remove(name);
    }

    /// Records that a relation of the run has another name.
    pub(super) fn rename(&mut self, from: &ObjectName, to: &ObjectName) {
        for code in self.tied.values_mut() {
            if let Some(words) = code.remove(from) {
                code.insert(to.clone(), words);
            }
        }
        for names in [
            &mut self.row_security,
            &mut self.forced_row_security,
            &mut self.written,
        ] {
            if names.remove(from) {
                names.insert(to.clone());
            }
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
        self.code_on(Occasion::Read, &full)
            .or_else(|| self.code_of_active_policies(&full))
    }

    /// Returns the code that runs as a materialized view is refreshed, but for that of its indexes.
    pub(in crate::migrations::class) fn code_of_refresh(
        &self,
        name: &ObjectName,
    ) -> Option<String> {
        self.code_on(Occasion::Refresh, &self.resolve(name))
    }

    /// Returns the code that runs as the key of a partitioned table is computed for a row.
    pub(in crate::migrations::class) fn code_of_key(&self, name: &ObjectName) -> Option<String> {
        self.code_on(Occasion::Key, &self.resolve(name))
    }

    /// Returns the code that runs as a table is written anew, or its indexes are: those of its partitions
    /// count.
    pub(in crate::migrations::class) fn code_of_indexes(
        &self,
        name: &ObjectName,
    ) -> Option<String> {
        let mut tree = self.tree(&self.resolve(name)).into_iter();
        tree.find_map(|table| self.code_on(Occasion::Index, &table))
    }

    /// Returns the code that runs as an index is built.
    pub(in crate::migrations::class) fn code_of_index(
        &self,
        table: &ObjectName,
        index: &ObjectName,
    ) -> Option<String> {
        let full = self.resolve(table);
        let facts = self.relation(table).into_iter();
        let mut indexes = facts.flat_map(|facts| &facts.indexes);
        match indexes.find(|one| one.name == index.name) {
            Some(known) => known.code.clone(),
            None => self.code.of(Occasion::Index, &full),
        }
    }

    /// Returns the code that runs as a table and its partitions are analyzed.
    pub(in crate::migrations::class) fn code_of_analysis(
        &self,
        name: &ObjectName,
    ) -> Option<String> {
        let mut tree = self.tree(&self.resolve(name)).into_iter();
        let occasions = [Occasion::Index, Occasion::Analysis];
        tree.find_map(|table| {
            let mut occasions = occasions.into_iter();
            occasions.find_map(|occasion| self.code_on(occasion, &table))
        })
    }

    /// Returns the code that runs as any table is analyzed, or any index is built, in words.
    pub(in crate::migrations::class) fn code_of_any(
        &self,
        occasions: &[Occasion],
    ) -> Option<String> {
        let of_run = occasions.iter().filter_map(|one| self.code.tied.get(one));
        let mut of_run = of_run.flat_map(BTreeMap::values);
        let of_run = of_run.next().cloned();
        of_run.or_else(|| {
            let mut tables = self.facts.relations.keys();
            tables.find_map(|table| {
                let mut occasions = occasions.iter();
                occasions.find_map(|occasion| self.code_on(*occasion, table))
            })
        })
    }

    /// Returns the code that is tied to a relation for an occasion.
    fn code_on(&self, occasion: Occasion, full: &ObjectName) -> Option<String> {
        let of_run = self.code.of(occasion, full);
        of_run.or_else(|| {
            let facts = self.relation(full)?;
            let code = &facts.code;
            match occasion {
                Occasion::Read => code.reads.clone(),
                Occasion::Write => code.writes.clone(),
                Occasion::Refresh => code.refresh.clone(),
                Occasion::Analysis => code.analysis.clone(),
                Occasion::Key => code.key.clone(),
                Occasion::Policy => code.policies.clone(),
                Occasion::Index => facts.indexes.iter().find_map(|one| one.code.clone()),
            }
        })
    }

    /// Returns the code of a table's policies, if the run makes them hold for its own role: row security
    /// is enabled, and holds for the owner. Those that held before the run are in the facts.
    fn code_of_active_policies(&self, full: &ObjectName) -> Option<String> {
        let facts = self.relation(full).map(|facts| &facts.code);
        let is_enabled = self.code.row_security.contains(full)
            || facts.is_some_and(|code| code.has_row_security);
        let is_forced = self.code.forced_row_security.contains(full)
            || facts.is_some_and(|code| code.forces_row_security);
        let holds = is_enabled && is_forced;
        holds.then(|| self.code_on(Occasion::Policy, full))?
    }

    /// Returns a table with its partitions and inheriting tables, those of the run too.
    pub(in crate::migrations::class) fn tree(&self, full: &ObjectName) -> BTreeSet<ObjectName> {
        let mut tree = BTreeSet::new();
        let mut open = vec![full.clone()];
        while let Some(table) = open.pop() {
            if !tree.contains(&table) {
                open.extend(self.facts.descendants(&table));
                let of_run = self.code.children.iter().filter(|(one, _)| *one == table);
                open.extend(of_run.map(|(_, child)| child.clone()));
                tree.insert(table);
            }
        }
        tree
    }

    /// Returns the tables above a table, at any depth.
    pub(in crate::migrations::class) fn ancestors(&self, full: &ObjectName) -> Vec<ObjectName> {
        let mut found: Vec<ObjectName> = Vec::new();
        let mut open = vec![full.clone()];
        while let Some(table) = open.pop() {
            let relations = self.facts.relations.iter();
            let parents = relations.filter(|(_, facts)| facts.children.contains(&table));
            for (parent, _) in parents {
                if !found.contains(parent) {
                    found.push(parent.clone());
                    open.push(parent.clone());
                }
            }
        }
        found
    }

    /// Returns the trigger, rule or other code that the run itself ties to the rows of a table, in words.
    pub(in crate::migrations::class) fn code_that_the_run_ties_to(
        &self,
        full: &ObjectName,
    ) -> Option<String> {
        let mut tree = self.tree(full).into_iter();
        tree.find_map(|table| {
            let written = self.code.of(Occasion::Write, &table);
            written.or_else(|| self.code.of(Occasion::Policy, &table))
        })
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
            let code = self.code_on(Occasion::Write, &table);
            let code = code.or_else(|| self.code_of_active_policies(&table));
            let code = code.or_else(|| self.code_of_triggers(&table));
            if code.is_some() {
                return code;
            }
            open.extend(self.tree(&table));
            if changes_keys {
                let of_run = self.code.referencing.iter();
                let of_run = of_run.filter(|(one, _)| *one == table);
                open.extend(of_run.map(|(_, other)| other.clone()));
                open.extend(self.changed_with(&table));
            }
        }
        None
    }

    /// Returns the trigger of a table that does more than is known to be little. Those of Postgres and of extensions
    /// are none of the database's own.
    fn code_of_triggers(&self, table: &ObjectName) -> Option<String> {
        let mut triggers = self.relation(table)?.seen_by.triggers.iter();
        let trigger = triggers.find(|one| !one.is_provided && !self.does_little(one.function));
        trigger.map(|one| format!("the trigger {}", one.name))
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

    /// Returns whether the run put a table below one of before, which the code that runs now reads.
    pub(in crate::migrations::class) fn is_read_by_its_parent(&self, name: &ObjectName) -> bool {
        let name = self.resolve(name);
        let of_table = self
            .code
            .children
            .iter()
            .filter(|(_, child)| *child == name);
        let mut parents = of_table.map(|(parent, _)| parent);
        parents.any(|parent| {
            !(self.is_new(parent) || self.is_of_run(parent)) || self.is_read_by_its_parent(parent)
        })
    }

    /// Records the code that runs with a relation on an occasion.
    pub(in crate::migrations::class) fn tie_code(
        &mut self,
        occasion: Occasion,
        name: &ObjectName,
        words: String,
    ) {
        let name = self.resolve(name);
        let tied = self.code.tied.entry(occasion).or_default();
        tied.entry(name).or_insert(words);
    }

    /// Records that the run enables the row security of a table.
    pub(in crate::migrations::class) fn enable_row_security(&mut self, name: &ObjectName) {
        let name = self.resolve(name);
        self.code.row_security.insert(name);
    }

    /// Records that the policies of a table hold for its owner from now on.
    pub(in crate::migrations::class) fn force_row_security(&mut self, name: &ObjectName) {
        let name = self.resolve(name);
        self.code.forced_row_security.insert(name);
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
