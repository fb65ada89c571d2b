//! The judgement of a plan's files by what the database has: the class of each, its locks, and what
//! refuses it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::migrations::class::{
    Class, FileJudgement, Finding, Refusal, SEVERAL_TABLES, TableLock, TargetFacts,
    judge_files_with_overrides,
};
use crate::migrations::demands::Demands;
use crate::migrations::enforcement::{
    Admission, Candidate, DeployPhase, admit, reaches_outside, refusal,
};
use crate::migrations::file::MigrationFile;
use crate::migrations::records::RecordFacts;
use crate::migrations::rule_override::RuleOverride;
use crate::migrations::running_code::{self, AFTER_CODE_RUNS, RunningCode};
use crate::migrations::script::Script;
use crate::migrations::statement::ObjectName;

/// A rule that holds for a statement of a file.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedFinding {
    /// The line of the file.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// The class that it gives: `after`, `stop` or `ask`.
    pub class: &'static str,
    /// The reason.
    pub reason: &'static str,
    /// The form of the statement that is safe.
    pub safe_form: String,
    /// True if a person has overridden the rule for this run.
    pub is_overridden: bool,
}

/// A statement of a file, with its own class and locks.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedStatement {
    /// The line of the file at which it begins.
    pub line: usize,
    /// The class by all rules, also those that are overridden: `before`, `after`, `stop` or `ask`.
    pub class: &'static str,
    /// Its locks for which other sessions wait, on tables that exist, as `SHARE on public.a, about 5
    /// rows`.
    pub locks: Vec<String>,
}

/// A rule that does not hold for a statement on this database, such as a false alarm of the linter.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedDismissal {
    /// The line of the file.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// The reason: the table is small, a constraint proves it, the file creates the table.
    pub because: String,
}

/// The class of a file, the rules that give it, and the decision about the file.
#[derive(Clone, Debug)]
pub(super) struct JudgedFile {
    /// The class by all rules, also those that are overridden.
    pub(super) class: Class,
    pub(super) statements: Vec<PlannedStatement>,
    pub(super) findings: Vec<PlannedFinding>,
    pub(super) dismissed: Vec<PlannedDismissal>,
    /// The strong locks on tables that exist, as `SHARE on public.a, about 5 rows`.
    pub(super) locks: Vec<String>,
    /// The remarks on the file as a whole.
    pub(super) notes: Vec<String>,
    /// The reasons for which it may not be applied.
    pub(super) refusals: Vec<String>,
    pub(super) admission: Admission,
    /// The decision that a deployed stage would make about the file; `None` where the run's own one is
    /// that of a deployed stage.
    pub(super) deployed: Option<DeployedDecision>,
    pub(super) record: RecordFacts,
    /// The objects that it names or locks, as far as they are known.
    pub(super) objects: BTreeSet<ObjectName>,
}

/// The decision that a run before a deploy would make about a file that a local stage takes.
#[derive(Clone, Debug)]
pub(super) struct DeployedDecision {
    pub(super) admission: Admission,
    pub(super) refusals: Vec<String>,
}

/// Judges files in their order. Each override names its file. `code` is what runs on the stage.
pub(super) fn judge(
    pending: &[(&MigrationFile, &Script)],
    facts: &TargetFacts,
    overrides: &[RuleOverride],
    demands: Demands,
    code: Option<&RunningCode>,
) -> Vec<JudgedFile> {
    let statements: Vec<_> = pending
        .iter()
        .map(|(_, script)| script.statements())
        .collect();
    let of_file = |file: &MigrationFile| -> Vec<&RuleOverride> {
        let version = Some(file.version());
        let of_file = overrides.iter().filter(|one| one.version == version);
        of_file.collect()
    };
    let overridden: Vec<Vec<_>> = pending
        .iter()
        .map(|(file, _)| of_file(file).iter().map(|one| &*one.rule).collect())
        .collect();
    let judgements = judge_files_with_overrides(&statements, facts, &overridden);
    let files = pending.iter().map(|(file, _)| *file).zip(&judgements);
    let candidates: Vec<_> = files
        .clone()
        .map(|(file, judgement)| Candidate {
            path: file.path(),
            class: judgement.class,
            objects: judgement.objects(),
        })
        .collect();
    let admissions = match demands {
        Demands::OfClasses(phase) => admit(phase, &candidates),
        Demands::None | Demands::OfEmptyDatabase => vec![Admission::Applies; pending.len()],
    };
    let deployed = match demands {
        Demands::None => admit(DeployPhase::Before, &candidates),
        Demands::OfClasses(_) | Demands::OfEmptyDatabase => Vec::new(),
    };
    let mut deployed = deployed.into_iter();
    let mut waiting = Vec::new();
    let mut judged = Vec::new();
    for ((file, judgement), admission) in files.zip(admissions) {
        let overrides = of_file(file);
        let locks_several = several_tables(judgement, facts);
        if admission == Admission::Waits {
            waiting.push(file.version());
        }
        let of_code = running_code::reasons(code, file, judgement.class, demands);
        let refusals_by = |demands| {
            let locks_several = locks_several.as_deref();
            refusals(file, judgement, demands, &overrides, locks_several)
        };
        let mut refusals = refusals_by(demands);
        if !overrides.iter().any(|one| one.rule == AFTER_CODE_RUNS) {
            let of_code = of_code.iter();
            refusals.extend(of_code.map(|reason| running_code::refusal(file, reason)));
        }
        let of_file = [
            (SEVERAL_TABLES, locks_several.is_some()),
            (AFTER_CODE_RUNS, !of_code.is_empty()),
        ];
        judged.push(JudgedFile {
            class: judgement.class_without_overrides,
            statements: planned_statements(judgement, facts),
            findings: findings(judgement).map(planned).collect(),
            dismissed: dismissed(judgement),
            locks: locks(judgement, facts),
            notes: notes(judgement),
            refusals,
            admission,
            deployed: deployed.next().map(|admission| DeployedDecision {
                admission,
                refusals: refusals_by(Demands::OfClasses(DeployPhase::Before)),
            }),
            record: RecordFacts {
                class: judgement.class_without_overrides.name(),
                overridden: used(judgement, &overrides, of_file),
                waiting: waiting.clone(),
            },
            objects: objects(judgement),
        });
    }
    judged
}

pub(super) fn findings(judgement: &FileJudgement) -> impl Iterator<Item = &Finding> {
    judgement.statements.iter().flat_map(|one| &one.findings)
}

fn planned(finding: &Finding) -> PlannedFinding {
    PlannedFinding {
        line: finding.line,
        rule: finding.rule.name,
        class: finding.rule.class.name(),
        reason: finding.rule.reason,
        safe_form: finding.safe_form.clone(),
        is_overridden: finding.is_overridden,
    }
}

fn dismissed(judgement: &FileJudgement) -> Vec<PlannedDismissal> {
    let dismissed = judgement.statements.iter().flat_map(|one| &one.dismissed);
    dismissed
        .map(|one| PlannedDismissal {
            line: one.line,
            rule: one.rule.name,
            because: one.because.clone(),
        })
        .collect()
}

fn planned_statements(judgement: &FileJudgement, facts: &TargetFacts) -> Vec<PlannedStatement> {
    let statements = judgement.statements.iter();
    statements
        .map(|one| PlannedStatement {
            line: one.line,
            class: one.class_without_overrides.name(),
            locks: strong_locks(one.locks.iter(), facts),
        })
        .collect()
}

fn locks(judgement: &FileJudgement, facts: &TargetFacts) -> Vec<String> {
    let locks = judgement.statements.iter().flat_map(|one| &one.locks);
    strong_locks(locks, facts)
}

fn strong_locks<'a>(
    locks: impl Iterator<Item = &'a TableLock>,
    facts: &TargetFacts,
) -> Vec<String> {
    let mut locks: Vec<_> = locks
        .filter(|lock| lock.mode.is_strong())
        .map(|lock| {
            let relation = facts.relations.get(&lock.table);
            let rows = relation.and_then(|relation| relation.rows);
            let rows = rows.map_or_else(String::new, |rows| format!(", about {rows} rows"));
            format!("{} on {}{rows}", lock.mode, lock.table)
        })
        .collect();
    locks.dedup();
    locks
}

/// Returns the remarks on a file: what should be two files, comments without an effect, and what
/// makes no class.
fn notes(judgement: &FileJudgement) -> Vec<String> {
    let ignored = judgement.ignored.iter().map(|comment| {
        let line = comment.line;
        format!("line {line}: a comment that silences squawk has no effect here")
    });
    let remarks = judgement.statements.iter().flat_map(|statement| {
        let line = statement.line;
        let remarks = statement.remarks.iter();
        remarks.map(move |remark| format!("line {line}: {remark}"))
    });
    mixed(judgement)
        .into_iter()
        .chain(ignored)
        .chain(remarks)
        .collect()
}

fn mixed(judgement: &FileJudgement) -> Option<String> {
    judgement.refusals.iter().find_map(|refusal| match refusal {
        Refusal::Mixed(_) => Some(refusal.to_string()),
        _ => None,
    })
}

/// Returns the reasons for which a file may not be applied.
fn refusals(
    file: &MigrationFile,
    judgement: &FileJudgement,
    demands: Demands,
    overrides: &[&RuleOverride],
    locks_several: Option<&str>,
) -> Vec<String> {
    let path = file.path();
    let mut refusals: Vec<_> = findings(judgement)
        .filter(|finding| match demands {
            Demands::None => false,
            Demands::OfEmptyDatabase => reaches_outside(finding),
            Demands::OfClasses(_) => true,
        })
        .filter_map(|finding| refusal(file, finding))
        .collect();
    if !matches!(demands, Demands::OfClasses(_)) {
        return refusals;
    }
    // Until it is split, each statement by itself may be what it should be.
    if refusals.is_empty()
        && let Some(mixed) = mixed(judgement)
    {
        refusals.push(format!("{path}: {}", in_one_line(&mixed)));
    }
    let is_overridden = overrides.iter().any(|one| one.rule == SEVERAL_TABLES);
    if let Some(text) = locks_several.filter(|_| !is_overridden) {
        refusals.push(format!("{path} {text}"));
    }
    refusals
}

/// Returns the overrides without which the file would be refused, or would wait. `of_file` are the rules
/// about the file as a whole, each with whether it holds.
fn used(
    judgement: &FileJudgement,
    overrides: &[&RuleOverride],
    of_file: [(&str, bool); 2],
) -> Vec<RuleOverride> {
    let is_used = |one: &&&RuleOverride| {
        let mut overridden = findings(judgement).filter(|finding| finding.is_overridden);
        overridden.any(|finding| finding.rule.name == one.rule)
            || of_file.contains(&(&*one.rule, true))
    };
    let used = overrides.iter().filter(is_used);
    used.map(|one| (*one).clone()).collect()
}

/// Returns the objects that a file names or locks, as far as they are known.
fn objects(judgement: &FileJudgement) -> BTreeSet<ObjectName> {
    let statements = || judgement.statements.iter();
    let named = statements().flat_map(|one| &one.objects).flatten();
    let locked = statements().flat_map(|one| &one.locks);
    let locked = locked.map(|lock| &lock.table);
    named.chain(locked).cloned().collect()
}

/// Returns what is wrong with a file that locks several tables which the database has already.
/// Tables that this run creates have no users yet.
pub(super) fn several_tables(judgement: &FileJudgement, facts: &TargetFacts) -> Option<String> {
    judgement.refusals.iter().find_map(|refusal| {
        let Refusal::SeveralTables { tables, split } = refusal else {
            return None;
        };
        let used = tables
            .iter()
            .filter(|table| facts.relations.contains_key(table));
        let used: Vec<_> = used.map(ToString::to_string).collect();
        if used.len() < 2 {
            return None;
        }
        let files: Vec<_> = split
            .iter()
            .enumerate()
            .map(|(number, part)| {
                let statements: Vec<_> =
                    part.statements.iter().map(|one| in_one_line(one)).collect();
                format!("file {}: {};", number + 1, statements.join("; "))
            })
            .collect();
        Some(format!(
            "locks several tables, and keeps the users of one waiting while it waits for another \
             ({}): split it ({})",
            used.join(", "),
            files.join(" ")
        ))
    })
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
