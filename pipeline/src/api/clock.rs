//! The clock of a service, read from the dates of its responses.

use std::time::{Duration, SystemTime};

/// A reading of a service's clock, by the date of a response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ClockReading {
    /// The time by which it is ahead of this machine's, in seconds.
    pub(crate) ahead_secs: f64,
    /// The time within which the reading is not known.
    pub(crate) unknown: Duration,
}

impl ClockReading {
    /// Reads a date that was sent between two moments of this machine's clock. It has no parts of a
    /// second.
    pub(super) fn new(date: SystemTime, asked: SystemTime, answered_in: Duration) -> Self {
        let middle = asked + answered_in / 2;
        let date = date + Duration::from_millis(500);
        let ahead_secs = match date.duration_since(middle) {
            Ok(ahead) => ahead.as_secs_f64(),
            Err(behind) => -behind.duration().as_secs_f64(),
        };
        Self {
            ahead_secs,
            unknown: answered_in + Duration::from_secs(1),
        }
    }
}
