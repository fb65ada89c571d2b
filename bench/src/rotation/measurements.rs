//! The measurements of one URL source.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use stagelink_tests::{Answer, Outcome};

use super::UrlSource;

/// The measurements of one URL source.
#[derive(Debug, Serialize)]
pub(crate) struct SourceMeasurements {
    pub(crate) source: UrlSource,
    pub(crate) requests: usize,
    pub(crate) failed: usize,
    pub(crate) writes: usize,
    /// Writes that were answered with 201 and are in the database exactly once.
    pub(crate) kept_once: usize,
    /// Writes that are in the database once although their answer was an error.
    pub(crate) kept_though_failed: usize,
    pub(crate) seconds_with_failures: usize,
    /// Time from the rotation to the first success among the requests sent after it.
    pub(crate) first_good_after_seconds: Option<f64>,
    pub(crate) heroku_calls: usize,
    /// The answers of failed requests, with their number.
    pub(crate) failures: BTreeMap<String, usize>,
    /// Counts of each second, from the start of the load.
    pub(crate) seconds: Vec<FailureCount>,
}

/// Number of requests, and of those that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct FailureCount {
    pub(crate) requests: usize,
    pub(crate) failed: usize,
}

impl SourceMeasurements {
    /// Counts the answers; all other fields are zero.
    pub(crate) fn of<'a>(
        source: UrlSource,
        outcomes: impl IntoIterator<Item = &'a Outcome>,
        started: Instant,
        length: Duration,
        rotated: Instant,
    ) -> Self {
        let mut seconds = vec![FailureCount::default(); length.as_secs().max(1) as usize];
        let last = seconds.len() - 1;
        let mut failures: BTreeMap<String, usize> = BTreeMap::new();
        let mut writes = 0;
        let mut first_good: Option<Duration> = None;
        for outcome in outcomes {
            let at = outcome.started.saturating_duration_since(started);
            seconds[last.min(at.as_secs() as usize)].add(!outcome.is_good());
            writes += usize::from(outcome.is_write);
            if !outcome.is_good() {
                let why = outcome.answer.as_ref().map(Answer::text);
                *failures
                    .entry(why.unwrap_or_else(String::clone))
                    .or_default() += 1;
            } else if let Some(after) = outcome.started.checked_duration_since(rotated) {
                let after = after + outcome.took;
                first_good = Some(first_good.map_or(after, |first| first.min(after)));
            }
        }
        let all: FailureCount = seconds.iter().copied().sum();
        Self {
            source,
            requests: all.requests,
            failed: all.failed,
            writes,
            kept_once: 0,
            kept_though_failed: 0,
            seconds_with_failures: seconds.iter().filter(|one| one.failed > 0).count(),
            first_good_after_seconds: first_good.map(|after| after.as_secs_f64()),
            heroku_calls: 0,
            failures,
            seconds,
        }
    }
}

impl FailureCount {
    fn add(&mut self, has_failed: bool) {
        self.requests += 1;
        self.failed += usize::from(has_failed);
    }

    /// The fraction that failed, from 0 to 1; `None` without requests.
    pub(crate) fn failed_part(self) -> Option<f64> {
        (self.requests > 0).then(|| self.failed as f64 / self.requests as f64)
    }
}

impl std::iter::Sum for FailureCount {
    fn sum<I: Iterator<Item = Self>>(shares: I) -> Self {
        shares.fold(Self::default(), |sum, one| Self {
            requests: sum.requests + one.requests,
            failed: sum.failed + one.failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(started: Instant, at_ms: u64, fails: bool) -> Outcome {
        Outcome {
            number: 0,
            is_write: true,
            started: started + Duration::from_millis(at_ms),
            took: Duration::from_millis(5),
            answer: if fails {
                Err("it failed".to_owned())
            } else {
                Ok(Answer {
                    status: http::StatusCode::CREATED,
                    headers: http::HeaderMap::new(),
                    body: Default::default(),
                })
            },
        }
    }

    #[test]
    fn figures_of_an_outage_tell_its_seconds_and_its_end() {
        let started = Instant::now();
        let outcomes = [
            outcome(started, 100, false),
            outcome(started, 1500, true),
            outcome(started, 2000, true),
            outcome(started, 2500, false),
            outcome(started, 2600, false),
            // Sent at the end, when the load was told to stop.
            outcome(started, 4001, false),
        ];
        let rotated = started + Duration::from_secs(1);
        let length = Duration::from_secs(4);
        let measurements =
            SourceMeasurements::of(UrlSource::CachedUrl, &outcomes, started, length, rotated);
        assert_eq!((measurements.requests, measurements.failed), (6, 2));
        assert_eq!(measurements.seconds_with_failures, 2);
        assert_eq!(measurements.first_good_after_seconds, Some(1.505));
        assert_eq!(measurements.failures["it failed"], 2);
        let share = |requests, failed| FailureCount { requests, failed };
        assert_eq!(
            measurements.seconds,
            [share(1, 0), share(1, 1), share(3, 1), share(1, 0)]
        );
    }

    #[test]
    fn figures_without_an_end_of_the_outage_have_none() {
        let started = Instant::now();
        let outcomes = [outcome(started, 0, false), outcome(started, 1500, true)];
        let rotated = started + Duration::from_secs(1);
        let length = Duration::from_secs(2);
        let measurements =
            SourceMeasurements::of(UrlSource::CopiedUrl, &outcomes, started, length, rotated);
        assert_eq!(measurements.first_good_after_seconds, None);
    }
}
