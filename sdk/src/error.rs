//! The public error: its kind, a text for the operator, a text for the client, and its cause.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use crate::log_line::with_causes;
use crate::meaning::{Meaning, Repeats};
use crate::one_line::LineWriter;

type Source = Box<dyn StdError + Send + Sync>;

/// The failure of a query, or of the way to the database.
///
/// `Display` is for the operator: what was tried, on what, and what to do about it. It holds no
/// secret, is one line and is safe to log. The cause is in [`source`](StdError::source) alone;
/// [`report`](Error::report) joins the two for a log line.
///
/// A client must see neither: [`public_message`](Error::public_message) is the only text that may
/// leave the function.
///
/// Cloning is cheap, so that one failure can answer several waiting requests.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
    meaning: Meaning,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kind of an [`Error`], which says who can act.
///
/// The operator's mistakes, a service's failures and the network's failures never share a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An environment variable is missing, contradicts another, or cannot be read.
    Settings,
    /// The stage that this function serves is unknown.
    Stage,
    /// The stage has no app in its pipeline, or more than one.
    App,
    /// The stage has no database URL, or one that is not usable.
    DatabaseUrl,
    /// A preview has no database of its own, or none yet, and gets no other.
    NoDatabase,
    /// The provider refused the token, or does not know what was asked for.
    ProviderRefused,
    /// The provider's rate limit is used up.
    RateLimited,
    /// The provider could not be reached, failed, or answered with nonsense.
    ProviderUnavailable,
    /// The server offers no encryption, or does not authenticate itself.
    ServerNotAuthenticated,
    /// The database refused the role or its password.
    DatabaseRefused,
    /// The database, or the role's share of it, has no connection left.
    TooManyConnections,
    /// The server has no database of that name.
    DatabaseMissing,
    /// The database is marked as another stage's, its mark cannot be read, or it carries none where
    /// one is required.
    WrongDatabase,
    /// The database server could not be reached, or broke the connection.
    DatabaseUnreachable,
    /// The database takes no writes: it is a standby, or read-only for a while.
    DatabaseReadOnly,
    /// The connection broke before the server answered, so the write may or may not have taken
    /// effect. Trying again may do it twice.
    OutcomeUnknown,
    /// An idempotency key came again with another request than the first time.
    IdempotencyKeyReused,
    /// A time-out in the named phase.
    Timeout(Phase),
    /// The server understood a query and answered with an error.
    Query,
}

/// A phase on the way from a request to a query's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The request to the provider for the stage's database URL.
    Resolve,
    /// The look-up of the server's name and the TCP connection.
    Connect,
    /// The TLS handshake, the authentication and the session's start.
    Handshake,
    /// The wait for one of the pool's connections.
    Wait,
    /// The wait for the answer to a query.
    Query,
}

impl Error {
    /// Makes an error for the operator, as a [`Provider`](crate::Provider) of your own does: what
    /// was tried, on what, and what to do. The message must hold no secret.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            retry_after: None,
            meaning: usual_meaning(kind),
            source: None,
        }))
    }

    /// Makes an error with its cause, which the message does not repeat. The cause must hold no
    /// secret either.
    pub fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Source>,
    ) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            retry_after: None,
            meaning: usual_meaning(kind),
            source: Some(source.into().into()),
        }))
    }

    /// Makes an error for a provider's rate limit, with the wait if the provider named one.
    pub fn rate_limited(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self(Arc::new(Inner {
            kind: ErrorKind::RateLimited,
            message: message.into(),
            retry_after,
            meaning: Meaning::Passing,
            source: None,
        }))
    }

    /// Makes an error for a preview without a database; with a wait where one is being made.
    pub(crate) fn no_database(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self(Arc::new(Inner {
            kind: ErrorKind::NoDatabase,
            message: message.into(),
            retry_after,
            meaning: Meaning::Final,
            source: None,
        }))
    }

    /// Sets the meaning, where it is not the usual one of the kind.
    pub(crate) fn with_meaning(mut self, meaning: Meaning) -> Self {
        if self.0.meaning != meaning {
            Arc::make_mut(&mut self.0).meaning = meaning;
        }
        self
    }

    /// Sets a wait of 1 to 4 seconds, at random, so that instances that were refused together do
    /// not come back together.
    pub(crate) fn for_a_while(mut self) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.retry_after = Some(Duration::from_secs(fastrand::u64(1..=4)));
        }
        self
    }

    /// Sets the time to wait before another try, where it is known. Copies keep theirs.
    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        if wait.is_some() {
            Arc::make_mut(&mut self.0).retry_after = wait;
        }
        self
    }

    /// Returns the meaning for what the pool and the retries do next.
    pub(crate) fn meaning(&self) -> Meaning {
        self.0.meaning
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the same call may succeed a moment later without any change.
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            ErrorKind::RateLimited
            | ErrorKind::ProviderUnavailable
            | ErrorKind::TooManyConnections
            | ErrorKind::DatabaseReadOnly => true,
            ErrorKind::DatabaseUnreachable => self.0.meaning.repeats() != Repeats::None,
            // A query that timed out may still be running.
            ErrorKind::Timeout(phase) => phase != Phase::Query,
            // A database that is being made comes with a wait.
            ErrorKind::NoDatabase => self.0.retry_after.is_some(),
            ErrorKind::Settings
            | ErrorKind::Stage
            | ErrorKind::App
            | ErrorKind::DatabaseUrl
            | ErrorKind::ProviderRefused
            | ErrorKind::ServerNotAuthenticated
            | ErrorKind::DatabaseRefused
            | ErrorKind::DatabaseMissing
            | ErrorKind::WrongDatabase
            | ErrorKind::OutcomeUnknown
            | ErrorKind::IdempotencyKeyReused
            | ErrorKind::Query => false,
        }
    }

    /// Returns the time to wait before another try, where it is known.
    ///
    /// The provider's own `Retry-After`, where it sent one. For a full database, and for a time
    /// limit of the settings on the way to it, 1 to 4 seconds, at random, so that clients that
    /// were refused together do not come back together; one second for a database that may be
    /// back by then; 10 seconds for a preview's database that is being made.
    pub fn retry_after(&self) -> Option<Duration> {
        let otherwise = match self.0.kind {
            ErrorKind::TooManyConnections | ErrorKind::DatabaseReadOnly => {
                Some(Duration::from_secs(1))
            }
            ErrorKind::DatabaseUnreachable if self.is_retryable() => Some(Duration::from_secs(1)),
            _ => None,
        };
        self.0.retry_after.or(otherwise)
    }

    /// Returns the only text about this failure that a function may send to a client.
    ///
    /// It names no host, app, role or variable.
    pub fn public_message(&self) -> &'static str {
        match self.0.kind {
            ErrorKind::Settings | ErrorKind::Stage => {
                "This function is not set up for a stage. Its operator finds the reason in the function's log."
            }
            ErrorKind::App
            | ErrorKind::DatabaseUrl
            | ErrorKind::ProviderRefused
            | ErrorKind::WrongDatabase => {
                "The database of this stage is not set up. The operator finds the reason in the function's log."
            }
            ErrorKind::NoDatabase if self.0.retry_after.is_some() => {
                "This preview's database is being made. Try again in a minute."
            }
            ErrorKind::NoDatabase => "This preview has no database.",
            ErrorKind::ServerNotAuthenticated => {
                "The connection to the database could not be secured, so none was made."
            }
            ErrorKind::RateLimited
            | ErrorKind::ProviderUnavailable
            | ErrorKind::DatabaseRefused
            | ErrorKind::DatabaseMissing
            | ErrorKind::DatabaseUnreachable => "The database cannot be reached at the moment.",
            ErrorKind::DatabaseReadOnly => "The database takes no changes at the moment.",
            ErrorKind::OutcomeUnknown => {
                "The connection to the database broke before it answered, so it is not known \
                 whether this took effect. Look before you send it again."
            }
            ErrorKind::IdempotencyKeyReused => {
                "This Idempotency-Key was used before, for another request. Send this one with a \
                 key of its own."
            }
            ErrorKind::TooManyConnections => {
                "The database has no free connection at the moment. Try again in a moment."
            }
            ErrorKind::Timeout(_) => "The database took too long to answer.",
            ErrorKind::Query => "The database could not answer this request.",
        }
    }

    /// Returns the message and its causes in one line, for a log. Control characters are escaped,
    /// and the DETAIL of a database error, which repeats a row's values, is left out unless
    /// `STAGELINK_LOG_DETAIL` is `true`.
    pub fn report(&self) -> impl fmt::Display + '_ {
        with_causes(self)
    }
}

/// Returns the meaning of a failure of which only the kind is known.
fn usual_meaning(kind: ErrorKind) -> Meaning {
    match kind {
        ErrorKind::DatabaseRefused | ErrorKind::DatabaseMissing => Meaning::Refused,
        ErrorKind::TooManyConnections => Meaning::Crowded,
        ErrorKind::DatabaseReadOnly => Meaning::ReadOnly,
        ErrorKind::DatabaseUnreachable
        | ErrorKind::RateLimited
        | ErrorKind::ProviderUnavailable => Meaning::Passing,
        ErrorKind::Timeout(Phase::Resolve | Phase::Connect | Phase::Handshake) => Meaning::Silent,
        ErrorKind::Settings
        | ErrorKind::Stage
        | ErrorKind::App
        | ErrorKind::DatabaseUrl
        | ErrorKind::NoDatabase
        | ErrorKind::ProviderRefused
        | ErrorKind::ServerNotAuthenticated
        | ErrorKind::WrongDatabase
        | ErrorKind::OutcomeUnknown
        | ErrorKind::IdempotencyKeyReused
        | ErrorKind::Timeout(Phase::Wait | Phase::Query)
        | ErrorKind::Query => Meaning::Final,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LineWriter(f).write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            // As in a report: the driver's own output has all that the server said.
            .field(
                "source",
                &self.source().map(|source| with_causes(source).to_string()),
            )
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Handshake => "handshake",
            Self::Wait => "wait",
            Self::Query => "query",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_one_line_whatever_its_names_hold() {
        let error = Error::new(ErrorKind::App, "database a\nERROR b\u{1b}[2J is missing");
        let expected = r"database a\nERROR b\u{1b}[2J is missing";
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.report().to_string(), expected);
    }

    #[test]
    fn report_joins_message_and_causes_once() {
        let cause = std::io::Error::other("connection reset");
        let error = Error::with_source(ErrorKind::DatabaseUnreachable, "could not connect", cause);
        assert_eq!(error.to_string(), "could not connect");
        assert_eq!(
            error.report().to_string(),
            "could not connect: connection reset"
        );
    }

    #[test]
    fn public_message_never_repeats_the_operators() {
        let error = Error::new(ErrorKind::App, "stage staging has no app in pipeline shop");
        assert!(!error.public_message().contains("shop"));
    }

    #[test]
    fn full_database_says_when_to_come_back() {
        let error = Error::new(ErrorKind::TooManyConnections, "too many connections");
        assert!(error.is_retryable());
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    }
}
