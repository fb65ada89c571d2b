//! The comparison of a folder with a history: pending files, and what does not agree.

use std::collections::BTreeSet;
use std::fmt;

use crate::migrations::file::MigrationFile;
use crate::migrations::file_name::composed;
use crate::migrations::history::AppliedMigration;
use crate::migrations::version_type::VersionType;

/// A disagreement of folder and history that may be passed over on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disagreement {
    /// A file was changed after it was applied.
    Edited,
    /// An applied migration has no file.
    Missing,
    /// A pending file has a lower number than the newest applied one.
    Older,
}

/// A migration on which folder and history disagree, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryProblem {
    /// The disagreement; `None` for one that cannot be passed over.
    pub disagreement: Option<Disagreement>,
    /// The migration, as `V<number>__<name>`.
    pub migration: String,
    /// The difference, as the predicate of a sentence about the migration.
    difference: String,
    advice: String,
}

impl HistoryProblem {
    /// Returns the difference as a sentence without an end, and without what to do about it.
    pub fn without_advice(&self) -> String {
        format!("{} {}", self.migration, self.difference)
    }
}

impl fmt::Display for HistoryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.migration, self.difference, self.advice)
    }
}

/// Returns advice with the name of the stage, for commands that can be copied.
pub(crate) fn name_stage(advice: &str, stage: &str) -> String {
    let named = advice.replace(
        "`stagelink migrate STAGE ",
        &format!("`stagelink migrate {stage} "),
    );
    named.replace(
        "`stagelink migrate widen-history STAGE`",
        &format!("`stagelink migrate widen-history {stage}`"),
    )
}

/// Returns advice as it holds on a local stage: its database begins empty with each start of `stagelink dev`, so
/// that a history which disagrees is made anew.
pub(crate) fn advise_locally(advice: &str) -> String {
    match advice.split_once(GO_ON) {
        Some((before, _)) => format!("{before}{START_ANEW}"),
        None => advice.to_owned(),
    }
}

/// The way to pass over a disagreement, at the end of advice.
const GO_ON: &str = "; or go on without it: ";

const START_ANEW: &str = "; or restart `stagelink dev`, which begins with empty databases (with --data, \
                          remove that folder)";

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison<'a> {
    /// Files to apply, in their order.
    pub(super) pending: Vec<&'a MigrationFile>,
    /// Rows whose file is in the folder.
    pub(super) applied: Vec<&'a AppliedMigration>,
    /// Disagreements that stop the run.
    pub(super) problems: Vec<HistoryProblem>,
    /// Disagreements that were allowed.
    pub(super) allowed: Vec<HistoryProblem>,
}

/// Compares the files of a folder, in their order, with the rows of a history, in theirs.
///
/// `waiting` are the numbers of the files that waited for the deploy when later
/// ones were applied. They are older than the newest applied file on purpose.
pub(super) fn compare<'a>(
    files: &'a [MigrationFile],
    applied: &'a [AppliedMigration],
    waiting: &BTreeSet<i64>,
    width: VersionType,
    allowed: &[Disagreement],
) -> Comparison<'a> {
    let mut problems = Vec::new();
    let mut known = Vec::new();
    let mut numbers = FreeNumbers::new(files, applied);
    for row in applied {
        match files.iter().find(|file| file.version() == row.version) {
            None => problems.push(missing(row)),
            Some(file) => {
                problems.extend(difference(file, row, width, &mut numbers));
                known.push(row);
            }
        }
    }
    let newest = applied.last();
    let mut pending = Vec::new();
    for file in files {
        if applied.iter().any(|row| row.version == file.version()) {
            continue;
        }
        pending.push(file);
        if !width.holds(file.version()) {
            problems.push(too_large(file));
        }
        let is_older = |newest: &&AppliedMigration| {
            file.version() < newest.version && !waiting.contains(&file.version())
        };
        if let Some(newest) = newest.filter(is_older) {
            problems.push(older(file, newest, &mut numbers));
        }
    }
    let (allowed, problems) = problems.into_iter().partition(|problem| {
        problem
            .disagreement
            .is_some_and(|disagreement| allowed.contains(&disagreement))
    });
    Comparison {
        pending,
        applied: known,
        problems,
        allowed,
    }
}

/// Returns how a file differs from the row with its number.
fn difference(
    file: &MigrationFile,
    row: &AppliedMigration,
    width: VersionType,
    numbers: &mut FreeNumbers,
) -> Option<HistoryProblem> {
    let is_of = |name: &str| {
        // A history that was widened may have checksums of both widths.
        VersionType::ALL
            .into_iter()
            .filter(|each| *each == VersionType::Int4 || *each == width)
            .any(|width| file.checksum_as(name, width).to_string() == row.checksum)
    };
    // Another runner keeps a name as the file system spells it.
    let own_name = file.name() == composed(&row.name);
    if own_name && is_of(&row.name) {
        return None;
    }
    let path = file.path();
    let (difference, advice) = if own_name && file.differs_in_line_endings(&row.checksum) {
        (
            format!("was applied with other line endings than {path} has now"),
            "check it out with those of the repository, as `*.sql text eol=lf` in .gitattributes does"
                .to_owned(),
        )
    } else if own_name {
        (
            format!("was applied {}, and {path} was edited since", when(row)),
            "restore the file as it was, and make the change in a new one; or go on without it: \
             `stagelink migrate STAGE --allow edited`"
                .to_owned(),
        )
    } else if is_of(&row.name) {
        (
            format!(
                "was applied {}, and its file was renamed to {path} since",
                when(row)
            ),
            "give it its old name again".to_owned(),
        )
    } else {
        let number = numbers.take();
        (
            format!(
                "was applied {}, and {path} is another migration with its number",
                when(row)
            ),
            format!("rename {path} to V{number}__{}.sql", file.name()),
        )
    };
    Some(HistoryProblem {
        disagreement: own_name.then_some(Disagreement::Edited),
        migration: row.to_string(),
        difference,
        advice,
    })
}

/// Returns the time at which a row was applied, as the end of "was applied".
fn when(row: &AppliedMigration) -> String {
    match &*row.applied_on {
        "" => "at a time that the history does not say".to_owned(),
        time => format!("on {time}"),
    }
}

fn missing(row: &AppliedMigration) -> HistoryProblem {
    HistoryProblem {
        disagreement: Some(Disagreement::Missing),
        migration: row.to_string(),
        difference: format!("was applied {}, and the folder has no such file", when(row)),
        advice: "bring it back (it may be on a branch that is not merged, or deleted); or go on \
                 without it: `stagelink migrate STAGE --allow missing`"
            .to_owned(),
    }
}

fn older(
    file: &MigrationFile,
    newest: &AppliedMigration,
    numbers: &mut FreeNumbers,
) -> HistoryProblem {
    HistoryProblem {
        disagreement: Some(Disagreement::Older),
        migration: file.to_string(),
        difference: format!("is not applied, and {newest}, which comes after it, is"),
        advice: format!(
            "rename {} to V{}__{}.sql, unless other databases have it already; or apply it now: \
             `stagelink migrate STAGE --allow older`",
            file.path(),
            numbers.take(),
            file.name()
        ),
    }
}

fn too_large(file: &MigrationFile) -> HistoryProblem {
    HistoryProblem {
        disagreement: None,
        migration: file.to_string(),
        difference: format!(
            "has a number above {}, which the history of this database does not take",
            i32::MAX
        ),
        advice: "number it as the files before it, or widen the history with `stagelink migrate \
                 widen-history STAGE`"
            .to_owned(),
    }
}

/// Numbers for files that need another one: each is above all files, all rows and the ones before.
struct FreeNumbers(i64);

impl FreeNumbers {
    fn new(files: &[MigrationFile], applied: &[AppliedMigration]) -> Self {
        let of_files = files.iter().map(MigrationFile::version);
        let of_rows = applied.iter().map(|row| row.version);
        Self(of_files.chain(of_rows).max().unwrap_or(0))
    }

    fn take(&mut self) -> i64 {
        self.0 = self.0.saturating_add(1);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_on_a_local_stage_passes_over_nothing() {
        let advice =
            "restore the file; or go on without it: `stagelink migrate STAGE --allow edited`";
        let local = advise_locally(advice);
        assert!(
            local.starts_with("restore the file; or restart `stagelink dev`"),
            "{local}"
        );
        assert!(!local.contains("--allow"), "{local}");
        assert_eq!(advise_locally("rename it"), "rename it");
    }

    #[test]
    fn each_command_of_advice_names_the_stage() {
        for advice in [
            "`stagelink migrate STAGE --allow older`",
            "`stagelink migrate widen-history STAGE`",
        ] {
            let named = name_stage(advice, "qa");
            assert!(named.contains(" qa") && !named.contains("STAGE"), "{named}");
        }
    }

    fn file(version: i64, name: &str, sql: &str) -> MigrationFile {
        MigrationFile::new(version, name, format!("V{version}__{name}.sql"), sql)
    }

    fn row(file: &MigrationFile, width: VersionType) -> AppliedMigration {
        AppliedMigration {
            version: file.version(),
            name: file.name().to_owned(),
            applied_on: "2026-11-27T09:04:16Z".to_owned(),
            checksum: file.checksum(width).to_string(),
        }
    }

    fn rows(files: &[MigrationFile]) -> Vec<AppliedMigration> {
        let width = VersionType::Int4;
        files.iter().map(|file| row(file, width)).collect()
    }

    #[test]
    fn files_after_the_history_are_pending() {
        let files = [file(1, "a", "1"), file(2, "b", "2"), file(5, "c", "3")];
        for applied in 0..=3 {
            let rows = rows(&files[..applied]);
            let found = compare(&files, &rows, &BTreeSet::new(), VersionType::Int4, &[]);
            assert_eq!(found.problems, [], "{applied}");
            assert_eq!(found.applied.len(), applied);
            let pending: Vec<_> = files[applied..].iter().collect();
            assert_eq!(found.pending, pending, "{applied}");
        }
    }

    #[test]
    fn disagreements_are_told_apart_and_have_advice() {
        let [a, b, c] = [file(1, "a", "1"), file(2, "b", "2"), file(3, "c", "3")];
        let applied = rows(&[a.clone(), c.clone()]);
        let number = AppliedMigration {
            checksum: "not a number".to_owned(),
            ..applied[0].clone()
        };
        let edited = Some(Disagreement::Edited);
        for (files, applied, disagreement, part) in [
            (
                vec![a.clone(), b.clone(), c.clone()],
                applied.clone(),
                Some(Disagreement::Older),
                "rename V2__b.sql to V4__b.sql",
            ),
            (
                vec![a.clone()],
                applied.clone(),
                Some(Disagreement::Missing),
                "V3__c was applied on 2026-11-27T09:04:16Z, and the folder has no such file",
            ),
            (
                vec![file(1, "a", "other"), c.clone()],
                applied.clone(),
                edited,
                "V1__a.sql was edited since: restore",
            ),
            (
                vec![file(1, "a", "1\r\n")],
                rows(&[file(1, "a", "1\n")]),
                edited,
                "line endings",
            ),
            (
                vec![file(1, "renamed", "1"), c.clone()],
                applied.clone(),
                None,
                "renamed to V1__renamed.sql",
            ),
            (
                vec![file(1, "x", "other"), c.clone()],
                applied.clone(),
                None,
                "rename V1__x.sql to V4__x.sql",
            ),
            (vec![a.clone()], vec![number], edited, "was edited"),
            (
                vec![a.clone(), file(1 << 40, "t", "")],
                rows(std::slice::from_ref(&a)),
                None,
                "widen-history",
            ),
        ] {
            let found = compare(&files, &applied, &BTreeSet::new(), VersionType::Int4, &[]);
            let [problem] = &*found.problems else {
                panic!("{part}: {:?}", found.problems);
            };
            assert_eq!(problem.disagreement, disagreement, "{part}");
            assert!(problem.to_string().contains(part), "{problem}");
            if let Some(disagreement) = disagreement {
                let found = compare(
                    &files,
                    &applied,
                    &BTreeSet::new(),
                    VersionType::Int4,
                    &[disagreement],
                );
                assert_eq!(found.problems, [], "{part}");
                assert_eq!(found.allowed.len(), 1, "{part}");
            }
        }
    }

    #[test]
    fn name_whose_accents_are_apart_is_the_same() {
        let files = [file(1, "gr\u{f6}\u{df}e", "1")];
        let applied = [row(&file(1, "gro\u{308}\u{df}e", "1"), VersionType::Int4)];
        let found = compare(&files, &applied, &BTreeSet::new(), VersionType::Int4, &[]);
        assert_eq!(found.problems, []);
    }

    #[test]
    fn advised_numbers_are_free_in_the_folder_and_in_the_history() {
        let elsewhere = [5, 17].map(|version| file(version, "theirs", "1"));
        let files = [file(4, "x", "1"), file(5, "z", "2"), file(6, "y", "3")];
        let rows = rows(&elsewhere);
        let found = compare(&files, &rows, &BTreeSet::new(), VersionType::Int4, &[]);
        let advice: Vec<_> = found.problems.iter().map(|of| &*of.advice).collect();
        for advised in ["V18__z.sql", "V19__x.sql", "V20__y.sql"] {
            assert!(
                advice.iter().any(|text| text.contains(advised)),
                "{advice:?}"
            );
        }
    }

    #[test]
    fn file_that_waited_for_its_time_is_not_older() {
        let [a, b, c] = [file(1, "a", "1"), file(2, "b", "2"), file(3, "c", "3")];
        let applied = rows(&[a.clone(), c.clone()]);
        let files = [a, b, c];
        let found = compare(&files, &applied, &[2].into(), VersionType::Int4, &[]);
        assert_eq!(found.problems, []);
        assert_eq!(found.pending, [&files[1]]);
    }

    #[test]
    fn widened_history_may_have_checksums_of_both_widths() {
        let files = [file(1, "a", "1"), file(2, "b", "2")];
        let applied = [
            row(&files[0], VersionType::Int4),
            row(&files[1], VersionType::Int8),
        ];
        let wide = compare(&files, &applied, &BTreeSet::new(), VersionType::Int8, &[]);
        assert_eq!(wide.problems, []);
        let narrow = compare(&files, &applied, &BTreeSet::new(), VersionType::Int4, &[]);
        assert_eq!(narrow.problems.len(), 1);
    }
}
