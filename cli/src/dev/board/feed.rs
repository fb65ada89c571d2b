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
        let about = json!({ "pipeline": feed.board.pipeline });
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
