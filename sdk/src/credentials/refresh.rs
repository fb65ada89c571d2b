//! When a provider may be asked again: pure, so that it can be tested without waiting.

use std::time::{Duration, Instant};

/// Spaces out the questions to a provider that bring nothing.
///
/// A question is fruitless when the provider fails, gives the very URL that does
/// not work, or one that has not worked yet. The first two in a row may be followed at once, since what was
/// down a moment ago may be up. Then the wait doubles, from one second to five
/// minutes: all calls of an account share one limit, and many instances may be
/// in the same trouble.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    fruitless: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// Whether the provider may be asked at this moment.
    pub(crate) fn allows(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|moment| now >= moment)
    }

    /// The provider gave nothing new. `retry_after` is what it said itself, and
    /// `random` a number from 0 to 1 that keeps instances apart.
    pub(crate) fn bore_nothing(
        &mut self,
        now: Instant,
        retry_after: Option<Duration>,
        random: f64,
    ) {
        self.fruitless = self.fruitless.saturating_add(1);
        let wait = delay(self.fruitless, random).max(retry_after.unwrap_or_default());
        self.not_before = now.checked_add(wait);
    }
}

/// The wait after that many fruitless questions: between 75 % and 125 % of the schedule.
fn delay(fruitless: u32, random: f64) -> Duration {
    let Some(doublings) = fruitless.checked_sub(AT_ONCE + 1) else {
        return Duration::ZERO;
    };
    let wait = FIRST.saturating_mul(1 << doublings.min(16)).min(LONGEST);
    wait.mul_f64(0.75 + 0.5 * random.clamp(0.0, 1.0))
}

/// Fruitless questions that may be followed at once.
const AT_ONCE: u32 = 2;
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_its_limit() {
        let seconds: Vec<u64> = (1..=12).map(|n| delay(n, 0.5).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(delay(u32::MAX, 0.5), LONGEST);
    }

    #[test]
    fn delay_is_spread_and_stays_within_a_quarter() {
        for n in 3..20 {
            let middle = delay(n, 0.5);
            assert_eq!(delay(n, 0.0), middle.mul_f64(0.75));
            assert_eq!(delay(n, 1.0), middle.mul_f64(1.25));
        }
    }

    proptest::proptest! {
        #[test]
        fn delay_never_shrinks_and_never_passes_its_limit(n in 0_u32.., random in 0.0..=1.0) {
            let next = delay(n.saturating_add(1), random);
            assert!(delay(n, random) <= next);
            assert!(next <= LONGEST.mul_f64(1.25));
        }
    }

    #[test]
    fn third_fruitless_question_has_to_wait() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            assert!(backoff.allows(now));
            backoff.bore_nothing(now, None, 0.5);
        }
        assert!(!backoff.allows(now));
        assert!(backoff.allows(now + Duration::from_secs(1)));
    }

    #[test]
    fn what_the_provider_asks_for_is_kept() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        backoff.bore_nothing(now, Some(Duration::from_secs(17)), 0.5);
        assert!(!backoff.allows(now + Duration::from_secs(16)));
        assert!(backoff.allows(now + Duration::from_secs(17)));
    }
}
