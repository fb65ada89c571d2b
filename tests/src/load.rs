//! A steady load of reads and writes on the guestbook, until a test stops it.

use std::future::ready;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::{LoadReport, Outcome, Target};

/// Load that runs until it is stopped.
///
/// ```no_run
/// # async fn example(fixture: stagelink_tests::HerokuFixture, server: stagelink_local_postgres::Server) {
/// use stagelink_tests::{Load, Plan};
///
/// let function = fixture.function("guestbook").await;
/// let load = Load::start(fixture.target(&function), Plan::default());
/// load.wait_for_answers(100).await;
/// // Here the test does something to the database.
/// load.wait_for_answers(100).await;
/// let report = load.stop().await;
/// let db = server.connect_as_superuser_to(&fixture.database).await.unwrap();
/// report.check(&db).await;
/// # }
/// ```
#[derive(Debug)]
pub struct Load {
    progress: watch::Receiver<LoadProgress>,
    stop: oneshot::Sender<()>,
    driving: JoinHandle<LoadReport>,
}

/// Progress of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadProgress {
    /// Requests that were answered, successfully or not.
    pub answered: usize,
    /// Answered requests that failed.
    pub failed: usize,
}

/// Configuration of a load.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Maximum number of concurrent requests: with a function as target, that many instances, each
    /// with one connection. Default: 8, so that the role's limit of 20 connections suffices while
    /// old and new connections coexist.
    pub concurrency: usize,
    /// Requests per second, as far as the target keeps up; `None` for as many as it answers.
    /// Default: 100, which leaves room for other tests.
    pub rate: Option<u32>,
    /// Percentage of requests that are writes. Default: 50.
    pub writes_percent: usize,
    /// Sends each write with its own `Idempotency-Key`. Default: no.
    pub has_keys: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            concurrency: 8,
            rate: Some(100),
            writes_percent: 50,
            has_keys: false,
        }
    }
}

impl Plan {
    /// Returns whether the request with this number is a write. Writes are spread evenly.
    fn is_write(&self, number: usize) -> bool {
        let writes_before = |number| number * self.writes_percent / 100;
        writes_before(number + 1) > writes_before(number)
    }
}

impl Load {
    /// Starts a load on the guestbook of this target. Each write has a unique number as its
    /// message, and all writes of a load share a name of their own.
    pub fn start(target: Target, plan: Plan) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("load-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let (stop, stopped) = oneshot::channel();
        let (progress_sender, progress) = watch::channel(LoadProgress::default());
        let driving = tokio::spawn(drive(target, plan, name, stopped, progress_sender));
        Self {
            progress,
            stop,
            driving,
        }
    }

    /// Returns the load's progress.
    pub fn progress(&self) -> LoadProgress {
        *self.progress.borrow()
    }

    /// Waits until `more` further requests have been answered, successfully or not.
    pub async fn wait_for_answers(&self, more: usize) {
        let enough = self.progress().answered + more;
        let mut progress = self.progress.clone();
        // A panic of the load surfaces when it is stopped.
        let _ = progress
            .wait_for(|progress| progress.answered >= enough)
            .await;
    }

    /// Stops sending, waits for the pending requests, and returns all outcomes.
    ///
    /// # Panics
    ///
    /// When a request panicked, as [`Target::ask`] does.
    pub async fn stop(self) -> LoadReport {
        let Self { stop, driving, .. } = self;
        // The receiver is gone if the load panicked.
        let _ = stop.send(());
        driving
            .await
            .unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }
}

async fn drive(
    target: Target,
    plan: Plan,
    name: String,
    mut stopped: oneshot::Receiver<()>,
    progress_sender: watch::Sender<LoadProgress>,
) -> LoadReport {
    let mut pace = plan.rate.map(|rate| {
        let mut pace = interval(Duration::from_secs(1) / rate);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    });
    let start = Instant::now();
    let mut running = JoinSet::new();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut sent = 0;
    loop {
        let turn = async {
            match &mut pace {
                Some(pace) => drop(pace.tick().await),
                None => ready(()).await,
            }
        };
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            Some(outcome) = running.join_next() => {
                let outcome: Outcome =
                    outcome.unwrap_or_else(|error| resume_unwind(error.into_panic()));
                progress_sender.send_modify(|progress| {
                    progress.answered += 1;
                    progress.failed += usize::from(!outcome.is_good());
                });
                outcomes.push(outcome);
            }
            () = turn, if running.len() < plan.concurrency => {
                running.spawn(ask(target.clone(), plan, name.clone(), sent));
                sent += 1;
            }
        }
    }
    outcomes.extend(running.join_all().await);
    outcomes.sort_by_key(|outcome| outcome.number);
    LoadReport {
        name,
        outcomes,
        took: start.elapsed(),
    }
}

async fn ask(target: Target, plan: Plan, name: String, number: usize) -> Outcome {
    let is_write = plan.is_write(number);
    let entry = is_write.then(|| json!({ "name": name, "message": number.to_string() }));
    let method = if is_write { "POST" } else { "GET" };
    let key = format!("{name}-{number}");
    let keyed = [("idempotency-key", key.as_str())];
    let headers = if is_write && plan.has_keys {
        &keyed[..]
    } else {
        &[]
    };
    let started = Instant::now();
    let answer = target
        .ask(method, "/api/guestbook", headers, entry.as_ref())
        .await;
    Outcome {
        number,
        is_write,
        started,
        took: started.elapsed(),
        answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_spread_evenly() {
        let writes = |writes_percent, requests| {
            let plan = Plan {
                writes_percent,
                ..Plan::default()
            };
            (0..requests).filter(|&n| plan.is_write(n)).count()
        };
        assert_eq!((writes(0, 100), writes(100, 100)), (0, 100));
        assert_eq!(
            (writes(50, 10), writes(30, 10), writes(30, 100)),
            (5, 3, 30)
        );
    }
}
