//! The check of a database's schema against the one that its migrations have left: pure.

use crate::doctor::server_facts::InvalidIndex;
use crate::doctor::verdict::{Finding, Level, Verdict};
use crate::migrations::drift::{Drift, SchemaChange, SchemaDifference};

/// Judges the drift of a stage's database. Indexes that are `invalid` have a check of their own.
pub(super) fn judge_drift(
    drift: &Drift,
    invalid: &[InvalidIndex],
    stage: &str,
    options: &str,
) -> Verdict {
    let (kept_at, accepted_at, differences) = match drift {
        Drift::NotKept => {
            return Verdict::not_checked("no run of `stagelink migrate` has kept the schema yet");
        }
        Drift::Outdated { kept_at } => {
            return Verdict::not_checked(format_args!(
                "migrations were recorded since the schema was kept on {kept_at}: the next run of \
                 `stagelink migrate` that applies a file keeps it again"
            ));
        }
        Drift::OtherFormat { kept_at, is_newer } => {
            return Verdict::not_checked(match is_newer {
                true => format!(
                    "a newer stagelink kept the schema on {kept_at}, in a format that this one does \
                     not read: update stagelink"
                ),
                false => format!(
                    "an older stagelink kept the schema on {kept_at}, in a format that this one does \
                     not compare: the next run that applies a migration keeps it again, or \
                     `stagelink migrate drift {stage}{options} --accept`"
                ),
            });
        }
        Drift::Changing => {
            return Verdict::not_checked(
                "the schema changes at the moment, as by a run of `stagelink migrate`: try again later",
            );
        }
        Drift::Compared {
            kept_at,
            accepted_at,
            differences,
        } => (kept_at, accepted_at, differences),
    };
    let is_invalid = |one: &SchemaDifference| {
        let mut names = invalid.iter().map(|found| &found.index);
        one.kind == "index"
            && !matches!(one.change, SchemaChange::Missing { .. })
            && names.any(|name| *name == one.name)
    };
    let differences = differences.iter().filter(|one| !is_invalid(one));
    let differences: Vec<_> = differences.collect();
    let mut findings: Vec<_> = differences
        .iter()
        .take(MOST_SHOWN)
        .map(|difference| {
        Finding::new(
            Level::Warning,
            difference,
            format_args!(
                "undo it and make the change in a migration; or accept it with `stagelink migrate \
                 drift {stage}{options} --accept`"
            ),
        )
    }).collect();
    let more = differences.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        findings.push(Finding::new(
            Level::Warning,
            format_args!("{more} more differences are not shown here"),
            format_args!("run `stagelink migrate drift {stage}{options}`, which shows all"),
        ));
    }
    let accepted = match accepted_at {
        Some(at) => format!(", with what was accepted on {at}"),
        None => String::new(),
    };
    Verdict::of(
        findings,
        format_args!("as migrations left it on {kept_at}{accepted}"),
    )
}

const MOST_SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_that_is_not_known_is_not_called_sound() {
        let kept_at = || "2026-11-27T09:00:00Z".to_owned();
        let compared = |differences| Drift::Compared {
            kept_at: kept_at(),
            accepted_at: None,
            differences,
        };
        let other_format = |is_newer| Drift::OtherFormat {
            kept_at: kept_at(),
            is_newer,
        };
        let outdated = Drift::Outdated { kept_at: kept_at() };
        for (drift, expected) in [
            (Drift::NotKept, "NotChecked"),
            (outdated, "NotChecked"),
            (other_format(false), "NotChecked(\"an older stagelink"),
            (other_format(true), "NotChecked(\"a newer stagelink"),
            (Drift::Changing, "NotChecked"),
            (compared(Vec::new()), "Sound"),
        ] {
            let verdict = format!("{:?}", judge_drift(&drift, &[], "staging", ""));
            assert!(verdict.starts_with(expected), "{verdict}");
        }
    }

    #[test]
    fn invalid_index_is_left_to_its_own_check() {
        let index = |name: &str| SchemaDifference {
            kind: "index".to_owned(),
            name: name.to_owned(),
            change: SchemaChange::Unexpected {
                found: "CREATE INDEX".to_owned(),
            },
        };
        let drift = Drift::Compared {
            kept_at: "2026-11-27T09:00:00Z".to_owned(),
            accepted_at: None,
            differences: vec![index("public.\"By mail\""), index("public.other")],
        };
        let invalid = [InvalidIndex {
            index: "public.\"By mail\"".to_owned(),
            table: "public.notes".to_owned(),
        }];
        let verdict = judge_drift(&drift, &invalid, "staging", "");
        let [found] = verdict.findings() else {
            panic!("{verdict:?}");
        };
        assert!(found.message.contains("public.other"), "{found:?}");
    }

    #[test]
    fn differences_beyond_the_first_ten_are_counted() {
        let difference = |number: usize| SchemaDifference {
            kind: "table".to_owned(),
            name: format!("public.t{number}"),
            change: SchemaChange::Unexpected {
                found: "table".to_owned(),
            },
        };
        for (count, shown, last) in [(10, 10, "public.t9"), (31, 11, "21 more differences")] {
            let drift = Drift::Compared {
                kept_at: "2026-11-27T09:00:00Z".to_owned(),
                accepted_at: None,
                differences: (0..count).map(difference).collect(),
            };
            let verdict = judge_drift(&drift, &[], "staging", " --local");
            let findings = verdict.findings();
            assert_eq!(findings.len(), shown);
            let found = findings.last().unwrap();
            assert!(found.message.contains(last), "{found:?}");
            assert!(found.advice.contains("drift staging --local"), "{found:?}");
        }
    }
}
