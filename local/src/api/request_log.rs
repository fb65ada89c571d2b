//! The log of received requests, for tests that count calls.

use std::collections::VecDeque;

use axum::http::Method;

/// A received request, without headers and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// Method of the request.
    pub method: Method,
    /// Path without the query.
    pub path: String,
    /// Status of the response. `None` if there is no response: the request hangs, or its connection
    /// was closed.
    pub status: Option<u16>,
}

/// The received requests in their order, up to a maximum number: the oldest are dropped.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    entries: VecDeque<RecordedRequest>,
    dropped: u64,
}

impl RequestLog {
    /// Records a request. Returns its number for [`record_status`](Self::record_status).
    pub(super) fn record_request(&mut self, method: &Method, path: &str) -> u64 {
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(RecordedRequest {
            method: method.clone(),
            path: path.to_owned(),
            status: None,
        });
        self.dropped + self.entries.len() as u64 - 1
    }

    /// Records the status of the response to a request, unless the request was dropped.
    pub(super) fn record_status(&mut self, number: u64, status: u16) {
        let entry = number
            .checked_sub(self.dropped)
            .and_then(|index| self.entries.get_mut(usize::try_from(index).ok()?));
        if let Some(entry) = entry {
            entry.status = Some(status);
        }
    }

    pub(super) fn entries(&self) -> Vec<RecordedRequest> {
        self.entries.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.dropped += self.entries.len() as u64;
        self.entries.clear();
    }
}

/// Maximum number of requests. It is enough for any test, and bounds the memory of a stand-in that
/// runs for days.
const CAPACITY: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_of_a_dropped_request_is_ignored() {
        let mut log = RequestLog::default();
        let first = log.record_request(&Method::GET, "/apps");
        log.clear();
        let second = log.record_request(&Method::GET, "/account");
        log.record_status(first, 500);
        log.record_status(second, 200);
        let statuses: Vec<_> = log.entries().iter().map(|entry| entry.status).collect();
        assert_eq!(statuses, [Some(200)]);
    }

    #[test]
    fn full_log_drops_the_oldest_request() {
        let mut log = RequestLog::default();
        for number in 0..CAPACITY + 5 {
            log.record_request(&Method::GET, &format!("/{number}"));
        }
        log.record_status(CAPACITY as u64 + 4, 204);
        let entries = log.entries();
        assert_eq!(entries.len(), CAPACITY);
        assert_eq!(entries[0].path, "/5");
        assert_eq!(entries[CAPACITY - 1].status, Some(204));
    }
}
