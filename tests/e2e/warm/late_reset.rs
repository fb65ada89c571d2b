//! Repeats of a round whose connection was not reset in time.
//!
//! The SDK gives a reset 300 ms, and its connection's task a third of that. A machine that stands
//! still takes as long without a fault of the product, and then the connection is another one, and a
//! statement may outlast its request.

use std::time::Duration;

use stagelink_tests::{as_superuser, end_sessions};

/// A round that did not go as expected.
pub(crate) struct LateReset {
    what: String,
    took: Duration,
}

/// Returns an error unless a round went as expected, in which the reset and the next loan took this
/// long.
pub(crate) fn expect_reset(is_right: bool, what: &str, took: Duration) -> Result<(), LateReset> {
    let what = what.to_owned();
    is_right.then_some(()).ok_or(LateReset { what, took })
}

/// Runs a round, three times at most. Only one that took as long as the SDK's limits is repeated, after
/// what is left of the role's sessions has been ended.
pub(crate) async fn unless_late(role: &str, round: impl AsyncFn() -> Result<(), LateReset>) {
    let mut failures = Vec::new();
    while failures.len() < 3 {
        let Err(failure) = round().await else {
            return;
        };
        let LateReset { what, took } = failure;
        assert!(took >= SHORTEST_LIMIT, "{what}, after {took:?} alone");
        failures.push(format!("{what}, after {took:?}"));
        as_superuser(&end_sessions(role)).await;
    }
    panic!("three times: {}", failures.join("; "));
}

/// The shortest limit between the end of a loan and the beginning of the next.
const SHORTEST_LIMIT: Duration = Duration::from_millis(100);
