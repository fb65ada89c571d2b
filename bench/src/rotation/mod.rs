//! A rotation of the database's password under load, for all sources of its URL at once.

mod deadpool_guestbook;
mod environment;
mod measurements;
mod programs;
mod progress;
mod report;
mod timeline;
mod url_source;

use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use stagelink_cli::progress::Step;
use stagelink_local_postgres::Server;
use stagelink_tests::{Load, LoadReport};

use self::environment::Environment;
use self::measurements::SourceMeasurements;
use self::progress::LiveProgress;

pub use self::deadpool_guestbook::answer;
pub use self::deadpool_guestbook::env_var;
pub use self::deadpool_guestbook::open_pool;
pub use self::programs::Programs;
pub use self::report::RotationReport;
pub use self::url_source::UrlSource;

/// The size of the demo.
#[derive(Clone, Copy, Debug)]
pub struct RotationPlan {
    /// Time for which a cache keeps the URL.
    pub cache: Duration,
    /// Requests per second to each instance.
    pub rate: u32,
    /// Instances of each function.
    pub instances: usize,
}

impl RotationPlan {
    /// Time until the passwords are rotated: all instances are warm then, and the caches new.
    pub(crate) fn rotation_after(&self) -> Duration {
        (self.cache / 3).clamp(Duration::from_secs(1), Duration::from_secs(10))
    }

    /// Duration of the demo: until the caches have expired, and some time more.
    pub(crate) fn length(&self) -> Duration {
        self.cache + 2 * self.rotation_after()
    }
}

/// Runs the demo, and shows its progress on standard error.
///
/// # Errors
///
/// When a part does not start, a rotation fails, or the rows in a database contradict the
/// answers.
pub async fn run_rotation(
    plan: &RotationPlan,
    programs: &Programs,
    postgres: &Server,
) -> anyhow::Result<RotationReport> {
    let step = Step::begin("instances");
    let environments =
        UrlSource::ALL.map(|source| Environment::set_up(source, plan, programs, postgres));
    let environments = try_join_all(environments).await?;
    step.done(&format!("{} of each function, warm", plan.instances));

    let live = LiveProgress::begin(plan);
    let started = Instant::now();
    let loads: Vec<Vec<Load>> = environments
        .iter()
        .map(|one| one.start_loads(plan))
        .collect();
    live.show_until(started + plan.rotation_after(), &loads)
        .await;
    let rotations = environments.iter().map(|one| one.rotate(postgres));
    let rotated = try_join_all(rotations).await?;
    live.passwords_rotated();
    live.show_until(started + plan.length(), &loads).await;
    let tallies: Vec<Vec<LoadReport>> = join_all(
        loads
            .into_iter()
            .map(|of_source| join_all(of_source.into_iter().map(Load::stop))),
    )
    .await;
    live.end();

    let mut measurements = Vec::new();
    for ((environment, tallies), rotated) in environments.iter().zip(&tallies).zip(rotated) {
        let kept = environment.kept(tallies, postgres).await?;
        let outcomes = tallies.iter().flat_map(LoadReport::outcomes);
        measurements.push(SourceMeasurements {
            kept_once: kept.confirmed,
            kept_though_failed: kept.unconfirmed,
            heroku_calls: environment.heroku_calls(),
            ..SourceMeasurements::of(
                environment.source,
                outcomes,
                started,
                plan.length(),
                rotated,
            )
        });
    }
    join_all(environments.into_iter().map(Environment::end)).await;
    Ok(RotationReport::new(plan, measurements))
}
