//! The proofs that a column holds no NULL, as a run's statements make and remove them.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{RelationFacts, TargetFacts};
use crate::migrations::statement::ObjectName;

/// The constraints of a run that say that a column is not NULL.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// Those that are not validated yet: (table, constraint), column.
    checks: BTreeMap<(ObjectName, String), String>,
    proved: BTreeSet<(ObjectName, String)>,
    /// The columns that the run made NOT NULL.
    not_null: BTreeSet<(ObjectName, String)>,
    /// The tables of which a constraint or a column was dropped, renamed or changed: what the facts
    /// prove of them may be gone.
    lost: BTreeSet<ObjectName>,
}

impl Proofs {
    /// Records a `CHECK` that says that a column is not NULL, not validated yet.
    pub(super) fn add_check(&mut self, table: ObjectName, name: &str, column: &str) {
        self.checks
            .insert((table, name.to_owned()), column.to_owned());
    }

    /// Returns whether the run added a `CHECK` of that name, which says that a column is not NULL.
    pub(super) fn has_check(&self, table: &ObjectName, name: &str) -> bool {
        self.checks.contains_key(&(table.clone(), name.to_owned()))
    }

    /// Records that a constraint was validated.
    pub(super) fn validate(&mut self, facts: &TargetFacts, table: ObjectName, name: &str) {
        if let Some(column) = self.checks.get(&(table.clone(), name.to_owned())) {
            self.proved.insert((table, column.clone()));
            return;
        }
        let known = facts.relations.get(&table);
        let constraint = known.and_then(|facts| facts.constraint(name)).cloned();
        let Some(mut constraint) = constraint.filter(|_| !self.lost.contains(&table)) else {
            return;
        };
        constraint.is_validated = true;
        let columns = constraint.columns.clone();
        let alone = RelationFacts {
            constraints: vec![constraint],
            ..RelationFacts::default()
        };
        if let [column] = columns.as_slice()
            && alone.is_proved_not_null(column)
        {
            self.proved.insert((table, column.clone()));
        }
    }

    /// Records that a column refuses NULL.
    pub(super) fn set_not_null(&mut self, table: ObjectName, column: &str) {
        self.not_null.insert((table, column.to_owned()));
    }

    /// Forgets a `CHECK` that the run added. What it proved may be proved otherwise, too.
    pub(super) fn drop_check(&mut self, table: &ObjectName, name: &str) {
        if let Some(column) = self.checks.remove(&(table.clone(), name.to_owned())) {
            self.proved.remove(&(table.clone(), column));
        }
    }

    /// Forgets what is known of a table: a constraint or a column of it was dropped, renamed or
    /// changed.
    pub(super) fn forget(&mut self, table: ObjectName) {
        self.checks.retain(|(of, _), _| *of != table);
        self.proved.retain(|(of, _)| *of != table);
        self.not_null.retain(|(of, _)| *of != table);
        self.lost.insert(table);
    }

    pub(super) fn has_lost_any(&self, table: &ObjectName) -> bool {
        self.lost.contains(table)
    }

    pub(super) fn proves(&self, table: &ObjectName, column: &str) -> bool {
        let key = (table.clone(), column.to_owned());
        self.proved.contains(&key) || self.not_null.contains(&key)
    }
}
