//! The table of rules: what is judged, into which class, why, and what to write instead.

mod table;

pub use self::table::RULES;
use super::Class;

/// A rule by which a statement is not simply *before*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The stable name, by which an override names the rule: squawk's, or our own.
    pub name: &'static str,
    /// The class of a statement that the rule finds.
    pub class: Class,
    /// The finder: squawk's linter, or this crate.
    pub source: RuleSource,
    /// The only harm is a lock that is held for long, which a small table does not have.
    pub is_about_duration: bool,
    /// The reason.
    pub reason: &'static str,
    /// The form that is safe, in general words.
    pub safe_form: &'static str,
}

/// The finder of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleSource {
    /// A rule of squawk's linter.
    Squawk,
    /// A rule of this crate: squawk does not find it, or mixes it with another.
    Stagelink,
}

pub(super) const ADD_COLUMN_WITH_CONSTRAINT: &str = "add-column-with-constraint";
pub(super) const ALTERS_OWNER: &str = "ban-revoke";
pub(super) const ALTERS_VIEW_OPTIONS: &str = "ban-alter-view-options";
pub(super) const ATTACH_PARTITION: &str = "attach-partition";
pub(super) const BACKFILL: &str = "backfill";
pub(super) const CHANGES_TYPE: &str = "changes-type";
pub(super) const CREATE_RULE: &str = "create-rule";
pub(super) const CREATE_TRIGGER: &str = "create-trigger";
pub(super) const DATA_CHANGE: &str = "data-change";
pub(super) const DELETES_ROWS: &str = "deletes-rows";
pub(super) const DETACH_PARTITION: &str = "detach-partition";
pub(super) const DOMAIN_COLUMN: &str = "domain-column";
pub(super) const DROP_OBJECT: &str = "drop-object";
pub(super) const DROP_OWNED: &str = "drop-owned";
pub(super) const HIDES_OBJECT: &str = "hides-object";
pub(super) const INHERIT: &str = "inherit";
pub(super) const LOCK_TABLE: &str = "lock-table";
pub(super) const LONG_WORK_UNDER_LOCK: &str = "long-work-under-lock";
pub(super) const OWN_TABLE: &str = "own-table";
pub(super) const RECREATE: &str = "recreate";
pub(super) const REFRESH_VIEW: &str = "refresh-materialized-view";
pub(super) const REWRITE_TABLE: &str = "rewrite-table";
pub(super) const RUNNER_SETTING: &str = "runner-setting";
/// A file that locks several tables: the split is found for the file as a whole.
pub const SEVERAL_TABLES: &str = "several-tables";
pub(super) const RUNS_CODE: &str = "runs-code";
pub(super) const SERIAL_COLUMN: &str = "serial-column";
pub(super) const SHARED_OBJECT: &str = "shared-object";
pub(super) const SYNTAX_ERROR: &str = "syntax-error";
pub(super) const TRANSACTION_CONTROL: &str = "transaction-control";
pub(super) const TRUNCATE: &str = "truncate";
pub(super) const UNKNOWN_STATEMENT: &str = "unknown-statement";
pub(super) const UNKNOWN_TABLE: &str = "unknown-table";
pub(super) const WHOLE_ROW_USE: &str = "whole-row-use";

pub(super) const ADDING_FIELD_WITH_DEFAULT: &str = "adding-field-with-default";
pub(super) const ADDING_FOREIGN_KEY: &str = "adding-foreign-key-constraint";
pub(super) const ADDING_NOT_NULL: &str = "adding-not-nullable-field";
pub(super) const ADDING_PRIMARY_KEY: &str = "adding-serial-primary-key-field";
pub(super) const ADDING_REQUIRED_FIELD: &str = "adding-required-field";
pub(super) const BAN_ALTER_GENERATED: &str = "ban-alter-generated-expression";
pub(super) const BAN_ALTER_DOMAIN: &str = "ban-alter-domain-with-add-constraint";
pub(super) const BAN_DROP_CONSTRAINT: &str = "ban-drop-constraint";
pub(super) const BAN_NEW_WRITE_RESTRICTION: &str = "ban-new-write-restriction";
pub(super) const BAN_DROP_DEFAULT: &str = "ban-drop-default";
pub(super) const BAN_SET_DEFAULT: &str = "ban-set-default";
pub(super) const BAN_REPLACE: &str = "ban-replace-view-function";
pub(super) const CHANGING_COLUMN_TYPE: &str = "changing-column-type";
pub(super) const CONSTRAINT_MISSING_NOT_VALID: &str = "constraint-missing-not-valid";
pub(super) const CONCURRENT_REINDEX: &str = "require-concurrent-reindex";
pub(super) const CONCURRENT_INDEX: &str = "require-concurrent-index-creation";
pub(super) const DISALLOWED_UNIQUE: &str = "disallowed-unique-constraint";

/// Rules of squawk that say nothing about the class, with the reason.
pub const LEFT_OFF: &[(&str, &str)] = &[
    (
        "ban-add-column",
        "the SDK and the guides name the columns of SELECT and INSERT",
    ),
    (
        "ban-add-enum-value",
        "only the new code writes the new value",
    ),
    ("ban-char-field", "style"),
    (
        "ban-concurrent-index-creation-in-transaction",
        "the runner sees to it",
    ),
    (
        "ban-create-domain-with-constraint",
        "a new domain locks nothing",
    ),
    (
        "ban-drop-not-null",
        "the code that runs now goes on; only the new code writes NULL",
    ),
    ("ban-duplicate-column-assignments", "Postgres refuses it"),
    (
        "ban-uncommitted-transaction",
        "the runner sees to it: transaction-control",
    ),
    ("identifier-too-long", "style"),
    ("prefer-bigint-over-int", "style"),
    ("prefer-bigint-over-smallint", "style"),
    ("prefer-identity", "style"),
    ("prefer-repack", "rewrite-table finds it on every version"),
    (
        "prefer-robust-stmts",
        "the runner sees to it: a failed file leaves nothing, or says what",
    ),
    ("prefer-text-field", "style"),
    ("prefer-timestamp-tz", "style"),
    ("require-enum-value-ordering", "style"),
    ("require-lock-timeout", "the runner sets it"),
    ("require-statement-timeout", "the runner sets it"),
    ("require-table-schema", "style"),
    ("require-timeout-settings", "the runner sets them"),
    (
        "transaction-nesting",
        "the runner sees to it: transaction-control",
    ),
    (
        "unused-ignore",
        "comments of squawk have no effect here, and are reported",
    ),
];

/// Returns the rule of that name.
pub fn find_rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_rule_of_squawk_is_in_the_table_or_left_off() {
        let squawks = enum_iterator::all::<squawk_linter::Rule>();
        let known: BTreeSet<String> = squawks.map(|rule| rule.to_string()).collect();
        let ours = RULES
            .iter()
            .filter(|rule| rule.source == RuleSource::Squawk);
        let mut here: Vec<String> = ours.map(|rule| rule.name.to_owned()).collect();
        here.extend(LEFT_OFF.iter().map(|(name, _)| (*name).to_owned()));
        let listed: BTreeSet<String> = here.iter().cloned().collect();
        assert_eq!(here.len(), listed.len(), "a rule is listed twice");
        assert_eq!(listed, known);
        for rule in RULES {
            let of_squawk = rule.source == RuleSource::Squawk;
            assert_eq!(known.contains(rule.name), of_squawk, "{}", rule.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), RULES.len());
    }
}
