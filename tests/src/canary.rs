//! Searches all logs and responses for leaked secrets.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Substring of every password that the tests create.
pub const CANARY: &str = "c4n4ry";

/// Log lines and responses, each searched for secrets.
#[derive(Clone, Debug)]
pub struct Record(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    secrets: Vec<String>,
    lines: Vec<String>,
}

impl Record {
    /// Creates a record in which neither the canary nor these secrets may occur.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = secrets.into_iter().collect();
        secrets.push(CANARY.to_owned());
        Self(Arc::new(Mutex::new(Inner {
            secrets,
            lines: Vec::new(),
        })))
    }

    /// Adds a text to the secrets.
    pub fn forbid(&self, secret: impl Into<String>) {
        self.inner().secrets.push(secret.into());
    }

    /// Adds a line.
    pub fn add(&self, line: impl Into<String>) {
        self.inner().lines.push(line.into());
    }

    /// Returns all lines so far.
    ///
    /// # Panics
    ///
    /// When a line contains a secret.
    pub fn text(&self) -> String {
        let inner = self.inner();
        for line in &inner.lines {
            for secret in &inner.secrets {
                assert!(!line.contains(secret), "a secret leaked: {line}");
            }
        }
        inner.lines.join("\n")
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // The last clone checks once more, unless the test has failed already.
        if Arc::strong_count(&self.0) == 1 && !std::thread::panicking() {
            self.text();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a secret leaked")]
    fn password_in_a_line_is_found() {
        Record::new([]).add(format!("url is postgres://u:{CANARY}-1@h/d"));
    }

    #[test]
    #[should_panic(expected = "a secret leaked")]
    fn token_in_a_line_is_found() {
        Record::new(["HRKU-1".to_owned()]).add("bearer HRKU-1");
    }

    #[test]
    fn other_lines_are_kept() {
        let record = Record::new([]);
        record.add("one");
        record.add("two");
        assert_eq!(record.text(), "one\ntwo");
    }
}
