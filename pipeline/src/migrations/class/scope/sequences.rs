//! The sequences that a run creates, and those of before.

use super::Scope;
use crate::migrations::class::seen_by::SequenceFacts;
use crate::migrations::statement::ObjectName;

impl Scope<'_> {
    /// Returns whether a sequence fills a column of before or of the run.
    pub(in super::super) fn is_numbered(&self, table: &ObjectName, column: &str) -> bool {
        let full = self.resolve(table);
        let known = self.relation(table);
        known
            .and_then(|facts| facts.columns.get(column))
            .is_some_and(|facts| facts.is_numbered)
            || self.numbered.contains(&(full, column.to_owned()))
    }

    /// Records a column of a new table that a sequence fills.
    pub(in super::super) fn number(&mut self, table: &ObjectName, column: String) {
        let table = self.resolve(table);
        self.numbered.insert((table, column));
    }

    /// Returns a sequence of the run or of before.
    pub(in super::super) fn sequence(&self, name: &ObjectName) -> Option<SequenceFacts> {
        let name = self.resolve(name);
        let of_run = self.sequences.get(&name);
        let of_before = || {
            let is_gone = self.gone.contains(&name) || self.dropped.contains(&name);
            self.facts.sequences.get(&name).filter(|_| !is_gone)
        };
        let mut found = of_run.or_else(of_before)?.clone();
        let granted = self.granted.iter().filter(|(of, _)| *of == name);
        found.users.extend(granted.map(|(_, role)| role.clone()));
        Some(found)
    }

    /// Records a sequence that the run creates.
    pub(in super::super) fn create_sequence(&mut self, name: &ObjectName, facts: SequenceFacts) {
        let name = self.creation_name(name);
        self.sequences.insert(name, facts);
    }

    /// Records the roles to which the run grants the use of a sequence.
    pub(in super::super) fn grant_sequence(&mut self, name: &ObjectName, roles: Vec<String>) {
        let name = self.resolve(name);
        let granted = roles.into_iter().map(|role| (name.clone(), role));
        self.granted.extend(granted);
    }
}
