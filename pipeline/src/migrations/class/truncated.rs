//! Tables that code of the database empties: with a foreign key from another table Postgres refuses `TRUNCATE`.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::body_text::BodyText;
use super::draft::Draft;
use super::rules::BAN_NEW_WRITE_RESTRICTION;
use super::scope::Scope;
use super::syntax::child_name;
use crate::migrations::statement::ObjectName;

/// Adds a finding where a statement makes a foreign key to a table that a function of the database empties.
pub(super) fn judge(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    let keys = node.descendants().filter(|one| {
        matches!(
            one.kind(),
            K::REFERENCES_CONSTRAINT | K::FOREIGN_KEY_CONSTRAINT
        )
    });
    for key in keys {
        let Some(table) = child_name(&key, K::TABLE_NAME_REF) else {
            continue;
        };
        let scope = draft.scope;
        if scope.is_new(&table) || scope.is_of_run(&table) {
            continue;
        }
        if let Some(words) = emptied_by(scope, &table) {
            draft.add(BAN_NEW_WRITE_RESTRICTION, &key);
            let advice = format!(
                "the statement in an after file: {words} runs TRUNCATE, which fails for a table that another one references"
            );
            draft.advise(BAN_NEW_WRITE_RESTRICTION, &key, Some(advice));
            draft.fits_both = false;
        }
    }
}

/// Returns the function that empties a table, or may.
fn emptied_by(scope: &Scope<'_>, table: &ObjectName) -> Option<String> {
    let full = scope.resolve(table);
    let mut routines = scope.facts.bodies.values();
    let emptying = routines.find(|routine| {
        let text = routine.body.as_deref().or(routine.definition.as_deref());
        text.is_some_and(|text| {
            text.to_ascii_lowercase().contains("truncate") && BodyText::parse(text).truncates(&full)
        })
    });
    emptying.map(|routine| format!("the function {}()", routine.name))
}
