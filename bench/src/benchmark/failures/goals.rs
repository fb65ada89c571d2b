//! The goals of stagelink in the suites that provoke failures.

use super::super::goals::Goal;
use super::super::variant::Variant;
use super::FailureResults;

impl FailureResults {
    /// Evaluates the goals that the measured suites allow to decide.
    pub(in super::super) fn evaluate(&self) -> Vec<Goal> {
        [
            self.goal_after_an_abandoned_query(),
            self.goal_after_a_freeze(),
            self.goal_in_storms(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn goal_after_an_abandoned_query(&self) -> Option<Goal> {
        let mut all = self.abandoned.iter();
        let own = all.find(|one| one.variant == Variant::Stagelink)?;
        let times = own.times_reconnecting();
        let (good, rounds) = (own.good(), own.samples.len());
        Some(Goal {
            description: "after an abandoned query within 1.5 of a request that reconnects",
            measured: format!("{times:.2}, {good} of {rounds} with 200"),
            met: times <= 1.5 && good == rounds,
        })
    }

    fn goal_after_a_freeze(&self) -> Option<Goal> {
        let freezes = self.freezes.iter();
        let own = freezes.filter(|one| one.variant == Variant::Stagelink);
        let (good, rounds) = own.fold((0, 0), |(good, rounds), one| {
            (good + one.good(), rounds + one.requests.len())
        });
        (rounds > 0).then(|| Goal {
            description: "after a freeze every request is answered",
            measured: format!("{good} of {rounds} with 200"),
            met: good == rounds,
        })
    }

    fn goal_in_storms(&self) -> Option<Goal> {
        let own: Vec<_> = self
            .storms
            .iter()
            .filter(|one| one.variant == Variant::Stagelink)
            .collect();
        let ended: usize = own.iter().map(|one| one.outcome.ended).sum();
        let other = own
            .iter()
            .map(|one| one.tally.failed_in_all() + one.tally.unanswered);
        let other: usize = other.sum();
        (!own.is_empty()).then(|| Goal {
            description: "no process ends in a storm, all get 200 or 503 with Retry-After",
            measured: format!("{ended} ended, {other} others"),
            met: ended == 0 && other == 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables::tests::failures;
    use super::*;

    #[test]
    fn goals_are_those_of_stagelink_alone() {
        // All but stagelink fail at all of it there.
        let goals = failures().evaluate();
        let met: Vec<bool> = goals.iter().map(|goal| goal.met).collect();
        assert_eq!(met, [true, true, true], "{goals:?}");
        assert!(FailureResults::default().evaluate().is_empty());
    }

    #[test]
    fn error_in_a_storm_misses_the_goal() {
        let mut failures = failures();
        let mut storms = failures.storms.iter_mut();
        let own = storms.find(|one| one.variant == Variant::Stagelink);
        own.unwrap().tally.unanswered = 1;
        let goal = failures.goal_in_storms().unwrap();
        assert_eq!(
            (goal.measured.as_str(), goal.met),
            ("0 ended, 1 others", false)
        );
    }
}
