//! A statement's judgement in the making.

use std::ops::Range;

use squawk_syntax::SyntaxNode;

use super::lock::{LockMode, TableLock};
use super::rules::{
    ADDING_FIELD_WITH_DEFAULT, BAN_NEW_WRITE_RESTRICTION, BAN_SET_DEFAULT, CHANGING_COLUMN_TYPE,
    CREATE_RULE, CREATE_TRIGGER, DOMAIN_COLUMN, REWRITE_TABLE, Rule, SERIAL_COLUMN, WHOLE_ROW_USE,
    find_rule,
};
use super::safe_files::SafeForm;
use super::scope::Scope;
use super::squawk::Violation;
use crate::migrations::statement::{ObjectName, Statement};

/// The findings, dismissals and locks of a statement so far.
pub(super) struct Draft<'a> {
    pub(super) statement: &'a Statement,
    pub(super) scope: &'a Scope<'a>,
    pub(super) found: Vec<Found>,
    pub(super) dismissed: Vec<(&'static Rule, Range<usize>, String)>,
    pub(super) locks: Vec<TableLock>,
    /// Remarks for a reader of the plan, which make no class.
    pub(super) remarks: Vec<String>,
    /// The statement goes into a before file as well as into an after file.
    pub(super) fits_both: bool,
    /// The statement may take its time.
    pub(super) is_long: bool,
    /// The statement drops constraints, which Postgres does before all else.
    pub(super) drops_constraints: bool,
    /// The places of the actions of `ALTER TABLE`, with whether an action fits both.
    pub(super) actions: Vec<(Range<usize>, bool)>,
    /// The tables that are written anew with their indexes.
    pub(super) rebuilt: Vec<ObjectName>,
}

/// Rules about a table that is written anew: its indexes are built with it.
const REBUILDS: [&str; 5] = [
    ADDING_FIELD_WITH_DEFAULT,
    CHANGING_COLUMN_TYPE,
    DOMAIN_COLUMN,
    REWRITE_TABLE,
    SERIAL_COLUMN,
];

/// Rules about the rows that the code that runs now writes or reads, which hold for no table that the run
/// creates.
const UNUSED: [&str; 7] = [
    "ban-alter-row-level-security",
    "ban-create-policy",
    BAN_NEW_WRITE_RESTRICTION,
    BAN_SET_DEFAULT,
    CREATE_RULE,
    CREATE_TRIGGER,
    WHOLE_ROW_USE,
];

/// A rule that holds, with its place in the statement's text.
pub(super) struct Found {
    pub(super) rule: &'static Rule,
    pub(super) range: Range<usize>,
    pub(super) safe_form: Option<SafeForm>,
    /// The other tables whose rows the statement goes through, while users of a table wait.
    pub(super) rows_of: Vec<ObjectName>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        statement: &'a Statement,
        scope: &'a Scope<'a>,
        violations: Vec<Violation>,
    ) -> Self {
        let found = violations.into_iter().map(|(rule, range)| Found {
            rule,
            range,
            safe_form: None,
            rows_of: Vec::new(),
        });
        Self {
            statement,
            scope,
            found: found.collect(),
            dismissed: Vec::new(),
            locks: Vec::new(),
            remarks: Vec::new(),
            fits_both: false,
            is_long: false,
            drops_constraints: false,
            actions: Vec::new(),
            rebuilt: Vec::new(),
        }
    }

    /// Adds a finding, unless squawk has it already.
    pub(super) fn add(&mut self, name: &'static str, node: &SyntaxNode) {
        self.add_at(name, range_of(node));
    }

    pub(super) fn add_at(&mut self, name: &'static str, range: Range<usize>) {
        let rule = find_rule(name).expect("a constant of the table of rules");
        let is_known = |one: &Found| one.rule.name == name && range.contains(&one.range.start);
        if !self.found.iter().any(is_known) {
            self.found.push(Found {
                rule,
                range,
                safe_form: None,
                rows_of: Vec::new(),
            });
        }
    }

    /// Gives the findings of a rule a safe form in the statement's own names.
    pub(super) fn advise(
        &mut self,
        name: &str,
        node: &SyntaxNode,
        safe_form: Option<impl Into<SafeForm>>,
    ) {
        let range = range_of(node);
        let of_rule = |one: &&mut Found| one.rule.name == name && range.contains(&one.range.start);
        if let Some(safe_form) = safe_form
            && let Some(found) = self.found.iter_mut().find(of_rule)
        {
            found.safe_form = Some(safe_form.into());
        }
    }

    /// Ties the findings of a rule to other tables: they hold as long as one of these is not small,
    /// whatever the altered table is.
    pub(super) fn tie(&mut self, name: &str, node: &SyntaxNode, rows_of: &[ObjectName]) {
        let range = range_of(node);
        let of_rule = |one: &&mut Found| one.rule.name == name && range.contains(&one.range.start);
        for found in self.found.iter_mut().filter(of_rule) {
            found.rows_of.extend_from_slice(rows_of);
        }
    }

    /// Removes a rule's findings in the node, with the reason.
    pub(super) fn dismiss(&mut self, name: &str, node: &SyntaxNode, because: &str) {
        let range = range_of(node);
        self.dismiss_where(because, |found| {
            found.rule.name == name && range.contains(&found.range.start)
        });
    }

    /// Removes all findings, with the reason.
    pub(super) fn dismiss_all(&mut self, because: &str) {
        self.dismiss_where(because, |_| true);
    }

    /// Removes the findings, since no code that runs now uses what the file creates, but for those
    /// that are tied to other tables.
    pub(super) fn accept_as_new(&mut self) {
        let scope = self.scope;
        self.dismiss_where("the same file creates it", |found| {
            UNUSED.contains(&found.rule.name) || found.is_about_small_tables(scope)
        });
        if !self.found.is_empty() {
            return;
        }
        self.fits_both = true;
        self.is_long = false;
        for (_, fits_both) in &mut self.actions {
            *fits_both = true;
        }
    }

    /// Removes the findings about what writers of the table, which do not exist yet, would meet.
    pub(super) fn accept_as_unused(&mut self) {
        self.dismiss_where("an earlier file of the run creates it", |found| {
            UNUSED.contains(&found.rule.name)
        });
    }

    /// Removes the findings about a lock that lasts if the table is small, but for those that are
    /// tied to other tables.
    pub(super) fn relax(&mut self, table: &ObjectName) {
        let scope = self.scope;
        if self
            .found
            .iter()
            .any(|one| REBUILDS.contains(&one.rule.name))
        {
            self.rebuilt.push(table.clone());
        }
        let because = match scope.is_of_run(table) {
            true => "an earlier file of the run creates it".to_owned(),
            false => format!("{} is small", scope.resolve(table)),
        };
        if scope.is_of_run(table) || scope.size(table).is_small() {
            self.dismiss_where(&because, |found| {
                found.rule.is_about_duration && found.is_about_small_tables(scope)
            });
            if self.found.iter().any(|found| found.rule.is_about_duration) {
                return;
            }
            for lock in &mut self.locks {
                lock.is_long = false;
            }
            self.is_long = false;
        }
    }

    /// Removes the findings about a lock that lasts if all tables that they are tied to are small.
    /// Returns whether one is left.
    pub(super) fn relax_tied(&mut self, because: &str) -> bool {
        let scope = self.scope;
        self.dismiss_where(because, |found| {
            found.rule.is_about_duration && found.is_about_small_tables(scope)
        });
        self.found.iter().any(|found| found.rule.is_about_duration)
    }

    /// Removes the findings about a lock that lasts in a part of the statement, whose tables are
    /// small. Other parts may change other tables.
    pub(super) fn relax_part(&mut self, part: &SyntaxNode, because: &str) {
        let range = range_of(part);
        self.dismiss_where(because, |found| {
            found.rule.is_about_duration && range.contains(&found.range.start)
        });
    }

    fn dismiss_where(&mut self, because: &str, is_wrong: impl Fn(&Found) -> bool) {
        let (wrong, right) = std::mem::take(&mut self.found)
            .into_iter()
            .partition(is_wrong);
        self.found = right;
        let wrong: Vec<Found> = wrong;
        let dismissed = wrong
            .into_iter()
            .map(|one| (one.rule, one.range, because.to_owned()));
        self.dismissed.extend(dismissed);
    }

    /// Returns whether a finding of the rule is in the node.
    pub(super) fn is_found(&self, name: &str, node: &SyntaxNode) -> bool {
        let range = range_of(node);
        let mut of_rule = self.found.iter().filter(|one| one.rule.name == name);
        of_rule.any(|one| range.contains(&one.range.start))
    }

    /// Returns whether any finding is in the node.
    pub(super) fn is_found_any(&self, node: &SyntaxNode) -> bool {
        let range = range_of(node);
        let mut found = self.found.iter();
        found.any(|one| range.contains(&one.range.start))
    }

    /// Returns whether a finding about a lock that lasts is in the node.
    pub(super) fn is_found_to_last(&self, node: &SyntaxNode) -> bool {
        let range = range_of(node);
        let mut inside = self
            .found
            .iter()
            .filter(|one| range.contains(&one.range.start));
        inside.any(|one| one.rule.is_about_duration)
    }

    /// Records a lock on a table, and on all its partitions and inheriting tables.
    pub(super) fn lock_tree(&mut self, table: &ObjectName, mode: LockMode, is_long: bool) {
        self.lock(table, mode, is_long);
        for child in self.scope.facts.descendants(&self.scope.resolve(table)) {
            self.lock(&child, mode, is_long);
        }
    }

    /// Records a lock on a table that exists before the file. The strongest one counts.
    pub(super) fn lock(&mut self, table: &ObjectName, mode: LockMode, is_long: bool) {
        if self.scope.is_new(table) {
            return;
        }
        let table = self.scope.resolve(table);
        match self.locks.iter_mut().find(|one| one.table == table) {
            Some(lock) => {
                lock.mode = lock.mode.max(mode);
                lock.is_long |= is_long;
            }
            None => self.locks.push(TableLock {
                table,
                mode,
                is_long,
            }),
        }
    }
}

impl Found {
    /// Returns whether the statement goes through the rows of no other table but small ones.
    fn is_about_small_tables(&self, scope: &Scope<'_>) -> bool {
        self.rows_of
            .iter()
            .all(|table| scope.size(table).is_small())
    }
}

pub(super) fn range_of(node: &SyntaxNode) -> Range<usize> {
    let range = node.text_range();
    usize::from(range.start())..usize::from(range.end())
}
