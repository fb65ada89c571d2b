//! The report of a runtime on where the time of its invocations went.
//!
//! It is no part of AWS's Runtime API. A function whose configuration
//! [asks for it](super::FunctionConfig::asks_for_spans) has the variable `STAGELINK_LOCAL_SPANS`,
//! and a runtime that knows the variable sends the report after each response, before it asks for
//! the next event:
//!
//! ```text
//! POST /stagelink/invocation/{request id}/spans
//! {"spans": [{"phase": "tcp", "start_us": 1795737600000000, "duration_us": 412}],
//!  "round_trips": 3}
//! ```
//!
//! `start_us` counts from the Unix epoch. `round_trips` counts the waits for a database's
//! response, also those of which no span is left in the list.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// The report of a runtime on one invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SpanReport {
    /// The spans, in the order of their ends.
    pub spans: Vec<Span>,
    /// Number of times that the function waited for its database to answer.
    pub round_trips: u64,
}

/// One phase of the work with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Span {
    /// The phase.
    pub phase: Phase,
    /// Start in microseconds since the Unix epoch, by the clock of this machine.
    pub start_us: u64,
    /// Duration in microseconds.
    pub duration_us: u64,
}

/// A phase of the work with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Phase {
    /// The provider's look-up of the credentials.
    Credentials,
    /// The look-up of the server's name and the TCP connection.
    Tcp,
    /// The TLS handshake.
    Tls,
    /// Authentication and the start of the session.
    Login,
    /// From a statement until the server's response to it has ended.
    Query,
}

impl Phase {
    /// Name of the phase, as in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Login => "login",
            Self::Query => "query",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Span {
    /// End in microseconds since the Unix epoch.
    pub fn end_us(&self) -> u64 {
        self.start_us.saturating_add(self.duration_us)
    }

    /// Duration of the phase.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.duration_us)
    }
}

impl SpanReport {
    /// Parses the report of a runtime.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let mut report: Self = serde_json::from_slice(json).ok()?;
        report.spans.truncate(MAX_SPANS);
        Some(report)
    }

    /// Time that the function spent with its database: connecting to it and waiting for its
    /// responses, without the provider's look-up.
    pub fn database_time(&self) -> Duration {
        let spans = self.spans.iter();
        let of_database = spans.filter(|span| span.phase != Phase::Credentials);
        of_database.map(Span::duration).sum()
    }

    /// Time of all spans of a phase; `None` where there is none.
    pub fn time_of(&self, phase: Phase) -> Option<Duration> {
        let spans = self.spans.iter().filter(|span| span.phase == phase);
        spans.map(Span::duration).reduce(|sum, next| sum + next)
    }
}

/// The spans of a report that are kept.
const MAX_SPANS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_sums_the_phases_of_the_database() {
        let json = br#"{"spans": [
            {"phase": "credentials", "start_us": 1, "duration_us": 1000},
            {"phase": "tcp", "start_us": 2, "duration_us": 20},
            {"phase": "query", "start_us": 3, "duration_us": 300},
            {"phase": "query", "start_us": 4, "duration_us": 5}
        ], "round_trips": 2, "later": true}"#;
        let report = SpanReport::parse(json).unwrap();
        assert_eq!(report.database_time(), Duration::from_micros(325));
        assert_eq!(
            report.time_of(Phase::Query),
            Some(Duration::from_micros(305))
        );
        assert_eq!(report.time_of(Phase::Tls), None);
        assert_eq!(report.round_trips, 2);
        assert!(SpanReport::parse(b"[]").is_none());
    }
}
