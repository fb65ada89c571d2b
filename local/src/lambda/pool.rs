//! The instances of one function: which are warm, how many live, who is next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::{Semaphore, mpsc, watch};

use super::config::FunctionConfig;
use super::instance;
use super::invocation::Invocation;
use super::invoke_error::InvokeError;
use crate::{Error, ErrorKind};

/// The instances of one function, and the line before them.
///
/// A semaphore with a permit for each event that may run is the line: it is
/// fair, and an event that holds a permit always finds a place in an instance or room
/// for a new one.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) config: Arc<FunctionConfig>,
    line: Arc<Semaphore>,
    state: Mutex<State>,
    alive: watch::Sender<usize>,
    closing: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// Instances that wait for an event, once for each that they may have beside those that
    /// they have, the most recently used last.
    warm: Vec<(usize, Hand)>,
    /// Instances that are starting, alive or ending, with their process's id.
    alive: BTreeMap<usize, Option<u32>>,
    last_number: usize,
    started: usize,
}

/// Gives an instance its next event. It has room for as many as the instance may have at
/// once, as it is warm only for so many.
pub(super) type Hand = mpsc::Sender<Invocation>;

impl Pool {
    pub(super) fn new(config: FunctionConfig) -> Self {
        let places = config.max_instances.max(1);
        let places = places.saturating_mul(config.concurrency.max(1));
        let places = places.min(Semaphore::MAX_PERMITS);
        Self {
            config: Arc::new(config),
            line: Arc::new(Semaphore::new(places)),
            state: Mutex::default(),
            alive: watch::Sender::new(0),
            closing: watch::Sender::new(false),
        }
    }

    /// Waits in line, has the event run, and returns its answer.
    pub(super) async fn run(
        self: &Arc<Self>,
        event: Option<Bytes>,
        qualifier: Option<&str>,
        parts: Option<mpsc::Sender<Bytes>>,
    ) -> Result<Bytes, InvokeError> {
        let arn = HeaderValue::from_str(&self.config.arn(qualifier)).map_err(|cause| {
            let message = "could not form an ARN from the function's name and alias: use letters, \
                           digits, - and _";
            InvokeError::NotStarted(Error::new(ErrorKind::Input, message).because(cause))
        })?;
        let line = Arc::clone(&self.line);
        let Ok(place) = line.acquire_owned().await else {
            return Err(InvokeError::ShutDown);
        };
        let (invocation, answer) = Invocation::new(event, arn, parts, place);
        self.dispatch(invocation);
        // No answer at all: the async runtime that the instance ran on ended.
        answer.await.unwrap_or(Err(InvokeError::ShutDown))
    }

    /// How many events an instance may have at the same time.
    pub(super) fn concurrency(&self) -> usize {
        self.config.concurrency.max(1)
    }

    /// Gives the event to the most recently used warm instance, or to a new one.
    pub(super) fn dispatch(self: &Arc<Self>, mut invocation: Invocation) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            return invocation.end(Err(InvokeError::ShutDown));
        }
        while let Some((_, hand)) = state.warm.pop() {
            match hand.try_send(invocation) {
                Ok(()) => return,
                Err(refused) => invocation = refused.into_inner(),
            }
        }
        state.last_number += 1;
        let number = state.last_number;
        state.alive.insert(number, None);
        self.alive.send_replace(state.alive.len());
        let (hand, work) = mpsc::channel(self.concurrency());
        // Its other places are open from the beginning, though it takes nothing before its
        // INIT is over.
        let others = (1..self.concurrency()).map(|_| (number, hand.clone()));
        state.warm.extend(others);
        drop(state);
        let membership = Membership {
            pool: Arc::clone(self),
            number,
        };
        tokio::spawn(instance::live(membership, hand, work, invocation));
    }

    /// Takes no more events, and tells every instance to end.
    pub(super) fn close(&self) {
        self.line.close();
        self.state().closed = true;
        self.closing.send_replace(true);
    }

    /// Waits until no instance is left.
    pub(super) async fn emptied(&self) {
        let mut alive = self.alive.subscribe();
        // The sender is in `self`, so this ends with the count alone.
        let _ = alive.wait_for(|&alive| alive == 0).await;
    }

    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    pub(super) fn started(&self) -> usize {
        self.state().started
    }

    pub(super) fn process_ids(&self) -> Vec<u32> {
        self.state().alive.values().copied().flatten().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No step under this lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An instance's place among the living, until it is dropped.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) pool: Arc<Pool>,
    pub(super) number: usize,
}

impl Membership {
    pub(super) fn process_started(&self, id: u32) {
        let mut state = self.pool.state();
        state.started += 1;
        state.alive.insert(self.number, Some(id));
    }

    /// Waits for an event from now on.
    pub(super) fn rest(&self, hand: Hand) {
        self.pool.state().warm.push((self.number, hand));
    }

    /// Waits for no event any more.
    pub(super) fn retire(&self) {
        let mut state = self.pool.state();
        state.warm.retain(|(number, _)| *number != self.number);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.warm.retain(|(number, _)| *number != self.number);
        state.alive.remove(&self.number);
        self.pool.alive.send_replace(state.alive.len());
    }
}
