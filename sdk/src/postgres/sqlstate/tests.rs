//! The table, row by row, with the words that servers and poolers send.

use super::cause::{Cause, Limit};
use super::table::{When, cause};
use super::*;
use crate::credentials::DatabaseUrl;
use crate::error::{Error, ErrorKind};
use crate::meaning::{Meaning, Repeats};

/// Errors at the start of a session, with their causes.
const AT_START: &[(Cause, &[(&str, &str)])] = &[
    (
        Cause::PasswordRefused,
        &[
            ("28P01", r#"password authentication failed for user "u""#),
            ("08P01", "SASL authentication failed"),
            ("08P01", r#"password authentication failed for user "u""#),
            ("08P01", "no such user: u"),
            ("XX000", r#"password authentication failed for user 'u'"#),
            ("08000", "This RDS proxy has no credentials for the role u"),
        ],
    ),
    (
        Cause::RoleRefused,
        &[
            ("28000", r#"role "u" is not permitted to log in"#),
            ("28000", "la connexion est refusée"),
            ("42501", r#"permission denied for database "d""#),
            ("08P01", r#"role "u" is not permitted to log in"#),
            // PgDog
            (
                "28000",
                r#"password for user "u" and database "d" is wrong, or the database does not exist"#,
            ),
        ],
    ),
    (
        Cause::NoRuleAdmits,
        &[
            (
                "28000",
                r#"no pg_hba.conf entry for user "u", SSL encryption"#,
            ),
            // pgagroal
            ("28000", r#"no pgagroal_hba.conf entry for host "1.2.3.4""#),
        ],
    ),
    (
        Cause::ClientRejected,
        &[
            (
                "28000",
                r#"pg_hba.conf rejects connection for host "1.2.3.4""#,
            ),
            ("08P01", "login rejected"),
            ("XX000", "Address not in tenant allow_list: {1, 2, 3, 4}"),
            (
                "XX000",
                "This connection is trying to access this endpoint from a blocked network.",
            ),
        ],
    ),
    (
        Cause::ClientCertificate,
        &[
            ("28000", "connection requires a valid client certificate"),
            ("28000", r#"certificate authentication failed for user "u""#),
            ("08P01", "TLS certificate name mismatch"),
        ],
    ),
    (
        Cause::Unencrypted,
        &[
            (
                "28000",
                r#"no pg_hba.conf entry for user "u", no encryption"#,
            ),
            ("28000", r#"no pg_hba.conf entry for user "u", SSL off"#),
            ("08P01", "SSL required"),
            ("XX000", "SSL connection is required"),
            ("08004", "Clients must connect with TLS"),
        ],
    ),
    (
        Cause::DatabaseMissing,
        &[
            ("3D000", r#"database "d" does not exist"#),
            ("08P01", r#"database "d" does not exist"#),
            ("08P01", "no such database: d"),
        ],
    ),
    (
        Cause::TenantUnknown,
        &[
            ("XX000", "Tenant or user not found"),
            ("XX000", "(ENOTFOUND) tenant/user postgres.ref not found"),
            ("08006", "Tenant or user not found"),
            (
                "XX000",
                "The requested endpoint could not be found, or you don't have access to it.",
            ),
            ("08P01", "Endpoint ID is not specified."),
            (
                "58000",
                "No pool configured for database: \"d\", user: \"u\"",
            ),
            ("08P01", "odyssey: c1: route for 'd.u' is not found"),
        ],
    ),
    (
        Cause::Disabled,
        &[
            (
                "XX000",
                "The endpoint has been disabled. Enable it using Neon API and retry.",
            ),
            (
                "XX000",
                "Your account or project has exceeded the compute time quota.",
            ),
        ],
    ),
    (
        Cause::OptionRefused,
        &[
            ("42704", r#"unrecognized configuration parameter "x""#),
            ("22023", "invalid value for parameter"),
            ("42601", "invalid command-line argument for server process"),
            ("42501", r#"permission denied to set parameter "x""#),
            ("08P01", "unsupported startup parameter: options"),
            (
                "08P01",
                "unsupported startup parameter in options: search_path",
            ),
            (
                "0A000",
                "RDS Proxy currently doesn't support command-line options.",
            ),
        ],
    ),
    (
        Cause::Full,
        &[
            ("53300", r#"too many connections for role "u""#),
            ("53300", "remaining connection slots are reserved"),
            ("53300", "connection pool is full"),
            ("53200", "out of memory"),
            ("08P01", r#"too many connections for role "u""#),
            ("08P01", "no more connections allowed (max_client_conn)"),
            (
                "08P01",
                "client connections exceeded (max_db_client_connections)",
            ),
            ("08P01", "query_wait_timeout"),
            ("XX000", "Max client connections reached"),
            (
                "XX000",
                "(EMAXCONN) max client connections reached, limit: 200",
            ),
            (
                "XX000",
                "MaxClientsInSessionMode: max clients reached - in Session mode max clients are \
                 limited to pool_size",
            ),
            (
                "XX000",
                "(EMAXCONNSESSION) max clients reached in session mode - max clients are limited \
                 to pool_size: 15",
            ),
            ("XX000", "Max pools count reached"),
            (
                "XX000",
                "Unable to check out process from the pool due to timeout",
            ),
            (
                "XX000",
                "You have exceeded the limit of concurrently active endpoints.",
            ),
            (
                "XX000",
                "Failed to acquire permit to connect to the database.",
            ),
            ("08P01", "Timed-out waiting to acquire database connection"),
        ],
    ),
    (
        Cause::NoConnections,
        &[(
            "55000",
            r#"database "d" is not currently accepting connections"#,
        )],
    ),
    (
        Cause::Starting,
        &[
            ("57P03", "the database system is starting up"),
            ("57P03", "the database system is shutting down"),
        ],
    ),
    (
        Cause::ShutDown,
        &[(
            "57P01",
            "terminating connection due to administrator command",
        )],
    ),
    (Cause::Broken, &[("08006", "connection failure")]),
    (
        Cause::NotStarted,
        &[
            ("08P01", "client_login_timeout"),
            ("XX000", "something else"),
            ("XX000", "Control plane request failed"),
            (
                "58000",
                r#"connection pool for user "u" and database "d" is down"#,
            ),
            ("53100", "could not write: no space left on device"),
            ("", ""),
        ],
    ),
];

#[test]
fn errors_at_the_start_have_these_causes() {
    for (expected, errors) in AT_START {
        for (code, message) in *errors {
            let found = cause(When::Start, code, message);
            assert_eq!(found, Some(*expected), "{code} {message}");
        }
    }
}

#[test]
fn errors_within_a_session_have_these_causes() {
    for (code, message, expected) in [
        ("57P01", "", Some(Cause::ShutDown)),
        ("57P02", "", Some(Cause::ShutDown)),
        ("57P04", "", Some(Cause::ShutDown)),
        ("57P05", "", Some(Cause::Limit(Limit::Idle))),
        ("25P03", "", Some(Cause::Limit(Limit::IdleInTransaction))),
        ("25P04", "", Some(Cause::Limit(Limit::Transaction))),
        ("57014", "", Some(Cause::Limit(Limit::Statement))),
        (
            "08P01",
            "query_timeout",
            Some(Cause::Limit(Limit::Statement)),
        ),
        (
            "08P01",
            "idle transaction timeout",
            Some(Cause::Limit(Limit::IdleInTransaction)),
        ),
        ("08P01", "", Some(Cause::Broken)),
        ("08006", "", Some(Cause::Broken)),
        ("08P01", "query_wait_timeout", Some(Cause::Full)),
        ("25006", "", Some(Cause::ReadOnly)),
        ("53300", "", Some(Cause::Full)),
        ("40001", "", Some(Cause::LostRace)),
        (
            "40001",
            "canceling statement due to conflict with recovery",
            Some(Cause::LostRace),
        ),
        ("40P01", "", Some(Cause::LostRace)),
        // These are the statement's own: a constraint, a right, a table, a name, memory.
        ("23505", "", None),
        ("42501", "", None),
        ("42P01", "", None),
        ("3D000", "", None),
        ("55000", "", None),
        ("53200", "", None),
        ("XX000", "something else", None),
        ("25P02", "", None),
    ] {
        assert_eq!(cause(When::SessionEnd, code, message), expected, "{code}");
    }
}

/// Of a running session's own errors few have a cause that is not the statement, and none ends it.
#[test]
fn error_of_a_statement_is_its_own_whatever_its_code() {
    let routines = [
        "pgfdw_report_error",
        "pgfdw_report_internal",
        "dblink_res_error",
    ];
    let foreign = routines.map(|routine| Origin::of_routine(routine.as_bytes()));
    assert_eq!(foreign, [Origin::ForeignServer; 3]);
    for (code, message, of_postgres, of_foreign_server) in [
        (
            "08001",
            r#"could not connect to server "other""#,
            None,
            None,
        ),
        ("08003", "connection not available", None, None),
        (
            "08006",
            "server closed the connection unexpectedly",
            None,
            None,
        ),
        ("08P01", "query_wait_timeout", None, None),
        ("08P01", "query_timeout", None, None),
        (
            "28P01",
            r#"password authentication failed for user "u""#,
            None,
            None,
        ),
        (
            "28000",
            r#"no pg_hba.conf entry for host "::1""#,
            None,
            None,
        ),
        ("53300", "sorry, too many clients already", None, None),
        (
            "57P01",
            "terminating connection due to administrator command",
            None,
            None,
        ),
        ("57P03", "the database system is starting up", None, None),
        (
            "57P05",
            "terminating connection due to idle-session timeout",
            None,
            None,
        ),
        (
            "25P04",
            "terminating connection due to transaction timeout",
            None,
            None,
        ),
        ("XX000", "Max client connections reached", None, None),
        (
            "25006",
            "cannot execute INSERT",
            Some(Cause::ReadOnly),
            None,
        ),
        ("40001", "", Some(Cause::LostRace), Some(Cause::LostRace)),
        (
            "57014",
            "canceling statement due to statement timeout",
            Some(Cause::Limit(Limit::Statement)),
            Some(Cause::Limit(Limit::Statement)),
        ),
    ] {
        let mut error = ErrorResponse {
            code: code.to_owned(),
            message: message.to_owned(),
            severity: Severity::Error,
            origin: Origin::Postgres,
        };
        assert_eq!(cause_in_session(&error), of_postgres, "{code} {message}");
        error.origin = Origin::ForeignServer;
        assert_eq!(
            cause_in_session(&error),
            of_foreign_server,
            "{code} {message}"
        );
        for (severity, origin) in [
            (Severity::Fatal, Origin::Postgres),
            (Severity::Panic, Origin::Postgres),
            (Severity::Fatal, Origin::Pooler),
            (Severity::Error, Origin::Pooler),
        ] {
            (error.severity, error.origin) = (severity, origin);
            assert!(cause_in_session(&error).is_some(), "{code} {message}");
        }
    }
}

#[test]
fn error_before_encryption_is_only_told_from_a_full_server() {
    for text in [
        "could not fork new process for connection: Resource temporarily unavailable\n\0",
        "\0\0\0\x50SFATAL\0C08P01\0Mno more connections allowed (max_client_conn)\0\0",
        "\0\0\0\x50SFATAL\0C53300\0Msorry, too many clients already\0\0",
    ] {
        let error = refused_before_tls(text, "db:5432");
        assert_eq!(error.kind(), ErrorKind::TooManyConnections, "{text}");
        assert_eq!(error.meaning(), Meaning::Crowded);
    }
    for text in [
        "",
        "SFATAL\0C28P01\0Mpassword authentication failed\0",
        "forged",
    ] {
        let error = refused_before_tls(text, "db:5432");
        assert_eq!(error.meaning(), Meaning::Final, "{text}");
        assert!(!error.is_retryable());
        let report = error.report().to_string();
        assert!(!report.contains("forged") && !report.contains("password"));
    }
}

#[test]
fn clients_that_a_full_server_refuses_together_do_not_come_back_together() {
    let url = DatabaseUrl::parse("postgres://u:p@db/d", "a test").unwrap();
    let within_tls = || {
        let response = ErrorResponse {
            code: "53300".to_owned(),
            message: "sorry, too many clients already".to_owned(),
            severity: Severity::Fatal,
            origin: Origin::Postgres,
        };
        refused(response, "db:5432", &url)
    };
    let before_tls = || refused_before_tls("could not fork new process", "db:5432");
    let refusals: [&dyn Fn() -> Error; 2] = [&within_tls, &before_tls];
    for refusal in refusals {
        let mut waits: Vec<_> = (0..40).map(|_| refusal().retry_after().unwrap()).collect();
        waits.dedup();
        assert!(waits.len() > 1, "{waits:?}");
    }
    let text = before_tls().to_string();
    assert!(
        text.contains("has no room for another connection"),
        "{text}"
    );
}

/// The kind is for people, the meaning for the pool: they must not contradict each other.
#[test]
fn kind_and_meaning_of_a_cause_agree() {
    let limits = [
        Limit::IdleInTransaction,
        Limit::Transaction,
        Limit::Idle,
        Limit::Statement,
    ];
    let others = [Cause::OtherTlsConnection, Cause::NotEncrypted];
    let others = others.into_iter().chain([Cause::ReadOnly, Cause::LostRace]);
    let causes = AT_START.iter().map(|(cause, _)| *cause).chain(others);
    for cause in causes.chain(limits.map(Cause::Limit)) {
        let (kind, meaning) = (cause.kind(), cause.meaning());
        let is = |expected: ErrorKind| kind == expected;
        assert_eq!(is(ErrorKind::TooManyConnections), meaning.is_crowding());
        assert_eq!(
            is(ErrorKind::DatabaseReadOnly),
            meaning == Meaning::ReadOnly
        );
        assert_eq!(is(ErrorKind::Query), meaning == Meaning::LostRace);
        let is_setup = is(ErrorKind::DatabaseUrl) || is(ErrorKind::ServerNotAuthenticated);
        assert!(!is_setup || meaning == Meaning::Final, "{cause:?}");
        let is_told_at_once = meaning.repeats() == Repeats::None;
        let error = Error::new(kind, "").with_meaning(meaning);
        assert!(!(is_told_at_once && error.is_retryable()), "{cause:?}");
    }
}

#[test]
fn error_that_names_a_cause_is_no_reaction_to_early_messages() {
    let concerns = |code: &str, message: &str| {
        may_concern_early_messages(&ErrorResponse {
            code: code.to_owned(),
            message: message.to_owned(),
            ..ErrorResponse::default()
        })
    };
    assert!(concerns("08P01", "expected SASL response"));
    assert!(concerns("08P01", "SASL authentication failed"));
    assert!(concerns("XX000", "") && concerns("", ""));
    assert!(!concerns("XX000", "Max client connections reached"));
    assert!(!concerns("08P01", "unsupported startup parameter: options"));
    assert!(!concerns("28P01", ""));
}

#[test]
fn only_a_refused_password_is_said_to_have_changed() {
    let url = DatabaseUrl::parse("postgres://u:p@db/d", "a test").unwrap();
    for (cause, errors) in AT_START {
        for (code, message) in *errors {
            let response = ErrorResponse {
                code: (*code).to_owned(),
                message: (*message).to_owned(),
                ..ErrorResponse::default()
            };
            let text = refused(response, "db:5432", &url).to_string();
            let says_changed = text.contains("the password was changed");
            assert_eq!(says_changed, *cause == Cause::PasswordRefused, "{text}");
        }
    }
}
