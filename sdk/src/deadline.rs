//! The deadlines of an invocation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The deadlines of an invocation: of database work, of the handler, of the cleanup, and its end.
///
/// The platform kills a function that does not answer in time, and gives its client no useful
/// response. So the work ends a little earlier: first the database work, whose error the handler
/// may still handle; then the handler itself; then the cleanup, before the response is sent, since
/// the process may be frozen afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// The end of database work.
    pub(crate) work: Instant,
    /// The end of the handler.
    pub(crate) handler: Instant,
    /// The end of the cleanup.
    pub(crate) tidying: Instant,
    /// The time at which the platform ends the invocation.
    pub(crate) end: Instant,
}

impl Deadline {
    /// Computes the deadlines of an invocation that the platform ends at `ends`.
    pub(crate) fn of_invocation(ends: SystemTime, wall: SystemTime, now: Instant) -> Self {
        let left = match ends.duration_since(UNIX_EPOCH) {
            // Not a time of day but the invocation's time limit, as cargo-lambda's emulator
            // sends (1.9, 2026-11). Read as a time it would be over long ago.
            Ok(limit) if limit <= LONGEST => limit,
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

/// The time to report a timeout, three times 100 ms: for the handler to handle the error, to
/// cancel abandoned statements in the server, and to send the response with little CPU. In a
/// short invocation it is a quarter instead.
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
