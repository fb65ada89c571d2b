//! The request after one whose query was abandoned while the server still ran it.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use stagelink_cli::progress::Step;
use tokio::task::block_in_place;

use super::super::artifact::Artifact;
use super::super::event::RequestKind;
use super::super::instance::Instance;
use super::super::item_database::{IS_SLEEPING, ItemDatabase};
use super::super::rounds::shuffled_order;
use super::super::statistics::{Spread, quantile, sorted};
use super::super::variant::Variant;
use super::reply::{Reply, Request};

/// The measurements of one variant.
#[derive(Clone, Debug, Serialize)]
pub(in super::super) struct AbandonedQuery {
    pub(in super::super) variant: Variant,
    /// Time of a warm request.
    pub(super) normal_ms: Spread,
    /// Time of a request that reconnects, since the server has closed its connection.
    pub(super) reconnecting_ms: Spread,
    /// Time of the request after the abandoned query.
    pub(in super::super) after_ms: Spread,
    pub(super) samples: Vec<Sample>,
}

/// The measurements of one process.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sample {
    pub(super) normal_ms: f64,
    pub(super) reconnecting: Request,
    pub(super) after: Request,
    /// True if the server still ran the query when the next request was answered.
    pub(super) is_still_running: bool,
}

/// Measures all variants, round by round.
pub(super) async fn run(
    artifacts: &[Artifact],
    items: &ItemDatabase,
    rounds: usize,
) -> anyhow::Result<Vec<AbandonedQuery>> {
    let step = Step::begin("after an abandoned query");
    let tell = step.teller();
    let mut samples = vec![Vec::with_capacity(rounds); artifacts.len()];
    for round in 0..rounds {
        for place in shuffled_order(artifacts.len(), round) {
            let name = artifacts[place].variant.name();
            tell(&format!("round {} of {rounds}: {name}", round + 1));
            let sample = Sample::take(&artifacts[place], items).await;
            samples[place].push(sample.with_context(|| format!("in round {}", round + 1))?);
        }
    }
    step.done(&format!("{rounds} rounds"));
    let all = artifacts.iter().zip(samples);
    Ok(all
        .map(|(artifact, samples)| AbandonedQuery::of(artifact.variant, samples))
        .collect())
}

impl AbandonedQuery {
    fn of(variant: Variant, samples: Vec<Sample>) -> Self {
        let spread = |of: fn(&Sample) -> Option<f64>| Spread::of(samples.iter().filter_map(of));
        Self {
            variant,
            normal_ms: spread(|sample| Some(sample.normal_ms)),
            reconnecting_ms: spread(|sample| sample.reconnecting.took_ms),
            after_ms: spread(|sample| sample.after.took_ms),
            samples,
        }
    }

    /// Number of requests after an abandoned query that got their row.
    pub(super) fn good(&self) -> usize {
        let good = self.samples.iter().filter(|sample| sample.after.is_good());
        good.count()
    }

    /// Number of those requests after which the server still ran the query.
    pub(super) fn still_running(&self) -> usize {
        let running = self.samples.iter().filter(|sample| sample.is_still_running);
        running.count()
    }

    /// Ratio of that request to one that reconnects.
    pub(super) fn times_reconnecting(&self) -> f64 {
        self.after_ms.median / self.reconnecting_ms.median
    }
}

impl Sample {
    async fn take(artifact: &Artifact, items: &ItemDatabase) -> anyhow::Result<Self> {
        let variables = artifact.variant.variables(&items.access());
        let (mut instance, normal) = block_in_place(|| -> anyhow::Result<_> {
            let mut instance = Instance::start(artifact, &variables)?;
            let batch = instance.run(WARM_REQUESTS)?;
            Ok((instance, batch.latencies))
        })?;
        let normal_ms = normal.iter().map(|time| time.as_secs_f64() * 1e3);

        items.end_sessions().await?;
        let reconnecting = block_in_place(|| {
            thread::sleep(TO_HEAR);
            instance.send(RequestKind::Item, LIMIT)
        });

        // Connected before, so that nothing lies between the answer and the question.
        let admin = items.server().connect_as_superuser().await?;
        let after = block_in_place(|| -> anyhow::Result<_> {
            instance.run(WARM_REQUESTS)?;
            let slow = instance.send(RequestKind::SlowItem, LIMIT);
            let reply = slow.map(|slow| Reply::of(&slow.answer));
            ensure!(
                reply == Some(Reply::GivenUp),
                "the slow query of {} was to be given up: {reply:?}",
                artifact.variant.name()
            );
            Ok(instance.send(RequestKind::Item, LIMIT))
        })?;
        Ok(Self {
            normal_ms: quantile(&sorted(normal_ms), 0.5),
            reconnecting: Request::of(reconnecting.as_ref()),
            after: Request::of(after.as_ref()),
            is_still_running: admin.query_one(IS_SLEEPING, &[]).await?.get(0),
        })
    }
}

const WARM_REQUESTS: usize = 20;

/// Longer than a process needs to notice that its connection is closed.
const TO_HEAR: Duration = Duration::from_millis(100);

/// Time limit after which a request has failed.
const LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Measurements of a variant with these times after an abandoned query; a request that
    /// reconnects takes 10 ms.
    pub(in super::super) fn abandoned(variant: Variant, after_ms: &[f64]) -> AbandonedQuery {
        let request = |ms| Request {
            took_ms: Some(ms),
            failure: None,
        };
        let sample = |ms: &f64| Sample {
            normal_ms: 0.5,
            reconnecting: request(10.0),
            after: request(*ms),
            is_still_running: false,
        };
        AbandonedQuery::of(variant, after_ms.iter().map(sample).collect())
    }

    #[test]
    fn requests_that_fail_are_not_counted_as_good() {
        let mut measured = abandoned(Variant::Sqlx, &[12.0, 15.0]);
        assert_eq!((measured.good(), measured.times_reconnecting()), (2, 1.35));
        measured.samples[0].after = Request::of(None);
        measured.samples[1].is_still_running = true;
        assert_eq!((measured.good(), measured.still_running()), (1, 1));
    }
}
