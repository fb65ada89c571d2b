//! The meaning of a server's errors: the table of their causes, and the errors that it makes.

mod cause;
mod query;
mod refusal;
mod table;
#[cfg(test)]
mod tests;

use crate::postgres::protocol::{ErrorResponse, Origin, Severity};

pub(crate) use self::cause::Cause;
pub(crate) use self::query::ended;
pub(super) use self::query::response_of;
pub(super) use self::refusal::{refused, refused_before_tls, unauthenticated, without_certificate};

use self::table::When;

/// Returns the cause of an error in answer to a statement, or between two. `None` for an error of
/// the statement's own.
pub(crate) fn cause_in_session(error: &ErrorResponse) -> Option<Cause> {
    table::cause(when_in_session(error), &error.code, &error.message)
}

/// Returns the phase of an error of a session that has started.
fn when_in_session(error: &ErrorResponse) -> When {
    match (error.severity, error.origin) {
        (Severity::Fatal | Severity::Panic, _) | (Severity::Error, Origin::Pooler) => {
            When::SessionEnd
        }
        (Severity::Error, Origin::Postgres) => When::Statement,
        (Severity::Error, Origin::ForeignServer) => When::ForeignServer,
    }
}

/// Returns whether an error at the start of a session may be a reaction to messages that were sent
/// before the server asked: protocol violations, unsupported features, internal errors without a
/// cause of their own. Other errors are about the server or the login.
pub(super) fn may_concern_early_messages(error: &ErrorResponse) -> bool {
    let is_of_protocol = ["08", "0A", "XX"]
        .iter()
        .any(|class| error.code.starts_with(class));
    let names_other_cause = match table::cause(When::Start, &error.code, &error.message) {
        // PgBouncer reports a message that it does not understand as a failed authentication.
        None | Some(Cause::PasswordRefused | Cause::Broken | Cause::NotStarted) => false,
        Some(_) => true,
    };
    (is_of_protocol || error.code.is_empty()) && !names_other_cause
}
