//! The triggers of a table: what their conditions and functions do with the rows.

use std::collections::BTreeSet;

use super::routines::{DYNAMIC, is_readable};
use crate::migrations::class::body_text::{BodyText, RowUse};
use crate::migrations::class::scope::Scope;
use crate::migrations::class::seen_by::TriggerFacts;
use crate::migrations::statement::ObjectName;

/// Trigger functions of Postgres and of its usual extensions, which use the columns that their arguments name.
const NAME_THEIR_COLUMNS: [&str; 9] = [
    "autoinc",
    "check_foreign_key",
    "check_primary_key",
    "insert_username",
    "lo_manage",
    "moddatetime",
    "suppress_redundant_updates_trigger",
    "tsvector_update_trigger",
    "tsvector_update_trigger_column",
];

/// Returns a trigger in words, with the part of its function that matters.
fn trigger_words(trigger: &TriggerFacts, part: &str) -> String {
    format!(
        "the trigger {} ({}() has {part})",
        trigger.name, trigger.function_name
    )
}

/// Returns the trigger if it uses rows as wholes, or may.
pub(super) fn trigger_uses_rows(
    scope: &Scope<'_>,
    trigger: &TriggerFacts,
    tables: &[ObjectName],
    has_equality: bool,
) -> Option<String> {
    let matters = |found: RowUse| match found {
        RowUse::Whole(part) => Some(part),
        RowUse::Compared if has_equality => None,
        RowUse::Compared => Some("a comparison of whole rows".to_owned()),
    };
    let condition = BodyText::of_condition(&trigger.definition).use_of_trigger_rows();
    let part = condition.and_then(matters).or_else(|| {
        let body = match body_of(scope, trigger) {
            Readable::Body(body) => body,
            Readable::NamesColumns => return None,
            Readable::Unknown(why) => return Some(why),
        };
        let mut seen = tables.to_vec();
        seen.extend(BodyText::transition_tables(&trigger.definition));
        let own = body.own_rows(tables, None, false);
        let of_rows = own.rest.use_of_trigger_rows().and_then(matters);
        of_rows.or_else(|| own.rest.use_of_tables(&seen, &own.rows))
    });
    part.map(|part| trigger_words(trigger, &part))
}

/// Returns the trigger if it looks at a column, or may. Its condition is in the catalog.
pub(super) fn trigger_sees(
    scope: &Scope<'_>,
    trigger: &TriggerFacts,
    column: &str,
) -> Option<String> {
    let part = match body_of(scope, trigger) {
        Readable::Body(body) => {
            let mut read = BTreeSet::from([trigger.function]);
            let whole = match body.use_of_trigger_rows() {
                Some(RowUse::Whole(part)) => Some(part),
                Some(RowUse::Compared) | None => None,
            };
            whole.or_else(|| names_column(scope, &body, column, &mut read))
        }
        Readable::NamesColumns => {
            let definition = BodyText::parse(&trigger.definition);
            let is_named = definition.has_text(column);
            is_named.then(|| format!("the argument {column}"))
        }
        Readable::Unknown(why) => Some(why),
    };
    part.map(|part| trigger_words(trigger, &part))
}

/// Returns the part by which a body, or that of a function which it calls, may look at a column.
fn names_column(
    scope: &Scope<'_>,
    body: &BodyText,
    column: &str,
    read: &mut BTreeSet<u32>,
) -> Option<String> {
    if body.is_dynamic() {
        return Some(DYNAMIC.to_owned());
    }
    if body.has_name(column) {
        return Some(format!("the name {column}"));
    }
    for (key, routine) in &scope.facts.bodies {
        if !body.calls(&routine.name.name) || !read.insert(*key) {
            continue;
        }
        let Some(text) = &routine.body else {
            continue;
        };
        if !is_readable(routine) {
            return Some(format!(
                "a call of {}(), in {}",
                routine.name, routine.language
            ));
        }
        let part = names_column(scope, &BodyText::parse(text), column, read);
        if let Some(part) = part {
            return Some(format!("a call of {}(), which has {part}", routine.name));
        }
    }
    None
}

/// A trigger's function, as far as it can be read.
enum Readable {
    Body(BodyText),
    /// It uses the columns that the trigger's arguments name.
    NamesColumns,
    /// It cannot be read, for this reason.
    Unknown(String),
}

fn body_of(scope: &Scope<'_>, trigger: &TriggerFacts) -> Readable {
    if trigger.is_provided {
        return match NAME_THEIR_COLUMNS.contains(&trigger.function_name.as_str()) {
            true => Readable::NamesColumns,
            false => Readable::Unknown("code that cannot be read".to_owned()),
        };
    }
    let Some(routine) = scope.facts.bodies.get(&trigger.function) else {
        return Readable::Unknown("a body that is not known".to_owned());
    };
    match &routine.body {
        Some(_) if !is_readable(routine) => {
            Readable::Unknown(format!("a body in {}", routine.language))
        }
        Some(text) => {
            let body = BodyText::parse(text);
            match body.is_dynamic() {
                true => Readable::Unknown(DYNAMIC.to_owned()),
                false => Readable::Body(body),
            }
        }
        None => Readable::Unknown("a body that is not known".to_owned()),
    }
}
