//! The load of a drill: readers and writers that do not wait for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::requests::{Answer, Requests, is_success};

/// A load that runs until it is stopped. Each client has [`READERS`] readers and a writer. Each of
/// them sends one request after the other, so a fault that makes requests wait meets as many reads as
/// there are readers, whatever becomes of the writes.
#[derive(Debug)]
pub(super) struct Load {
    tasks: JoinSet<Vec<Outcome>>,
    stop: watch::Sender<bool>,
    answered: Arc<AtomicUsize>,
}

/// The outcome of one request, as a client saw it.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The id of a write; none of a read.
    pub(super) id: Option<String>,
    pub(super) sent: Instant,
    pub(super) took: Duration,
    pub(super) answer: Answer,
}

/// The parts of a load that its tasks share.
#[derive(Clone)]
struct Shared {
    requests: Requests,
    stopped: watch::Receiver<bool>,
    answered: Arc<AtomicUsize>,
}

impl Outcome {
    pub(super) fn is_success(&self) -> bool {
        matches!(self.answer, Ok(status) if is_success(status))
    }

    /// Returns whether the request was under way at a time between these.
    pub(super) fn has_met(&self, (begun, ended): (Instant, Instant)) -> bool {
        self.sent <= ended && self.sent + self.took >= begun
    }
}

impl Load {
    /// Starts clients whose writes have ids that begin with `name`.
    pub(super) fn start(requests: &Requests, name: &str, clients: u16) -> Self {
        let (stop, stopped) = watch::channel(false);
        let answered = Arc::<AtomicUsize>::default();
        let shared = Shared {
            requests: requests.clone(),
            stopped,
            answered: Arc::clone(&answered),
        };
        let mut tasks = JoinSet::new();
        for client in 0..clients {
            if requests.settings.read.is_some() {
                for _ in 0..READERS {
                    tasks.spawn(shared.clone().run(None));
                }
            }
            if requests.settings.write.is_some() {
                // Of a fixed length, so that none is the beginning of another.
                let name = format!("{name}-{client:02}");
                tasks.spawn(shared.clone().run(Some(name)));
            }
        }
        Self {
            tasks,
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
        self.tasks.join_all().await.concat()
    }
}

impl Shared {
    /// Sends writes whose ids begin with `writer`, or reads.
    async fn run(self, writer: Option<String>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for number in 0.. {
            if *self.stopped.borrow() {
                break;
            }
            let id = writer.as_ref().map(|name| format!("{name}-{number:06}"));
            let sent = Instant::now();
            let settings = &self.requests.settings;
            let answer = match (&id, &settings.read, &settings.write) {
                (Some(id), _, Some(write)) => self.requests.write(write, id).await,
                (None, Some(read), _) => self.requests.read(read).await,
                // It was started for the other kind.
                (Some(_), _, None) | (None, None, _) => break,
            };
            self.answered.fetch_add(1, Ordering::Relaxed);
            outcomes.push(Outcome {
                id,
                sent,
                took: sent.elapsed(),
                answer,
            });
            sleep(PAUSE).await;
        }
        outcomes
    }
}

/// The readers of a client. With the writers of four clients they are fewer than the 20 connections
/// of a local database.
pub(super) const READERS: usize = 3;

/// Between two requests of a task: a drill is no test of speed.
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;
    use stagelink_pipeline::DrillSettings;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// A site that answers nothing until it is told to. Returns its URL, and the requests that it has.
    async fn stalled_site(go: watch::Receiver<bool>) -> (String, Arc<Mutex<Vec<String>>>) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let all = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                let (all, mut go) = (Arc::clone(&all), go.clone());
                tokio::spawn(async move {
                    let mut bytes = vec![0; 4096];
                    let count = stream.read(&mut bytes).await.unwrap();
                    let text = String::from_utf8_lossy(&bytes[..count]);
                    let method = text.split(' ').next().unwrap().to_owned();
                    all.lock().unwrap().push(method);
                    go.wait_for(|go| *go).await.ok();
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    stream.write_all(answer).await.ok();
                });
            }
        });
        (url, seen)
    }

    #[tokio::test]
    async fn stall_meets_each_reader_and_each_writer() {
        let (go, stalled) = watch::channel(false);
        let (url, seen) = stalled_site(stalled).await;
        let settings = json!({ "read": "/r", "write": { "path": "/w", "body": "{id}" } });
        let settings: DrillSettings = serde_json::from_value(settings).unwrap();
        let begun = Instant::now();
        let load = Load::start(&Requests { settings, url }, "name", 2);
        let all = 2 * (READERS + 1);
        let arrived = async {
            while seen.lock().unwrap().len() < all {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), arrived)
            .await
            .expect("none waits for another");
        let reads = seen
            .lock()
            .unwrap()
            .iter()
            .filter(|method| *method == "GET")
            .count();
        assert_eq!(reads, 2 * READERS);
        let ended = Instant::now();
        go.send_replace(true);
        let outcomes = load.stop().await;
        let met = outcomes
            .iter()
            .filter(|outcome| outcome.has_met((begun, ended)));
        assert_eq!(met.count(), all);
        let ids = outcomes.iter().filter_map(|outcome| outcome.id.as_deref());
        assert!(ids.clone().any(|id| id == "name-00-000000"), "{outcomes:?}");
    }
}
