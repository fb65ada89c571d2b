//! The results of the suites that provoke failures, as tables and text.

use super::super::result_table::{ResultTable, absent};
use super::super::variant::Variant;
use super::FailureResults;
use super::connection_storm::{self, ConnectionStorm, Target};
use super::freeze::{self, ConnectionLoss, Freeze};
use crate::format::{grouped, seconds};

impl FailureResults {
    pub(in super::super) fn tables(&self) -> Vec<ResultTable> {
        let mut tables = Vec::new();
        if !self.abandoned.is_empty() {
            tables.push(self.after_an_abandoned_query());
        }
        if !self.freezes.is_empty() {
            tables.push(self.after_a_freeze());
        }
        for target in Target::ALL {
            let storms: Vec<&ConnectionStorm> = self.at(target).collect();
            tables.extend(storms.first().map(|first| in_a_storm(first, &storms)));
        }
        tables
    }

    /// The description of the method.
    pub(in super::super) fn method(&self) -> String {
        let mut method = Vec::new();
        if !self.abandoned.is_empty() {
            method.push(
                "The function abandons a query of 2 s after 150 ms and answers 504; the next \
                 request follows at once. It is compared with a request that reconnects, because \
                 the server has closed its connection."
                    .to_owned(),
            );
        }
        if !self.freezes.is_empty() {
            method.push(format!(
                "In a freeze the process is stopped and its connection lost: reset, or silently, \
                 so that packets are dropped. After 6 s the process resumes and finds one request, \
                 which has failed if it takes more than {} s.",
                freeze::LIMIT.as_secs()
            ));
        }
        if !self.storms.is_empty() {
            method.push(format!(
                "In a storm all processes are started at once, and each gets {} requests, one \
                 after the other, while the role may have 20 connections: through a PgBouncer in \
                 transaction mode; through one that also tracks prepared statements, as versions \
                 from 1.21 on can; and directly. Times are those of answers with 200; the first of \
                 a process includes its start. An error of a function is a 502 for its clients, and \
                 503 counts only with Retry-After. Afterwards each process gets one more request, \
                 which is retried as Retry-After says, for {} s.",
                connection_storm::REQUESTS,
                connection_storm::PATIENCE.as_secs()
            ));
        }
        method.join(" ")
    }

    /// The errors of the storms, a line for each and most frequent first, and the reasons why
    /// processes ended.
    pub(in super::super) fn error_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for storm in &self.storms {
            let mut failures: Vec<_> = storm.tally.failures.iter().collect();
            failures.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let name = format!("{} {}", storm.variant.name(), storm.place());
            for (what, count) in failures {
                lines.push(format!("{name}: {} times {what}", grouped(*count)));
            }
            if let Some(words) = &storm.outcome.last_log_line {
                let ended = grouped(storm.outcome.ended);
                lines.push(format!(
                    "{name}: {ended} processes ended; the last log line of one: {words}"
                ));
            }
        }
        lines
    }

    pub(super) fn at(&self, target: Target) -> impl Iterator<Item = &ConnectionStorm> {
        self.storms.iter().filter(move |one| one.target == target)
    }

    fn after_an_abandoned_query(&self) -> ResultTable {
        table(
            "The request after an abandoned query".to_owned(),
            [
                "warm request",
                "connecting",
                "after it",
                "to connecting",
                "200",
                "query still runs",
            ],
            self.abandoned.iter().map(|one| {
                let rounds = one.samples.len();
                let cells = [
                    milliseconds(one.normal_ms.median),
                    milliseconds(one.reconnecting_ms.median),
                    milliseconds(one.after_ms.median),
                    format!("{:.2}", one.times_reconnecting()),
                    format!("{} of {rounds}", one.good()),
                    format!("{} of {rounds}", one.still_running()),
                ];
                (one.variant, cells)
            }),
        )
    }

    fn after_a_freeze(&self) -> ResultTable {
        let of = |loss| self.freezes.iter().filter(move |one| one.loss == loss);
        let took = |one: &Freeze| {
            let took = one.took_ms();
            took.map_or_else(absent, |took| milliseconds(took.median))
        };
        let good = |one: &Freeze| format!("{} of {}", one.good(), one.requests.len());
        table(
            "The request after a freeze in which the connection was lost".to_owned(),
            ["reset", "200", "silent", "200"],
            of(ConnectionLoss::Reset)
                .zip(of(ConnectionLoss::Silent))
                .map(|(reset, silent)| {
                    let cells = [took(reset), good(reset), took(silent), good(silent)];
                    (reset.variant, cells)
                }),
        )
    }
}

fn in_a_storm(first: &ConnectionStorm, storms: &[&ConnectionStorm]) -> ResultTable {
    let (place, instances) = (first.place(), first.instances);
    let requests = grouped(instances * connection_storm::REQUESTS);
    table(
        format!("A storm {place}: {instances} processes, {requests} requests"),
        [
            "200",
            "503",
            "errors",
            "no answer",
            "ended",
            "took",
            "p50",
            "p99",
            "then 200",
        ],
        storms.iter().map(|one| {
            let tally = &one.tally;
            let time = |ms| {
                if tally.good > 0 {
                    milliseconds(ms)
                } else {
                    absent()
                }
            };
            let cells = [
                grouped(tally.good),
                grouped(tally.busy),
                grouped(tally.failed_in_all()),
                grouped(tally.unanswered),
                grouped(one.outcome.ended),
                seconds(one.outcome.seconds),
                time(tally.p50_ms),
                time(tally.p99_ms),
                grouped(one.outcome.recovered),
            ];
            (one.variant, cells)
        }),
    )
}

/// Returns a table with a row for each variant.
fn table<const N: usize>(
    title: String,
    header: [&str; N],
    rows: impl Iterator<Item = (Variant, [String; N])>,
) -> ResultTable {
    let header = header.map(str::to_owned).into_iter();
    ResultTable {
        title,
        header: [String::new()].into_iter().chain(header).collect(),
        rows: rows
            .map(|(variant, cells)| {
                let name = variant.name().to_owned();
                [name].into_iter().chain(cells).collect()
            })
            .collect(),
    }
}

/// Formats milliseconds with about three digits.
fn milliseconds(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.2} ms")
    } else if ms < 100.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{} ms", grouped(ms.round() as usize))
    }
}

#[cfg(test)]
pub(in super::super) mod tests {
    use super::super::abandoned_query::tests::abandoned;
    use super::super::connection_storm::tests::storm;
    use super::super::freeze::tests::freeze;
    use super::*;

    /// Results in which stagelink succeeds and the other variant does not.
    pub(in super::super::super) fn failures() -> FailureResults {
        let mut failures = FailureResults {
            abandoned: vec![
                abandoned(Variant::Stagelink, &[2.0, 3.0, 2.5]),
                abandoned(Variant::DeadpoolVerified, &[1_850.0, 1_851.0, 1_849.0]),
            ],
            ..FailureResults::default()
        };
        for loss in ConnectionLoss::ALL {
            for (variant, is_good) in [
                (Variant::Stagelink, true),
                (Variant::DeadpoolVerified, false),
            ] {
                failures.freezes.push(freeze(variant, loss, is_good));
            }
        }
        for target in Target::ALL {
            for (variant, is_good) in [
                (Variant::Stagelink, true),
                (Variant::DeadpoolVerified, false),
            ] {
                failures.storms.push(storm(variant, target, is_good));
            }
        }
        failures
    }

    #[test]
    fn tables_have_every_figure() {
        let markdown: String = failures()
            .tables()
            .iter()
            .map(ResultTable::markdown)
            .collect();
        for line in [
            "| stagelink | 0.50 ms | 10.0 ms | 2.50 ms | 0.25 | 3 of 3 | 0 of 3 |",
            "| deadpool-verified | 0.50 ms | 10.0 ms | 1,850 ms | 185.00 | 3 of 3 | 0 of 3 |",
            "| stagelink | 15.0 ms | 1 of 1 | 15.0 ms | 1 of 1 |",
            "| deadpool-verified | – | 0 of 1 | – | 0 of 1 |",
            "## A storm at the database: 100 processes, 300 requests",
            "| stagelink | 240 | 60 | 0 | 0 | 0 | 9.50 s | 20.0 ms | 400 ms | 100 |",
            "| deadpool-verified | 0 | 0 | 290 | 10 | 2 | 9.50 s | – | – | 0 |",
        ] {
            assert!(markdown.contains(line), "{line}\n{markdown}");
        }
        let failures = failures().error_lines();
        let at_the_pooler = [
            "deadpool-verified through PgBouncer 1.24.1: 290 times 502: no connection",
            "deadpool-verified through PgBouncer 1.24.1: 2 processes ended; the last log line of \
             one: no start",
        ];
        assert_eq!(failures[..2], at_the_pooler);
    }

    #[test]
    fn suites_that_did_not_run_are_not_reported() {
        let none = FailureResults::default();
        assert!(none.tables().is_empty() && none.method().is_empty());
    }
}
