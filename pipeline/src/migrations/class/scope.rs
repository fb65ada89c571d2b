//! The database as a file's statements find it: the facts, and what earlier statements changed.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{RelationFacts, SMALL_TABLE_BYTES, TargetFacts};
use super::rules::Rule;
use crate::migrations::statement::ObjectName;

/// The names that a file's earlier statements created, dropped or renamed.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) facts: &'a TargetFacts,
    /// The names of the rules that a person has overridden for this run.
    overridden: &'a [&'a str],
    search_path: Vec<String>,
    created: BTreeSet<ObjectName>,
    dropped: BTreeSet<ObjectName>,
    /// New names of objects that exist before the file, with their old ones.
    renamed: BTreeMap<ObjectName, ObjectName>,
    /// The columns that a statement proves to hold no NULL: (table, constraint), column.
    not_null_checks: BTreeMap<(ObjectName, String), String>,
    proved_not_null: BTreeSet<(ObjectName, String)>,
}

/// The size of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// No database was asked.
    Unknown,
    /// Its bytes; none for a table that an earlier file of the same run creates.
    Bytes(u64),
}

impl Size {
    pub(super) fn is_small(self) -> bool {
        matches!(self, Self::Bytes(bytes) if bytes <= SMALL_TABLE_BYTES)
    }
}

impl<'a> Scope<'a> {
    pub(super) fn new(facts: &'a TargetFacts, overridden: &'a [&'a str]) -> Self {
        Self {
            facts,
            overridden,
            search_path: facts.search_path.clone(),
            created: BTreeSet::new(),
            dropped: BTreeSet::new(),
            renamed: BTreeMap::new(),
            not_null_checks: BTreeMap::new(),
            proved_not_null: BTreeSet::new(),
        }
    }

    /// Begins the next file of the same run: what the last one created exists.
    pub(super) fn next_file(&mut self) {
        self.search_path.clone_from(&self.facts.search_path);
        self.created.clear();
        self.dropped.clear();
    }

    /// Returns whether a person has overridden the rule for this run.
    pub(super) fn is_overridden(&self, rule: &Rule) -> bool {
        self.overridden.contains(&rule.name)
    }

    /// Returns the name with its schema, and by its name before the file if that changed.
    pub(super) fn resolve(&self, name: &ObjectName) -> ObjectName {
        let name = self.full(name);
        self.renamed.get(&name).cloned().unwrap_or(name)
    }

    fn full(&self, name: &ObjectName) -> ObjectName {
        if name.schema.is_none() {
            let known = self.created.iter().chain(self.renamed.keys());
            let mut same = known.filter(|one| one.name == name.name);
            if let Some(found) = same.find(|one| {
                self.search_path
                    .iter()
                    .any(|schema| one.schema.as_ref() == Some(schema))
            }) {
                return found.clone();
            }
        }
        self.facts.resolve(name, &self.search_path)
    }

    /// Returns whether the same file creates the object: no code of before uses it.
    pub(super) fn is_new(&self, name: &ObjectName) -> bool {
        self.created.contains(&self.full(name))
    }

    /// Returns whether the same file dropped an object of that name before.
    pub(super) fn was_dropped(&self, name: &ObjectName) -> bool {
        self.dropped.contains(&self.full(name))
    }

    pub(super) fn relation(&self, name: &ObjectName) -> Option<&'a RelationFacts> {
        self.facts.relations.get(&self.resolve(name))
    }

    pub(super) fn size(&self, name: &ObjectName) -> Size {
        if !self.facts.is_known() {
            return Size::Unknown;
        }
        Size::Bytes(self.relation(name).map_or(0, |facts| facts.bytes))
    }

    /// Returns whether a type is a domain that checks its values.
    pub(super) fn is_domain_with_constraints(&self, name: &ObjectName) -> bool {
        let mut domains = self.facts.domains_with_constraints.iter();
        domains.any(|domain| {
            domain.name == name.name
                && match &name.schema {
                    Some(_) => domain.schema == name.schema,
                    None => self
                        .search_path
                        .iter()
                        .any(|one| domain.schema.as_ref() == Some(one)),
                }
        })
    }

    pub(super) fn create(&mut self, name: &ObjectName) {
        let name = self.full(name);
        self.created.insert(name);
    }

    pub(super) fn drop(&mut self, name: &ObjectName) {
        let name = self.full(name);
        self.created.remove(&name);
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
            self.created.insert(to);
            return;
        }
        let before = self.renamed.remove(&from).unwrap_or_else(|| from.clone());
        self.dropped.insert(from);
        self.renamed.insert(to, before);
    }

    pub(super) fn set_search_path(&mut self, path: Vec<String>) {
        self.search_path = path;
    }

    /// Records a `CHECK` that says that a column is not NULL, not validated yet.
    pub(super) fn add_not_null_check(&mut self, table: &ObjectName, name: &str, column: &str) {
        let key = (self.resolve(table), name.to_owned());
        self.not_null_checks.insert(key, column.to_owned());
    }

    /// Records that a constraint was validated.
    pub(super) fn validate(&mut self, table: &ObjectName, name: &str) {
        let table = self.resolve(table);
        let known = self.facts.relations.get(&table);
        let constraint = known.and_then(|facts| facts.constraint(name)).cloned();
        if let Some(mut constraint) = constraint {
            constraint.is_validated = true;
            let columns = constraint.columns.clone();
            let alone = RelationFacts {
                constraints: vec![constraint],
                ..RelationFacts::default()
            };
            if let [column] = columns.as_slice()
                && alone.is_proved_not_null(column)
            {
                self.proved_not_null.insert((table.clone(), column.clone()));
            }
        }
        if let Some(column) = self.not_null_checks.get(&(table.clone(), name.to_owned())) {
            self.proved_not_null.insert((table, column.clone()));
        }
    }

    /// Returns whether a validated constraint proves that the column holds no NULL.
    pub(super) fn is_proved_not_null(&self, table: &ObjectName, column: &str) -> bool {
        let proved = (self.resolve(table), column.to_owned());
        self.proved_not_null.contains(&proved)
            || self
                .relation(table)
                .is_some_and(|facts| facts.is_proved_not_null(column))
    }
}
