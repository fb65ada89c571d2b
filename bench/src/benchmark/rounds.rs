//! Cold starts, warm requests and memory, in rounds that measure every variant once.

use std::time::Duration;

use anyhow::Context as _;
use fastrand::Rng;
use serde::Serialize;
use stagelink_cli::progress::Step;

use super::artifact::Artifact;
use super::instance::Instance;
use super::item_database::ConnectionInfo;
use super::statistics::{quantile, sorted};
use super::variant::Variant;

/// Measurements of one process of a variant.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sample {
    pub(super) cold_start_ms: f64,
    /// Cold start with a round trip of [`DISTANCE`] to the database, in another process.
    pub(super) distant_cold_start_ms: f64,
    /// Cold start with that distance and direct TLS; `None` for another variant, and where the server has none.
    pub(super) direct_distant_cold_start_ms: Option<f64>,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) requests_per_second: f64,
    /// `None` where the system does not report it.
    pub(super) peak_memory_bytes: Option<u64>,
}

impl Sample {
    fn take(artifact: &Artifact, endpoints: &Endpoints, requests: usize) -> anyhow::Result<Self> {
        let variables = artifact.variant.variables(&endpoints.distant);
        settle();
        let distant = Instance::start(artifact, &variables)?.cold_start;
        let direct = match endpoints.takes_direct_tls && artifact.variant == Variant::Stagelink {
            true => {
                let direct = ("STAGELINK_DIRECT_TLS", "true".to_owned());
                let variables: Vec<_> = variables.into_iter().chain([direct]).collect();
                settle();
                Some(Instance::start(artifact, &variables)?.cold_start)
            }
            false => None,
        };
        let variables = artifact.variant.variables(&endpoints.near);
        settle();
        let mut instance = Instance::start(artifact, &variables)?;
        // The first ones fill caches and have compilers do their work.
        instance.run(requests.div_ceil(WARM_UP_PART))?;
        let batch = instance.run(requests)?;
        let micros = |time: &Duration| time.as_secs_f64() * 1e6;
        let latencies = sorted(batch.latencies.iter().map(micros));
        Ok(Self {
            cold_start_ms: instance.cold_start.as_secs_f64() * 1e3,
            distant_cold_start_ms: distant.as_secs_f64() * 1e3,
            direct_distant_cold_start_ms: direct.map(|time| time.as_secs_f64() * 1e3),
            p50_us: quantile(&latencies, 0.5),
            p99_us: quantile(&latencies, 0.99),
            requests_per_second: requests as f64 / (batch.ended - batch.began).as_secs_f64(),
            peak_memory_bytes: instance.peak_memory_bytes(),
        })
    }
}

/// Waits until the server process of the variant before has ended, so that it takes no processor
/// time from the next variant.
fn settle() {
    std::thread::sleep(REST);
}

/// Two ways to one database: directly, and with an added delay.
pub(super) struct Endpoints {
    pub(super) near: ConnectionInfo,
    pub(super) distant: ConnectionInfo,
    pub(super) takes_direct_tls: bool,
}

/// Order of magnitude of a round trip between Netlify's default region for functions and the
/// region of Heroku's databases.
pub(super) const DISTANCE: Duration = Duration::from_millis(10);

/// Measures all variants, round by round. Returns the samples of each.
pub(super) fn run(
    artifacts: &[Artifact],
    endpoints: &Endpoints,
    rounds: usize,
    requests: usize,
) -> anyhow::Result<Vec<Vec<Sample>>> {
    let step = Step::begin("cold starts and warm requests");
    let tell = step.teller();
    let mut samples = vec![Vec::with_capacity(rounds); artifacts.len()];
    for round in 0..rounds {
        for place in shuffled_order(artifacts.len(), round) {
            let artifact = &artifacts[place];
            let name = artifact.variant.name();
            tell(&format!("round {} of {rounds}: {name}", round + 1));
            let sample = Sample::take(artifact, endpoints, requests);
            samples[place].push(sample.with_context(|| format!("in round {}", round + 1))?);
        }
    }
    step.done(&format!("{rounds} rounds of {requests} requests each"));
    Ok(samples)
}

/// Returns a random order of the variants for a round, so that none always follows the same one.
/// Each run has the same orders.
pub(super) fn shuffled_order(count: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    Rng::with_seed(round as u64).shuffle(&mut order);
    order
}

/// Several times the time that a server process takes to end behind the delayed connection.
const REST: Duration = Duration::from_millis(100);

/// The warm-up is this fraction of the measured requests.
const WARM_UP_PART: usize = 5;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn order_of_rounds_gives_each_every_place_behind_every_other() {
        let mut seen = HashSet::new();
        for round in 0..60 {
            let order = shuffled_order(3, round);
            assert_eq!(order.iter().collect::<HashSet<_>>().len(), 3);
            seen.insert(order);
        }
        assert_eq!(seen.len(), 6);
    }
}
