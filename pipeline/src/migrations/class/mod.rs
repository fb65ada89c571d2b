//! The class of a migration: its effect on the code that runs now, and the locks that it takes.

mod alter_table;
mod assigned_value;
mod body_text;
mod builtin;
mod check_value;
mod column;
mod column_type;
mod constraint;
mod create;
mod create_index;
mod created_code;
mod data;
mod default_value;
mod domain;
mod draft;
mod drop;
mod effects;
mod facts;
mod failing;
mod file;
mod hidden;
mod lock;
mod long_values;
mod never_null;
mod new_column;
mod null_check;
mod numbered;
mod objects;
mod one_row;
mod other;
mod own_code;
mod own_table;
mod proofs;
mod query;
mod replaced;
mod routine_body;
mod row_locks;
mod row_users;
mod rules;
mod safe_files;
mod safe_form;
mod scope;
mod seen_by;
mod selection;
mod sequence;
mod squawk;
mod statement_class;
mod syntax;
mod target;
mod target_code;
mod target_rows;
mod truncated;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use self::data::changes_rows;
pub use self::facts::CodeFacts;
pub use self::facts::ColumnFacts;
pub use self::facts::ConstraintFacts;
pub use self::facts::ConstraintKind;
pub use self::facts::DomainFacts;
pub use self::facts::IndexFacts;
pub use self::facts::RelationFacts;
pub use self::facts::RelationKind;
pub use self::facts::SMALL_TABLE_BYTES;
pub use self::facts::TargetFacts;
pub use self::file::FileJudgement;
pub use self::file::IgnoredRules;
pub use self::file::ProposedFile;
pub use self::file::Refusal;
pub use self::file::judge_files;
pub use self::file::judge_files_with_overrides;
pub use self::lock::LockMode;
pub use self::lock::TableLock;
pub use self::rules::LEFT_OFF;
pub use self::rules::RULES;
pub use self::rules::Rule;
pub use self::rules::RuleSource;
pub use self::rules::SEVERAL_TABLES;
pub use self::rules::find_rule;
pub use self::seen_by::EventTriggerFacts;
pub use self::seen_by::RoutineEffects;
pub use self::seen_by::RoutineFacts;
pub use self::seen_by::RowType;
pub use self::seen_by::SeenBy;
pub use self::seen_by::SequenceFacts;
pub use self::seen_by::TriggerFacts;
pub use self::statement_class::Dismissal;
pub use self::statement_class::Finding;
pub use self::statement_class::Judgement;
pub use self::statement_class::judge_statement;
pub use self::statement_class::statement_locks;

/// When a statement may be applied. The order is that of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// While the code that runs now, before the deploy, still runs.
    Before,
    /// Only when that code no longer runs.
    After,
    /// It cannot be judged: a person reads it and overrides the rule.
    Ask,
    /// Never as it is: it locks or rewrites a table for long. The finding has the safe form.
    Stop,
}

impl Class {
    /// Returns the name in plans and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Ask => "ask",
            Self::Stop => "stop",
        }
    }

    /// Returns the class of a name in plans and records.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Before, Self::After, Self::Ask, Self::Stop];
        all.into_iter().find(|class| class.name() == name)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
