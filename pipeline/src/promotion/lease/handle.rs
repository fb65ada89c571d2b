//! The part of a lease by which the clients of services make sure that this process still holds it.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use stagelink::Stage;
use tokio::sync::{mpsc, oneshot};

use super::doubts::Doubts;
use super::renewal::{Change, Request};
use crate::error::{Error, ErrorKind};
use crate::fence::{AttemptEnd, Fence};
use crate::promotion::stop::OrderlyStop;

/// A lease that may be asked for from several places. It ends with the lease.
#[derive(Clone)]
pub(crate) struct LeaseHandle {
    pub(super) stage: Stage,
    /// The table's qualified name, quoted.
    pub(super) table: Arc<str>,
    /// The text by which the holder knows its own row.
    pub(super) token: Arc<str>,
    pub(super) requests: mpsc::Sender<Request>,
    /// The longest time that the answer to a fence may take.
    pub(super) fresh: Duration,
    /// The reason why the lease is lost.
    pub(super) lost: Arc<OnceLock<String>>,
    /// The changes whose result is not known.
    pub(super) doubts: Arc<Doubts>,
    pub(super) stop: Option<OrderlyStop>,
}

impl LeaseHandle {
    /// The table's qualified name, quoted.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// The text by which the holder knows its own row.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    /// Waits until the command is dropped, where it is to stop.
    async fn hold_back(&self) {
        if let Some(stop) = &self.stop {
            stop.hold_back().await;
        }
    }

    /// Lets the renewal make a change of the row.
    pub(super) async fn make(&self, change: Change) -> Result<(), Error> {
        self.ask(|reply| Request::Change(change, reply)).await
    }

    /// Asks the renewal for something.
    pub(super) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
    ) -> Result<T, Error> {
        let (reply, result) = oneshot::channel();
        if self.requests.send(request(reply)).await.is_ok()
            && let Ok(result) = result.await
        {
            return result;
        }
        let why = self.lost.get().map_or("its renewal has ended", |why| why);
        Err(Error::new(
            ErrorKind::Busy,
            format!(
                "the lease on stage {} was lost earlier, so nothing more was changed: {why}",
                self.stage
            ),
        ))
    }

    /// Renews the lease until an answer of the server is fresh. One that waited while this process was
    /// stopped, or the computer slept, says nothing about now.
    async fn renew(&self) -> Result<(), Error> {
        for _ in 0..MOST_ATTEMPTS {
            let asked = (Instant::now(), SystemTime::now());
            self.make(Change::Renew).await?;
            let passed = asked.1.elapsed().unwrap_or_default();
            if asked.0.elapsed().max(passed) < self.fresh {
                return Ok(());
            }
        }
        Err(Error::new(
            ErrorKind::Database,
            format!(
                "the database of stage {} takes more than {} s to renew the lease, so nothing more was \
                 changed",
                self.stage,
                self.fresh.as_secs_f64()
            ),
        ))
    }
}

impl Fence for LeaseHandle {
    fn ensure(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.hold_back().await;
            self.renew().await?;
            self.hold_back().await;
            Ok(())
        })
    }

    fn begins(&self) {
        if let Some(stop) = &self.stop {
            stop.attempt_begins();
        }
    }

    fn ended(&self, change: &str, end: AttemptEnd) {
        self.doubts.record(change, end);
        if let Some(stop) = &self.stop {
            stop.attempt_ended();
        }
    }

    fn settled(&self, is_known: &dyn Fn(&str) -> bool) {
        self.doubts.settle(is_known);
    }
}

impl fmt::Debug for LeaseHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseHandle")
            .field("stage", &self.stage)
            .field("is_lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}

const MOST_ATTEMPTS: u32 = 3;
