//! Table of the results of the load tests.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use crate::burst::BurstReplies;

/// Table with a row for each burst.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<[String; COLUMNS]>);

impl Figures {
    /// Prints the table past the test harness, which captures output, whether the test passes or
    /// not.
    pub(crate) fn print(&self) {
        let mut output = std::io::stdout().lock();
        writeln!(output, "\n{self}").expect("standard output is open");
    }

    /// Adds the result of a burst, with the largest number of the server's concurrent sessions.
    pub(crate) fn add(&mut self, label: &str, answers: &BurstReplies, sessions: i64) {
        let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
        for reply in &answers.replies {
            *statuses.entry(reply.status.as_u16()).or_default() += 1;
        }
        let statuses = statuses
            .into_iter()
            .map(|(status, count)| format!("{count} × {status}"))
            .collect::<Vec<_>>();
        let mut times: Vec<Duration> = answers.replies.iter().map(|reply| reply.took).collect();
        times.sort_unstable();
        let percentile = |percent: usize| {
            let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
            times
                .get(at)
                .map_or_else(String::new, |time| time.as_millis().to_string())
        };
        self.0.push([
            label.to_owned(),
            statuses.join(", "),
            format!("{:.1}", answers.took.as_secs_f64()),
            percentile(50),
            percentile(99),
            sessions.to_string(),
        ]);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = TITLES.map(str::to_owned);
        let rows: Vec<_> = [&title].into_iter().chain(&self.0).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        for row in &rows {
            writeln!(f)?;
            for (column, cell) in row.iter().enumerate() {
                let width = width(column).unwrap_or_default();
                // Texts are aligned to the left, and numbers to the right.
                match column {
                    0 | 1 => write!(f, "{cell:<width$}  ")?,
                    _ => write!(f, "{cell:>width$}  ")?,
                }
            }
        }
        Ok(())
    }
}

const COLUMNS: usize = 6;
const TITLES: [&str; COLUMNS] = ["burst", "answers", "s", "p50 ms", "p99 ms", "most sessions"];
