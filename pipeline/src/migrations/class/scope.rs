//! The database as a file's statements find it: the facts, and what earlier statements changed.

mod added_columns;
mod foreign_keys;
mod names;
mod own_code;
mod routines;
mod sequences;

use std::collections::{BTreeMap, BTreeSet};

use self::added_columns::AddedColumns;
pub(super) use self::foreign_keys::ForeignKey;
use self::own_code::CodeOfRun;
pub(super) use self::own_code::Occasion;
use super::facts::{IndexFacts, RelationFacts, SMALL_TABLE_BYTES, TargetFacts};
use super::proofs::Proofs;
use super::rules::Rule;
use super::seen_by::{RoutineFacts, SequenceFacts};
use crate::migrations::statement::ObjectName;

/// The schema of a session's temporary tables, which comes before those of the search path.
const TEMPORARY: &str = "pg_temp";

/// The names that a run's earlier statements created, dropped or renamed.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) facts: &'a TargetFacts,
    /// The names of the rules that a person has overridden for the file.
    overridden: &'a [&'a str],
    search_path: Vec<String>,
    /// The tables, views, indexes, sequences and types that the file created.
    created: BTreeSet<ObjectName>,
    /// The functions and procedures that the file created. Their names are none of a table's.
    created_routines: BTreeSet<ObjectName>,
    /// The functions that the run created, with what can be read of them.
    bodies_of_run: Vec<RoutineFacts>,
    /// The domains that the run created, or gave a constraint.
    domains: BTreeSet<ObjectName>,
    /// The indexes that the run created, with their tables.
    indexes: Vec<(ObjectName, IndexFacts)>,
    /// The names of functions that the run dropped.
    dropped_routines: BTreeSet<String>,
    /// The types of columns that the run adds, with their tables.
    domain_columns: Vec<(ObjectName, ObjectName)>,
    dropped: BTreeSet<ObjectName>,
    /// The objects that earlier files of the run created: no user yet, and few rows.
    created_before: BTreeSet<ObjectName>,
    /// The objects that earlier files of the run dropped, though the facts have them.
    gone: BTreeSet<ObjectName>,
    /// New names of objects that exist before the file, with their old ones.
    renamed: BTreeMap<ObjectName, ObjectName>,
    columns: AddedColumns,
    /// The tables that the run created and filled by a query: their size is not known.
    filled: BTreeSet<ObjectName>,
    /// The sequences that the run created.
    sequences: BTreeMap<ObjectName, SequenceFacts>,
    /// Sequences, each with a role to which the run granted their use.
    granted: Vec<(ObjectName, String)>,
    /// The columns of the run with which a unique key begins, and those that a sequence fills, with their tables.
    key_columns: BTreeSet<(ObjectName, String)>,
    numbered: BTreeSet<(ObjectName, String)>,
    /// The foreign keys that the run added.
    foreign_keys: Vec<ForeignKey>,
    pub(super) proofs: Proofs,
    code: CodeOfRun,
}

/// The size of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// No database was asked, or it has no table of that name.
    Unknown,
    /// Its bytes, with those of its partitions and inheriting tables; none for a table that an
    /// earlier file of the same run creates.
    Bytes(u64),
}

impl Size {
    pub(super) fn is_small(self) -> bool {
        matches!(self, Self::Bytes(bytes) if bytes <= SMALL_TABLE_BYTES)
    }
}

impl<'a> Scope<'a> {
    pub(super) fn new(facts: &'a TargetFacts) -> Self {
        Self {
            facts,
            overridden: &[],
            search_path: facts.search_path.clone(),
            created: BTreeSet::new(),
            created_routines: BTreeSet::new(),
            bodies_of_run: Vec::new(),
            domains: BTreeSet::new(),
            indexes: Vec::new(),
            dropped_routines: BTreeSet::new(),
            domain_columns: Vec::new(),
            dropped: BTreeSet::new(),
            created_before: BTreeSet::new(),
            gone: BTreeSet::new(),
            renamed: BTreeMap::new(),
            columns: AddedColumns::default(),
            filled: BTreeSet::new(),
            sequences: BTreeMap::new(),
            granted: Vec::new(),
            key_columns: BTreeSet::new(),
            numbered: BTreeSet::new(),
            foreign_keys: Vec::new(),
            proofs: Proofs::default(),
            code: CodeOfRun::default(),
        }
    }

    /// Begins the next file of the same run, with its overridden rules: what the last one created
    /// exists, but for temporary tables.
    pub(super) fn next_file(&mut self, overridden: &'a [&'a str]) {
        self.overridden = overridden;
        self.reset_search_path();
        // Files that are judged without a database may belong to several runs.
        if !self.facts.is_known() {
            self.columns.clear();
        }
        let is_kept = |name: &ObjectName| name.schema.as_deref() != Some(TEMPORARY);
        let created = std::mem::take(&mut self.created).into_iter();
        for name in created.filter(is_kept) {
            self.gone.remove(&name);
            self.created_before.insert(name);
        }
        self.created_routines.clear();
        for name in std::mem::take(&mut self.dropped) {
            // By its new name it is still there.
            let is_renamed = self.renamed.values().any(|before| *before == name);
            if !is_renamed && !self.created_before.contains(&name) {
                self.gone.insert(name);
            }
        }
    }

    /// Returns whether a person has overridden the rule for the file.
    pub(super) fn is_overridden(&self, rule: &Rule) -> bool {
        self.overridden.contains(&rule.name)
    }

    /// Returns whether the database has a table, a view, a sequence or an index of that name, which
    /// the run has not dropped.
    pub(super) fn has(&self, name: &ObjectName) -> bool {
        let name = self.resolve(name);
        let is_there =
            self.facts.relations.contains_key(&name) || self.facts.table_of_index(&name).is_some();
        is_there && !self.dropped.contains(&name) && !self.gone.contains(&name)
    }

    /// Returns whether the same file creates the object: no code that runs now uses it.
    pub(super) fn is_new(&self, name: &ObjectName) -> bool {
        self.created.contains(&self.full(name))
    }

    /// Returns whether an earlier file of the same run creates the table: no code that runs now uses it.
    pub(super) fn is_of_run(&self, name: &ObjectName) -> bool {
        self.facts.is_known() && self.created_before.contains(&self.resolve(name))
    }

    /// Returns whether a query filled the table, which the run created.
    pub(super) fn is_filled(&self, name: &ObjectName) -> bool {
        self.filled.contains(&self.full(name))
    }

    /// Records that a query filled a table.
    pub(super) fn fill(&mut self, name: &ObjectName) {
        let name = self.full(name);
        self.filled.insert(name);
    }

    /// Returns the indexes of a table that the run created.
    pub(super) fn indexes_of_run(&self, table: &ObjectName) -> impl Iterator<Item = &IndexFacts> {
        let table = self.resolve(table);
        let of_table = self.indexes.iter().filter(move |(of, _)| *of == table);
        of_table.map(|(_, index)| index)
    }

    /// Records an index.
    pub(super) fn create_index(&mut self, table: &ObjectName, index: IndexFacts) {
        let table = self.resolve(table);
        self.indexes.push((table, index));
    }

    /// Returns whether the table has a constraint of that name.
    pub(super) fn has_constraint_named(&self, table: &ObjectName, name: &str) -> bool {
        let facts = self.relation(table);
        facts.is_some_and(|facts| facts.constraint(name).is_some())
    }

    /// Returns whether the same file dropped an object of that name before.
    pub(super) fn was_dropped(&self, name: &ObjectName) -> bool {
        self.dropped.contains(&self.full(name)) || self.dropped.contains(&self.creation_name(name))
    }

    pub(super) fn relation(&self, name: &ObjectName) -> Option<&'a RelationFacts> {
        let name = self.resolve(name);
        let is_of_run = self.gone.contains(&name) || self.created_before.contains(&name);
        self.facts.relations.get(&name).filter(|_| !is_of_run)
    }

    /// Returns whether neither the database nor the run has a table of that name, though the
    /// database was asked.
    pub(super) fn is_unknown(&self, name: &ObjectName) -> bool {
        self.facts.is_known()
            && !self.is_new(name)
            && !self.created_before.contains(&self.resolve(name))
            && self.relation(name).is_none()
    }

    pub(super) fn size(&self, name: &ObjectName) -> Size {
        let full = self.resolve(name);
        if self.is_filled(name) {
            return Size::Unknown;
        }
        if self.is_new(name) || self.is_of_run(name) {
            return Size::Bytes(0);
        }
        let Some(facts) = self.relation(name) else {
            return Size::Unknown;
        };
        let tree = self.facts.descendants(&full);
        let children = tree
            .iter()
            .filter_map(|child| self.facts.relations.get(child));
        let below: u64 = children.map(|child| child.bytes).sum();
        Size::Bytes(facts.bytes.saturating_add(below))
    }

    /// Returns whether a change of the table's rows stays small: no trigger runs, and the tables
    /// whose rows may change with them, or are looked at, are small.
    pub(super) fn changes_few_rows(&self, name: &ObjectName, changes_keys: bool) -> bool {
        let mut open = vec![self.resolve(name)];
        let mut seen = BTreeSet::new();
        while let Some(table) = open.pop() {
            if !seen.insert(table.clone()) {
                continue;
            }
            if self.has_acting_triggers(&table) || !self.size(&table).is_small() {
                return false;
            }
            if changes_keys {
                open.extend(self.facts.referencing(&table).into_iter().cloned());
            }
        }
        true
    }

    /// Returns whether a type is a domain that checks its values, or may be one.
    pub(super) fn is_domain_with_constraints(&self, name: &ObjectName) -> bool {
        let known = self.facts.domains.iter();
        let known = known.filter(|(_, facts)| facts.has_constraints);
        let mut domains = known.map(|(domain, _)| domain).chain(&self.domains);
        domains.any(|domain| self.may_mean(name, domain))
    }

    /// Returns whether the database or the run has a type of that name, which is no table's.
    pub(super) fn has_type(&self, name: &ObjectName) -> bool {
        let of_run = self.created.iter().chain(&self.created_before);
        let mut types = self.facts.types.iter().chain(of_run);
        types.any(|one| self.may_mean(name, one))
    }

    /// Returns whether a type is a domain with a default, or may be one.
    pub(super) fn is_domain_with_default(&self, name: &ObjectName) -> bool {
        let known = self.facts.domains.iter();
        let known = known.filter(|(_, facts)| facts.has_default);
        let mut domains = known.map(|(domain, _)| domain).chain(&self.domains);
        domains.any(|domain| self.may_mean(name, domain))
    }

    /// Returns whether a type is an enum of before the run.
    pub(super) fn is_enum(&self, name: &ObjectName) -> bool {
        let mut enums = self.facts.enums.iter();
        enums.any(|one| self.may_mean(name, one))
    }

    /// Returns whether a type's values can be compared, by an operator class of it.
    pub(super) fn is_comparable(&self, name: &ObjectName) -> bool {
        let mut types = self.facts.comparable_types.iter();
        types.any(|one| self.may_mean(name, one))
    }

    /// Returns the relations of before the run that a name may mean, also those that the run dropped.
    pub(super) fn relations_named(&self, name: &ObjectName) -> Vec<ObjectName> {
        let relations = self.facts.relations.keys();
        let named = relations.filter(|relation| self.may_mean(name, relation));
        named.cloned().collect()
    }

    /// Returns the tables with a column of the domain; `None` where they are not known.
    pub(super) fn tables_of_domain(&self, name: &ObjectName) -> Option<Vec<ObjectName>> {
        let known = self.facts.domains.iter();
        let mut known = known.filter(|(domain, _)| self.may_mean(name, domain));
        let of_run = self.domain_columns.iter();
        let of_run = of_run.filter(|(domain, _)| self.may_mean(name, domain));
        let of_run: Vec<ObjectName> = of_run.map(|(_, table)| table.clone()).collect();
        let facts = known.next().map(|(_, facts)| facts.tables.clone());
        let is_of_run = self
            .domains
            .iter()
            .any(|domain| self.may_mean(name, domain));
        match facts {
            Some(mut tables) => {
                tables.extend(of_run);
                Some(tables)
            }
            None => (self.facts.is_known() && is_of_run).then_some(of_run),
        }
    }

    /// Records that a table has a column of a type.
    pub(super) fn use_type(&mut self, type_name: &ObjectName, table: &ObjectName) {
        let table = self.resolve(table);
        let type_name = self.creation_name(type_name);
        self.domain_columns.push((type_name, table));
    }

    /// Records a domain that the run created, or gave a constraint.
    pub(super) fn constrain_domain(&mut self, name: &ObjectName) {
        let name = self.creation_name(name);
        self.domains.insert(name);
    }

    pub(super) fn create(&mut self, name: &ObjectName) {
        let name = self.creation_name(name);
        self.created.insert(name);
    }

    pub(super) fn create_temporary(&mut self, name: &ObjectName) {
        self.created
            .insert(ObjectName::in_schema(TEMPORARY, &name.name));
    }

    pub(super) fn drop(&mut self, name: &ObjectName) {
        let name = self.full(name);
        if self.created.remove(&name) | self.created_before.remove(&name) {
            self.code.forget(&name);
        }
        self.dropped.insert(name);
    }

    /// Records a new name, whose schema is that of the old one unless it has its own.
    pub(super) fn rename(&mut self, from: &ObjectName, to: &ObjectName) {
        let from = self.full(from);
        let to = ObjectName {
            schema: to.schema.clone().or_else(|| from.schema.clone()),
            name: to.name.clone(),
        };
        if self.created.remove(&from) {
            self.code.rename(&from, &to);
            self.created.insert(to);
            return;
        }
        let before = self.renamed.remove(&from).unwrap_or_else(|| from.clone());
        self.dropped.insert(from);
        self.renamed.insert(to, before);
    }

    /// Records that a constraint was validated.
    pub(super) fn validate(&mut self, table: &ObjectName, name: &str) {
        let table = self.resolve(table);
        self.proofs.validate(self.facts, table, name);
    }

    /// Returns whether a validated constraint proves that the column holds no NULL.
    pub(super) fn is_proved_not_null(&self, table: &ObjectName, column: &str) -> bool {
        let full = self.resolve(table);
        self.proofs.proves(&full, column)
            || (!self.proofs.has_lost_any(&full)
                && self
                    .relation(table)
                    .is_some_and(|facts| facts.is_proved_not_null(column)))
    }
}
