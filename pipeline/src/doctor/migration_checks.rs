//! The checks of a project's migrations: of their files, and of a database's history.

use crate::doctor::verdict::{Finding, Level, Verdict};
use crate::error::Error;
use crate::migrations::{MigrationFolder, MigrationState, name_stage};

/// Judges the folder of migrations.
pub(super) fn judge_files(folder: &Result<MigrationFolder, Error>) -> Verdict {
    let error = match folder {
        Ok(folder) => {
            let count = folder.files().len();
            return Verdict::sound(format_args!("{count} in {}", folder.path().display()));
        }
        Err(error) => error,
    };
    let advice = "rename or correct it as the message says; `stagelink migrate new NAME` makes a \
                  file with a usable name";
    let findings = error
        .details()
        .map(|detail| Finding::new(Level::Error, detail, advice));
    let findings: Vec<_> = findings.collect();
    match findings.is_empty() {
        true => Verdict::error(
            error.report(),
            "make the folder readable, or correct folder in the table [migrations] of stagelink.toml",
        ),
        false => Verdict::Findings(findings),
    }
}

/// Judges the history of a stage's database against the folder.
pub(super) fn judge_history(state: &MigrationState, stage: &str, options: &str) -> Verdict {
    let advice =
        format!("do as the message says; `stagelink migrate {stage}{options} --plan` says more");
    let problems = state.problems.iter();
    let named = format!("{stage}{options}");
    let problems = problems.map(|problem| {
        let problem = name_stage(problem, &named);
        Finding::new(Level::Error, problem, &advice)
    });
    let unknown = state.unknown.iter().map(|migration| {
        Finding::new(
            Level::Error,
            format_args!("{migration} was applied, and the folder has no such file"),
            "bring it back: it may be on a branch that is not merged, or deleted",
        )
    });
    let mut findings: Vec<_> = problems.chain(unknown).collect();
    if !state.pending.is_empty() && findings.is_empty() {
        let files = state.pending.join(", ");
        findings.push(Finding::new(
            Level::Warning,
            match state.pending.len() {
                1 => format!("{files} is not applied"),
                count => format!("{count} migrations are not applied: {files}"),
            },
            format_args!("run `stagelink migrate {stage}{options}`"),
        ));
    }
    Verdict::of(
        findings,
        format_args!("{} applied, none pending", state.applied.len()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_an_error_pending_files_a_warning() {
        let texts = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        for (problems, unknown, pending, expected) in [
            (&[][..], &[][..], &[][..], "3 applied"),
            (&[], &[], &["V4__a"], "V4__a is not applied"),
            (
                &[],
                &[],
                &["V4__a", "V5__b"],
                "2 migrations are not applied",
            ),
            (&["V1__a was edited"], &[], &["V4__a"], "V1__a was edited"),
            (&[], &["V3__c"], &["V4__a"], "V3__c was applied, and"),
        ] {
            let state = MigrationState {
                applied: texts(&["V1__a", "V2__b", "V3__c"]),
                problems: texts(problems),
                unknown: texts(unknown),
                pending: texts(pending),
                ..MigrationState::default()
            };
            let verdict = judge_history(&state, "staging", " --local");
            assert!(format!("{verdict:?}").contains(expected), "{verdict:?}");
            assert!(verdict.findings().len() <= 1, "{verdict:?}");
        }
    }

    #[test]
    fn each_file_that_cannot_be_used_is_a_finding() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["5_foo.sql", "V6_bar.sql", "V1__a.sql"] {
            std::fs::write(folder.path().join(name), "SELECT 1").unwrap();
        }
        let verdict = judge_files(&MigrationFolder::read(folder.path()));
        let messages: Vec<_> = verdict
            .findings()
            .iter()
            .map(|found| &found.message)
            .collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(messages[0].contains("V5__foo.sql"), "{messages:?}");
    }
}
