//! Connection storms: many processes at once before a database that allows few connections.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde::Serialize;
use stagelink_cli::progress::Step;
use tokio::task::block_in_place;

use super::super::artifact::Artifact;
use super::super::event::RequestKind;
use super::super::instance::Instance;
use super::super::is_missing;
use super::super::item_database::{ConnectionInfo, ItemDatabase};
use super::super::runtime_api::TimedAnswer;
use super::super::statistics::{quantile, sorted};
use super::super::variant::Variant;
use super::pooler::Pooler;
use super::reply::Reply;

/// The result of the storm of one variant.
#[derive(Clone, Debug, Serialize)]
pub(in super::super) struct ConnectionStorm {
    pub(in super::super) variant: Variant,
    pub(super) target: Target,
    /// Version of the PgBouncer in between.
    pub(super) pooler: Option<String>,
    pub(super) instances: usize,
    #[serde(flatten)]
    pub(super) tally: Tally,
    #[serde(flatten)]
    pub(super) outcome: StormOutcome,
}

/// The state of the processes after a storm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct StormOutcome {
    /// Number of processes that ended.
    pub(super) ended: usize,
    /// The last log line of one of these.
    pub(super) last_log_line: Option<String>,
    /// Time until every request was answered or given up.
    pub(super) seconds: f64,
    /// Number of processes that answered one more request with the row afterwards.
    pub(super) recovered: usize,
}

/// The server that the processes connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Target {
    /// A PgBouncer without support for prepared statements.
    Pooler,
    /// A PgBouncer that tracks prepared statements.
    PreparingPooler,
    Database,
}

impl Target {
    pub(super) const ALL: [Self; 3] = [Self::Pooler, Self::PreparingPooler, Self::Database];
}

/// The answers to the requests of a storm, counted by kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Tally {
    /// Answers with 200 and the row.
    pub(super) good: usize,
    /// Answers with 503 and a `Retry-After`.
    pub(super) busy: usize,
    /// Other answers, by their text.
    pub(super) failures: BTreeMap<String, usize>,
    pub(super) unanswered: usize,
    /// Times of the answers with the row; the first of a process includes its start.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// Runs all storms for each variant, one after the other.
pub(super) async fn run(
    artifacts: &[Artifact],
    items: &ItemDatabase,
    instances: usize,
) -> anyhow::Result<Vec<ConnectionStorm>> {
    let step = Step::begin("storms");
    let tell = step.teller();
    let mut storms = Vec::new();
    for target in Target::ALL {
        for artifact in artifacts {
            // Each variant gets a new pooler.
            let pooler = match target.start(items).await {
                Err(error) if is_missing(&error) => {
                    eprintln!("  - storm skipped: {error:#}");
                    break;
                }
                pooler => pooler?,
            };
            let version = pooler.as_ref().map(|pooler| pooler.version().to_owned());
            let access = pooler
                .as_ref()
                .map_or_else(|| items.access(), Pooler::access);
            let (name, place) = (artifact.variant.name(), target.words(version.as_deref()));
            tell(&format!("{instances} instances of {name} {place}"));
            let (tally, outcome) = block_in_place(|| run_storm(artifact, &access, instances))?;
            storms.push(ConnectionStorm {
                variant: artifact.variant,
                target,
                pooler: version,
                instances,
                tally,
                outcome,
            });
            if let Some(pooler) = pooler {
                pooler.stop().await?;
            }
            items.without_sessions().await?;
        }
    }
    step.done(&format!("{instances} instances of each"));
    Ok(storms)
}

/// Starts this many processes at once, and sends requests to all of them.
fn run_storm(
    artifact: &Artifact,
    access: &ConnectionInfo,
    instances: usize,
) -> anyhow::Result<(Tally, StormOutcome)> {
    let variables = artifact.variant.variables(access);
    let began = Instant::now();
    let spawned = (0..instances).map(|_| Instance::spawn(artifact, &variables, REQUESTS));
    let mut running = spawned.collect::<anyhow::Result<Vec<_>>>()?;
    let answers = all(&mut running, |instance| {
        (instance.began, instance.wait_for_answers(LIMIT))
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let recovered = all(&mut running, |instance| {
        instance.is_alive() && recovers(instance)
    })?;
    let ended = running
        .iter_mut()
        .filter_map(|one| (!one.is_alive()).then(|| one.last_log_line()));
    let ended: Vec<String> = ended.collect();
    let outcome = StormOutcome {
        ended: ended.len(),
        last_log_line: ended.into_iter().next(),
        seconds,
        recovered: recovered.into_iter().filter(|served| *served).count(),
    };
    Ok((Tally::of(&answers), outcome))
}

/// Calls a function for each process, for all of them at the same time.
fn all<T: Send>(
    running: &mut [Instance],
    work: impl Fn(&mut Instance) -> T + Sync,
) -> anyhow::Result<Vec<T>> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = running
            .iter_mut()
            .map(|instance| scope.spawn(move || work(instance)))
            .collect();
        let done = threads.into_iter().map(thread::ScopedJoinHandle::join);
        done.map(|done| done.map_err(|_| anyhow!("the thread that asks a process panicked")))
            .collect()
    })
}

/// Returns whether a client gets its row in the end, if it retries as `Retry-After` says.
fn recovers(instance: &mut Instance) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answered = instance.send(RequestKind::Item, left);
        match answered.map(|answered| Reply::of(&answered.answer)) {
            Some(Reply::Item) => return true,
            Some(Reply::Busy(wait)) if Instant::now() + wait < deadline => thread::sleep(wait),
            _ => return false,
        }
    }
}

impl Tally {
    /// Counts the answers of each process; the moment is that before the start of the process.
    fn of(answers: &[(Instant, Vec<TimedAnswer>)]) -> Self {
        let mut tally = Self::default();
        let mut latencies = Vec::new();
        for (began, answers) in answers {
            tally.unanswered += REQUESTS - answers.len();
            for (place, answered) in answers.iter().enumerate() {
                match Reply::of(&answered.answer) {
                    Reply::Item => {
                        tally.good += 1;
                        let is_first = place == 0;
                        latencies.push(if is_first {
                            answered.at - *began
                        } else {
                            answered.took
                        });
                    }
                    Reply::Busy(_) => tally.busy += 1,
                    Reply::GivenUp => tally.failed("504"),
                    Reply::Failed(text) => tally.failed(&text),
                }
            }
        }
        let latencies = sorted(latencies.iter().map(|time| time.as_secs_f64() * 1e3));
        tally.p50_ms = quantile(&latencies, 0.5);
        tally.p99_ms = quantile(&latencies, 0.99);
        tally
    }

    fn failed(&mut self, what: &str) {
        *self.failures.entry(what.to_owned()).or_default() += 1;
    }

    /// Number of answers that are neither the row nor a `Retry-After`.
    pub(super) fn failed_in_all(&self) -> usize {
        self.failures.values().sum()
    }
}

impl ConnectionStorm {
    /// Name of the target in a title, as in `through PgBouncer 1.18.0`.
    pub(super) fn place(&self) -> String {
        self.target.words(self.pooler.as_deref())
    }
}

impl Target {
    async fn start(self, items: &ItemDatabase) -> anyhow::Result<Option<Pooler>> {
        Ok(match self {
            Self::Pooler => Some(Pooler::start(items, 0).await?),
            Self::PreparingPooler => Some(Pooler::start(items, STATEMENTS).await?),
            Self::Database => None,
        })
    }

    fn words(self, version: Option<&str>) -> String {
        let version = version.unwrap_or_default();
        match self {
            Self::Pooler => format!("through PgBouncer {version}"),
            Self::PreparingPooler => {
                format!("through PgBouncer {version} with prepared statements")
            }
            Self::Database => "at the database".to_owned(),
        }
    }
}

/// Requests to each process, one after the other.
pub(super) const REQUESTS: usize = 3;

/// Number of prepared statements that PgBouncer keeps by default since 1.24.
const STATEMENTS: u32 = 200;

/// Netlify's time limit for this many requests.
const LIMIT: Duration = Duration::from_secs(60 * REQUESTS as u64);

/// Time for which a client retries after the storm.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::event::UnexpectedAnswer;
    use super::*;

    /// A storm of a variant, in which all requests are answered or all fail.
    pub(in super::super) fn storm(
        variant: Variant,
        target: Target,
        is_good: bool,
    ) -> ConnectionStorm {
        let good = Tally {
            good: 240,
            busy: 60,
            p50_ms: 20.0,
            p99_ms: 400.0,
            ..Tally::default()
        };
        let bad = Tally {
            failures: [("502: no connection".to_owned(), 290)].into(),
            unanswered: 10,
            ..Tally::default()
        };
        ConnectionStorm {
            variant,
            target,
            pooler: (target != Target::Database).then(|| "1.24.1".to_owned()),
            instances: 100,
            tally: if is_good { good } else { bad },
            outcome: StormOutcome {
                ended: if is_good { 0 } else { 2 },
                last_log_line: (!is_good).then(|| "no start".to_owned()),
                seconds: 9.5,
                recovered: if is_good { 100 } else { 0 },
            },
        }
    }

    #[test]
    fn answers_are_tallied_by_what_they_are() {
        let began = Instant::now();
        let at = |ms, answer| TimedAnswer {
            at: began + Duration::from_millis(ms),
            took: Duration::from_millis(2),
            answer,
        };
        let response = |text: &str| Err(UnexpectedAnswer::Response(text.to_owned()));
        let one = [
            at(90, Ok(())),
            at(92, Ok(())),
            at(
                94,
                response(r#"{"statusCode":503,"headers":{"retry-after":"1"}}"#),
            ),
        ];
        let other = [at(96, response(r#"{"statusCode":500,"body":"no"}"#))];
        let tally = Tally::of(&[(began, one.to_vec()), (began, other.to_vec())]);
        assert_eq!((tally.good, tally.busy), (2, 1));
        assert_eq!((tally.failures["500: no"], tally.failed_in_all()), (1, 1));
        assert_eq!(tally.unanswered, REQUESTS - 1);
        // The mean of 90 ms, from the start of the process, and 2 ms.
        assert_eq!(tally.p50_ms, 46.0);
    }
}
