//! The times at which an instance is ended.

use std::time::Duration;

use tokio::time::Instant;

use super::Instance;

impl Instance {
    /// The earliest time at which the process is killed unless it sends a request before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let running = self.running.iter().map(|running| running.deadline);
        let pending_next = self.pending_next.iter().copied();
        let all = running.chain(pending_next).chain([self.init_deadline]);
        all.flatten().min()
    }

    /// The time at which the process is ended unless an event comes before. `None` while it has one.
    pub(super) fn idle_deadline(&self) -> Option<Instant> {
        let is_idle = !self.polls.is_empty() && self.running.is_empty() && self.assigned.is_empty();
        let limit = self
            .guard
            .registry
            .config
            .idle_timeout
            .filter(|_| is_idle)?;
        self.polled.checked_add(limit)
    }

    /// The time limit of the current phase.
    pub(super) fn time_limit(&self) -> Duration {
        let config = &self.guard.registry.config;
        if self.init_over {
            config.timeout
        } else {
            config.init_timeout
        }
    }
}

/// Sleeps until the deadline; for ever without a deadline.
pub(super) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
