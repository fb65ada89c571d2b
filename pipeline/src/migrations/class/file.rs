//! The judgement of a file: one class, few locks, and the split where it has to be two.

use std::collections::BTreeSet;
use std::fmt;

use super::lock::TableLock;
use super::rules::{LONG_WORK_UNDER_LOCK, find_rule};
use super::scope::Scope;
use super::statement_class::{Finding, Judgement, judge_in};
use super::{Class, TargetFacts};
use crate::migrations::statement::{ObjectName, Statement};

/// The class of a file, and what refuses it.
#[derive(Clone, Debug)]
pub struct FileJudgement {
    /// *Before* or *after* for a file that may be applied as it is; else the most severe class.
    /// Rules that are overridden do not count.
    pub class: Class,
    /// The most severe class of all rules that hold.
    pub class_without_overrides: Class,
    /// The judgements of the statements, in their order.
    pub statements: Vec<Judgement>,
    /// The reasons for which the file has to be split.
    pub refusals: Vec<Refusal>,
    /// Comments that silence squawk elsewhere. They have no effect here.
    pub ignored: Vec<IgnoredRules>,
}

/// A reason for which a file has to be split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has statements of *before* and of *after*.
    Mixed(Vec<ProposedFile>),
    /// It locks several existing tables strongly, so that one waits while another is locked.
    SeveralTables {
        /// The tables.
        tables: Vec<ObjectName>,
        /// The files to make of it.
        split: Vec<ProposedFile>,
    },
    /// It has a statement that runs outside of transactions, and others.
    NotAlone {
        /// The command that Postgres refuses in a transaction.
        command: &'static str,
        /// The files to make of it.
        split: Vec<ProposedFile>,
    },
}

impl FileJudgement {
    /// Returns whether the file goes with one of *after* before it: the time makes no difference for its
    /// statements, and both use the same object. So `VALIDATE CONSTRAINT` waits for the constraint.
    fn follows_after(&self, earlier: &[Self]) -> bool {
        let fits_both =
            !self.statements.is_empty() && self.statements.iter().all(|one| one.fits_both);
        let objects = self.objects();
        let mut earlier = earlier.iter().filter(|one| one.class == Class::After);
        fits_both
            && earlier.any(|one| match (&objects, one.objects()) {
                (Some(own), Some(others)) => own.intersection(&others).next().is_some(),
                _ => true,
            })
    }

    /// Returns the objects that the file uses; `None` where it may use others, too.
    pub fn objects(&self) -> Option<BTreeSet<&ObjectName>> {
        let each = self.statements.iter().map(|one| one.objects.as_ref());
        let all: Option<Vec<_>> = each.collect();
        Some(all?.into_iter().flatten().collect())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let split = match self {
            Self::Mixed(split) => {
                f.write_str("it has statements of before and of after")?;
                split
            }
            Self::SeveralTables { tables, split } => {
                let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
                let names = names.join(", ");
                write!(
                    f,
                    "it locks several tables, each while it waits for the next: {names}"
                )?;
                split
            }
            Self::NotAlone { command, split } => {
                write!(
                    f,
                    "{command} runs without a transaction, and so alone in its file"
                )?;
                split
            }
        };
        write!(f, "; make {} files of it:", split.len())?;
        for (index, file) in split.iter().enumerate() {
            write!(
                f,
                "\n{}. {}: {};",
                index + 1,
                file.class,
                file.statements.join("; ")
            )?;
        }
        Ok(())
    }
}

/// A file of a proposed split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedFile {
    /// Its class.
    pub class: Class,
    /// Its statements, without semicolons.
    pub statements: Vec<String>,
}

/// A comment such as `-- squawk-ignore ban-drop-column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredRules {
    /// The line of the file.
    pub line: usize,
    /// The comment.
    pub comment: String,
}

/// Judges the files of a run, in the order in which they are applied.
///
/// A table that one file creates exists for the next ones, though the facts do not know it.
pub fn judge_files(files: &[&[Statement]], facts: &TargetFacts) -> Vec<FileJudgement> {
    judge_files_with_overrides(files, facts, &[])
}

/// Judges the files of a run, for each of which a person has overridden the rules of these names.
pub fn judge_files_with_overrides(
    files: &[&[Statement]],
    facts: &TargetFacts,
    overridden: &[Vec<&str>],
) -> Vec<FileJudgement> {
    let mut scope = Scope::new(facts);
    let mut judged: Vec<FileJudgement> = Vec::new();
    for (number, statements) in files.iter().enumerate() {
        scope.next_file(overridden.get(number).map_or(&[], Vec::as_slice));
        let mut file = judge_file(statements, &mut scope);
        if file.follows_after(&judged) {
            file.class = Class::After;
            file.class_without_overrides = file.class_without_overrides.max(Class::After);
        }
        judged.push(file);
    }
    for judgement in judged.iter_mut().flat_map(|file| &mut file.statements) {
        let keys = judgement.new_keys.iter();
        let remarks: Vec<String> = keys
            .filter_map(|key| scope.remark_without_index(key))
            .collect();
        judgement.remarks.extend(remarks);
    }
    judged
}

fn judge_file(statements: &[Statement], scope: &mut Scope<'_>) -> FileJudgement {
    let mut judgements: Vec<Judgement> = Vec::new();
    let mut holds_strong_lock = false;
    let mut holds_rows = false;
    for statement in statements {
        let mut judgement = judge_in(statement, scope);
        if (holds_strong_lock && judgement.is_long) || (holds_rows && judgement.is_slow) {
            add_long_work(&mut judgement, scope);
        }
        holds_strong_lock |= strong(&judgement).next().is_some();
        holds_rows |= judgement.holds_rows;
        judgements.push(judgement);
    }
    let comments = statements.iter().flat_map(|statement| &statement.comments);
    let ignored = comments.filter(|(_, comment)| comment.contains("squawk-ignore"));
    let ignored = ignored.map(|(line, comment)| IgnoredRules {
        line: *line,
        comment: comment.trim().to_owned(),
    });
    let most_severe = |class: fn(&Judgement) -> Class| {
        let classes = judgements.iter().map(class);
        classes.max().unwrap_or(Class::Before)
    };
    let class = most_severe(|one| one.class);
    let class_without_overrides = most_severe(|one| one.class_without_overrides);
    let refusals = [
        not_alone(statements, &judgements),
        mixed(statements, &judgements),
        several_tables(statements, &judgements),
    ];
    FileJudgement {
        class,
        class_without_overrides,
        ignored: ignored.collect(),
        refusals: refusals.into_iter().flatten().collect(),
        statements: judgements,
    }
}

/// Locks of a statement for which readers or writers wait.
fn strong(judgement: &Judgement) -> impl Iterator<Item = &TableLock> {
    judgement.locks.iter().filter(|lock| lock.mode.is_strong())
}

fn add_long_work(judgement: &mut Judgement, scope: &Scope<'_>) {
    let rule = find_rule(LONG_WORK_UNDER_LOCK).expect("a constant of the table of rules");
    let is_overridden = scope.is_overridden(rule);
    judgement.class_without_overrides = judgement.class_without_overrides.max(rule.class);
    if !is_overridden {
        judgement.class = judgement.class.max(rule.class);
        judgement.fits_both = false;
    }
    judgement.findings.insert(
        0,
        Finding {
            rule,
            line: judgement.line,
            safe_form: rule.safe_form.to_owned(),
            safe_files: Vec::new(),
            is_overridden,
        },
    );
}

fn not_alone(statements: &[Statement], judgements: &[Judgement]) -> Option<Refusal> {
    if statements.len() < 2 {
        return None;
    }
    let command = statements
        .iter()
        .find_map(Statement::needs_no_transaction)?;
    let mut split: Vec<ProposedFile> = Vec::new();
    let mut goes_on = false;
    for (statement, judgement) in statements.iter().zip(judgements) {
        let is_alone = statement.needs_no_transaction().is_some();
        match split.last_mut() {
            Some(last) if goes_on && !is_alone => {
                last.statements.push(statement.text.clone());
                last.class = last.class.max(judgement.class);
            }
            _ => split.push(ProposedFile {
                class: judgement.class,
                statements: vec![statement.text.clone()],
            }),
        }
        goes_on = !is_alone;
    }
    Some(Refusal::NotAlone { command, split })
}

/// The parts of the file that have a class: statements, or actions of an `ALTER TABLE`.
fn parts(statements: &[Statement], judgements: &[Judgement]) -> Vec<(Class, bool, String)> {
    let both = statements.iter().zip(judgements);
    let parts = both.flat_map(|(statement, judgement)| {
        if judgement.actions.is_empty() {
            vec![(judgement.class, judgement.fits_both, statement.text.clone())]
        } else {
            judgement.actions.clone()
        }
    });
    parts.collect()
}

fn mixed(statements: &[Statement], judgements: &[Judgement]) -> Option<Refusal> {
    let parts = parts(statements, judgements);
    let has = |class: Class| {
        parts
            .iter()
            .any(|(one, fits_both, _)| *one == class && !fits_both)
    };
    if !(has(Class::Before) && has(Class::After)) {
        return None;
    }
    let of_class = |class: Class| ProposedFile {
        class,
        statements: parts
            .iter()
            .filter(|(one, _, _)| (*one == Class::After) == (class == Class::After))
            .map(|(_, _, text)| text.clone())
            .collect(),
    };
    Some(Refusal::Mixed(vec![
        of_class(Class::Before),
        of_class(Class::After),
    ]))
}

fn several_tables(statements: &[Statement], judgements: &[Judgement]) -> Option<Refusal> {
    let sets: Vec<BTreeSet<&ObjectName>> = judgements
        .iter()
        .map(|judgement| strong(judgement).map(|lock| &lock.table).collect())
        .collect();
    let all: BTreeSet<&ObjectName> = sets.iter().flatten().copied().collect();
    // A statement that needs them all, as a foreign key does, cannot be split.
    if all.len() < 2 || sets.contains(&all) {
        return None;
    }
    let mut split: Vec<(BTreeSet<&ObjectName>, ProposedFile)> = Vec::new();
    for ((statement, judgement), set) in statements.iter().zip(judgements).zip(&sets) {
        match split.last_mut() {
            Some((locked, file))
                if set.is_empty() || locked.is_empty() || set.is_subset(locked) =>
            {
                locked.extend(set);
                file.class = file.class.max(judgement.class);
                file.statements.push(statement.text.clone());
            }
            _ => split.push((
                set.clone(),
                ProposedFile {
                    class: judgement.class,
                    statements: vec![statement.text.clone()],
                },
            )),
        }
    }
    Some(Refusal::SeveralTables {
        tables: all.into_iter().cloned().collect(),
        split: split.into_iter().map(|(_, file)| file).collect(),
    })
}
