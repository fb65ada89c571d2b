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
}

/// A phase that has begun, if phases are recorded.
#[derive(Debug)]
#[must_use]
pub(crate) struct OpenSpan(Option<(SystemTime, Instant)>);

#[derive(Debug)]
#[cfg_attr(
    not(feature = "lambda"),
    expect(dead_code, reason = "the loop that serves invocations reports it")
)]
struct Span {
    phase: SpanPhase,
    start_us: u64,
    duration_us: u64,
}

#[derive(Debug, Default)]
struct Recorded {
    spans: Vec<Span>,
    round_trips: u64,
}

/// Returns whether phases are recorded.
pub(crate) fn is_enabled() -> bool {
    RECORDED.get().is_some()
}

/// Begins a phase.
pub(crate) fn open_span() -> OpenSpan {
    OpenSpan(is_enabled().then(|| (SystemTime::now(), Instant::now())))
}

impl OpenSpan {
    /// Ends the phase and records it. A phase that is dropped has failed, and is left out.
    pub(crate) fn end(self, phase: SpanPhase) {
        let (Some((start, began)), Some(recorded)) = (self.0, RECORDED.get()) else {
            return;
        };
        let duration = began.elapsed();
        let start = start.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut recorded = lock(recorded);
        recorded.round_trips += u64::from(phase == SpanPhase::Query);
        if recorded.spans.len() < MAX_SPANS {
            recorded.spans.push(Span {
                phase,
                start_us: u64::try_from(start.as_micros()).unwrap_or(u64::MAX),
                duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            });
        }
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
    let recorded = std::mem::take(&mut *lock(RECORDED.get()?));
    let spans = recorded.spans.iter().map(|span| {
        json!({
            "phase": span.phase.as_str(),
            "start_us": span.start_us,
            "duration_us": span.duration_us,
        })
    });
    Some(json!({
        "spans": spans.collect::<Vec<_>>(),
        "round_trips": recorded.round_trips,
    }))
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
