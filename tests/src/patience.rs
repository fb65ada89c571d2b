//! Patience with a machine that many tests share: it may stand still for longer than the product waits
//! in a single step.

use std::fmt::Debug;
use std::time::Duration;

use stagelink::Limits;

/// Variables with long limits of single steps, for tests of something else. A test of a limit sets its
/// own.
pub const PATIENT: [(&str, &str); 3] = [
    ("STAGELINK_CONNECT_TIMEOUT_MS", "60000"),
    ("STAGELINK_RESOLVE_TIMEOUT_MS", "60000"),
    ("STAGELINK_WAIT_TIMEOUT_MS", "60000"),
];

/// Returns the same limits for a link that a test opens without variables.
pub fn patient_limits() -> Limits {
    let minute = Duration::from_secs(60);
    let mut limits = Limits::default();
    (limits.connect, limits.resolve, limits.wait) = (minute, minute, minute);
    limits
}

/// Checks a count of connections or round trips, three times at most.
///
/// The SDK takes a server that is silent for a second for one that ignores early messages, and it knows
/// servers by host and port. So a count is another one where the machine stands still, or where the
/// system gives out a port anew: once, and not each time. `count` needs a proxy of its own.
///
/// # Panics
///
/// When no count is the expected one.
pub async fn expect_count<T: PartialEq + Debug>(
    what: &str,
    expected: T,
    count: impl AsyncFn() -> T,
) {
    let mut counts = Vec::new();
    while counts.last() != Some(&expected) && counts.len() < 3 {
        counts.push(count().await);
    }
    assert_eq!(counts.last(), Some(&expected), "{what}: {counts:?}");
}
