//! The judgement of a plan's files by what the database has: the class of each, and the locks for
//! which one is refused.

use serde::Serialize;

use crate::migrations::class::{FileJudgement, Refusal, TargetFacts, judge_files};
use crate::migrations::file::MigrationFile;
use crate::migrations::script::Script;

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
}

/// The class of a file, and the rules that give it.
#[derive(Clone, Debug)]
pub(super) struct JudgedFile {
    pub(super) class: &'static str,
    pub(super) findings: Vec<PlannedFinding>,
    /// The strong locks on tables that exist, as `SHARE on public.a, about 5 rows`.
    pub(super) locks: Vec<String>,
    /// The remarks on the file as a whole.
    pub(super) notes: Vec<String>,
}

/// Judges files in their order.
///
/// # Errors
///
/// The files that lock several tables, each with its split.
pub(super) fn judge(
    pending: &[(MigrationFile, Script)],
    facts: &TargetFacts,
) -> Result<Vec<JudgedFile>, Vec<String>> {
    let statements: Vec<_> = pending
        .iter()
        .map(|(_, script)| script.statements())
        .collect();
    let judgements = judge_files(&statements, facts);
    let refused: Vec<_> = pending
        .iter()
        .zip(&judgements)
        .filter_map(|((file, _), judgement)| several_tables(file, judgement, facts))
        .collect();
    match refused.is_empty() {
        true => Ok(judgements.iter().map(|one| judged(one, facts)).collect()),
        false => Err(refused),
    }
}

fn judged(judgement: &FileJudgement, facts: &TargetFacts) -> JudgedFile {
    let findings = judgement.statements.iter().flat_map(|one| &one.findings);
    let locks = judgement.statements.iter().flat_map(|one| &one.locks);
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
    JudgedFile {
        class: judgement.class.name(),
        findings: findings
            .map(|finding| PlannedFinding {
                line: finding.line,
                rule: finding.rule.name,
                class: finding.rule.class.name(),
                reason: finding.rule.reason,
                safe_form: finding.safe_form.clone(),
            })
            .collect(),
        locks,
        notes: notes(judgement),
    }
}

/// Returns the remarks on a file: what should be two files, and comments without an effect.
fn notes(judgement: &FileJudgement) -> Vec<String> {
    let mixed = judgement.refusals.iter().find_map(|refusal| match refusal {
        Refusal::Mixed(_) => Some(refusal.to_string()),
        _ => None,
    });
    let ignored = judgement.ignored.iter().map(|comment| {
        let line = comment.line;
        format!("line {line}: a comment that silences squawk has no effect here")
    });
    mixed.into_iter().chain(ignored).collect()
}

/// Returns the text of the refusal of a file that locks several tables which the database has
/// already. Tables that this run creates have no users yet.
fn several_tables(
    file: &MigrationFile,
    judgement: &FileJudgement,
    facts: &TargetFacts,
) -> Option<String> {
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
                let statements: Vec<_> = part
                    .statements
                    .iter()
                    .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "))
                    .collect();
                format!("file {}: {};", number + 1, statements.join("; "))
            })
            .collect();
        Some(format!(
            "{} locks several tables, and keeps the users of one waiting while it waits for \
             another ({}): split it ({})",
            file.path(),
            used.join(", "),
            files.join(" ")
        ))
    })
}
