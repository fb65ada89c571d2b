//! The causes that a server's error can name, each with its kind and meaning.

use crate::error::{ErrorKind, Phase};
use crate::meaning::Meaning;

/// The cause of a failure, as the server's error tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The password is wrong, or the role does not exist.
    PasswordRefused,
    /// The role may not log in, or not to this database.
    RoleRefused,
    /// A rule of the server or pooler rejects this client.
    ClientRejected,
    /// No rule of the server admits this client.
    NoRuleAdmits,
    /// The server wants a certificate of the client.
    ClientCertificate,
    /// The server saw no encryption, though this side encrypts.
    Unencrypted,
    /// The server saw another TLS connection than this side.
    OtherTlsConnection,
    /// The server has no database of that name.
    DatabaseMissing,
    /// The pooler knows no such tenant, endpoint, route or pool.
    TenantUnknown,
    /// The provider has switched the database off: disabled, over its quota, banned.
    Disabled,
    /// The server or pooler does not take a start-up option of the URL.
    OptionRefused,
    /// The database takes no connections.
    NoConnections,
    /// The server, the pooler or the role's share has no connection left.
    Full,
    /// The server is starting up, recovering or shutting down.
    Starting,
    /// The server ended the session: an operator, a crash, a shutdown.
    ShutDown,
    /// The connection broke, or the protocol was violated.
    Broken,
    /// The server did not start a session, and its error says nothing more.
    NotStarted,
    /// An error before encryption, which an attacker may have sent.
    NotEncrypted,
    /// The session refuses writes.
    ReadOnly,
    /// A transaction or statement lost against another, or against the replay on a standby.
    LostRace,
    /// A time limit ended the statement, the transaction or the session.
    Limit(Limit),
}

/// A time limit of the server, the database or the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Without a statement inside of a transaction.
    IdleInTransaction,
    /// Of a transaction (Postgres 17 and newer).
    Transaction,
    /// Without a statement outside of a transaction.
    Idle,
    /// Of a statement; or the statement was cancelled.
    Statement,
}

impl Cause {
    /// Returns the kind of an error of this cause.
    pub(crate) fn kind(self) -> ErrorKind {
        match self {
            Self::PasswordRefused
            | Self::RoleRefused
            | Self::ClientRejected
            | Self::NoRuleAdmits
            | Self::ClientCertificate => ErrorKind::DatabaseRefused,
            Self::Unencrypted | Self::OtherTlsConnection => ErrorKind::ServerNotAuthenticated,
            Self::DatabaseMissing | Self::TenantUnknown => ErrorKind::DatabaseMissing,
            Self::OptionRefused => ErrorKind::DatabaseUrl,
            Self::Full => ErrorKind::TooManyConnections,
            Self::Disabled
            | Self::NoConnections
            | Self::Starting
            | Self::ShutDown
            | Self::Broken
            | Self::NotStarted
            | Self::NotEncrypted => ErrorKind::DatabaseUnreachable,
            Self::ReadOnly => ErrorKind::DatabaseReadOnly,
            Self::LostRace => ErrorKind::Query,
            Self::Limit(_) => ErrorKind::Timeout(Phase::Query),
        }
    }

    /// Returns the meaning of an error of this cause.
    pub(crate) fn meaning(self) -> Meaning {
        match self {
            Self::PasswordRefused | Self::RoleRefused | Self::DatabaseMissing => Meaning::Refused,
            Self::NoRuleAdmits | Self::TenantUnknown => Meaning::Unknown,
            Self::ClientRejected
            | Self::ClientCertificate
            | Self::Unencrypted
            | Self::OtherTlsConnection
            | Self::Disabled
            | Self::OptionRefused
            | Self::NotEncrypted => Meaning::Final,
            Self::NoConnections | Self::ShutDown | Self::Broken => Meaning::Suspect,
            Self::Full => Meaning::Crowded,
            Self::Starting | Self::NotStarted => Meaning::Passing,
            Self::ReadOnly => Meaning::ReadOnly,
            Self::LostRace => Meaning::LostRace,
            Self::Limit(_) => Meaning::Limited,
        }
    }
}

impl Limit {
    /// Returns the name of the setting.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::IdleInTransaction => "idle_in_transaction_session_timeout",
            Self::Transaction => "transaction_timeout",
            Self::Idle => "idle_session_timeout",
            Self::Statement => "statement_timeout",
        }
    }
}
