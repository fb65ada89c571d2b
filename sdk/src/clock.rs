//! Clocks: one that goes on while the process is frozen, and one for timers.

use std::time::Duration;

use tokio::time::Instant;

/// A moment by two clocks, to measure how long ago it was.
///
/// AWS Lambda freezes a process between two invocations. Its timers stop then, and where the
/// whole machine is paused the clock beneath [`std::time::Instant`] stops too. Two clocks go on:
/// the one that counts suspended time (Linux's `CLOCK_BOOTTIME`), and the wall clock, which is
/// set right afterwards. The larger of the two differences counts: to take a fresh connection
/// for an old one costs a ping, and the opposite costs a request.
///
/// In nanoseconds, since it is read twice for each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SuspendAwareInstant {
    since_boot_ns: i64,
    wall_ns: i64,
}

impl SuspendAwareInstant {
    #[cfg(target_os = "linux")]
    pub(crate) fn now() -> Self {
        use nix::time::{ClockId, clock_gettime};

        // Neither can fail on Linux since 2.6.39; without one of them the other counts.
        let read = |clock| {
            clock_gettime(clock).map_or(0, |time| time.tv_sec() * NS_PER_S + time.tv_nsec())
        };
        Self {
            since_boot_ns: read(ClockId::CLOCK_BOOTTIME),
            wall_ns: read(ClockId::CLOCK_REALTIME),
        }
    }

    /// The wall clock alone: functions are not deployed to such a system.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn now() -> Self {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            since_boot_ns: 0,
            wall_ns: wall.map_or(0, |wall| i64::try_from(wall.as_nanos()).unwrap_or(i64::MAX)),
        }
    }

    /// A number that differs between processes that read the clock at different times.
    #[cfg(feature = "lambda")]
    pub(crate) fn as_seed(&self) -> u64 {
        self.since_boot_ns.rotate_left(32).cast_unsigned() ^ self.wall_ns.cast_unsigned()
    }

    /// Returns the time from this moment to a later one.
    pub(crate) fn until(&self, later: &Self) -> Duration {
        let since_boot = later.since_boot_ns.saturating_sub(self.since_boot_ns);
        let wall = later.wall_ns.saturating_sub(self.wall_ns);
        Duration::from_nanos(since_boot.max(wall).max(0).unsigned_abs())
    }
}

/// The present by both of the clocks that the pool reckons with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// The clock of timers, which tests can pause.
    pub(crate) monotonic: Instant,
    pub(crate) suspend_aware: SuspendAwareInstant,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self {
            monotonic: Instant::now(),
            suspend_aware: SuspendAwareInstant::now(),
        }
    }
}

#[cfg(test)]
impl std::ops::Add<Duration> for SuspendAwareInstant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        let time = i64::try_from(time.as_nanos()).unwrap();
        Self {
            since_boot_ns: self.since_boot_ns + time,
            wall_ns: self.wall_ns + time,
        }
    }
}

#[cfg(test)]
impl std::ops::Add<Duration> for Now {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self {
            monotonic: self.monotonic + time,
            suspend_aware: self.suspend_aware + time,
        }
    }
}

#[cfg(target_os = "linux")]
const NS_PER_S: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(since_boot_s: i64, wall_s: i64) -> SuspendAwareInstant {
        SuspendAwareInstant {
            since_boot_ns: since_boot_s * 1_000_000_000,
            wall_ns: wall_s * 1_000_000_000,
        }
    }

    #[test]
    fn clock_that_says_more_is_believed() {
        let seconds = |later: SuspendAwareInstant| moment(100, 1_000).until(&later).as_secs();
        assert_eq!(seconds(moment(130, 1_030)), 30);
        assert_eq!(seconds(moment(101, 1_300)), 300, "the machine was paused");
        assert_eq!(seconds(moment(160, 900)), 60, "the wall clock was set back");
        assert_eq!(seconds(moment(90, 900)), 0);
    }

    #[test]
    fn time_goes_on() {
        let before = SuspendAwareInstant::now();
        std::thread::sleep(Duration::from_millis(2));
        let passed = before.until(&SuspendAwareInstant::now());
        assert!(passed >= Duration::from_millis(2), "{passed:?}");
    }
}
