//! The pauses between closings of sessions that refuse writes: pure, so that tests need not wait.

use std::time::Duration;

use crate::clock::SuspendAwareInstant;

/// Limits how many sessions the pool closes because they refused a write.
///
/// A session that refuses one write refuses all, while its server may have been replaced or may
/// take writes again: only another session shows it. Where the database really is read-only,
/// another session refuses too, so the next is not closed at once: the pause doubles, from one
/// second to ten. All sessions that were open at a closing may be closed after it, since they
/// are as old as the first.
#[derive(Debug, Default)]
pub(super) struct Replacement {
    last: Option<SuspendAwareInstant>,
    pause: Duration,
}

/// The fate of a session that refused a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Close,
}

impl Replacement {
    /// Takes note of a write that a session refused. `random` is a number from 0 to 1 that keeps
    /// instances apart.
    pub(super) fn record_refusal(
        &mut self,
        opened_at: SuspendAwareInstant,
        now: SuspendAwareInstant,
        random: f64,
    ) -> Verdict {
        let Some(last) = self.last else {
            return self.close(now, FIRST, random);
        };
        if !opened_at.until(&last).is_zero() {
            return Verdict::Close;
        }
        let since = last.until(&now);
        if since < self.pause {
            return Verdict::Keep;
        }
        let pause = if since > FORGOTTEN {
            FIRST
        } else {
            self.pause.saturating_mul(2).min(LONGEST)
        };
        self.close(now, pause, random)
    }

    fn close(&mut self, now: SuspendAwareInstant, pause: Duration, random: f64) -> Verdict {
        self.last = Some(now);
        self.pause = pause.mul_f64(0.75 + 0.5 * random.clamp(0.0, 1.0));
        Verdict::Close
    }
}

const FIRST: Duration = Duration::from_secs(1);

/// As long as an instance may go on refusing after its database takes writes again. A thousand
/// instances then open a hundred connections per second in all.
const LONGEST: Duration = Duration::from_secs(10);

/// A refusal after this long belongs to another outage.
const FORGOTTEN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// Verdicts on a session that is always opened just before, at these milliseconds.
    fn verdicts(replacement: &mut Replacement, times_ms: &[u64]) -> Vec<Verdict> {
        let start = SuspendAwareInstant::now();
        times_ms
            .iter()
            .map(|time| {
                let now = start + Duration::from_millis(*time);
                replacement.record_refusal(now, now, 0.5)
            })
            .collect()
    }

    #[test]
    fn new_sessions_that_refuse_too_are_closed_after_pauses_that_double() {
        use Verdict::{Close, Keep};
        let times = [
            0, 1, 999, 1_000, 2_999, 3_000, 6_999, 7_000, 15_000, 25_000, 34_999,
        ];
        let expected = [
            Close, Keep, Keep, Close, Keep, Close, Keep, Close, Close, Close, Keep,
        ];
        assert_eq!(verdicts(&mut Replacement::default(), &times), expected);
    }

    #[test]
    fn all_sessions_of_before_the_first_closing_are_closed() {
        let mut replacement = Replacement::default();
        let start = SuspendAwareInstant::now();
        let now = start + Duration::from_secs(5);
        for _ in 0..10 {
            assert_eq!(replacement.record_refusal(start, now, 0.5), Verdict::Close);
        }
        let later = now + Duration::from_millis(1);
        assert_eq!(replacement.record_refusal(later, later, 0.5), Verdict::Keep);
    }

    #[test]
    fn later_outage_starts_anew() {
        let mut replacement = Replacement::default();
        let busy: Vec<u64> = (0..60).map(|second| second * 1_000).collect();
        let closed = verdicts(&mut replacement, &busy);
        let closed = closed.iter().filter(|verdict| **verdict == Verdict::Close);
        assert!(closed.count() <= 9, "in a minute");
        let now = SuspendAwareInstant::now() + Duration::from_secs(200);
        assert_eq!(replacement.record_refusal(now, now, 1.0), Verdict::Close);
        let next = now + Duration::from_millis(1_250);
        assert_eq!(replacement.record_refusal(next, next, 1.0), Verdict::Close);
    }
}
