//! What is left of an invocation, and for what.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Until when an invocation has to be answered, and what has to be done by when before.
///
/// The platform ends a function that does not answer in time, and tells its client nothing
/// that helps. So the work ends a little earlier: first the work on the database, whose
/// error the handler may still make something of; then the handler itself, whatever it
/// does; and what was given up is tidied up before the answer is sent, since afterwards the
/// process may be frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// Until when the database may be worked on.
    pub(crate) work: Instant,
    /// Until when the handler may run.
    pub(crate) handler: Instant,
    /// Until when it may be tidied up.
    pub(crate) tidying: Instant,
    /// When the platform ends the invocation.
    pub(crate) end: Instant,
}

impl Deadline {
    /// By the time at which the platform ends the invocation.
    pub(crate) fn of_invocation(ends: SystemTime, wall: SystemTime, now: Instant) -> Self {
        let left = match ends.duration_since(UNIX_EPOCH) {
            // No time of day, but how long the invocation may last: cargo-lambda's emulator
            // says that (1.9, 2026-11), and taken for a time it was over long ago.
            Ok(told) if told <= LONGEST => told,
            _ => ends.duration_since(wall).unwrap_or_default(),
        };
        let margin = MARGIN.min(left / 4);
        let end = now + left;
        Self {
            work: end - margin,
            handler: end - margin * 2 / 3,
            tidying: end - margin / 3,
            end,
        }
    }
}

/// Time to say that there was none, three times 100 ms: for the handler to make an answer
/// of an error, for what was abandoned to be stopped in the server, and for the answer to
/// be sent where there is little CPU. Of a short invocation it is a quarter instead.
const MARGIN: Duration = Duration::from_millis(300);

/// The longest that Lambda lets an invocation last.
const LONGEST: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(left: u64) -> [u64; 3] {
        let (wall, now) = (SystemTime::now(), Instant::now());
        let deadline = Deadline::of_invocation(wall + Duration::from_millis(left), wall, now);
        [deadline.work, deadline.handler, deadline.tidying]
            .map(|moment| u64::try_from((moment - now).as_millis()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_before_the_handler_and_both_before_the_platform() {
        assert_eq!(milliseconds(10_000), [9_700, 9_800, 9_900]);
        assert_eq!(milliseconds(400), [300, 333, 366]);
        assert_eq!(milliseconds(0), [0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn duration_in_the_place_of_a_time_counts_from_now() {
        let (wall, now) = (SystemTime::now(), Instant::now());
        let of = |ends| Deadline::of_invocation(ends, wall, now).end - now;
        let minutes = |minutes: u64| UNIX_EPOCH + Duration::from_secs(60 * minutes);
        assert_eq!(of(minutes(10)), Duration::from_secs(600));
        assert_eq!(of(minutes(16)), Duration::ZERO);
    }
}
