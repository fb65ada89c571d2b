//! The report of a benchmark: tables and charts for readers, JSON for scripts.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::bar_chart::BarChart;
use super::failures::FailureResults;
use super::goals::{Goal, megabytes};
use super::machine::Machine;
use super::measurements::{Measurements, cold_start, distant_cold_start, p50};
use super::result_table::{ResultTable, absent};
use super::round_trips::{RoundTripCounts, RoundTrips};
use super::starts::Starts;
use super::statistics::Spread;
use super::variant::Variant;
use crate::format::{grouped, wrapped};

/// All measurements of a benchmark, with the goals that they decide.
#[derive(Debug, Serialize)]
pub struct BenchmarkReport {
    pub(super) machine: Machine,
    pub(super) compared: Vec<Variant>,
    pub(super) rounds: usize,
    pub(super) requests: usize,
    pub(super) measurements: Vec<Measurements>,
    pub(super) round_trips: Vec<RoundTripCounts>,
    pub(super) starts: Option<Starts>,
    pub(super) failures: FailureResults,
    pub(super) goals: Vec<Goal>,
}

impl BenchmarkReport {
    /// Renders the report for a terminal; in colour where standard output is one.
    pub fn text(&self) -> String {
        let mut parts: Vec<String> = self.plots().iter().map(|(_, bars)| bars.text()).collect();
        parts.extend(self.tables().iter().map(ResultTable::text));
        let failures = self.failures.error_lines();
        parts.extend(failures.iter().map(|line| wrapped(line, WIDTH)));
        parts.push(wrapped(&self.method(), WIDTH));
        parts.join("\n\n") + "\n"
    }

    /// Writes `report.md`, `report.json` and the charts into a folder. Returns the names of these
    /// files.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<Vec<String>> {
        let mut files = vec![
            ("report.md".to_owned(), self.markdown()),
            (
                "report.json".to_owned(),
                serde_json::to_string_pretty(self)?,
            ),
        ];
        let plots = self.plots().into_iter();
        files.extend(plots.map(|(name, bars)| (format!("{name}.svg"), bars.svg())));
        if !self.failures.storms.is_empty() {
            files.push((format!("{STORMS}.svg"), self.failures.svg()));
        }
        let write = |(name, text): (String, String)| {
            let path = folder.join(&name);
            fs::write(&path, text)
                .with_context(|| format!("could not write {}", path.display()))?;
            Ok(name)
        };
        files.into_iter().map(write).collect()
    }

    fn markdown(&self) -> String {
        let list = |lines: &mut dyn Iterator<Item = String>| -> String {
            lines.map(|line| format!("- {line}\n")).collect()
        };
        let mut meanings = self
            .compared
            .iter()
            .map(|one| format!("`{}`: {}", one.name(), one.meaning()));
        let mut parts = vec![
            "# One function with several Postgres clients\n".to_owned(),
            list(&mut meanings),
            wrapped(&self.method(), WIDTH) + "\n",
        ];
        let mut plots: Vec<&str> = self.plots().iter().map(|(name, _)| *name).collect();
        plots.extend((!self.failures.storms.is_empty()).then_some(STORMS));
        parts.extend(plots.iter().map(|name| format!("![{name}]({name}.svg)\n")));
        parts.extend(self.tables().iter().map(ResultTable::markdown));
        let failures = self.failures.error_lines();
        if !failures.is_empty() {
            parts.push("## Errors in the storms\n".to_owned());
            parts.push(list(&mut failures.into_iter()));
        }
        parts.join("\n")
    }

    /// Charts of times, with the names of their files.
    fn plots(&self) -> Vec<(&'static str, BarChart)> {
        let cold = self.measurements.iter();
        let cold = cold.map(|one| (one.variant, one.cold_start_ms));
        let abandoned = self.failures.abandoned.iter();
        let abandoned = abandoned.map(|one| (one.variant, one.after_ms));
        let plots = [
            (
                "cold-start",
                "Cold start, from the start of the process to its first answer",
                cold.collect::<Vec<_>>(),
            ),
            (
                "abandoned",
                "The request after an abandoned query",
                abandoned.collect(),
            ),
        ];
        let shown = plots.into_iter().filter(|(.., bars)| !bars.is_empty());
        shown
            .map(|(name, title, bars)| (name, BarChart { title, bars }))
            .collect()
    }

    fn tables(&self) -> Vec<ResultTable> {
        let mut tables = Vec::new();
        if !self.measurements.is_empty() {
            tables.extend([self.cold_starts(), self.warm_requests(), self.sizes()]);
        }
        if !self.round_trips.is_empty() {
            tables.push(self.all_round_trips());
        }
        tables.extend(self.starts.as_ref().map(Starts::table));
        tables.extend(self.failures.tables());
        if !self.goals.is_empty() {
            tables.push(self.all_goals());
        }
        tables
    }

    fn cold_starts(&self) -> ResultTable {
        self.table(
            "Cold start, with one query over TLS",
            [
                "median",
                "middle half",
                "to the floor",
                "10 ms away",
                "to the floor",
                "instructions",
            ],
            |one| {
                let Spread {
                    median,
                    first_quartile,
                    third_quartile,
                } = one.cold_start_ms;
                [
                    format!("{median:.1} ms"),
                    format!("{first_quartile:.1} to {third_quartile:.1}"),
                    self.to_the_floor(one, cold_start),
                    format!("{:.1} ms", one.distant_cold_start_ms.median),
                    self.to_the_floor(one, distant_cold_start),
                    one.instructions.map_or_else(absent, |count| {
                        format!("{:.1} million", count.cold_start as f64 / 1e6)
                    }),
                ]
            },
        )
    }

    fn warm_requests(&self) -> ResultTable {
        self.table(
            "Warm requests, one after the other",
            [
                "p50",
                "p99",
                "a second",
                "p50 to the floor",
                "instructions",
                "to the floor",
            ],
            |one| {
                let floor = self.floor().and_then(|floor| floor.instructions);
                let times = one.instructions.zip(floor);
                [
                    format!("{:.0} µs", one.p50_us.median),
                    format!("{:.0} µs", one.p99_us.median),
                    grouped(one.requests_per_second.median.round() as usize),
                    self.to_the_floor(one, p50),
                    one.instructions
                        .map_or_else(absent, |count| grouped(count.request.round() as usize)),
                    times.map_or_else(absent, |(own, floor)| {
                        format!("{:.3}", own.request / floor.request)
                    }),
                ]
            },
        )
    }

    fn sizes(&self) -> ResultTable {
        self.table(
            "Memory and size",
            ["peak memory", "artifact", "zipped"],
            |one| {
                let shown = |bytes| format!("{:.2} MB", megabytes(bytes));
                [
                    one.peak_memory_bytes.map_or_else(absent, shown),
                    shown(one.size.bytes),
                    shown(one.size.zipped_bytes),
                ]
            },
        )
    }

    /// A table with a row for each variant.
    fn table<const N: usize>(
        &self,
        title: &str,
        header: [&str; N],
        cells: impl Fn(&Measurements) -> [String; N],
    ) -> ResultTable {
        let header = header.map(str::to_owned).into_iter();
        ResultTable {
            title: title.to_owned(),
            header: [String::new()].into_iter().chain(header).collect(),
            rows: self
                .measurements
                .iter()
                .map(|one| {
                    let name = one.variant.name().to_owned();
                    [name].into_iter().chain(cells(one)).collect()
                })
                .collect(),
        }
    }

    fn all_round_trips(&self) -> ResultTable {
        let servers = self
            .round_trips
            .iter()
            .map(|counted| format!("PostgreSQL {}", counted.postgres));
        // The server with most rows has all variants.
        let most = self.round_trips.iter().max_by_key(|one| one.rows.len());
        let row = |of: &RoundTrips| {
            let on = |counted: &RoundTripCounts| {
                let same = |row: &&RoundTrips| row.title() == of.title();
                counted.rows.iter().find(same).map_or_else(absent, |row| {
                    format!("{} cold, {} warm", row.cold, row.warm)
                })
            };
            let counts = self.round_trips.iter().map(on);
            [of.title()].into_iter().chain(counts).collect()
        };
        ResultTable {
            title: "Round trips to Postgres until the first answer, and per warm request"
                .to_owned(),
            header: [String::new()].into_iter().chain(servers).collect(),
            rows: most
                .into_iter()
                .flat_map(|one| &one.rows)
                .map(row)
                .collect(),
        }
    }

    /// Returns the goals that were missed, each with what was measured.
    pub fn missed_goals(&self) -> Vec<String> {
        let missed = self.goals.iter().filter(|goal| !goal.met);
        let written = missed.map(|goal| format!("{} ({})", goal.description, goal.measured));
        written.collect()
    }

    fn all_goals(&self) -> ResultTable {
        let row = |goal: &Goal| {
            let met = if goal.met { "met" } else { "not met" };
            vec![
                goal.description.to_owned(),
                goal.measured.clone(),
                met.to_owned(),
            ]
        };
        ResultTable {
            title: "Goals of stagelink".to_owned(),
            header: ["", "measured", ""].map(str::to_owned).to_vec(),
            rows: self.goals.iter().map(row).collect(),
        }
    }

    fn floor(&self) -> Option<&Measurements> {
        let mut all = self.measurements.iter();
        all.find(|one| one.variant == Variant::Floor)
    }

    /// The ratio to the floor, as the median over the rounds.
    fn to_the_floor(&self, one: &Measurements, of: fn(&super::rounds::Sample) -> f64) -> String {
        self.floor().map_or_else(absent, |floor| {
            format!("{:.3}", one.times(floor, of).median)
        })
    }

    /// The description of the method, in the order of the report.
    fn method(&self) -> String {
        let Machine {
            system,
            processors,
            rust,
            node,
            postgres,
            valgrind,
        } = &self.machine;
        let mut method = format!(
            "{system}, {processors} processors, {rust}, Node {node}; times are with {postgres}. \
             Each round measures the variants in a random order; figures are medians. "
        );
        if !self.measurements.is_empty() {
            let (rounds, requests) = (self.rounds, self.requests);
            method.push_str(&format!(
                "{rounds} rounds with a new process of every variant and {requests} warm \
                 requests to each; a ratio is the median of the ratios of the rounds. A cold \
                 start is the time from the start of the process to its first answer, with the \
                 event ready. It is measured again with a network whose round trips take 10 ms, \
                 except those that open TCP. Peak memory is the highest resident memory of all \
                 rounds. "
            ));
        }
        if let Some(valgrind) = valgrind {
            method.push_str(&format!(
                "Instructions are counted by {valgrind}: those of the process itself, without \
                 the kernel and Postgres. Those of a warm request are the instructions that more \
                 requests add. A cold start takes fewer on a processor with instructions for \
                 SHA-256, which callgrind does not emulate. "
            ));
        }
        if !self.round_trips.is_empty() {
            method.push_str(
                "A round trip is counted each time that the client sends after the server did, \
                 and one for opening TCP. MB are millions of bytes. ",
            );
        }
        if self.starts.is_some() {
            method.push_str(
                "The processor's time of a start is that of its threads until the first answer, with the \
                 kernel's. ",
            );
        }
        method + &self.failures.method()
    }
}

const WIDTH: usize = 96;

/// Name of the chart of the storms.
const STORMS: &str = "storms";

#[cfg(test)]
mod tests {
    use super::super::failures::tests::failures;
    use super::super::goals::evaluate;
    use super::super::measurements::tests::measurements;
    use super::super::starts::tests::starts;
    use super::*;

    fn report() -> BenchmarkReport {
        let measurements = vec![
            measurements(Variant::Stagelink, &[19.0, 20.0, 21.0]),
            measurements(Variant::Floor, &[20.0, 20.0, 20.0]),
            measurements(Variant::Node, &[160.0, 150.0, 170.0]),
        ];
        let row = |variant, direct_tls, cold| RoundTrips {
            variant,
            direct_tls,
            cold,
            warm: 1.0,
        };
        let counted = |postgres: &str, rows| RoundTripCounts {
            postgres: postgres.to_owned(),
            rows,
        };
        let round_trips = vec![
            counted(
                "15.18",
                vec![
                    row(Variant::Stagelink, false, 6),
                    row(Variant::Floor, false, 7),
                ],
            ),
            counted(
                "17.10",
                vec![
                    row(Variant::Stagelink, false, 6),
                    row(Variant::Stagelink, true, 5),
                    row(Variant::Floor, false, 7),
                ],
            ),
        ];
        let failures = failures();
        let mut goals = evaluate(&measurements, &round_trips);
        let starts = starts(1.7, 2.0, 3.0, 8.0);
        goals.extend(starts.evaluate());
        goals.extend(failures.evaluate());
        BenchmarkReport {
            compared: measurements.iter().map(|one| one.variant).collect(),
            machine: Machine {
                system: "linux on x86_64".to_owned(),
                processors: 2,
                rust: "rustc 1.92.0".to_owned(),
                node: "v20.0.0".to_owned(),
                postgres: "PostgreSQL 17.10".to_owned(),
                valgrind: Some("valgrind-3.19.0".to_owned()),
            },
            rounds: 3,
            requests: 100,
            goals,
            measurements,
            round_trips,
            starts: Some(starts),
            failures,
        }
    }

    #[test]
    fn report_has_every_figure() {
        let markdown = report().markdown();
        for line in [
            "| stagelink | 20.0 ms | 19.5 to 20.5 | 1.000 | 80.0 ms | 1.000 | 30.0 million |",
            "| node | 160.0 ms | 155.0 to 165.0 | 8.000 | 220.0 ms | 2.750 | – |",
            "| floor | 200 µs | 400 µs | 4,000 | 1.000 | 150,000 | 1.000 |",
            "| stagelink | 8.50 MB | 2.90 MB | 1.40 MB |",
            "| stagelink, direct TLS | – | 5 cold, 1 warm |",
            "| floor | 7 cold, 1 warm | 7 cold, 1 warm |",
            "| cold start within 1.05 of the floor | 1.000 | met |",
            "| of deploy time, with the password | 2.00 ms | 2.00 to 3.00 | 1.18 | – |",
            "| of Heroku's API, over TLS | 3.00 ms | 3.00 to 4.50 | 1.76 | 35.0 million |",
            "| after a freeze every request is answered | 2 of 2 with 200 | met |",
            "- deadpool-verified at the database: 290 times 502: no connection",
            "![storms](storms.svg)",
        ] {
            assert!(markdown.contains(line), "{line}\n{markdown}");
        }
    }

    #[test]
    fn goals_that_were_missed_are_listed_with_their_figures() {
        let missed = report().missed_goals().join("; ");
        let memory = "peak memory of at most 4.5 MB (8.50 MB)";
        assert!(missed.contains(memory), "{missed}");
        assert!(!missed.contains("within 1.05 of the floor"), "{missed}");
    }

    #[test]
    fn text_fits_a_terminal() {
        let text = report().text();
        let text = console::strip_ansi_codes(&text);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(110), "{widest:?}\n{text}");
    }

    #[test]
    fn files_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let files = report().write(folder.path()).unwrap();
        let json = fs::read_to_string(folder.path().join("report.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["measurements"][0]["variant"], "stagelink");
        assert_eq!(json["round_trips"][1]["rows"][1]["cold"], 5);
        assert_eq!(json["failures"]["storms"][0]["target"], "pooler");
        let all = "report.md report.json cold-start.svg abandoned.svg storms.svg";
        assert_eq!(files.join(" "), all);
        assert!(files.iter().all(|name| folder.path().join(name).is_file()));
    }
}
