//! The report of the demo: a table and a timeline for readers, JSON for scripts.

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use serde::Serialize;

use super::RotationPlan;
use super::measurements::{FailureCount, SourceMeasurements};
use super::timeline::draw_timeline;
use crate::format::{grouped, percent, seconds, wrapped};

/// The results of a rotation, for each URL source.
#[derive(Debug, Serialize)]
pub struct RotationReport {
    cache_seconds: u64,
    rotation_after_seconds: u64,
    instances: usize,
    requests_per_second: usize,
    sources: Vec<SourceMeasurements>,
}

impl RotationReport {
    pub(crate) fn new(plan: &RotationPlan, sources: Vec<SourceMeasurements>) -> Self {
        Self {
            cache_seconds: plan.cache.as_secs(),
            rotation_after_seconds: plan.rotation_after().as_secs(),
            instances: plan.instances,
            requests_per_second: plan.rate as usize * plan.instances,
            sources,
        }
    }

    /// Renders the report as one line of JSON.
    ///
    /// # Errors
    ///
    /// Only when serialization fails.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Renders the report for a terminal of 100 columns; in colour where standard output is one.
    pub fn text(&self) -> String {
        let titles = self.sources.iter().map(|one| self.title(one));
        let lines = self.sources.iter().map(|one| &*one.seconds);
        let lines: Vec<(String, &[FailureCount])> = titles.zip(lines).collect();
        let marks = [
            (self.rotation_after_seconds, "the passwords are rotated"),
            (self.cache_seconds, "the caches expire"),
        ]
        .map(|(at, what)| (Duration::from_secs(at), what));
        [
            self.table().to_string(),
            self.reasons(),
            draw_timeline(&lines, &marks),
            wrapped(&self.method(), WIDTH),
        ]
        .join("\n\n")
            + "\n"
    }

    fn title(&self, measurements: &SourceMeasurements) -> String {
        measurements
            .source
            .title(Duration::from_secs(self.cache_seconds))
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(HEADER);
        for one in &self.sources {
            let failed = FailureCount {
                requests: one.requests,
                failed: one.failed,
            };
            let colour = if one.failed > 0 {
                Color::Red
            } else {
                Color::Green
            };
            let first_good = one
                .first_good_after_seconds
                .map_or_else(|| "never".to_owned(), seconds);
            table.add_row([
                Cell::new(self.title(one)),
                Cell::new(grouped(one.requests)),
                Cell::new(grouped(one.failed)).fg(colour),
                Cell::new(percent(failed.failed_part().unwrap_or_default())).fg(colour),
                Cell::new(format!(
                    "{} of {}",
                    grouped(one.kept_once),
                    grouped(one.writes)
                )),
                Cell::new(one.seconds_with_failures),
                Cell::new(first_good),
                Cell::new(one.heroku_calls),
            ]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// The most frequent error of each URL source.
    fn reasons(&self) -> String {
        let mut text = "Failed requests were answered with:".to_owned();
        for one in &self.sources {
            let most = one.failures.iter().max_by_key(|(_, count)| **count);
            if let Some((why, count)) = most {
                let (title, count) = (self.title(one), grouped(*count));
                text.push_str(&format!("\n  {title:<12}{count:>8} × {why}"));
            }
        }
        text
    }

    /// The description of the method.
    fn method(&self) -> String {
        let Self {
            cache_seconds,
            rotation_after_seconds,
            instances,
            requests_per_second,
            ..
        } = self;
        let unexpected: usize = self.sources.iter().map(|one| one.kept_though_failed).sum();
        let mut text = format!(
            "The same guestbook ran for each source, as {instances} processes with a database of \
             their own, all on one Postgres and at the same time, under at most \
             {requests_per_second} requests per second each: half of them reads, half writes with \
             an Idempotency-Key. After {rotation_after_seconds} s the passwords were changed, the \
             sessions ended and then the config vars set, as Heroku does with a default credential. \
             The caches were {rotation_after_seconds} s old then; a rotation later in their \
             {cache_seconds} s causes a shorter outage."
        );
        if unexpected > 0 {
            text.push_str(&format!(
                " Besides the confirmed writes, {unexpected} are in a database although their \
                 requests failed."
            ));
        }
        text
    }
}

/// Width of the text, somewhat less than a terminal has.
const WIDTH: usize = 98;

const HEADER: [&str; 8] = [
    "source",
    "requests",
    "failed",
    "failed\nof all",
    "writes kept\nexactly once",
    "seconds with\nfailures",
    "first good\nanswer after",
    "calls to\nHeroku",
];
