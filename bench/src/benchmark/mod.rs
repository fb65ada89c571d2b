//! One function in six variants, each with another Postgres client, measured side by side.

mod artifact;
mod bar_chart;
mod event;
mod failures;
mod goals;
mod instance;
mod instructions;
mod item_database;
mod machine;
mod measurements;
mod processor_time;
mod report;
mod result_table;
mod round_trips;
mod rounds;
mod runtime_api;
mod starts;
mod statistics;
mod suite;
mod svg;
mod variant;

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Context as _;
use stagelink_local::network::Proxy;
use stagelink_local_postgres::{ErrorKind, ServerSource};
use tokio::task::block_in_place;

use self::artifact::{Artifact, build_all};
use self::failures::{FailureResults, ScenarioSize};
use self::goals::evaluate;
use self::item_database::ItemDatabase;
use self::machine::Machine;
use self::measurements::Measurements;
use self::round_trips::RoundTripCounts;
use self::rounds::Endpoints;
use self::starts::Starts;

pub use self::report::BenchmarkReport;
pub use self::suite::Suite;
pub use self::variant::Variant;

/// A run of the benchmark: its variants, suites and sizes.
#[derive(Clone, Debug)]
pub struct Benchmark {
    /// The variants to compare.
    pub variants: Vec<Variant>,
    /// The suites to run.
    pub suites: Vec<Suite>,
    /// Number of rounds; each starts a new process per variant.
    pub rounds: usize,
    /// Number of warm requests to each process.
    pub requests: usize,
    /// Number of processes per variant in a connection storm.
    pub instances: usize,
    /// Number of warm requests that callgrind counts; `None` skips callgrind.
    pub callgrind_requests: Option<usize>,
    /// The program of the variant stagelink of another commit, whose start is compared.
    pub former: Option<PathBuf>,
    /// The Postgres for all suites. Round trips are counted on other versions as well.
    pub postgres: ServerSource,
    /// The folder for the installed Node variant and the files of callgrind.
    pub folder: PathBuf,
}

impl Benchmark {
    /// Builds the variants and runs the suites.
    ///
    /// # Errors
    ///
    /// When a variant does not build or start, or gives a wrong answer where no failure is
    /// provoked; when there is no Postgres, no PgBouncer or no valgrind.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with several threads.
    pub async fn run(&self) -> anyhow::Result<BenchmarkReport> {
        let folder = std::path::absolute(&self.folder)?;
        fs::create_dir_all(&folder)
            .with_context(|| format!("could not make the folder {}", folder.display()))?;
        // A missing valgrind is reported before builds that take minutes.
        let counts_instructions = self.includes(Suite::Speed) || self.includes(Suite::Starts);
        let callgrind_requests = self.callgrind_requests.filter(|_| counts_instructions);
        let valgrind = callgrind_requests.map(|_| instructions::valgrind());
        let valgrind = valgrind.transpose()?;
        let artifacts = build_all(&self.variants, &folder).await?;

        let items = ItemDatabase::start(self.postgres.clone()).await?;
        let mut counted = Vec::new();
        let mut measurements = Vec::new();
        if self.includes(Suite::Speed) {
            counted.push(round_trips::count(&artifacts, &items).await?);
            let samples = self.rounds(&artifacts, &items).await?;
            let access = items.access();
            let instructions = match callgrind_requests {
                Some(requests) => {
                    block_in_place(|| instructions::count(&artifacts, &access, requests, &folder))?
                }
                None => vec![None; artifacts.len()],
            };
            let all = artifacts.iter().zip(instructions.into_iter().zip(samples));
            measurements.extend(all.map(|(artifact, (instructions, samples))| {
                Measurements::new(artifact.variant, artifact.size, instructions, samples)
            }));
        }
        let own = artifacts
            .iter()
            .find(|one| one.variant == Variant::Stagelink);
        let starts = match own.filter(|_| self.includes(Suite::Starts)) {
            Some(own) => {
                let former = self.former.clone();
                let callgrind = valgrind.is_some().then_some(folder.as_path());
                Some(Starts::measure(own, &items, former, self.rounds, callgrind).await?)
            }
            None => None,
        };
        let size = ScenarioSize {
            rounds: self.rounds,
            instances: self.instances,
        };
        let failures = FailureResults::measure(&artifacts, &items, &self.suites, size).await?;
        let machine = Machine::this(items.server().description(), valgrind);
        items.stop().await?;
        if self.includes(Suite::Speed) {
            count_elsewhere(&artifacts, &mut counted).await?;
        }

        let mut goals = evaluate(&measurements, &counted);
        goals.extend(starts.iter().flat_map(Starts::evaluate));
        goals.extend(failures.evaluate());
        Ok(BenchmarkReport {
            machine,
            compared: self.variants.clone(),
            rounds: self.rounds,
            requests: self.requests,
            measurements,
            round_trips: counted,
            starts,
            failures,
            goals,
        })
    }

    fn includes(&self, suite: Suite) -> bool {
        self.suites.contains(&suite)
    }
}

impl Benchmark {
    async fn rounds(
        &self,
        artifacts: &[Artifact],
        items: &ItemDatabase,
    ) -> anyhow::Result<Vec<Vec<rounds::Sample>>> {
        let away = Proxy::start((Ipv4Addr::LOCALHOST, items.server().port()).into()).await?;
        away.delay(rounds::DISTANCE / 2);
        let endpoints = Endpoints {
            near: items.access(),
            distant: items.access_at(away.port()),
            takes_direct_tls: round_trips::takes_direct_tls(&items.version().await?),
        };
        block_in_place(|| rounds::run(artifacts, &endpoints, self.rounds, self.requests))
    }
}

/// Counts round trips on the installed Postgres and on the two versions that npm carries, since
/// versions differ in their answer to the first TLS message.
async fn count_elsewhere(
    artifacts: &[Artifact],
    counted: &mut Vec<RoundTripCounts>,
) -> anyhow::Result<()> {
    let npm = |major| ServerSource::Npm { major: Some(major) };
    for source in [ServerSource::Binaries { dir: None }, npm(17), npm(18)] {
        let known = |major: u32| {
            let begin = format!("{major}.");
            counted.iter().any(|one| one.postgres.starts_with(&begin))
        };
        if matches!(source, ServerSource::Npm { major: Some(major) } if known(major)) {
            continue;
        }
        let items = match ItemDatabase::start(source).await {
            Err(error) if is_missing(&error) => {
                eprintln!("  - round trips not counted: {error:#}");
                continue;
            }
            started => started?,
        };
        let version = items.version().await?;
        if !counted.iter().any(|one| one.postgres == version) {
            counted.push(round_trips::count(artifacts, &items).await?);
        }
        items.stop().await?;
    }
    counted.sort_by_key(|one| {
        let major = one.postgres.split('.').next();
        major.and_then(|major| major.parse().ok()).unwrap_or(0_u32)
    });
    Ok(())
}

/// Returns whether the error says that this machine lacks the Postgres or PgBouncer.
fn is_missing(error: &anyhow::Error) -> bool {
    let error: Option<&stagelink_local_postgres::Error> = error.downcast_ref();
    error.is_some_and(|error| error.kind() == ErrorKind::Missing)
}
