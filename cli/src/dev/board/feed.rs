//! The feed of the page: server-sent events with what changes.
//!
//! | event | data |
//! | --- | --- |
//! | `requests` | records in the order of their changes, in the form of `stagelink dev --json` without lines; those of a page that has just come first |
//! | `gap` | changes came too fast; the records follow anew |
//! | `stages` | the columns |
//! | `build`, `faults`, `action` | the present state of each |

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::stream::{Stream, unfold};
use serde::Serialize;
use serde_json::{Value, json};
use stagelink_local::{RequestEvent, RequestRecord};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;
use tokio::time::sleep;

use super::BoardState;
use crate::dev::build_news::BuildState;

/// Returns the feed of one page.
pub(super) fn feed(board: Arc<BoardState>) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(Feed::new(board), async |mut feed| {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    })
}

struct Feed {
    board: Arc<BoardState>,
    waiting: VecDeque<Event>,
    requests: Receiver<RequestEvent>,
    stages: watch::Receiver<Value>,
    faults: watch::Receiver<Value>,
    build: watch::Receiver<BuildState>,
    action: watch::Receiver<Value>,
}

impl Feed {
    fn new(board: Arc<BoardState>) -> Self {
        let mut feed = Self {
            waiting: VecDeque::new(),
            requests: board.requests.subscribe(),
            stages: board.stages.subscribe(),
            faults: board.stages.subscribe_faults(),
            build: board.build.clone(),
            action: board.actions.subscribe(),
            board,
        };
        feed.build.mark_changed();
        feed.action.mark_changed();
        feed.faults.mark_changed();
        feed.stages.mark_changed();
        let remote = feed
            .board
            .remote
            .as_ref()
            .map(|facts| facts.borrow().clone());
        let about = json!({ "pipeline": feed.board.title, "remote": remote });
        feed.send("about", &about);
        feed.send_kept();
        feed
    }

    /// Waits for the next event; `None` when the clouds have gone.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            tokio::select! {
                changed = self.stages.changed() => {
                    changed.ok()?;
                    let value = self.stages.borrow_and_update().clone();
                    if !value.is_null() {
                        self.send("stages", &value);
                    }
                }
                changed = self.faults.changed() => {
                    changed.ok()?;
                    let value = self.faults.borrow_and_update().clone();
                    self.send("faults", &value);
                }
                changed = self.build.changed() => {
                    changed.ok()?;
                    let value = self.build.borrow_and_update().clone();
                    self.send("build", &value);
                }
                changed = self.action.changed() => {
                    changed.ok()?;
                    let value = self.action.borrow_and_update().clone();
                    self.send("action", &value);
                }
                event = self.requests.recv() => match event {
                    Ok(event) => self.send_requests(event).await,
                    Err(RecvError::Lagged(_)) => self.send_gap(),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    /// Sends a change of the requests with those that follow within a moment.
    async fn send_requests(&mut self, first: RequestEvent) {
        let mut batch = Batch::default();
        batch.add(first);
        sleep(BATCH_TIME).await;
        while batch.0.len() < LARGEST_BATCH {
            match self.requests.try_recv() {
                Ok(event) => batch.add(event),
                Err(TryRecvError::Lagged(_)) => return self.send_gap(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        self.send_batch(&batch);
    }

    fn send_gap(&mut self) {
        // What is kept has the changes that still wait; later ones come as they happen.
        self.requests = self.requests.resubscribe();
        self.send("gap", &Value::Null);
        self.send_kept();
    }

    /// Sends the requests that are kept.
    fn send_kept(&mut self) {
        for records in self.board.requests.records().chunks(LARGEST_BATCH) {
            self.send_batch(&Batch(records.to_vec()));
        }
    }

    fn send_batch(&mut self, batch: &Batch) {
        if !batch.0.is_empty() {
            let records: Vec<_> = batch.0.iter().map(|record| summary(record)).collect();
            self.send("requests", &records);
        }
    }

    fn send(&mut self, name: &str, data: &impl Serialize) {
        // Neither can a value fail to be JSON, nor has JSON a line break.
        let data = serde_json::to_string(data).unwrap_or_default();
        self.waiting
            .push_back(Event::default().event(name).data(data));
    }
}

/// Records of requests, each once and as it was last.
#[derive(Default)]
struct Batch(Vec<Arc<RequestRecord>>);

impl Batch {
    fn add(&mut self, event: RequestEvent) {
        match event {
            RequestEvent::Started(record) => self.0.push(record),
            RequestEvent::Finished(record) => {
                let mut latest_first = self.0.iter_mut().rev();
                match latest_first.find(|known| known.id == record.id) {
                    Some(known) => *known = record,
                    None => self.0.push(record),
                }
            }
            // The page asks for the lines of one request at a time.
            _ => {}
        }
    }
}

/// Returns a record without its lines, and with the first spans alone.
pub(super) fn summary(record: &RequestRecord) -> Value {
    let mut summary = record.to_json();
    if let Some(summary) = summary.as_object_mut() {
        summary.remove("lines");
        summary.insert("is_finished".to_owned(), record.is_finished.into());
        summary.insert("has_event".to_owned(), record.event.is_some().into());
    }
    if let Some(spans) = summary["database"]["spans"].as_array_mut() {
        let left_out = spans.len().saturating_sub(MOST_SPANS);
        spans.truncate(MOST_SPANS);
        if left_out > 0 {
            summary["database"]["spans_left_out"] = left_out.into();
        }
    }
    summary
}

/// Time in which changes of requests are collected.
const BATCH_TIME: Duration = Duration::from_millis(100);

const LARGEST_BATCH: usize = 250;

/// Spans of a record that the list of requests shows.
const MOST_SPANS: usize = 40;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use futures_util::future::join_all;
    use stagelink_local::netlify::SiteConfig;
    use stagelink_local::{FunctionSite, FunctionSiteConfig, send_request};
    use tokio::sync::Notify;
    use tokio::task::JoinSet;

    use super::*;
    use crate::dev::board::Sites;
    use crate::dev::board::actions::{ActionTarget, Actions};
    use crate::dev::board::local_tasks::LocalTasks;
    use crate::dev::board::stages::StageWatch;
    use crate::dev::build_news::BuildNews;

    fn board(
        site: &FunctionSite,
        news: &BuildNews,
    ) -> (Arc<BoardState>, Vec<watch::Sender<Value>>) {
        let (columns, columns_receiver) = watch::channel(Value::Null);
        let (faults, faults_receiver) = watch::channel(json!([]));
        let looks = (columns_receiver, faults_receiver);
        let target = ActionTarget::Local { port: 0 };
        let (tasks, _) = LocalTasks::new();
        let actions = Actions::new(tasks, Path::new("."), target, Arc::new(Notify::new()));
        let state = BoardState {
            title: "shop".to_owned(),
            remote: None,
            sites: Sites::Remote(site.view()),
            requests: site.requests().clone(),
            build: news.subscribe(),
            stages: StageWatch::of_looks(looks.0, looks.1, Arc::new(Notify::new()), JoinSet::new()),
            faults: None,
            actions,
        };
        (Arc::new(state), vec![columns, faults])
    }

    async fn ask(site: &FunctionSite, count: usize) {
        for _ in 0..count.div_ceil(20) {
            let asked = (0..20).map(|_| send_request(site.url(), "GET", "/index.html", &[], ""));
            for answer in join_all(asked).await {
                assert_eq!(answer.unwrap().status, 200);
            }
        }
    }

    /// Returns the name of an event, and the ids of the requests in it.
    fn read(event: &Event) -> (String, BTreeSet<String>) {
        let text = format!("{event:?}").replace("\\n", "\n").replace('\\', "");
        let (_, name) = text.split_once("event: ").unwrap();
        let name = name.lines().next().unwrap_or_default().to_owned();
        let ids = text.split("\"id\":\"").skip(1);
        let ids = ids.map(|rest| rest.split('"').next().unwrap_or_default().to_owned());
        (name, ids.collect())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn page_that_was_too_slow_is_told_of_the_gap_and_gets_the_requests_anew() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "home").unwrap();
        let config = SiteConfig::load(folder.path()).unwrap();
        let config = FunctionSiteConfig::new("staging", config);
        let site = FunctionSite::start(config, |_| ()).await.unwrap();
        let news = BuildNews::new();
        let (board, _looks) = board(&site, &news);
        let mut feed = Feed::new(Arc::clone(&board));
        feed.waiting.clear();
        // Each request is two changes, and 4,096 wait for a page that reads none of them.
        ask(&site, 2_100).await;
        loop {
            let (name, _) = read(&feed.next().await.unwrap());
            if name == "gap" {
                break;
            }
            assert_ne!(name, "requests", "changes after those that were lost");
        }
        let mut shown = BTreeSet::new();
        for event in feed.waiting.drain(..) {
            let (name, ids) = read(&event);
            assert_eq!(name, "requests");
            shown.extend(ids);
        }
        let kept: BTreeSet<_> = site
            .requests()
            .records()
            .iter()
            .map(|of| of.id.clone())
            .collect();
        assert_eq!(kept.len(), 2_000);
        assert_eq!(shown, kept);

        // The feed is whole again: what follows comes once more as it happens.
        ask(&site, 20).await;
        let mut new = BTreeSet::new();
        while new.len() < 20 {
            let (name, ids) = read(&feed.next().await.unwrap());
            assert_ne!(name, "gap");
            new.extend(ids.into_iter().filter(|id| !shown.contains(id)));
        }
        // A page that comes again gets all that is kept, before anything else of the requests.
        let again = Feed::new(board);
        let first = again
            .waiting
            .iter()
            .map(read)
            .find(|(name, _)| name == "requests");
        assert!(first.is_some_and(|(_, ids)| !ids.is_empty()));
        site.stop().await;
    }
}
