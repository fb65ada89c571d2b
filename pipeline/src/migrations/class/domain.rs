//! `ALTER DOMAIN`, which may look at the rows of all tables with the domain.

use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::draft::Draft;
use super::lock::LockMode;
use super::own_code;
use super::rules::{BAN_ALTER_DOMAIN, BAN_DROP_CONSTRAINT, UNKNOWN_STATEMENT};
use super::safe_form;
use super::syntax::{child_name, find};

/// Judges the statement.
pub(super) fn judge(draft: &mut Draft<'_>, node: &SyntaxNode) {
    use SyntaxKind as K;
    let domain = child_name(node, K::DOMAIN_REF);
    let action = node.children().find(|one| one.kind() != K::DOMAIN_REF);
    let (Some(domain), Some(action)) = (domain, action) else {
        draft.add(UNKNOWN_STATEMENT, node);
        return;
    };
    let is_valid_later = find(&action, K::NOT_VALID).is_some();
    match action.kind() {
        K::ADD_CONSTRAINT if is_valid_later => {
            draft.dismiss(BAN_ALTER_DOMAIN, &action, "NOT VALID looks at no row");
        }
        K::ADD_CONSTRAINT | K::SET_NOT_NULL | K::VALIDATE_CONSTRAINT => {
            draft.add(BAN_ALTER_DOMAIN, &action);
            let form = safe_form::domain(draft, &domain, &action);
            draft.advise(BAN_ALTER_DOMAIN, &action, form);
            let is_validation = action.kind() == K::VALIDATE_CONSTRAINT;
            draft.is_long = true;
            if let Some(tables) = draft.scope.tables_of_domain(&domain) {
                draft.tie(BAN_ALTER_DOMAIN, &action, &tables);
                for table in &tables {
                    let is_long = !draft.scope.size(table).is_small();
                    draft.lock(table, LockMode::Share, is_long);
                }
                draft.is_long = draft.relax_tied("the tables with the domain are small");
            }
            let code = match is_validation {
                true => (draft.scope.runs_code_of_type(&domain))
                    .then(|| format!("the constraints of {domain}")),
                false => own_code::in_expressions(draft.scope, &action),
            };
            // No value of a new domain is stored yet.
            if let Some(code) = code.filter(|_| !draft.scope.is_new(&domain)) {
                own_code::add(draft, &action, &code);
            }
            draft.fits_both = is_validation && draft.found.is_empty();
        }
        K::DROP_CONSTRAINT => {
            let because = "without the constraint the code that runs now goes on";
            draft.dismiss(BAN_DROP_CONSTRAINT, &action, because);
        }
        K::DROP_NOT_NULL => {}
        _ if draft.found.is_empty() => draft.add(UNKNOWN_STATEMENT, node),
        _ => {}
    }
    if draft.scope.is_new(&domain) {
        draft.accept_as_new();
    }
}
