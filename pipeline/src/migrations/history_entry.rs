//! An entry of a database's history, with what was recorded as its file was applied.

use serde::{Deserialize, Serialize};

use crate::migrations::class::Class;
use crate::migrations::history::AppliedMigration;
use crate::migrations::records::MigrationRecord;
use crate::migrations::rule_override::RuleOverride;

/// A migration that a database has, with what was recorded as it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// The migration, as `V1__name`.
    pub migration: String,
    /// True if stagelink applied it. A file that refinery or another tool applied has a row of the
    /// history, and no record of its class.
    pub is_recorded: bool,
    /// The class by all rules that held, also those that were overridden; `None` without a record, and
    /// for a class that this version does not know.
    pub class: Option<Class>,
    /// The time at which it was applied, in the format of RFC 3339; empty where the history has none.
    pub applied_on: String,
    /// The person or job that applied it, as `user@host`; empty where that was not known.
    pub applied_by: String,
    /// The rules that a person has overridden for it, with the reasons.
    pub overridden: Vec<RuleOverride>,
}

impl HistoryEntry {
    /// Returns the entries of a history, in its order. Of several records of one migration the newest
    /// counts: it may have been taken back, and applied again.
    pub(super) fn all(applied: &[AppliedMigration], records: &[MigrationRecord]) -> Vec<Self> {
        let entry = |row: &AppliedMigration| {
            let mut newest_first = records.iter().rev();
            let record = newest_first
                .find(|record| record.version == row.version && record.checksum == row.checksum);
            Self {
                migration: row.to_string(),
                is_recorded: record.is_some(),
                class: record.and_then(|record| record.class),
                applied_on: row.applied_on.clone(),
                applied_by: record.map_or_else(String::new, |record| record.applied_by.clone()),
                overridden: record.map_or_else(Vec::new, |record| record.overridden.clone()),
            }
        };
        applied.iter().map(entry).collect()
    }

    /// Returns the recorded class as the end of a phrase: `of class before`. `None` where the entry has no
    /// record.
    pub fn class_phrase(&self) -> Option<&'static str> {
        let class = match (self.is_recorded, self.class) {
            (false, _) => return None,
            (true, class) => class,
        };
        Some(match class {
            Some(Class::Before) => "of class before",
            Some(Class::After) => "of class after",
            Some(Class::Ask) => "of class ask",
            Some(Class::Stop) => "of class stop",
            None => "of a class that this version does not know",
        })
    }

    /// Returns the number of entries of each class: `2 before, 1 after, 3 without a recorded class
    /// (another tool applied them)`. `None` without entries.
    pub fn classes_of(entries: &[Self]) -> Option<String> {
        let classes = [Class::Before, Class::After, Class::Ask, Class::Stop];
        let count = |class| {
            entries
                .iter()
                .filter(|one| one.class == Some(class))
                .count()
        };
        let counts = classes.map(|class| (count(class), class.name()));
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let mut parts: Vec<String> = counts
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let unknown = entries
            .iter()
            .filter(|one| one.is_recorded && one.class.is_none());
        if let count @ 1.. = unknown.count() {
            parts.push(format!(
                "{count} of a class that this version does not know"
            ));
        }
        match entries.iter().filter(|one| !one.is_recorded).count() {
            0 => {}
            1 => parts.push("1 without a recorded class (another tool applied it)".to_owned()),
            count => parts.push(format!(
                "{count} without a recorded class (another tool applied them)"
            )),
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(version: i64, checksum: &str) -> AppliedMigration {
        AppliedMigration {
            version,
            name: "a".to_owned(),
            applied_on: "2026-11-27T09:04:16Z".to_owned(),
            checksum: checksum.to_owned(),
        }
    }

    fn record(version: i64, checksum: &str, class: Option<Class>) -> MigrationRecord {
        MigrationRecord {
            version,
            name: "a".to_owned(),
            checksum: checksum.to_owned(),
            class,
            overridden: Vec::new(),
            waiting: Vec::new(),
            applied_by: "ada@laptop".to_owned(),
            role: "u".to_owned(),
            applied_at: "2026-11-27T09:04:16Z".to_owned(),
        }
    }

    #[test]
    fn newest_record_of_the_same_content_counts() {
        let records = [
            record(1, "7", Some(Class::Stop)),
            record(1, "7", Some(Class::After)),
            record(1, "8", Some(Class::Ask)),
            record(2, "1", None),
        ];
        let rows = [row(1, "7"), row(2, "1"), row(3, "1")];
        let entries = HistoryEntry::all(&rows, &records);
        let phrases: Vec<_> = entries.iter().map(HistoryEntry::class_phrase).collect();
        let unknown = "of a class that this version does not know";
        assert_eq!(phrases, [Some("of class after"), Some(unknown), None]);
        let by: Vec<_> = entries.iter().map(|one| &*one.applied_by).collect();
        assert_eq!(by, ["ada@laptop", "ada@laptop", ""]);
        assert_eq!(
            HistoryEntry::classes_of(&entries).as_deref(),
            Some(
                "1 after, 1 of a class that this version does not know, 1 without a recorded class \
                 (another tool applied it)"
            )
        );
        assert_eq!(HistoryEntry::classes_of(&[]), None);
    }
}
