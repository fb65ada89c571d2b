//! Statements that make a session what it was when it was opened, between two loans.
//!
//! They are one explicit transaction, which ends before the handler's request begins. If one
//! fails, the server does not execute the handler's request, which is already on its way
//! ([`ResetMessages`]).

use std::sync::Arc;
use std::time::Duration;

use super::reset_messages::{ResetMessages, ResetStatement};
use super::session_params::{INVOCATION_LIMITS, milliseconds, quoted, set_if_unlimited};

/// The statements that reset one session.
///
/// The first reset prepares most of them by name, and the others execute them, which costs the
/// server less than their texts do. Like all prepared statements of the session, they stay. BEGIN
/// has no name, so that a session which has lost the others is left in a failed transaction.
#[derive(Debug)]
pub(in crate::postgres) struct SessionReset {
    /// Milliseconds after which the server ends the session for want of a statement.
    idle_timeout: u128,
    /// The session's name, as an SQL literal.
    application_name: Option<String>,
    statements: Vec<ResetStatement>,
    /// The number that the name of the first prepared statement has.
    first: usize,
    /// The messages for prepared statements, once a reset has prepared them.
    executing: Option<Arc<ResetMessages>>,
}

impl SessionReset {
    /// Creates the reset of a session with these [parameters](super::session_params::at_start).
    pub(in crate::postgres) fn new(idle_timeout: Duration, name: Option<&str>) -> Self {
        let idle_timeout = milliseconds(idle_timeout);
        let application_name = name.map(quoted);
        Self {
            statements: statements(idle_timeout, None, application_name.as_deref()),
            idle_timeout,
            application_name,
            first: 0,
            executing: None,
        }
    }

    /// Sets the [limits of an invocation](super::session_params::for_invocations), in place of earlier ones.
    pub(in crate::postgres) fn limit_invocations(&mut self, longest: Duration) {
        let longest = Some(milliseconds(longest));
        let name = self.application_name.as_deref();
        // An earlier reset may have prepared those without the limits.
        self.first += self.statements.len();
        self.statements = statements(self.idle_timeout, longest, name);
        self.executing = None;
    }

    /// Returns the messages of the next reset, which has to be sent.
    pub(in crate::postgres) fn next_messages(&mut self) -> Arc<ResetMessages> {
        if let Some(messages) = &self.executing {
            return Arc::clone(messages);
        }
        let executing = ResetMessages::executing(self.first, &self.statements);
        self.executing = Some(Arc::new(executing));
        Arc::new(ResetMessages::preparing(self.first, &self.statements))
    }
}

/// Builds the statements. The limits are milliseconds: of a session without a statement, and of a
/// statement or an idle transaction in an invocation.
fn statements(
    idle_timeout: u128,
    invocation: Option<u128>,
    application_name: Option<&str>,
) -> Vec<ResetStatement> {
    let bounded = invocation.map(|limit| INVOCATION_LIMITS.map(|setting| (setting, limit)));
    let limits = [("idle_session_timeout", idle_timeout)]
        .into_iter()
        .chain(bounded.into_iter().flatten());
    let mut settings: Vec<String> = limits
        .map(|(setting, limit)| set_if_unlimited(setting, limit))
        .collect();
    settings.extend(
        application_name
            .map(|name| format!("pg_catalog.set_config('application_name', {name}, false)")),
    );
    // The role comes first, since it may not run the rest; then the settings, among them the
    // time limits and the search path that the rest depends on. A read-write transaction is
    // not to be had on a standby, and none of these needs one.
    let command = ResetStatement::command;
    vec![
        command("BEGIN ISOLATION LEVEL READ COMMITTED", "BEGIN").unnamed(),
        command("SET SESSION AUTHORIZATION DEFAULT", "SET"),
        command("RESET ROLE", "RESET"),
        command("RESET ALL", "RESET"),
        command("CLOSE ALL", "CLOSE CURSOR ALL"),
        command("UNLISTEN *", "UNLISTEN"),
        command("DISCARD TEMP", "DISCARD TEMP"),
        command("DISCARD SEQUENCES", "DISCARD SEQUENCES"),
        ResetStatement {
            // Not as columns: the row is the same whatever they return.
            text: format!(
                "SELECT pg_catalog.pg_advisory_unlock_all() \
                 WHERE pg_catalog.num_nulls({}) IS NOT NULL",
                settings.join(", ")
            ),
            tag: "SELECT 1",
            has_row: true,
            is_unnamed: false,
        },
        command("COMMIT", "COMMIT"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(messages: &ResetMessages) -> String {
        String::from_utf8_lossy(messages.bytes()).into_owned()
    }

    #[test]
    fn first_reset_prepares_the_statements_and_the_next_execute_them() {
        let mut reset = SessionReset::new(Duration::from_secs(60), Some("it's mine"));
        let first = sent(&reset.next_messages());
        assert!(first.contains("_sl1\0SET SESSION"), "{first}");
        assert!(
            first.contains("set_config('application_name', 'it''s mine', false)) IS NOT NULL"),
            "{first}"
        );
        assert!(first.contains("'idle_session_timeout', '60000'"), "{first}");
        for _ in 0..2 {
            let next = sent(&reset.next_messages());
            assert!(next.contains("_sl9"), "{next}");
            assert!(!next.contains("COMMIT\0"), "{next}");
            // It has no name, so that the session cannot lose it.
            assert!(next.contains("\0BEGIN ISOLATION"), "{next}");
        }
        // Other statements have other names, since the session may know the first ones.
        reset.limit_invocations(Duration::from_secs(30));
        let bounded = sent(&reset.next_messages());
        assert!(bounded.contains("_sl11\0SET SESSION"), "{bounded}");
        assert!(
            bounded.contains("'statement_timeout', '30000'"),
            "{bounded}"
        );
        assert!(!sent(&reset.next_messages()).contains("COMMIT\0"));
    }
}
