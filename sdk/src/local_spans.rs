//! The time that the phases of the work with a database take, for `stagelink dev` alone.
//!
//! Nothing is recorded, and no clock read, unless [`enable`] was called, which
//! [`run`](crate::run) and the like do where the local cloud has set `STAGELINK_LOCAL_SPANS`. The
//! record holds times and nothing of a statement, a row or the credentials.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[cfg(feature = "lambda")]
use serde_json::{Value, json};

/// A phase of the work with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanPhase {
    Credentials,
    Tcp,
    Tls,
    Login,
    /// From a statement until the server's response to it has ended.
    Query,
    /// The pause before another attempt.
    Pause,
}

/// A phase that has begun, if phases are recorded. One that is dropped, or that is open when the
/// report is taken, is reported as unfinished.
#[derive(Debug)]
#[must_use]
pub(crate) struct OpenSpan(Option<u64>);

#[derive(Debug)]
#[cfg_attr(
    not(feature = "lambda"),
    expect(dead_code, reason = "the loop that serves invocations reports it")
)]
struct Span {
    phase: SpanPhase,
    start_us: u64,
    duration_us: u64,
    is_unfinished: bool,
}

/// A phase that has begun, by the number of its [`OpenSpan`].
#[derive(Debug)]
struct Begun {
    number: u64,
    phase: SpanPhase,
    start: SystemTime,
    began: Instant,
}

#[derive(Debug, Default)]
struct Recorded {
    last_number: u64,
    open: Vec<Begun>,
    spans: Vec<Span>,
    round_trips: u64,
}

/// Returns whether phases are recorded.
pub(crate) fn is_enabled() -> bool {
    RECORDED.get().is_some()
}

/// Begins a phase.
pub(crate) fn open_span(phase: SpanPhase) -> OpenSpan {
    OpenSpan(RECORDED.get().map(|recorded| lock(recorded).begin(phase)))
}

impl OpenSpan {
    /// Ends the phase and records it.
    pub(crate) fn end(mut self) {
        self.close(false);
    }

    fn close(&mut self, is_unfinished: bool) {
        if let (Some(number), Some(recorded)) = (self.0.take(), RECORDED.get()) {
            lock(recorded).close(number, is_unfinished);
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.close(true);
    }
}

impl Recorded {
    fn begin(&mut self, phase: SpanPhase) -> u64 {
        self.last_number += 1;
        self.open.push(Begun {
            number: self.last_number,
            phase,
            start: SystemTime::now(),
            began: Instant::now(),
        });
        self.last_number
    }

    /// Closes a phase, unless it was reported as unfinished before.
    fn close(&mut self, number: u64, is_unfinished: bool) {
        let at = self.open.iter().position(|begun| begun.number == number);
        let Some(begun) = at.map(|at| self.open.swap_remove(at)) else {
            return;
        };
        self.round_trips += u64::from(begun.phase == SpanPhase::Query && !is_unfinished);
        if self.spans.len() < MAX_SPANS {
            let start = begun.start.duration_since(UNIX_EPOCH).unwrap_or_default();
            self.spans.push(Span {
                phase: begun.phase,
                start_us: u64::try_from(start.as_micros()).unwrap_or(u64::MAX),
                duration_us: u64::try_from(begun.began.elapsed().as_micros()).unwrap_or(u64::MAX),
                is_unfinished,
            });
        }
    }

    /// Closes all phases as unfinished, in the order of their beginnings.
    #[cfg(feature = "lambda")]
    fn close_all(&mut self) {
        let mut open: Vec<_> = self.open.iter().map(|begun| begun.number).collect();
        open.sort_unstable();
        for number in open {
            self.close(number, true);
        }
    }

    #[cfg(feature = "lambda")]
    fn take_report(&mut self) -> Value {
        self.close_all();
        let spans = std::mem::take(&mut self.spans);
        let spans = spans.iter().map(|span| {
            json!({
                "phase": span.phase.as_str(),
                "start_us": span.start_us,
                "duration_us": span.duration_us,
                "is_unfinished": span.is_unfinished,
            })
        });
        json!({
            "spans": spans.collect::<Vec<_>>(),
            "round_trips": std::mem::take(&mut self.round_trips),
        })
    }
}

/// Records the phases of this process from now on.
#[cfg(feature = "lambda")]
pub(crate) fn enable() {
    RECORDED.get_or_init(Mutex::default);
}

/// Returns what was recorded since the last call as the report for the local cloud, if phases are
/// recorded.
#[cfg(feature = "lambda")]
pub(crate) fn take_report() -> Option<Value> {
    Some(lock(RECORDED.get()?).take_report())
}

#[cfg(feature = "lambda")]
impl SpanPhase {
    fn as_str(self) -> &'static str {
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

/// The record of this process, whose invocations come one after the other.
static RECORDED: OnceLock<Mutex<Recorded>> = OnceLock::new();

fn lock(recorded: &Mutex<Recorded>) -> MutexGuard<'_, Recorded> {
    recorded.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The spans that a report lists. Round trips beyond are counted.
const MAX_SPANS: usize = 200;

#[cfg(all(test, feature = "lambda"))]
mod tests {
    use super::*;

    #[test]
    fn phase_without_an_end_is_reported_once_and_as_unfinished() {
        let mut recorded = Recorded::default();
        let [tcp, tls, query] =
            [SpanPhase::Tcp, SpanPhase::Tls, SpanPhase::Query].map(|phase| recorded.begin(phase));
        recorded.close(tcp, false);
        recorded.close(tls, true);
        let report = recorded.take_report();
        let spans = report["spans"].as_array().expect("spans");
        let phases = spans.iter().map(|span| {
            let is_unfinished = span["is_unfinished"].as_bool();
            (span["phase"].as_str().expect("a phase"), is_unfinished)
        });
        let expected = [
            ("tcp", Some(false)),
            ("tls", Some(true)),
            ("query", Some(true)),
        ];
        assert_eq!(phases.collect::<Vec<_>>(), expected);
        assert_eq!(report["round_trips"], 0);
        // It is no part of the next invocation, whenever it ends.
        recorded.close(query, false);
        let next = recorded.take_report();
        assert_eq!(next["spans"].as_array().map(Vec::len), Some(0));
        assert_eq!(next["round_trips"], 0);
    }
}
