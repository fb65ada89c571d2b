//! Outcomes of a load, and their comparison with the rows in the database.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::Answer;

/// Report of a load: its outcomes. `Display` prints a summary.
#[derive(Debug)]
pub struct LoadReport {
    pub(crate) name: String,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) took: Duration,
}

/// Outcome of one request.
#[derive(Debug)]
pub struct Outcome {
    /// Its number among all requests of the load, in the order of their start.
    pub number: usize,
    /// True for a write, false for a read.
    pub is_write: bool,
    /// Time at which the request was sent.
    pub started: Instant,
    /// Time until the response.
    pub took: Duration,
    /// The response, or the reason that there is none.
    pub answer: Result<Answer, String>,
}

/// Stored writes of a load, by their responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredWrites {
    /// Writes that were answered with 201 and are stored.
    pub confirmed: usize,
    /// Writes that are stored but were answered otherwise or not at all.
    pub unconfirmed: usize,
}

impl Outcome {
    /// Returns the response's status, if there is a response.
    pub fn status(&self) -> Option<u16> {
        Some(self.answer.as_ref().ok()?.status.as_u16())
    }

    /// Returns whether the request succeeded: 201 for a write, 200 for a read.
    pub fn is_good(&self) -> bool {
        self.status() == Some(if self.is_write { 201 } else { 200 })
    }
}

impl LoadReport {
    /// Returns all outcomes in the order in which the requests were sent.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Returns the outcomes that are failures.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| !outcome.is_good())
    }

    /// Compares the responses with the rows of the table `guestbook`.
    ///
    /// # Panics
    ///
    /// When they disagree, or the rows cannot be read.
    pub async fn check(&self, db: &Client) -> StoredWrites {
        self.compare_with(db)
            .await
            .unwrap_or_else(|wrong| panic!("{wrong}\n{self}"))
    }

    /// Compares as [`check`](Self::check) does, and returns the differences as an error.
    ///
    /// # Errors
    ///
    /// When a write is stored twice, when a write that was answered with 201 is not stored, when a
    /// row exists that was not sent, and when the rows cannot be read.
    pub async fn compare_with(&self, db: &Client) -> Result<StoredWrites, String> {
        let rows = db
            .query(
                "SELECT message, count(*) FROM guestbook WHERE name = $1 GROUP BY message",
                &[&self.name],
            )
            .await
            .map_err(|error| format!("could not read the entries: {error}"))?;
        let rows = rows
            .iter()
            .map(|row| {
                let number = row
                    .get::<_, &str>(0)
                    .parse()
                    .expect("a number of this load");
                (number, row.get(1))
            })
            .collect();
        self.compare_rows(rows).map_err(|wrong| wrong.join("\n"))
    }

    /// Compares the responses with the number of rows of each write.
    fn compare_rows(&self, mut rows: BTreeMap<usize, i64>) -> Result<StoredWrites, Vec<String>> {
        let mut wrong = Vec::new();
        let mut stored = StoredWrites {
            confirmed: 0,
            unconfirmed: 0,
        };
        for write in self.outcomes.iter().filter(|outcome| outcome.is_write) {
            let times = rows.remove(&write.number).unwrap_or(0);
            match (times, write.is_good()) {
                (1, true) => stored.confirmed += 1,
                (1, false) => stored.unconfirmed += 1,
                (0, false) => {}
                (times, _) => wrong.push(format!(
                    "write {} is stored {times} times and was answered with {}",
                    write.number,
                    Status(write.status())
                )),
            }
        }
        wrong.extend(rows.into_iter().map(|(number, times)| {
            format!("write {number} was not sent and is stored {times} times")
        }));
        if wrong.is_empty() {
            Ok(stored)
        } else {
            Err(wrong)
        }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let count = self.outcomes.len();
        let rate = count as f64 / seconds;
        write!(f, "{count} requests in {seconds:.1} s, {rate:.0} a second")?;
        for (what, is_write) in [("writes", true), ("reads", false)] {
            let mut statuses: BTreeMap<Option<u16>, usize> = BTreeMap::new();
            for outcome in self.outcomes.iter().filter(|one| one.is_write == is_write) {
                *statuses.entry(outcome.status()).or_default() += 1;
            }
            write!(f, "\n  {what}:")?;
            for (status, count) in statuses {
                write!(f, " {count} × {}", Status(status))?;
            }
        }
        if let Some(slowest) = self.outcomes.iter().max_by_key(|outcome| outcome.took) {
            let (status, took) = (Status(slowest.status()), slowest.took.as_millis());
            write!(f, "\n  slowest: {took} ms, {status}")?;
        }
        let mut failures: BTreeMap<String, usize> = BTreeMap::new();
        for failure in self.failures() {
            let why = failure.answer.as_ref().map(Answer::text);
            *failures
                .entry(why.unwrap_or_else(String::clone))
                .or_default() += 1;
        }
        for (why, count) in failures {
            write!(f, "\n  failed {count} times: {why}")?;
        }
        Ok(())
    }
}

/// Response status, or "no answer".
struct Status(Option<u16>);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => write!(f, "{status}"),
            None => f.write_str("no answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    /// Returns a report of these writes, and a read after them.
    fn report(statuses: &[Option<u16>]) -> LoadReport {
        let outcome = |number, is_write, status: Option<u16>| Outcome {
            number,
            is_write,
            started: Instant::now(),
            took: Duration::from_millis(number as u64),
            answer: status
                .ok_or_else(|| "it ended".to_owned())
                .map(|status| Answer {
                    status: StatusCode::from_u16(status).unwrap(),
                    headers: HeaderMap::new(),
                    body: Bytes::from_static(b"body"),
                }),
        };
        let writes = statuses.iter().enumerate();
        let mut outcomes: Vec<_> = writes
            .map(|(number, &status)| outcome(number, true, status))
            .collect();
        outcomes.push(outcome(statuses.len(), false, Some(200)));
        LoadReport {
            name: "load".to_owned(),
            outcomes,
            took: Duration::from_secs(2),
        }
    }

    #[test]
    fn rows_that_match_the_responses_are_counted() {
        let report = report(&[Some(201), Some(503), None, Some(500), Some(201)]);
        let stored = report.compare_rows([(0, 1), (2, 1), (4, 1)].into());
        assert_eq!(
            stored.unwrap(),
            StoredWrites {
                confirmed: 2,
                unconfirmed: 1
            }
        );
    }

    #[test]
    fn rows_that_disagree_are_reported() {
        let report = report(&[Some(201), Some(201), Some(503), None]);
        let wrong = report
            .compare_rows([(1, 2), (2, 2), (9, 1)].into())
            .unwrap_err();
        assert_eq!(
            wrong,
            [
                "write 0 is stored 0 times and was answered with 201",
                "write 1 is stored 2 times and was answered with 201",
                "write 2 is stored 2 times and was answered with 503",
                "write 9 was not sent and is stored 1 times",
            ]
        );
    }

    #[test]
    fn summary_counts_by_status() {
        let shown = report(&[Some(201), Some(201), Some(503), None]).to_string();
        assert_eq!(
            shown,
            "5 requests in 2.0 s, 2 a second\n  \
             writes: 1 × no answer 2 × 201 1 × 503\n  \
             reads: 1 × 200\n  \
             slowest: 4 ms, 200\n  \
             failed 1 times: body\n  \
             failed 1 times: it ended"
        );
    }
}
