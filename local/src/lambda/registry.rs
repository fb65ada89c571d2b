//! The registry of a function's instances: which exist, and which are ready for an invocation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use super::config::FunctionConfig;
use super::invocation::Invocation;

/// Sends an instance its next invocation.
///
/// The channel has room for as many invocations as the instance may run at once, because the
/// registry lists the instance as ready only that many times.
pub(super) type InvocationSender = mpsc::Sender<Invocation>;

/// The instances of one function.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) config: Arc<FunctionConfig>,
    state: Mutex<State>,
    alive: watch::Sender<usize>,
    closing: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// Free slots of instances, with the instance's number. An instance is listed once for each
    /// invocation that it can still take; the most recently used slot is the last.
    ready: Vec<(usize, InvocationSender)>,
    /// Instances that are starting, running or ending, with the id of their process.
    alive: BTreeMap<usize, Option<u32>>,
    last_number: usize,
    started: usize,
}

/// Result of assigning an invocation to an instance.
pub(super) enum Assignment {
    /// A warm instance has the invocation.
    Sent,
    /// No instance has a free slot. The caller starts the new instance with the invocation.
    NewInstance(NewInstance, Invocation),
    /// The function was shut down.
    Closed(Invocation),
}

/// An instance that is registered and has no process yet.
pub(super) struct NewInstance {
    pub(super) guard: InstanceGuard,
    pub(super) sender: InvocationSender,
    pub(super) receiver: mpsc::Receiver<Invocation>,
}

impl Registry {
    pub(super) fn new(config: FunctionConfig) -> Self {
        Self {
            config: Arc::new(config),
            state: Mutex::default(),
            alive: watch::Sender::new(0),
            closing: watch::Sender::new(false),
        }
    }

    /// Number of invocations that an instance may run at the same time.
    pub(super) fn concurrency(&self) -> usize {
        self.config.concurrency.max(1)
    }

    /// Sends the invocation to the most recently used instance with a free slot, or registers a
    /// new instance.
    pub(super) fn assign(self: &Arc<Self>, mut invocation: Invocation) -> Assignment {
        let mut state = self.state();
        if state.closed {
            return Assignment::Closed(invocation);
        }
        while let Some((_, sender)) = state.ready.pop() {
            match sender.try_send(invocation) {
                Ok(()) => return Assignment::Sent,
                Err(unsent) => invocation = unsent.into_inner(),
            }
        }
        state.last_number += 1;
        let number = state.last_number;
        state.alive.insert(number, None);
        self.alive.send_replace(state.alive.len());
        let (sender, receiver) = mpsc::channel(self.concurrency());
        // The invocation takes one slot. The others are ready at once, although the instance
        // runs nothing before its INIT is over.
        let others = (1..self.concurrency()).map(|_| (number, sender.clone()));
        state.ready.extend(others);
        let guard = InstanceGuard {
            registry: Arc::clone(self),
            number,
        };
        let instance = NewInstance {
            guard,
            sender,
            receiver,
        };
        Assignment::NewInstance(instance, invocation)
    }

    /// Accepts no more invocations, and tells every instance to shut down.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.closing.send_replace(true);
    }

    /// Waits until no instance is left.
    pub(super) async fn wait_until_empty(&self) {
        let mut alive = self.alive.subscribe();
        // `self` holds the sender, so this ends only when the count is 0.
        let _ = alive.wait_for(|&alive| alive == 0).await;
    }

    /// Receiver of the signal to shut down.
    pub(super) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Number of processes started so far.
    pub(super) fn started_count(&self) -> usize {
        self.state().started
    }

    /// Ids of the processes that are alive, the oldest first.
    pub(super) fn process_ids(&self) -> Vec<u32> {
        self.state().alive.values().copied().flatten().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No step under this lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registration of an instance. Dropping it removes the instance from the registry.
#[derive(Debug)]
pub(super) struct InstanceGuard {
    pub(super) registry: Arc<Registry>,
    pub(super) number: usize,
}

impl InstanceGuard {
    /// Records the id of the instance's process.
    pub(super) fn record_process(&self, id: u32) {
        let mut state = self.registry.state();
        state.started += 1;
        state.alive.insert(self.number, Some(id));
    }

    /// Lists one free slot of the instance as ready.
    pub(super) fn add_ready_slot(&self, sender: InvocationSender) {
        self.registry.state().ready.push((self.number, sender));
    }

    /// Removes the instance's free slots, so that it gets no more invocations.
    pub(super) fn remove_ready_slots(&self) {
        let mut state = self.registry.state();
        state.ready.retain(|(number, _)| *number != self.number);
    }
}

impl Drop for InstanceGuard {
    fn drop(&mut self) {
        let mut state = self.registry.state();
        state.ready.retain(|(number, _)| *number != self.number);
        state.alive.remove(&self.number);
        self.registry.alive.send_replace(state.alive.len());
    }
}
