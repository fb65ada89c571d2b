//! An orderly stop: a command begins no change any more, and the lease on its stage is given back.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use stagelink::Stage;
use tokio::sync::{Notify, oneshot};

tokio::task_local! {
    static CURRENT: OrderlyStop;
}

/// An orderly stop of a command that changes a stage. Clones are the same.
///
/// Run the command's future by [`watch`](Self::watch). To stop it, [`request`](Self::request) that, wait until
/// the change that is under way has ended ([`settled`](Self::settled)), drop the future, and wait until the
/// leases are given back ([`lease_ends`](Self::lease_ends)).
#[derive(Clone, Default)]
pub struct OrderlyStop(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    has_settled: Notify,
}

#[derive(Default)]
struct State {
    is_requested: bool,
    /// The number of attempts at a change that are under way.
    under_way: usize,
    /// An end of each lease that was taken.
    ends: Vec<oneshot::Receiver<LeaseEnd>>,
}

/// The end of a lease whose command has ended or was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct LeaseEnd {
    /// The stage.
    pub stage: Stage,
    /// The reason why the lease was not given back, and holds until its time is over; `None` where it was
    /// given back, or is another command's by now.
    pub held_since: Option<String>,
    /// The time at which it ends then, in the format of RFC 3339, as far as it is known.
    pub holds_until: Option<String>,
}

impl OrderlyStop {
    /// Runs a command whose leases this stop knows. Cancel safe as the command is: dropped, the command's
    /// leases are given back.
    pub async fn watch<T>(&self, command: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), command).await
    }

    /// Asks the command to begin no change any more. In place of its next one it waits until it is dropped.
    pub fn request(&self) {
        self.state().is_requested = true;
    }

    /// Waits until no change is under way. Cancel safe.
    pub async fn settled(&self) {
        loop {
            let settled = self.0.has_settled.notified();
            if self.state().under_way == 0 {
                return;
            }
            settled.await;
        }
    }

    /// Waits for the end of each lease that the command has taken. Each comes once.
    pub async fn lease_ends(&self) -> Vec<LeaseEnd> {
        let ends = std::mem::take(&mut self.state().ends);
        let mut known = Vec::new();
        for end in ends {
            // Without one the task is gone: that of a lease which was lost.
            known.extend(end.await);
        }
        known
    }

    /// The stop of the command that runs, where there is one.
    pub(super) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Adds a lease that was taken, and returns the way to tell its end.
    pub(super) fn add_lease(&self) -> oneshot::Sender<LeaseEnd> {
        let (told, end) = oneshot::channel();
        self.state().ends.push(end);
        told
    }

    /// Waits until the command is dropped, where it is to stop.
    pub(super) async fn hold_back(&self) {
        if self.state().is_requested {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn attempt_begins(&self) {
        self.state().under_way += 1;
    }

    pub(super) fn attempt_ended(&self) {
        let mut state = self.state();
        state.under_way = state.under_way.saturating_sub(1);
        drop(state);
        self.0.has_settled.notify_waiters();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseEnd {
    /// Returns the sentence about a lease that was not given back.
    pub(crate) fn warning(&self) -> Option<String> {
        self.held_since.as_ref().map(|_| self.to_string())
    }

    pub(super) fn given_back(stage: Stage) -> Self {
        Self {
            stage,
            held_since: None,
            holds_until: None,
        }
    }
}

impl fmt::Debug for OrderlyStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderlyStop").finish_non_exhaustive()
    }
}

/// The end of a lease as a sentence without a full stop.
impl fmt::Display for LeaseEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = self.stage;
        match (&self.held_since, &self.holds_until) {
            (None, _) => write!(f, "the lease on stage {stage} is given back"),
            (Some(reason), Some(until)) => {
                write!(
                    f,
                    "the lease on stage {stage} holds until {until}, since {reason}"
                )
            }
            (Some(reason), None) => write!(
                f,
                "the lease on stage {stage} holds for a minute at most, since {reason}"
            ),
        }
    }
}
