//! The pauses between the attempts at a file whose table is busy.

use std::time::{Duration, Instant};

/// Pauses that double, at random, until a time is over.
#[derive(Debug)]
pub(super) struct Pauses {
    ends: Instant,
    longest: Duration,
    number: u32,
}

impl Pauses {
    /// Begins with the first attempt.
    pub(super) fn new(wait: Duration) -> Self {
        Self {
            ends: Instant::now() + wait.min(LONGEST_WAIT),
            longest: FIRST,
            number: 1,
        }
    }

    /// Returns the pause before the next attempt; `None` where the time is over.
    pub(super) fn next(&mut self) -> Option<Duration> {
        let left = self.ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let pause = self.longest.mul_f64(fastrand::f64() * 0.5 + 0.5);
        self.longest = (self.longest * 2).min(LONGEST);
        self.number += 1;
        Some(pause.min(left))
    }

    /// Returns the number of attempts that were made before the pause.
    pub(super) fn number(&self) -> u32 {
        self.number - 1
    }
}

/// The table's other users have a moment without a lock in their way.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);

/// A wait that is as good as endless, and that a clock can count.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_end() {
        let mut pauses = Pauses::new(Duration::from_secs(1000));
        let mut expected = FIRST;
        for number in 1..20 {
            let pause = pauses.next().expect("time is left");
            assert!(pause <= expected && pause >= expected / 2, "{pause:?}");
            assert_eq!(pauses.number(), number);
            expected = (expected * 2).min(LONGEST);
        }
        assert_eq!(Pauses::new(Duration::ZERO).next(), None);
        assert!(Pauses::new(Duration::MAX).next().is_some());
    }
}
