//! The error of a step that took longer than its time limit.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Phase};

/// A time-out of a phase, with a random time to wait before the next try.
pub(in crate::postgres) fn timed_out(phase: Phase, limit: Duration, what: &str) -> Error {
    Error::new(
        ErrorKind::Timeout(phase),
        time_out_message(phase, limit, what),
    )
    .for_a_while()
}

/// A time-out of a phase as [`timed_out`] makes it, with what was waited for.
pub(in crate::postgres) fn timed_out_with_source(
    phase: Phase,
    limit: Duration,
    what: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let message = time_out_message(phase, limit, what);
    Error::with_source(ErrorKind::Timeout(phase), message, source).for_a_while()
}

fn time_out_message(phase: Phase, limit: Duration, what: &str) -> String {
    format!("{what} took more than {} ms ({phase})", limit.as_millis())
}
