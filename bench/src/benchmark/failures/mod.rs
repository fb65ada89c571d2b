//! The suites that provoke failures: lost connections, abandoned queries and too many clients.

mod abandoned_query;
mod connection_storm;
mod freeze;
mod goals;
mod pooler;
mod reply;
mod stacked_bars;
mod tables;

use serde::Serialize;

use self::abandoned_query::AbandonedQuery;
use self::connection_storm::ConnectionStorm;
use self::freeze::Freeze;
use super::artifact::Artifact;
use super::item_database::ItemDatabase;
use super::suite::Suite;

/// The results of these suites; empty for a suite that was not chosen.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct FailureResults {
    pub(super) abandoned: Vec<AbandonedQuery>,
    pub(super) freezes: Vec<Freeze>,
    pub(super) storms: Vec<ConnectionStorm>,
}

/// The size of the suites.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScenarioSize {
    /// Rounds of cold starts. These suites run a fraction of them.
    pub(super) rounds: usize,
    /// Processes of a storm.
    pub(super) instances: usize,
}

impl FailureResults {
    /// Runs the chosen suites for the variants that take part.
    pub(super) async fn measure(
        artifacts: &[Artifact],
        items: &ItemDatabase,
        suites: &[Suite],
        size: ScenarioSize,
    ) -> anyhow::Result<Self> {
        let takes_part = |one: &&Artifact| one.variant.is_in_failure_suites();
        let artifacts: Vec<Artifact> = artifacts.iter().filter(takes_part).cloned().collect();
        let mut failures = Self::default();
        if artifacts.is_empty() {
            return Ok(failures);
        }
        if suites.contains(&Suite::Abandoned) {
            let rounds = size.rounds.div_ceil(ABANDONED_PART);
            failures.abandoned = abandoned_query::run(&artifacts, items, rounds).await?;
        }
        if suites.contains(&Suite::Freeze) {
            let rounds = size.rounds.div_ceil(FREEZE_PART);
            failures.freezes = freeze::run(&artifacts, items, rounds).await?;
        }
        if suites.contains(&Suite::Storms) {
            failures.storms = connection_storm::run(&artifacts, items, size.instances).await?;
        }
        Ok(failures)
    }
}

/// One in this many rounds: a client that waits for an abandoned query takes 2 s for it.
const ABANDONED_PART: usize = 3;

/// One in this many rounds: a round with a freeze takes 15 s.
const FREEZE_PART: usize = 10;

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) use super::tables::tests::failures;
}
