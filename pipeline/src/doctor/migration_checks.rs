//! The checks of a project's migrations: of their files, and of a database's history.

use std::collections::BTreeSet;

use crate::doctor::verdict::{Finding, Level, Verdict};
use crate::error::Error;
use crate::migrations::class::Class;
use crate::migrations::{MigrationFolder, MigrationState, advise_locally, name_stage};
use crate::needs::MigrationList;

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

/// Returns the migrations of *after* by the classes that they have without a database, as `V1__name`.
pub(super) fn of_after(folder: &MigrationFolder) -> BTreeSet<String> {
    let list = MigrationList::of(folder);
    let of_after = list.migrations().iter();
    let of_after = of_after.filter(|one| one.class == Class::After);
    of_after.map(ToString::to_string).collect()
}

/// Judges the history of a stage's database against the folder. `of_after` are its files of *after*.
pub(super) fn judge_history(
    state: &MigrationState,
    of_after: &BTreeSet<String>,
    stage: &str,
    options: &str,
    is_local: bool,
) -> Verdict {
    let advice =
        format!("do as the message says; `stagelink migrate {stage}{options} --plan` says more");
    let problems = state.problems.iter();
    let named = format!("{stage}{options}");
    let problems = problems.map(|problem| {
        let problem = name_stage(problem, &named);
        let problem = match is_local {
            true => advise_locally(&problem),
            false => problem,
        };
        Finding::new(Level::Error, problem, &advice)
    });
    let missing = match is_local {
        true => {
            "bring it back: it may be on a branch that is not merged, or deleted; or restart `stagelink dev`, \
             which begins with empty databases"
        }
        false => "bring it back: it may be on a branch that is not merged, or deleted",
    };
    let unknown = state.unknown.iter().map(|migration| {
        Finding::new(
            Level::Error,
            format_args!("{migration} was applied, and the folder has no such file"),
            missing,
        )
    });
    let mut findings: Vec<_> = problems.chain(unknown).collect();
    if !findings.is_empty() {
        return Verdict::Findings(findings);
    }
    let pending = state.pending.iter().map(String::as_str);
    let (waiting, pending): (Vec<&str>, Vec<&str>) =
        pending.partition(|migration| of_after.contains(*migration));
    if !pending.is_empty() {
        findings.push(Finding::new(
            Level::Warning,
            not_applied(&pending),
            format_args!("run `stagelink migrate {stage}{options}`"),
        ));
    }
    if !waiting.is_empty() {
        findings.push(Finding::new(
            Level::Warning,
            format_args!(
                "{}, since the code of before may need it",
                not_applied(&waiting)
            ),
            format_args!(
                "deploy code that was built with it, then run `stagelink migrate {stage} \
                 --after{options}`"
            ),
        ));
    }
    Verdict::of(
        findings,
        format_args!("{} applied, none pending", state.applied.len()),
    )
}

fn not_applied(migrations: &[&str]) -> String {
    let files = migrations.join(", ");
    match migrations.len() {
        1 => format!("{files} is not applied"),
        count => format!("{count} migrations are not applied: {files}"),
    }
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
            (
                &[],
                &[],
                &["V6__drop"],
                "V6__drop is not applied, since the code of before may need it\", advice: \"deploy code",
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
            let of_after = ["V6__drop".to_owned()].into();
            let verdict = judge_history(&state, &of_after, "staging", " --local", true);
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
