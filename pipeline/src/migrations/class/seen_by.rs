//! The facts about what sees the rows of a table, besides the code that runs now.

use std::collections::{BTreeMap, BTreeSet};

use crate::migrations::statement::ObjectName;

/// The code and the expressions of a database that see the rows of a relation.
///
/// Expressions that the catalog has bound name the columns that they see. The bodies of triggers are texts,
/// and are read as such.
#[derive(Clone, Debug, Default)]
pub struct SeenBy {
    /// By column: what looks at its values as a row is written, in words. Constraints, indexes and the keys of
    /// partitions are facts of their own.
    pub columns: BTreeMap<String, String>,
    /// By column: the views whose queries name it.
    pub views: BTreeMap<String, Vec<ObjectName>>,
    /// The expression that looks at a row as a whole as it is written, in words.
    pub whole: Option<String>,
    /// The view, or the column of the row's type, that has rows as wholes, in words.
    pub shape: Option<String>,
    /// The columns by which rows find their partition.
    pub key: Vec<String>,
    /// The triggers that are not disabled.
    pub triggers: Vec<TriggerFacts>,
    /// The roles that may insert rows, superusers excepted; the empty name is that of all roles.
    pub writers: BTreeSet<String>,
}

/// A trigger.
#[derive(Clone, Debug)]
pub struct TriggerFacts {
    /// The trigger's name.
    pub name: String,
    /// The key of its function in the facts' bodies, which have none of Postgres and of extensions.
    pub function: u32,
    /// The name of its function.
    pub function_name: String,
    /// The function is one of Postgres or of an extension.
    pub is_provided: bool,
    /// The definition, as `pg_get_triggerdef` prints it.
    pub definition: String,
}

/// The things that a function does as it runs, as far as its body is understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoutineEffects {
    /// It may do anything.
    #[default]
    Unknown,
    /// It computes, raises errors, notifies, and inserts rows of values where that runs no more than this.
    Little,
    /// It computes, and does nothing else.
    Computes,
}

/// A function or procedure of the database's own, with what can be read of it.
#[derive(Clone, Debug)]
pub struct RoutineFacts {
    /// The name.
    pub name: ObjectName,
    /// The language, as `plpgsql`.
    pub language: String,
    /// The body; `None` for one that the catalog has bound, which names its columns.
    pub body: Option<String>,
    /// The types of its arguments and of its result, without modifiers, as `format_type` prints them.
    pub types: BTreeSet<String>,
    /// The relations whose rows it takes or returns.
    pub rows: Vec<RowType>,
    /// The statement that makes it, as `pg_get_functiondef` prints it; `None` for an aggregate.
    pub definition: Option<String>,
    /// The things that it does as it runs.
    pub effects: RoutineEffects,
}

/// An event trigger, which runs with changes of the schema.
#[derive(Clone, Debug)]
pub struct EventTriggerFacts {
    /// The trigger's name.
    pub name: String,
    /// The key of its function in the facts' bodies.
    pub function: u32,
}

/// A row type in the signature of a function.
#[derive(Clone, Debug)]
pub struct RowType {
    /// The relation.
    pub relation: ObjectName,
    /// The number and the name of the argument; `None` for a result.
    pub argument: Option<(u32, String)>,
    /// It is the type of an `OUT` argument, or of a column of `RETURNS TABLE`.
    pub is_out: bool,
}

/// A sequence.
#[derive(Clone, Debug, Default)]
pub struct SequenceFacts {
    /// The smallest number.
    pub min: i64,
    /// The largest number.
    pub max: i64,
    /// The step from a number to the next.
    pub increment: i64,
    /// The roles that may take a number; the empty name is that of all roles.
    pub users: BTreeSet<String>,
}
