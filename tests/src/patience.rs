//! Time limits of the SDK's single steps for tests of something else: a machine that many tests share
//! may stand still for longer than the product waits by default.

use std::time::Duration;

use stagelink::Limits;

/// Variables of these limits. A test of a limit sets its own.
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
