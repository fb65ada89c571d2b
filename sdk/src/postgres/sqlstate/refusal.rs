//! The errors of a session that did not start.

use super::cause::Cause;
use super::table::{self, When};
use crate::credentials::DatabaseUrl;
use crate::error::{Error, ErrorKind};
use crate::postgres::protocol::ErrorResponse;

/// The error of a server that answered this instead of starting a session. `server` is
/// `host:port`.
pub(in crate::postgres) fn refused(
    response: ErrorResponse,
    server: &str,
    url: &DatabaseUrl,
) -> Error {
    let cause = table::cause(When::Start, &response.code, &response.message);
    let cause = cause.unwrap_or(Cause::NotStarted);
    let message = message(cause, server, &url.user, &url.database);
    of_cause(cause, Error::with_source(cause.kind(), message, response))
}

/// The error of a server that answered the request for encryption with an error. An attacker may
/// have sent it, so its text only tells a full server from others, and is not quoted.
pub(in crate::postgres) fn refused_before_tls(text: &str, server: &str) -> Error {
    let cause = table::cause(When::BeforeTls, "", text).unwrap_or(Cause::NotEncrypted);
    let message = match cause {
        Cause::Full => format!(
            "{server} has no room for another connection, as it says before encryption: its \
             limit of connections or processes is used up"
        ),
        _ => format!(
            "{server} answered the request for encryption (SSLRequest) with an error, whose text \
             nothing authenticates: look for it in the server's own log"
        ),
    };
    of_cause(cause, Error::new(cause.kind(), message))
}

/// The error of a server that failed to prove that it knows the password.
pub(in crate::postgres) fn unauthenticated(error: std::io::Error, server: &str) -> Error {
    Error::with_source(
        ErrorKind::ServerNotAuthenticated,
        format!("{server} could not be authenticated, so the connection was given up"),
        error,
    )
}

/// The error of a server that ended TLS because the client has no certificate.
pub(in crate::postgres) fn without_certificate(
    error: std::io::Error,
    server: &str,
    url: &DatabaseUrl,
) -> Error {
    let cause = Cause::ClientCertificate;
    let message = message(cause, server, &url.user, &url.database);
    of_cause(cause, Error::with_source(cause.kind(), message, error))
}

fn of_cause(cause: Cause, error: Error) -> Error {
    let error = error.with_meaning(cause.meaning());
    match cause {
        Cause::Full => error.for_a_while(),
        _ => error,
    }
}

/// The message for the operator, with advice.
fn message(cause: Cause, server: &str, user: &str, database: &str) -> String {
    let refused = format!("{server} refused role {user} for database {database}");
    match cause {
        Cause::PasswordRefused => format!(
            "{refused}: the password was changed or the role revoked since the URL was read, or \
             the URL is wrong"
        ),
        Cause::RoleRefused => format!(
            "{refused}: the role does not exist any more, or may not log in to this database"
        ),
        Cause::ClientRejected => format!(
            "{refused}: a rule rejects this client (pg_hba.conf, or the provider's list of \
             addresses): admit the role and the function's addresses there"
        ),
        Cause::NoRuleAdmits => format!(
            "{refused}: no rule of its pg_hba.conf admits this client: admit the role and the \
             function's addresses there, or correct the URL"
        ),
        Cause::ClientCertificate => format!(
            "{server} wants a client certificate of role {user}, which is not supported: take a \
             database that is reachable without one"
        ),
        Cause::Unencrypted => format!(
            "{server} saw no encryption on this connection, so something between here and the \
             server ends it: connect to the server itself"
        ),
        Cause::OtherTlsConnection => format!(
            "{server} saw another TLS connection than this one, so channel binding failed: \
             possible man-in-the-middle"
        ),
        Cause::Full => {
            format!("{server} has no connection left for role {user}: the plan's limit is used up")
        }
        Cause::DatabaseMissing => format!("{server} has no database {database}"),
        Cause::TenantUnknown => format!(
            "{server} does not know the project, tenant or endpoint of role {user} and database \
             {database}: it was deleted or renamed, or the URL is wrong"
        ),
        Cause::Disabled => format!(
            "{server} has database {database} switched off: it is disabled, banned, or over its \
             quota; look after it at its provider"
        ),
        Cause::OptionRefused => format!(
            "{server} does not take a setting in the URL's options for database {database}: behind \
             a pooler remove it from the URL, and set it with ALTER ROLE {user} SET"
        ),
        Cause::NoConnections
        | Cause::Starting
        | Cause::ShutDown
        | Cause::Broken
        | Cause::NotStarted
        | Cause::NotEncrypted
        | Cause::ReadOnly
        | Cause::LostRace
        | Cause::Limit(_) => {
            format!("{server} did not start a session for database {database}")
        }
    }
}
