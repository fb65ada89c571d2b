//! The load of a drill: clients that read and write, one request after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::requests::{Answer, Requests, is_success};

/// A load that runs until it is stopped.
#[derive(Debug)]
pub(super) struct Load {
    clients: JoinSet<Vec<Outcome>>,
    stop: watch::Sender<bool>,
    answered: Arc<AtomicUsize>,
}

/// The outcome of one request, as a client saw it.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The id of a write; none of a read.
    pub(super) id: Option<String>,
    pub(super) took: Duration,
    pub(super) answer: Answer,
}

impl Outcome {
    pub(super) fn is_success(&self) -> bool {
        matches!(self.answer, Ok(status) if is_success(status))
    }
}

impl Load {
    /// Starts clients whose writes have ids that begin with `name`.
    pub(super) fn start(requests: &Requests, name: &str, clients: u16) -> Self {
        let (stop, stopped) = watch::channel(false);
        let answered = Arc::<AtomicUsize>::default();
        let started = (0..clients).map(|client| {
            // Of a fixed length, so that none is the beginning of another.
            let name = format!("{name}-{client:02}");
            run(
                requests.clone(),
                name,
                stopped.clone(),
                Arc::clone(&answered),
            )
        });
        Self {
            clients: started.collect(),
            stop,
            answered,
        }
    }

    /// Waits until so many more requests have been answered, or the time is up.
    pub(super) async fn wait_for_answers(&self, more: usize, limit: Duration) {
        let enough = self.answered.load(Ordering::Relaxed) + more;
        let ends = Instant::now() + limit;
        while self.answered.load(Ordering::Relaxed) < enough && Instant::now() < ends {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends no more, waits for the answers, and returns all outcomes.
    pub(super) async fn stop(self) -> Vec<Outcome> {
        self.stop.send_replace(true);
        self.clients.join_all().await.concat()
    }
}

async fn run(
    requests: Requests,
    name: String,
    stopped: watch::Receiver<bool>,
    answered: Arc<AtomicUsize>,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for number in 0.. {
        if *stopped.borrow() {
            break;
        }
        let settings = &requests.settings;
        let write = settings.write.as_ref();
        let write = write.filter(|_| settings.read.is_none() || number % 2 == 1);
        let started = Instant::now();
        let (id, answer) = match (write, &settings.read) {
            (Some(write), _) => {
                let id = format!("{name}-{number:06}");
                let answer = requests.write(write, &id).await;
                (Some(id), answer)
            }
            (None, Some(read)) => (None, requests.read(read).await),
            // The settings have one of them.
            (None, None) => break,
        };
        answered.fetch_add(1, Ordering::Relaxed);
        outcomes.push(Outcome {
            id,
            took: started.elapsed(),
            answer,
        });
        sleep(PAUSE).await;
    }
    outcomes
}

/// Between two requests of a client: a drill is no test of speed.
const PAUSE: Duration = Duration::from_millis(50);
