//! Which requests came in: what a test counts calls with.

use std::collections::VecDeque;

use axum::http::Method;

/// A request that came in, without headers and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// The path, without a query.
    pub path: String,
    /// The status of the answer; `None` as long as there is none, so for a request that
    /// hangs or whose connection was closed.
    pub status: Option<u16>,
}

/// The requests in the order in which they came in; the oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<Recorded>,
    forgotten: u64,
}

impl Journal {
    /// Writes a request down; the number names it for [`Journal::answered`].
    pub(super) fn arrived(&mut self, method: &Method, path: &str) -> u64 {
        if self.entries.len() == CAPACITY {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.entries.push_back(Recorded {
            method: method.clone(),
            path: path.to_owned(),
            status: None,
        });
        self.forgotten + self.entries.len() as u64 - 1
    }

    /// Writes down the answer to a request, if that is still remembered.
    pub(super) fn answered(&mut self, number: u64, status: u16) {
        let entry = number
            .checked_sub(self.forgotten)
            .and_then(|index| self.entries.get_mut(usize::try_from(index).ok()?));
        if let Some(entry) = entry {
            entry.status = Some(status);
        }
    }

    pub(super) fn entries(&self) -> Vec<Recorded> {
        self.entries.iter().cloned().collect()
    }

    pub(super) fn forget(&mut self) {
        self.forgotten += self.entries.len() as u64;
        self.entries.clear();
    }
}

/// Enough for any test; a bound, so that a stand-in that runs for days stays small.
const CAPACITY: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_to_a_forgotten_request_is_dropped() {
        let mut journal = Journal::default();
        let first = journal.arrived(&Method::GET, "/apps");
        journal.forget();
        let second = journal.arrived(&Method::GET, "/account");
        journal.answered(first, 500);
        journal.answered(second, 200);
        let statuses: Vec<_> = journal.entries().iter().map(|entry| entry.status).collect();
        assert_eq!(statuses, [Some(200)]);
    }

    #[test]
    fn journal_when_full_forgets_the_oldest() {
        let mut journal = Journal::default();
        for number in 0..CAPACITY + 5 {
            journal.arrived(&Method::GET, &format!("/{number}"));
        }
        journal.answered(CAPACITY as u64 + 4, 204);
        let entries = journal.entries();
        assert_eq!(entries.len(), CAPACITY);
        assert_eq!(entries[0].path, "/5");
        assert_eq!(entries[CAPACITY - 1].status, Some(204));
    }
}
