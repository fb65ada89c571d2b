//! The report of a runtime on where the time of its invocations went.
//!
//! It is no part of AWS's Runtime API. A function whose configuration
//! [asks for it](super::FunctionConfig::asks_for_spans) has the variable `STAGELINK_LOCAL_SPANS`,
//! and a runtime that knows the variable sends the report after each response, before it asks for
//! the next event:
//!
//! ```text
//! POST /stagelink/invocation/{request id}/spans
//! {"spans": [{"phase": "tcp", "start_us": 1795737600000000, "duration_us": 412,
//!             "is_unfinished": false}],
//!  "round_trips": 3}
//! ```
//!
//! `start_us` counts from the Unix epoch. A phase is unfinished that failed, was given up, or went on
//! when the report was made; its duration is the time until then. A phase that this version does not
//! know is left out. `round_trips` counts the waits for a database's response, also those of which no
//! span is left in the list.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The report of a runtime on one invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SpanReport {
    /// The spans, in the order of their ends.
    #[serde(deserialize_with = "known_spans")]
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
    /// True if the phase has begun and did not end: it failed, was given up, or went on when the
    /// function responded.
    #[serde(default)]
    pub is_unfinished: bool,
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
    /// The pause before another attempt.
    Pause,
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
            Self::Pause => "pause",
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
    /// responses, without the provider's look-up and the pauses between attempts.
    pub fn database_time(&self) -> Duration {
        let spans = self.spans.iter();
        let others = [Phase::Credentials, Phase::Pause];
        let of_database = spans.filter(|span| !others.contains(&span.phase));
        of_database.map(Span::duration).sum()
    }

    /// Time of all spans of a phase that have ended; `None` where there is none.
    pub fn time_of(&self, phase: Phase) -> Option<Duration> {
        self.sum(phase, false)
    }

    /// Time of all spans of a phase that have begun and did not end; `None` where there is none.
    pub fn unfinished_time_of(&self, phase: Phase) -> Option<Duration> {
        self.sum(phase, true)
    }

    fn sum(&self, phase: Phase, is_unfinished: bool) -> Option<Duration> {
        let spans = self.spans.iter();
        let spans = spans.filter(|span| span.phase == phase && span.is_unfinished == is_unfinished);
        spans.map(Span::duration).reduce(|sum, next| sum + next)
    }

    /// Leaves out what was over before this time, in microseconds since the Unix epoch, and has what
    /// began before it begin then.
    pub(crate) fn begin_at(&mut self, time_us: u64) {
        self.spans.retain(|span| span.end_us() >= time_us);
        for span in &mut self.spans {
            let before = time_us.saturating_sub(span.start_us);
            span.start_us += before;
            span.duration_us -= before;
        }
    }
}

/// Reads the spans whose phases are known.
fn known_spans<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Span>, D::Error> {
    let spans = Vec::<Value>::deserialize(deserializer)?;
    let spans = spans.into_iter();
    Ok(spans
        .filter_map(|span| serde_json::from_value(span).ok())
        .collect())
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
            {"phase": "query", "start_us": 4, "duration_us": 5},
            {"phase": "tls", "start_us": 5, "duration_us": 7, "is_unfinished": true},
            {"phase": "pause", "start_us": 6, "duration_us": 900},
            {"phase": "of a later version", "start_us": 6, "duration_us": 900}
        ], "round_trips": 2, "later": true}"#;
        let report = SpanReport::parse(json).unwrap();
        assert_eq!(report.database_time(), Duration::from_micros(332));
        assert_eq!(
            report.time_of(Phase::Query),
            Some(Duration::from_micros(305))
        );
        assert_eq!(report.time_of(Phase::Tls), None);
        let unfinished = report.unfinished_time_of(Phase::Tls);
        assert_eq!(unfinished, Some(Duration::from_micros(7)));
        assert_eq!(report.spans.len(), 6);
        assert_eq!(report.round_trips, 2);
        assert!(SpanReport::parse(b"[]").is_none());
    }

    #[test]
    fn span_that_began_before_its_request_counts_from_the_arrival() {
        let json = br#"{"spans": [
            {"phase": "tcp", "start_us": 10, "duration_us": 5},
            {"phase": "tls", "start_us": 15, "duration_us": 20},
            {"phase": "query", "start_us": 40, "duration_us": 2}
        ], "round_trips": 1}"#;
        let mut report = SpanReport::parse(json).unwrap();
        report.begin_at(30);
        let times = report.spans.iter();
        let times: Vec<_> = times
            .map(|span| (span.start_us, span.duration_us))
            .collect();
        assert_eq!(times, [(30, 5), (40, 2)]);
    }
}
