//! The overrides of a run, each with the file in which it lets its rule pass.

use crate::migrations::class::{FileJudgement, SEVERAL_TABLES, TargetFacts, judge_files};
use crate::migrations::demands::Demands;
use crate::migrations::file::MigrationFile;
use crate::migrations::judged::{findings, several_tables};
use crate::migrations::records::MigrationRecord;
use crate::migrations::rule_override::RuleOverride;
use crate::migrations::running_code::{AFTER_CODE_RUNS, RunningCode, reasons};
use crate::migrations::script::Script;

/// The overrides of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides {
    /// Those that hold, each with the number of its file.
    pub(super) in_files: Vec<RuleOverride>,
    /// Those that nothing needs, and that do no harm.
    pub(super) unused: Vec<RuleOverride>,
    /// The reasons for which others stop the run.
    pub(super) refusals: Vec<String>,
}

impl Overrides {
    /// Finds the file of each override.
    ///
    /// `files` are those of the folder. One that names an applied file, or a rule that is overridden in
    /// the record of one, is of an earlier attempt at the same run.
    pub(super) fn resolve(
        given: &[RuleOverride],
        pending: &[(&MigrationFile, &Script)],
        files: &[MigrationFile],
        facts: &TargetFacts,
        demands: Demands,
        records: &[MigrationRecord],
        code: Option<&RunningCode>,
    ) -> Self {
        let mut overrides = Self::default();
        if given.is_empty() {
            return overrides;
        }
        let statements: Vec<_> = pending
            .iter()
            .map(|(_, script)| script.statements())
            .collect();
        let judgements = judge_files(&statements, facts);
        let judged: Vec<_> = pending
            .iter()
            .map(|(file, _)| *file)
            .zip(&judgements)
            .collect();
        let needing = |rule: &str| -> Vec<&MigrationFile> {
            let stands_in_the_way = |file: &MigrationFile, one: &FileJudgement| match rule {
                AFTER_CODE_RUNS => !reasons(code, file, one.class, demands).is_empty(),
                _ => needs(one, rule, facts),
            };
            let needing = judged.iter();
            let needing = needing.filter(|(file, one)| stands_in_the_way(file, one));
            needing.map(|(file, _)| *file).collect()
        };
        let names = |rule: &str, version: i64| {
            let version = Some(version);
            given
                .iter()
                .any(|one| one.rule == rule && one.version == version)
        };
        // Where nothing refuses a file for its class, an override is not needed and does no harm.
        let is_enforced = matches!(demands, Demands::OfClasses(_));
        for one in given {
            let rule = &*one.rule;
            let is_pending = |version| pending.iter().any(|(file, _)| file.version() == version);
            let mut needing = needing(rule);
            match one.version {
                Some(version) if needing.iter().any(|file| file.version() == version) => {
                    overrides.in_files.push(one.clone());
                }
                Some(version) if is_pending(version) => overrides.add_needless(one, is_enforced),
                Some(version) if files.iter().any(|file| file.version() == version) => {
                    overrides.unused.push(one.clone());
                }
                Some(version) => overrides.refusals.push(format!(
                    "--override {one} names no file: the folder has no migration V{version}"
                )),
                None => {
                    let all = needing.len();
                    needing.retain(|file| !names(rule, file.version()));
                    match &*needing {
                        [file] => overrides.in_files.push(one.in_file(file.version())),
                        [] => {
                            let was_used = |record: &MigrationRecord| {
                                record.overridden.iter().any(|used| used.rule == rule)
                            };
                            let is_repeated = all > 0 || records.iter().any(was_used);
                            overrides.add_needless(
                                one,
                                is_enforced && !pending.is_empty() && !is_repeated,
                            );
                        }
                        several => overrides.refusals.push(ambiguous(one, several)),
                    }
                }
            }
        }
        overrides
    }

    /// Adds an override that no pending file needs.
    fn add_needless(&mut self, one: &RuleOverride, is_refused: bool) {
        if is_refused {
            let refusal = match one.version {
                Some(version) => format!("V{version} does not need --override {one}: leave it out"),
                None => format!("no pending file needs --override {one}: leave it out"),
            };
            self.refusals.push(refusal);
        } else {
            self.unused.push(one.clone());
        }
    }
}

/// Returns whether a rule holds for a file.
fn needs(judgement: &FileJudgement, rule: &str, facts: &TargetFacts) -> bool {
    findings(judgement).any(|finding| finding.rule.name == rule)
        || (rule == SEVERAL_TABLES && several_tables(judgement, facts).is_some())
}

fn ambiguous(one: &RuleOverride, files: &[&MigrationFile]) -> String {
    let options = files.iter().map(|file| {
        let option = one.in_file(file.version());
        format!("`--override {option} --reason TEXT` for {}", file.path())
    });
    let options: Vec<_> = options.collect();
    format!(
        "--override {one} would hold for {} files, and a person answers for each file alone: write \
         {}",
        files.len(),
        options.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::enforcement::DeployPhase;

    const CLASSES: Demands = Demands::OfClasses(DeployPhase::Before);

    /// Resolves options such as `backfill@V5`, with these applied files before the pending ones.
    /// Returns the three lists as texts.
    fn resolved(given: &[&str], applied: usize, files: &[&str], demands: Demands) -> [String; 3] {
        let files: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(index, sql)| {
                let version = i64::try_from(index).expect("a few") + 1;
                MigrationFile::new(version, "f", format!("V{version}__f.sql"), *sql)
            })
            .collect();
        let scripts: Vec<_> = files[applied..]
            .iter()
            .map(|file| Script::read(file).expect("a script"))
            .collect();
        let pending: Vec<_> = files[applied..].iter().zip(&scripts).collect();
        let given: Vec<_> = given
            .iter()
            .map(|one| RuleOverride::new(one, "x").expect("an override"))
            .collect();
        let facts = TargetFacts::unknown();
        let found = Overrides::resolve(&given, &pending, &files, &facts, demands, &[], None);
        let texts = |list: &[RuleOverride]| {
            let texts: Vec<_> = list.iter().map(ToString::to_string).collect();
            texts.join(" ")
        };
        [
            texts(&found.in_files),
            texts(&found.unused),
            found.refusals.join(" / "),
        ]
    }

    #[test]
    fn override_holds_in_the_file_that_it_names_or_in_the_only_one() {
        let fills = "UPDATE a SET b = 1";
        let harmless = "CREATE TABLE c (id int)";
        let both = &[fills, harmless, fills][..];
        let two = "--override backfill would hold for 2 files, and a person answers for each file \
                   alone: write `--override backfill@V1 --reason TEXT` for V1__f.sql, `--override \
                   backfill@V3 --reason TEXT` for V3__f.sql";
        let no_use = "no pending file needs --override backfill: leave it out";
        let other = "V2 does not need --override backfill@V2: leave it out";
        let none = "--override backfill@V9 names no file: the folder has no migration V9";
        for (given, applied, files, demands, expected) in [
            (
                &["backfill"][..],
                0,
                &[harmless, fills][..],
                CLASSES,
                ["backfill@V2", "", ""],
            ),
            (&["backfill"], 0, both, CLASSES, ["", "", two]),
            // The local clouds have the rule of a deployed stage.
            (&["backfill"], 0, both, Demands::None, ["", "", two]),
            (&["backfill@V3"], 0, both, CLASSES, ["backfill@V3", "", ""]),
            (
                &["backfill@V3", "backfill@V1"],
                0,
                both,
                CLASSES,
                ["backfill@V3 backfill@V1", "", ""],
            ),
            (
                &["backfill@V3", "backfill"],
                0,
                both,
                CLASSES,
                ["backfill@V3 backfill@V1", "", ""],
            ),
            (
                &["backfill", "backfill@V1", "backfill@V3"],
                0,
                both,
                CLASSES,
                ["backfill@V1 backfill@V3", "backfill", ""],
            ),
            // The first is applied.
            (&["backfill"], 1, both, CLASSES, ["backfill@V3", "", ""]),
            (
                &["backfill@V1", "backfill@V3"],
                1,
                both,
                CLASSES,
                ["backfill@V3", "backfill@V1", ""],
            ),
            (&["backfill"], 3, both, CLASSES, ["", "backfill", ""]),
            // Nothing needs it.
            (&["backfill"], 0, &[harmless], CLASSES, ["", "", no_use]),
            (
                &["backfill"],
                0,
                &[harmless],
                Demands::None,
                ["", "backfill", ""],
            ),
            (
                &["backfill"],
                0,
                &[harmless],
                Demands::OfEmptyDatabase,
                ["", "backfill", ""],
            ),
            (&["backfill@V2"], 0, both, CLASSES, ["", "", other]),
            (
                &["backfill@V2"],
                0,
                both,
                Demands::None,
                ["", "backfill@V2", ""],
            ),
            (&["backfill@V9"], 0, both, CLASSES, ["", "", none]),
            (&["backfill@V9"], 3, both, Demands::None, ["", "", none]),
            // Rules of the file as a whole.
            (
                &["long-work-under-lock"],
                0,
                &[
                    harmless,
                    "ALTER TABLE a ADD x int; UPDATE a SET b = 1 WHERE id = 5",
                ],
                CLASSES,
                ["long-work-under-lock@V2", "", ""],
            ),
        ] {
            assert_eq!(
                resolved(given, applied, files, demands),
                expected,
                "{given:?} {applied}"
            );
        }
    }

    #[test]
    fn override_that_the_record_of_an_applied_file_has_is_of_an_earlier_attempt() {
        let file = MigrationFile::new(2, "f", "V2__f.sql", "CREATE TABLE c (id int)");
        let script = Script::read(&file).expect("a script");
        let given = RuleOverride::new("backfill", "x").expect("an override");
        let record = MigrationRecord {
            version: 1,
            name: "f".to_owned(),
            checksum: String::new(),
            class: None,
            overridden: vec![given.clone()],
            waiting: Vec::new(),
            applied_by: String::new(),
            role: String::new(),
            applied_at: String::new(),
        };
        let facts = TargetFacts::unknown();
        let pending = [(&file, &script)];
        let resolve = |records: &[MigrationRecord]| {
            let files = std::slice::from_ref(&file);
            let given = std::slice::from_ref(&given);
            Overrides::resolve(given, &pending, files, &facts, CLASSES, records, None)
        };
        assert_eq!(resolve(&[]).refusals.len(), 1);
        let found = resolve(&[record]);
        assert_eq!(found.unused, std::slice::from_ref(&given));
        assert!(found.refusals.is_empty(), "{found:?}");
    }
}
