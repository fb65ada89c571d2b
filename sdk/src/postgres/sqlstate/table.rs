//! The table: the cause of a server's error, by its phase, SQLSTATE and words.

use super::cause::{Cause, Limit};

/// The phase in which the server sent an error.
///
/// Authentication and the start of the session are one phase: no code has another meaning in one
/// than in the other, and poolers send most of theirs in either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Before TLS: the error has no authenticated sender and no reliable form.
    BeforeTls,
    /// During authentication, or at the start of the session.
    Start,
    /// Within a session, by a server that ends it or by a pooler.
    SessionEnd,
    /// In answer to a statement, by Postgres, which goes on with the session.
    Statement,
    /// In answer to a statement, by Postgres in the words of a server that the statement has asked
    /// (postgres_fdw, dblink). This session goes on, whatever became of the other one.
    ForeignServer,
}

/// A row of the table.
struct Row {
    when: &'static [When],
    codes: Codes,
    /// Words of which the message has to contain one, in lower case. Empty for any message.
    words: &'static [&'static str],
    cause: Cause,
}

enum Codes {
    Any,
    /// Codes of this class: their first two characters.
    Class(&'static str),
    /// No code, or one of the classes that poolers take for reasons of their own:
    /// connection_exception, feature_not_supported, system_error, internal_error.
    Pooler,
    Of(&'static [&'static str]),
}

/// Looks an error up. The first row that matches counts. `None` for an error of a statement's own.
pub(super) fn cause(when: When, code: &str, message: &str) -> Option<Cause> {
    let message = message.to_ascii_lowercase();
    let row = TABLE.iter().find(|row| row.matches(when, code, &message));
    row.map(|row| row.cause)
}

impl Row {
    const fn new(
        when: &'static [When],
        codes: Codes,
        words: &'static [&'static str],
        cause: Cause,
    ) -> Self {
        Self {
            when,
            codes,
            words,
            cause,
        }
    }

    fn matches(&self, when: When, code: &str, message: &str) -> bool {
        self.when.contains(&when)
            && self.codes.contain(code)
            && (self.words.is_empty() || self.words.iter().any(|words| message.contains(words)))
    }
}

impl Codes {
    fn contain(&self, code: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Class(class) => code.starts_with(class),
            Self::Pooler => {
                code.is_empty()
                    || ["08", "0A", "58", "XX"]
                        .iter()
                        .any(|class| code.starts_with(class))
            }
            Self::Of(codes) => codes.contains(&code),
        }
    }
}

/// The one table.
///
/// The codes are Postgres's (<https://www.postgresql.org/docs/18/errcodes-appendix.html>). The
/// words are those of Postgres in English, for whose other languages the row without words holds,
/// and of the poolers, which give one code for most reasons: PgBouncer `08P01` (each was provoked
/// in 1.18 on 2026-11-23; 1.20 and newer name the option), Supavisor and Neon `XX000`, pgcat and
/// PgDog `58000` (their sources, 2026-11-27). A pooler that passes on an error of the server's makes it
/// a part of its own.
const TABLE: &[Row] = &{
    use Cause as C;
    use Codes::{Any, Class, Of, Pooler};
    use When::{BeforeTls, ForeignServer, SessionEnd, Start, Statement};

    const START: &[When] = &[Start];
    const END: &[When] = &[SessionEnd];
    const SESSION: &[When] = &[Start, SessionEnd];

    [
        // ---- Before TLS: Postgres that cannot fork, PgBouncer at its limit.
        Row::new(
            &[BeforeTls],
            Any,
            &[
                "could not fork",
                "no more connections",
                "too many connections",
                "too many clients",
            ],
            C::Full,
        ),
        Row::new(&[BeforeTls], Any, &[], C::NotEncrypted),
        // ---- No room: insufficient_resources (within a session 53300 alone is the session's).
        Row::new(SESSION, Of(&["53300"]), &[], C::Full),
        Row::new(START, Of(&["53000", "53200", "53400"]), &[], C::Full),
        Row::new(SESSION, Pooler, FULL, C::Full),
        // ---- Authentication: invalid_password, invalid_authorization_specification
        Row::new(SESSION, Of(&["28P01"]), &[], C::PasswordRefused),
        Row::new(START, Any, &["channel binding"], C::OtherTlsConnection),
        Row::new(SESSION, Of(&["28000"]), UNENCRYPTED, C::Unencrypted),
        Row::new(
            SESSION,
            Of(&["28000"]),
            CLIENT_CERTIFICATE,
            C::ClientCertificate,
        ),
        Row::new(
            SESSION,
            Of(&["28000"]),
            &["pg_hba.conf reject", "login rejected", "is blocked"],
            C::ClientRejected,
        ),
        Row::new(SESSION, Of(&["28000"]), &["hba.conf"], C::NoRuleAdmits),
        Row::new(SESSION, Of(&["28000"]), &[], C::RoleRefused),
        // ---- The database and the rights on it: invalid_catalog_name, insufficient_privilege
        Row::new(START, Of(&["3D000"]), &[], C::DatabaseMissing),
        Row::new(START, Of(&["42501"]), &["set parameter"], C::OptionRefused),
        Row::new(START, Of(&["42501"]), &[], C::RoleRefused),
        // ---- Options: undefined_object, invalid_parameter_value, syntax_error,
        // cant_change_runtime_param
        Row::new(
            START,
            Of(&["42704", "22023", "42601", "55P02"]),
            &[],
            C::OptionRefused,
        ),
        // ---- The state of the server: object_not_in_prerequisite_state, cannot_connect_now,
        // admin_shutdown, crash_shutdown, database_dropped
        Row::new(START, Of(&["55000"]), &[], C::NoConnections),
        Row::new(SESSION, Of(&["57P03"]), &[], C::Starting),
        Row::new(SESSION, Of(&["57P01", "57P02", "57P04"]), &[], C::ShutDown),
        // ---- Time limits: idle_in_transaction_session_timeout, transaction_timeout,
        // idle_session_timeout, query_canceled
        Row::new(
            SESSION,
            Of(&["25P03"]),
            &[],
            C::Limit(Limit::IdleInTransaction),
        ),
        Row::new(SESSION, Of(&["25P04"]), &[], C::Limit(Limit::Transaction)),
        Row::new(SESSION, Of(&["57P05"]), &[], C::Limit(Limit::Idle)),
        Row::new(
            &[Start, SessionEnd, Statement, ForeignServer],
            Of(&["57014"]),
            &[],
            C::Limit(Limit::Statement),
        ),
        // ---- Statements: read_only_sql_transaction; serialization_failure, which a standby's
        // conflict with recovery is too; deadlock_detected
        Row::new(
            &[Start, SessionEnd, Statement],
            Of(&["25006"]),
            &[],
            C::ReadOnly,
        ),
        Row::new(
            &[SessionEnd, Statement, ForeignServer],
            Of(&["40001", "40P01"]),
            &[],
            C::LostRace,
        ),
        // ---- The poolers' words for a client …
        Row::new(START, Pooler, UNENCRYPTED, C::Unencrypted),
        Row::new(START, Pooler, CLIENT_CERTIFICATE, C::ClientCertificate),
        Row::new(START, Pooler, REJECTED, C::ClientRejected),
        Row::new(START, Pooler, DISABLED, C::Disabled),
        Row::new(START, Pooler, OPTION, C::OptionRefused),
        // … for its credentials …
        Row::new(
            START,
            Pooler,
            &[
                "authentication failed",
                "no such user",
                "has no credentials",
            ],
            C::PasswordRefused,
        ),
        Row::new(
            START,
            Pooler,
            &["is not permitted to log in"],
            C::RoleRefused,
        ),
        Row::new(START, Pooler, TENANT, C::TenantUnknown),
        Row::new(
            START,
            Pooler,
            &["no such database", "does not exist"],
            C::DatabaseMissing,
        ),
        // … and for its statements: the time limits of PgBouncer and PgDog.
        Row::new(
            END,
            Pooler,
            &["query_timeout", "query timeout"],
            C::Limit(Limit::Statement),
        ),
        Row::new(
            END,
            Pooler,
            &["idle transaction timeout"],
            C::Limit(Limit::IdleInTransaction),
        ),
        Row::new(
            END,
            Pooler,
            &["transaction timeout", "transaction_timeout"],
            C::Limit(Limit::Transaction),
        ),
        // ---- The rest: protocol_violation at the start is a pooler's word for anything.
        Row::new(START, Of(&["08P01"]), &[], C::NotStarted),
        Row::new(SESSION, Class("08"), &[], C::Broken),
        Row::new(START, Any, &[], C::NotStarted),
    ]
};

/// PgBouncer, Supavisor (which calls these EMAXCONN, EMAXCONNSESSION and ECHECKOUTTIMEOUT since
/// 2026), Neon, Odyssey, pgagroal, Amazon RDS Proxy.
const FULL: &[&str] = &[
    "no more connections",
    "connections exceeded",
    "query_wait_timeout",
    "max client connections",
    "max clients reached",
    "maxclientsinsessionmode",
    "max pools count",
    "check out process from the pool",
    "checkout timeout",
    "echeckouttimeout",
    "emaxc",
    "too many",
    "acquire permit",
    "concurrently active endpoints",
    "active endpoints limit",
    "connection pool is full",
    "waiting to acquire database connection",
];

/// Postgres, PgBouncer, Supavisor, PgDog.
const UNENCRYPTED: &[&str] = &[
    "no encryption",
    "ssl off",
    "ssl required",
    "ssl connection is required",
    "connect with tls",
];

/// Postgres (`clientcert`, `cert`), PgBouncer.
const CLIENT_CERTIFICATE: &[&str] = &[
    "client certificate",
    "certificate authentication failed",
    "tls certificate name mismatch",
];

/// PgBouncer's `pg_hba.conf`, Odyssey, Supavisor, Neon.
const REJECTED: &[&str] = &[
    "login rejected",
    "user is blocked",
    "not in tenant allow_list",
    "blocked network",
];

/// Neon, Supavisor.
const DISABLED: &[&str] = &[
    "endpoint has been disabled",
    "endpoint is disabled",
    "exceeded the compute time quota",
    "exceeded the data transfer quota",
    "exceeded the quota",
    "banned",
];

/// PgBouncer before and since 1.20, Supavisor, Amazon RDS Proxy.
const OPTION: &[&str] = &[
    "startup parameter",
    "startup option",
    "command-line options",
];

/// Supavisor before and since 2026, Neon, pgcat, Odyssey.
const TENANT: &[&str] = &[
    "tenant or user not found",
    "tenant/user",
    "enotfound",
    "tenant not found",
    "no tenant identifier",
    "invalid format for user or db_name",
    "endpoint could not be found",
    "endpoint id is not specified",
    "no pool configured",
    "route for",
];
