//! The check of built functions against the migrations of a stage's database: pure.

use crate::doctor::verdict::{Finding, Level, Verdict};
use crate::needs::{GateVerdict, MigrationList, RecordedMigration, gate};

/// Judges whether a stage's database can run these functions.
pub(super) fn judge_artifacts(
    artifacts: &[(String, Option<MigrationList>)],
    history: &[RecordedMigration],
    stage: &str,
    options: &str,
) -> Vec<Verdict> {
    let mut findings = Vec::new();
    let mut unknown = Vec::new();
    for (function, list) in artifacts {
        let verdict = gate(list.as_ref(), history);
        let reasons = verdict.reasons().join(", and ");
        match verdict {
            GateVerdict::Runs => {}
            GateVerdict::NeedsFirst(_) => findings.push(Finding::new(
                Level::Warning,
                format_args!("the built function {function} needs more: {reasons}"),
                format_args!("run `stagelink migrate {stage}{options}` before you deploy it"),
            )),
            GateVerdict::CannotRun(_) => findings.push(Finding::new(
                Level::Error,
                format_args!("the built function {function} cannot run here: {reasons}"),
                "bring the checkout up to date, and run `stagelink build` again",
            )),
            GateVerdict::Unknown(_) => unknown.push(format!("{function}: {reasons}")),
        }
    }
    let seen = format!(
        "the database can run the {} built functions",
        artifacts.len()
    );
    Verdict::all_of(findings, &unknown, seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::MigrationFolder;

    #[test]
    fn function_without_a_list_is_not_checked_beside_those_that_need_more() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("V1__a.sql"), "CREATE TABLE a ()").unwrap();
        let list = MigrationList::of(&MigrationFolder::read(folder.path()).unwrap());
        let functions = [("hello".to_owned(), Some(list)), ("old".to_owned(), None)];
        let verdicts = judge_artifacts(&functions, &[], "staging", "");
        let [Verdict::Findings(found), Verdict::NotChecked(reason)] = verdicts.as_slice() else {
            panic!("{verdicts:?}");
        };
        assert!(found[0].message.contains("hello"), "{found:?}");
        assert!(reason.starts_with("old: "), "{reason}");
        let verdicts = judge_artifacts(&[], &[], "staging", "");
        assert!(matches!(verdicts.as_slice(), [Verdict::Sound(_)]));
    }
}
