//! The migrations that a database has already, as a plan shows them: each with its recorded class.

use std::fmt::Write as _;

use stagelink::one_line;
use stagelink_pipeline::HistoryEntry;

/// The most entries that are shown by themselves, but for those with an override. JSON has all.
const NEWEST: usize = 10;

/// Adds the entries of a history to a plan, in their order; older ones by their number.
pub(super) fn add(text: &mut String, entries: &[HistoryEntry]) {
    let older = entries.len().saturating_sub(NEWEST);
    let (older, newest) = entries.split_at(older);
    let (with_override, without): (Vec<_>, Vec<_>) =
        older.iter().partition(|entry| !entry.overridden.is_empty());
    let without: Vec<HistoryEntry> = without.into_iter().cloned().collect();
    if let Some(classes) = HistoryEntry::classes_of(&without) {
        let count = without.len();
        let _ = write!(text, "\n  {count} older applied, by class: {classes}");
    }
    for entry in with_override.into_iter().chain(newest) {
        let _ = write!(text, "\n  {}  (applied", one_line(&entry.migration));
        let _ = match entry.class_phrase() {
            Some(class) => write!(text, ", {class}"),
            None => write!(text, "; no class recorded, since another tool applied it"),
        };
        text.push(')');
        for of in &entry.overridden {
            let (rule, reason) = (one_line(&of.rule), one_line(&of.reason));
            let _ = write!(text, "\n    overridden: {rule}: {reason}");
            if !entry.applied_by.is_empty() {
                let _ = write!(text, " ({})", one_line(&entry.applied_by));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: &str) -> HistoryEntry {
        serde_json::from_str(json).expect("an entry")
    }

    fn plain(number: usize, class: &str) -> HistoryEntry {
        entry(&format!(
            r#"{{"migration":"V{number}__a","is_recorded":{},"class":{class},"applied_on":"",
                "applied_by":"","overridden":[]}}"#,
            class != "null"
        ))
    }

    fn shown(entries: &[HistoryEntry]) -> String {
        let mut text = String::new();
        add(&mut text, entries);
        text
    }

    #[test]
    fn entries_have_their_class_and_their_overrides() {
        let overridden = entry(
            r#"{"migration":"V3__c","is_recorded":true,"class":"stop","applied_on":"",
                "applied_by":"ada@laptop","overridden":[{"rule":"backfill","reason":"at night"}]}"#,
        );
        let entries = [plain(1, "null"), plain(2, r#""before""#), overridden];
        assert_eq!(
            shown(&entries),
            "\n  V1__a  (applied; no class recorded, since another tool applied it)\
             \n  V2__a  (applied, of class before)\
             \n  V3__c  (applied, of class stop)\
             \n    overridden: backfill: at night (ada@laptop)"
        );
        assert_eq!(shown(&[]), "");
    }

    #[test]
    fn older_entries_are_counted_but_for_those_with_an_override() {
        let mut entries: Vec<_> = (1..=13)
            .map(|number| plain(number, r#""before""#))
            .collect();
        entries[0] = entry(
            r#"{"migration":"V1__a","is_recorded":true,"class":"ask","applied_on":"",
                "applied_by":"","overridden":[{"rule":"runs-code","reason":"read"}]}"#,
        );
        let text = shown(&entries);
        assert!(
            text.starts_with(
                "\n  2 older applied, by class: 2 before\n  V1__a  (applied, of class ask)\n    \
                 overridden: runs-code: read\n  V4__a  (applied, of class before)"
            ),
            "{text}"
        );
        assert_eq!(text.lines().count(), 14);
    }
}
