//! The judgement of one statement.

use std::collections::BTreeSet;
use std::ops::Range;

use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use super::draft::{Draft, Found, range_of};
use super::facts::TargetFacts;
use super::lock::{LockMode, TableLock};
use super::rules::{Rule, SYNTAX_ERROR, TRANSACTION_CONTROL, UNKNOWN_TABLE};
use super::safe_files::SafeForm;
use super::scope::{ForeignKey, Scope};
use super::seen_by::EventTriggerFacts;
use super::{
    Class, alter_table, create, created_code, data, drop, objects, other, own_code, own_table,
    row_locks, squawk, truncated,
};
use crate::migrations::statement::{ObjectName, Statement, split_statements};

/// The class of a statement, with the reasons and the locks.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The line of the statement in its file.
    pub line: usize,
    /// The most severe class of the findings that are not overridden; *before* without any.
    pub class: Class,
    /// The most severe class of all findings.
    pub class_without_overrides: Class,
    /// The rules that hold.
    pub findings: Vec<Finding>,
    /// The rules that would hold on another database, or are false alarms.
    pub dismissed: Vec<Dismissal>,
    /// Remarks for a reader of the plan, which make no class.
    pub remarks: Vec<String>,
    /// The locks on tables that exist before the file.
    pub locks: Vec<TableLock>,
    /// The statement goes into a *before* file as well as into an *after* file.
    pub fits_both: bool,
    /// The statement may take its time, with whatever is locked meanwhile.
    pub is_long: bool,
    /// The statement goes through many rows, or computes for a time that is not known.
    pub(super) is_slow: bool,
    /// The statement locks rows or keys to the end of its file, which the code that runs now may write.
    pub(super) holds_rows: bool,
    /// The foreign keys that the statement makes.
    pub(super) new_keys: Vec<ForeignKey>,
    /// The tables, views, types, functions and indexes that the statement names, and those that it
    /// locks; `None` where it may use others, too.
    pub objects: Option<BTreeSet<ObjectName>>,
    /// The actions of an `ALTER TABLE` that has several: the class, and the statement alone.
    pub(super) actions: Vec<(Class, bool, String)>,
}

/// A rule that holds for a statement.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// The line of the file.
    pub line: usize,
    /// The safe form, in the statement's own names where that is possible.
    pub safe_form: String,
    /// The statements of the files that the safe form consists of; none where it has only words.
    pub safe_files: Vec<Vec<String>>,
    /// A person has overridden the rule for the file, so that it does not count for the class.
    pub is_overridden: bool,
}

/// A rule that does not hold for a statement on this database.
#[derive(Clone, Debug)]
pub struct Dismissal {
    /// The rule.
    pub rule: &'static Rule,
    /// The line of the file.
    pub line: usize,
    /// The reason: the table is small, a constraint proves it, the table is new.
    pub because: String,
}

/// Judges a statement without the rest of its file.
pub fn judge_statement(statement: &Statement, facts: &TargetFacts) -> Judgement {
    judge_in(statement, &mut Scope::new(facts))
}

/// Returns the locks that a statement takes on tables that exist.
pub fn statement_locks(statement: &Statement, facts: &TargetFacts) -> Vec<TableLock> {
    judge_statement(statement, facts).locks
}

/// Judges a statement, and records in the scope what it changes.
pub(super) fn judge_in(statement: &Statement, scope: &mut Scope<'_>) -> Judgement {
    let whole = 0..statement.text.len();
    if !statement.syntax_errors.is_empty() {
        let mut draft = Draft::new(statement, scope, Vec::new());
        draft.add_at(SYNTAX_ERROR, whole);
        // Nothing weaker can be ruled out.
        if statement.begins(&["ALTER", "TABLE"])
            && let Some(table) = statement.altered_table()
        {
            draft.lock(&table, LockMode::AccessExclusive, true);
        }
        return finish(draft);
    }
    if statement.transaction_control().is_some() {
        let mut draft = Draft::new(statement, scope, Vec::new());
        draft.add_at(TRANSACTION_CONTROL, whole);
        return finish(draft);
    }
    let root = SourceFile::parse(&statement.text).syntax_node();
    let Some(node) = root.children().next() else {
        return finish(Draft::new(statement, scope, Vec::new()));
    };
    let mut draft = Draft::new(statement, scope, squawk::violations(statement, scope.facts));
    match node.kind() {
        SyntaxKind::ALTER_TABLE => alter_table::judge(&mut draft, &node),
        kind if create::is_creation(kind) => create::judge(&mut draft, &node),
        kind if drop::is_drop(kind) => drop::judge(&mut draft, &node),
        kind if data::is_query(kind) => data::judge(&mut draft, &node),
        _ => other::judge(&mut draft, &node),
    }
    // CREATE TABLE AS, for one, runs a query whose WITH may change rows.
    if !data::is_query(node.kind()) && data::judge_parts(&mut draft, &node) {
        draft.fits_both = false;
    }
    for table in std::mem::take(&mut draft.rebuilt) {
        own_code::judge_rebuild(&mut draft, &node, &table);
    }
    own_table::judge(&mut draft, &node);
    truncated::judge(&mut draft, &node);
    add_unknown_tables(&mut draft, whole.clone());
    let mut event_triggers = scope.facts.event_triggers.iter();
    let acts = |one: &&EventTriggerFacts| !scope.does_little(one.function);
    if changes_schema(node.kind())
        && let Some(trigger) = event_triggers.find(acts)
    {
        draft.fits_both = false;
        let words = format!("the event trigger {}", trigger.name);
        own_code::add(&mut draft, &node, &words);
    }
    let objects = objects::of(&draft, &node);
    let mut judgement = Judgement {
        objects,
        is_slow: row_locks::is_slow(scope, &node, draft.is_long),
        holds_rows: row_locks::are_held(scope, &node),
        ..finish(draft)
    };
    let keys_before = scope.foreign_keys().len();
    match node.kind() {
        SyntaxKind::ALTER_TABLE => alter_table::apply(scope, &node),
        kind if create::is_creation(kind) => create::apply(scope, &node),
        kind if drop::is_drop(kind) => drop::apply(scope, &node),
        kind if data::is_query(kind) => data::apply(scope, &node),
        _ => other::apply(scope, &node),
    }
    created_code::apply(scope, &node);
    judgement.new_keys = scope.foreign_keys()[keys_before..].to_vec();
    if other::may_change_search_path(&node) {
        scope.lose_search_path();
    }
    judge_elements(statement, &mut judgement, scope, &node);
    judgement
}

/// Judges the statements in a `CREATE SCHEMA`, each with the new schema before the others.
fn judge_elements(
    statement: &Statement,
    judgement: &mut Judgement,
    scope: &mut Scope<'_>,
    node: &SyntaxNode,
) {
    let Some(schema) = create::schema_of(scope, node) else {
        return;
    };
    for element in create::elements_of_schema(node) {
        let at = range_of(&element).start;
        let lines = statement.text[..at].matches('\n').count();
        let text = element.text().to_string();
        for mut one in split_statements(&text).unwrap_or_default() {
            one.line += statement.line + lines - 1;
            let path = scope.enter_schema(schema.clone());
            let of_element = judge_in(&one, scope);
            scope.leave_schema(path);
            judgement.add(of_element);
        }
    }
}

impl Judgement {
    /// Adds the judgement of a part.
    fn add(&mut self, part: Self) {
        self.class = self.class.max(part.class);
        self.class_without_overrides = self
            .class_without_overrides
            .max(part.class_without_overrides);
        self.findings.extend(part.findings);
        self.findings
            .sort_by_key(|one| std::cmp::Reverse(one.rule.class));
        self.dismissed.extend(part.dismissed);
        self.remarks.extend(part.remarks);
        self.locks.extend(part.locks);
        self.fits_both = false;
        self.is_long |= part.is_long;
        self.is_slow |= part.is_slow;
        self.holds_rows |= part.holds_rows;
        self.new_keys.extend(part.new_keys);
    }
}

/// Returns whether event triggers run for a statement.
fn changes_schema(kind: SyntaxKind) -> bool {
    use SyntaxKind as K;
    let others = matches!(
        kind,
        K::COMMENT_ON | K::GRANT | K::REVOKE | K::REFRESH | K::REINDEX | K::SECURITY_LABEL
    );
    let name = format!("{kind:?}");
    others || create::is_creation(kind) || drop::is_drop(kind) || name.starts_with("ALTER_")
}

fn finish(draft: Draft<'_>) -> Judgement {
    let is_overridden = |one: &Found| draft.scope.is_overridden(one.rule);
    let class_of = |range: &Range<usize>| {
        let counting = draft.found.iter().filter(|one| !is_overridden(one));
        let inside = counting.filter(|one| range.contains(&one.range.start));
        inside
            .map(|one| one.rule.class)
            .max()
            .unwrap_or(Class::Before)
    };
    let all = draft.found.iter().map(|one| one.rule.class);
    let class_without_overrides = all.max().unwrap_or(Class::Before);
    let text = &draft.statement.text;
    let line = |at: usize| {
        let before = &text[..text.floor_char_boundary(at.min(text.len()))];
        draft.statement.line + before.matches('\n').count()
    };
    let actions = if draft.actions.len() > 1 {
        let head = &text[..draft.actions[0].0.start];
        let action = |(range, fits_both): &(Range<usize>, bool)| {
            let alone = format!("{head}{}", &text[range.clone()]);
            (class_of(range), *fits_both, alone)
        };
        draft.actions.iter().map(action).collect()
    } else {
        Vec::new()
    };
    let class = class_of(&(0..usize::MAX));
    let finding = |one: &Found| Finding {
        rule: one.rule,
        line: line(one.range.start),
        safe_form: one
            .safe_form
            .as_ref()
            .map_or_else(|| one.rule.safe_form.to_owned(), ToString::to_string),
        safe_files: one
            .safe_form
            .as_ref()
            .map(SafeForm::files)
            .unwrap_or_default(),
        is_overridden: is_overridden(one),
    };
    let dismissal = |(rule, range, because): &(&'static Rule, Range<usize>, String)| Dismissal {
        rule,
        line: line(range.start),
        because: because.clone(),
    };
    let mut findings: Vec<Finding> = draft.found.iter().map(finding).collect();
    findings.sort_by_key(|one| std::cmp::Reverse(one.rule.class));
    Judgement {
        line: draft.statement.line,
        class,
        class_without_overrides,
        findings,
        dismissed: draft.dismissed.iter().map(dismissal).collect(),
        fits_both: draft.fits_both && class == Class::Before,
        is_long: draft.is_long,
        actions,
        locks: draft.locks,
        remarks: draft.remarks,
        objects: None,
        is_slow: false,
        holds_rows: false,
        new_keys: Vec::new(),
    }
}

/// Adds a finding where the statement changes a table, or locks it, of which nothing is known.
fn add_unknown_tables(draft: &mut Draft<'_>, whole: Range<usize>) {
    let scope = draft.scope;
    let mut changed = draft
        .locks
        .iter()
        .filter(|lock| lock.mode >= LockMode::RowShare);
    if changed.any(|lock| scope.is_unknown(&lock.table)) {
        draft.add_at(UNKNOWN_TABLE, whole);
        draft.fits_both = false;
    }
}
