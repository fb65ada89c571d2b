//! The check of built functions against the migrations of a stage's database: pure.

use std::collections::BTreeSet;

use crate::doctor::verdict::{Finding, Level, Verdict};
use crate::needs::{GateVerdict, MigrationList, RecordedMigration, gate};

/// The needs of a function's artifacts that have the same list of migrations.
#[derive(Clone, Debug)]
pub(super) struct FunctionNeeds {
    pub(super) function: String,
    pub(super) files: Vec<String>,
    /// `None` where the programs do not say.
    pub(super) list: Option<MigrationList>,
}

/// Judges whether a stage's database can run these functions. `unread` are the reasons why other
/// artifacts could not be read.
pub(super) fn judge_artifacts(
    artifacts: &[FunctionNeeds],
    unread: &[String],
    history: &[RecordedMigration],
    stage: &str,
    options: &str,
) -> Vec<Verdict> {
    let mut findings = differing(artifacts);
    let mut unknown = Vec::new();
    for needs in artifacts {
        let verdict = gate(needs.list.as_ref(), history);
        let reasons = verdict.reasons().join(", and ");
        let function = needs.name(artifacts);
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
    unknown.extend_from_slice(unread);
    let count = functions(artifacts).len();
    let seen = format!("the database can run the {count} built functions");
    Verdict::all_of(findings, &unknown, seen)
}

/// Returns a finding for each function whose artifacts have different lists: some of them are of
/// another commit.
fn differing(artifacts: &[FunctionNeeds]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in functions(artifacts) {
        let own = artifacts.iter().filter(|needs| needs.function == function);
        let own: Vec<_> = own
            .map(|needs| {
                let files = needs.files.join(", ");
                match &needs.list {
                    None => format!("{files} does not say"),
                    Some(list) => format!("{files} lists {}", list.migrations().len()),
                }
            })
            .collect();
        if own.len() > 1 {
            findings.push(Finding::new(
                Level::Warning,
                format_args!(
                    "the artifacts of the function {function} were built with different \
                     migrations: {}",
                    own.join("; ")
                ),
                "run `stagelink build` for each processor that you deploy to (`--arch`), and remove \
                 the other files",
            ));
        }
    }
    findings
}

fn functions(artifacts: &[FunctionNeeds]) -> BTreeSet<&str> {
    let names = artifacts.iter().map(|needs| &*needs.function);
    names.collect()
}

impl FunctionNeeds {
    /// Returns the function's name; with the files where its artifacts have several lists.
    fn name(&self, all: &[Self]) -> String {
        let own = all.iter().filter(|of| of.function == self.function);
        match own.count() {
            1 => self.function.clone(),
            _ => format!("{} ({})", self.function, self.files.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::MigrationFolder;

    fn list() -> MigrationList {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("V1__a.sql"), "CREATE TABLE a ()").unwrap();
        MigrationList::of(&MigrationFolder::read(folder.path()).unwrap())
    }

    fn needs(function: &str, file: &str, list: Option<MigrationList>) -> FunctionNeeds {
        FunctionNeeds {
            function: function.to_owned(),
            files: vec![file.to_owned()],
            list,
        }
    }

    #[test]
    fn function_without_a_list_is_not_checked_beside_those_that_need_more() {
        let functions = [
            needs("hello", "dist/functions/hello", Some(list())),
            needs("old", "dist/functions/old", None),
        ];
        let verdicts = judge_artifacts(&functions, &[], &[], "staging", "");
        let [Verdict::Findings(found), Verdict::NotChecked(reason)] = verdicts.as_slice() else {
            panic!("{verdicts:?}");
        };
        assert!(found[0].message.contains("hello needs"), "{found:?}");
        assert!(reason.starts_with("old: "), "{reason}");
        let verdicts = judge_artifacts(&[], &[], &[], "staging", "");
        assert!(matches!(verdicts.as_slice(), [Verdict::Sound(_)]));
        let unread = ["could not read it".to_owned()];
        let verdicts = judge_artifacts(&[], &unread, &[], "staging", "");
        let expected = Verdict::not_checked("could not read it");
        assert_eq!(verdicts, [expected]);
    }

    #[test]
    fn artifacts_with_different_lists_are_named_by_their_files() {
        let functions = [
            needs("hello", "x86_64/hello.zip", Some(MigrationList::default())),
            needs("hello", "arm64/hello.zip", Some(list())),
        ];
        let verdicts = judge_artifacts(&functions, &[], &[], "staging", "");
        let [Verdict::Findings(found)] = verdicts.as_slice() else {
            panic!("{verdicts:?}");
        };
        let [differing, needs_more] = found.as_slice() else {
            panic!("{found:?}");
        };
        let both = "x86_64/hello.zip lists 0; arm64/hello.zip lists 1";
        assert!(differing.message.contains(both), "{differing:?}");
        let named = "hello (arm64/hello.zip) needs more";
        assert!(needs_more.message.contains(named), "{needs_more:?}");
    }
}
