//! A rotation of the database's password under a load, for all ways at once.

use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use stagelink_cli::progress::Step;
use stagelink_local_postgres::Server;
use stagelink_tests::{Load, Tally};

use crate::figures::Figures;
use crate::live::Live;
use crate::stand::Stand;
use crate::{Programs, Report, Way};

/// How the demo is run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long a cache keeps the URL.
    pub cache: Duration,
    /// Requests a second to each instance.
    pub rate: u32,
    /// Instances of each function.
    pub instances: usize,
}

impl Plan {
    /// When the passwords are rotated: when all is warm, and the caches are still new.
    pub(crate) fn rotation_after(&self) -> Duration {
        (self.cache / 3).clamp(Duration::from_secs(1), Duration::from_secs(10))
    }

    /// How long all of it takes: until the caches have expired, and some time more.
    pub(crate) fn length(&self) -> Duration {
        self.cache + 2 * self.rotation_after()
    }
}

/// Runs it, and shows on standard error how it goes.
///
/// # Errors
///
/// When a part does not come up, a rotation fails, or the rows in a database are not what
/// the answers said.
pub async fn run(plan: &Plan, programs: &Programs, postgres: &Server) -> anyhow::Result<Report> {
    let step = Step::begin("instances");
    let stands = Way::ALL.map(|way| Stand::set_up(way, plan, programs, postgres));
    let stands = try_join_all(stands).await?;
    step.done(&format!("{} of each function, warm", plan.instances));

    let live = Live::begin(plan);
    let started = Instant::now();
    let loads: Vec<Vec<Load>> = stands.iter().map(|one| one.start_loads(plan)).collect();
    live.show_until(started + plan.rotation_after(), &loads)
        .await;
    let rotations = stands.iter().map(|one| one.rotate(postgres));
    let rotated = try_join_all(rotations).await?;
    live.passwords_rotated();
    live.show_until(started + plan.length(), &loads).await;
    let tallies: Vec<Vec<Tally>> = join_all(
        loads
            .into_iter()
            .map(|of_way| join_all(of_way.into_iter().map(Load::stop))),
    )
    .await;
    live.end();

    let mut figures = Vec::new();
    for ((stand, tallies), rotated) in stands.iter().zip(&tallies).zip(rotated) {
        let kept = stand.kept(tallies, postgres).await?;
        let outcomes = tallies.iter().flat_map(Tally::outcomes);
        figures.push(Figures {
            kept_once: kept.confirmed,
            kept_though_failed: kept.unconfirmed,
            heroku_calls: stand.heroku_calls(),
            ..Figures::of(stand.way, outcomes, started, plan.length(), rotated)
        });
    }
    join_all(stands.into_iter().map(Stand::end)).await;
    Ok(Report::new(plan, figures))
}
