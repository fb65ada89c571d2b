//! The report of what the clients saw in each case, beside what is expected.

use std::collections::BTreeMap;

use serde::Serialize;

use super::case::Case;
use super::load::Outcome;
use super::requests::Answer;
use crate::table::Table;

/// The results of a drill.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) stage: String,
    /// Duration of the faults that last.
    pub(super) duration_ms: u64,
    pub(super) is_as_expected: bool,
    pub(super) cases: Vec<CaseReport>,
}

/// The result of a case.
#[derive(Debug, Serialize)]
pub(super) struct CaseReport {
    pub(super) fault: &'static str,
    reads: RequestReport,
    writes: RequestReport,
    /// The fate of the writes, if it was counted.
    kept: Option<KeptWrites>,
    /// The reason why the writes could not be counted, although a count is declared.
    not_counted: Option<String>,
    /// The reads that may fail.
    failed_reads_expected: usize,
    /// The deviations from what is expected, one sentence for each.
    unexpected: Vec<String>,
}

/// The requests of a kind.
#[derive(Debug, Default, Serialize)]
struct RequestReport {
    sent: usize,
    failed: usize,
    slowest_ms: u64,
    /// The answers of those that failed, with their number.
    failures: BTreeMap<String, usize>,
}

/// The fate of the writes of a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct KeptWrites {
    /// Writes that are stored once, and that a client was told of.
    once: usize,
    /// Writes that were told of as stored, and are not.
    lost: usize,
    /// Writes that are stored several times.
    doubled: usize,
    /// Writes that failed for their client, and may be stored or not.
    in_doubt: usize,
    /// Those of them that are stored.
    in_doubt_stored: usize,
}

impl CaseReport {
    /// Judges a case by its outcomes, those of the writes that were sent again with their key, and the
    /// count.
    pub(super) fn new(
        case: &Case,
        outcomes: &[Outcome],
        again: &BTreeMap<String, bool>,
        counted: Option<Result<BTreeMap<String, usize>, String>>,
    ) -> Self {
        let (writes, reads): (Vec<_>, Vec<_>) =
            outcomes.iter().partition(|outcome| outcome.id.is_some());
        let reads = RequestReport::of(&reads);
        let mut unexpected = Vec::new();
        if reads.failed > case.failed_reads {
            unexpected.push(format!("{} reads failed", reads.failed));
        }
        let (kept, not_counted) = match counted {
            None => (None, None),
            Some(Ok(counted)) => (Some(KeptWrites::of(&writes, again, &counted)), None),
            Some(Err(reason)) => (None, Some(reason)),
        };
        if let Some(kept) = kept {
            for (number, what) in [(kept.lost, "lost"), (kept.doubled, "stored more than once")] {
                if number > 0 {
                    unexpected.push(format!("{number} writes were {what}"));
                }
            }
        }
        if let Some(reason) = &not_counted {
            unexpected.push(format!("the writes could not be counted: {reason}"));
        }
        Self {
            fault: case.name,
            reads,
            writes: RequestReport::of(&writes),
            kept,
            not_counted,
            failed_reads_expected: case.failed_reads,
            unexpected,
        }
    }

    /// Returns a case whose fault could not be injected or ended.
    pub(super) fn failed(case: &Case, reason: String) -> Self {
        Self {
            fault: case.name,
            reads: RequestReport::default(),
            writes: RequestReport::default(),
            kept: None,
            not_counted: None,
            failed_reads_expected: case.failed_reads,
            unexpected: vec![reason],
        }
    }

    pub(super) fn is_as_expected(&self) -> bool {
        self.unexpected.is_empty()
    }
}

impl RequestReport {
    fn of(outcomes: &[&Outcome]) -> Self {
        let mut failures = BTreeMap::new();
        let failed = outcomes.iter().filter(|outcome| !outcome.is_success());
        for outcome in failed {
            *failures.entry(answer_text(&outcome.answer)).or_default() += 1;
        }
        let slowest = outcomes.iter().map(|outcome| outcome.took).max();
        let slowest = slowest.unwrap_or_default().as_millis();
        Self {
            sent: outcomes.len(),
            failed: failures.values().sum(),
            slowest_ms: u64::try_from(slowest).unwrap_or(u64::MAX),
            failures,
        }
    }
}

impl KeptWrites {
    fn of(
        writes: &[&Outcome],
        again: &BTreeMap<String, bool>,
        counted: &BTreeMap<String, usize>,
    ) -> Self {
        let mut kept = Self::default();
        for write in writes {
            let Some(id) = &write.id else { continue };
            let times = counted.get(id).copied().unwrap_or_default();
            let is_confirmed = write.is_success() || again.get(id) == Some(&true);
            match (is_confirmed, times) {
                (true, 0) => kept.lost += 1,
                (true, 1) => kept.once += 1,
                (false, 0 | 1) => {
                    kept.in_doubt += 1;
                    kept.in_doubt_stored += times;
                }
                (_, _) => kept.doubled += 1,
            }
        }
        kept
    }
}

impl Report {
    /// Returns a table of the reads and one of the writes, and what is not as expected. Both fit 80 columns.
    pub(super) fn text(&self) -> String {
        let mut reads = Table::with_header(["fault", "reads", "failed", "expected", "slowest", ""]);
        let mut writes = Table::with_header([
            "fault", "writes", "failed", "slowest", "once", "lost", "twice", "doubt",
        ]);
        for case in &self.cases {
            let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1000.0);
            let expected = match case.failed_reads_expected {
                0 => "0".to_owned(),
                most => format!("≤ {most}"),
            };
            let [once, lost, doubled, in_doubt] = match case.kept {
                Some(kept) => [
                    kept.once.to_string(),
                    kept.lost.to_string(),
                    kept.doubled.to_string(),
                    kept.in_doubt.to_string(),
                ],
                None => ["?"; 4].map(str::to_owned),
            };
            let verdict = if case.is_as_expected() { "✓" } else { "✗" };
            reads.add_row([
                case.fault,
                &case.reads.sent.to_string(),
                &case.reads.failed.to_string(),
                &expected,
                &seconds(case.reads.slowest_ms),
                verdict,
            ]);
            writes.add_row([
                case.fault,
                &case.writes.sent.to_string(),
                &case.writes.failed.to_string(),
                &seconds(case.writes.slowest_ms),
                &once,
                &lost,
                &doubled,
                &in_doubt,
            ]);
        }
        for column in 1..5 {
            reads.align_right(column);
        }
        for column in 1..8 {
            writes.align_right(column);
        }
        let mut text = format!("{reads}\n\n{writes}\n");
        if self.cases.iter().any(|case| case.kept.is_none()) {
            text.push_str("?: the writes of this case were not checked\n");
        }
        for case in &self.cases {
            for reason in &case.unexpected {
                text.push_str(&format!("✗ {}: {reason}\n", case.fault));
            }
            for (kind, requests) in [("reads", &case.reads), ("writes", &case.writes)] {
                for (answer, number) in &requests.failures {
                    let fault = case.fault;
                    text.push_str(&format!(
                        "  {fault}: {number} {kind} were answered {answer}\n"
                    ));
                }
            }
        }
        let are_writes_counted = self.cases.iter().all(|case| case.kept.is_some());
        text + match (self.is_as_expected, are_writes_counted) {
            (true, true) => {
                "all as expected: no read failed that must not, no write was lost or doubled"
            }
            (true, false) => {
                "as expected: no read failed that must not. Whether writes were lost or doubled was not \
                 checked: declare `write` and `count` in [drill] of stagelink.toml"
            }
            (false, _) => "not as expected",
        }
    }
}

fn answer_text(answer: &Answer) -> String {
    match answer {
        Ok(status) => status.to_string(),
        Err(reason) => format!("by nothing ({reason})"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn write(id: &str, answer: Answer) -> Outcome {
        Outcome {
            id: Some(id.to_owned()),
            took: Duration::from_millis(5),
            answer,
        }
    }

    fn report(counted: &[(&str, usize)], again: &[(&str, bool)]) -> CaseReport {
        let case = &Case::named(&["stall".to_owned()]).unwrap()[0];
        let outcomes = [
            write("a", Ok(201)),
            write("b", Ok(503)),
            write("c", Err("reset".to_owned())),
            Outcome {
                id: None,
                ..write("", Ok(200))
            },
        ];
        let counted = counted.iter().map(|(id, times)| ((*id).to_owned(), *times));
        let again = again.iter().map(|(id, done)| ((*id).to_owned(), *done));
        let (counted, again) = (counted.collect(), again.collect());
        CaseReport::new(case, &outcomes, &again, Some(Ok(counted)))
    }

    #[test]
    fn writes_that_failed_are_in_doubt_until_they_succeed_with_their_key() {
        let judged = report(&[("a", 1), ("c", 1)], &[]);
        assert!(judged.is_as_expected(), "{judged:?}");
        let expected = KeptWrites {
            once: 1,
            in_doubt: 2,
            in_doubt_stored: 1,
            ..KeptWrites::default()
        };
        assert_eq!(judged.kept, Some(expected));
        assert_eq!((judged.writes.failed, judged.reads.failed), (2, 0));
        let judged = report(&[("a", 1), ("b", 1), ("c", 1)], &[("b", true), ("c", true)]);
        assert_eq!(judged.kept.map(|kept| kept.once), Some(3));
    }

    #[test]
    fn write_that_is_lost_or_doubled_is_not_as_expected() {
        let lost = report(&[("c", 1)], &[]);
        assert_eq!(lost.unexpected, ["1 writes were lost"]);
        // In doubt or not, it is there twice.
        let doubled = report(&[("a", 1), ("c", 2)], &[]);
        assert_eq!(doubled.unexpected, ["1 writes were stored more than once"]);
    }

    #[test]
    fn failed_reads_count_against_what_the_case_allows() {
        let read = |answer| Outcome {
            id: None,
            took: Duration::ZERO,
            answer,
        };
        let outcomes = [read(Ok(502)), read(Ok(200))];
        for (name, is_expected) in [("stall", false), ("kill", true)] {
            let case = &Case::named(&[name.to_owned()]).unwrap()[0];
            let judged = CaseReport::new(case, &outcomes, &BTreeMap::new(), None);
            assert_eq!(judged.is_as_expected(), is_expected, "{name}");
        }
    }

    #[test]
    fn verdict_says_nothing_of_writes_that_were_not_counted() {
        let counted = report(&[("a", 1), ("b", 1), ("c", 1)], &[]);
        let case = &Case::named(&["stall".to_owned()]).unwrap()[0];
        let not_counted = CaseReport::new(case, &[], &BTreeMap::new(), None);
        for (case, words) in [
            (counted, "no write was lost or doubled"),
            (not_counted, "was not checked: declare"),
        ] {
            let report = Report {
                stage: "staging".to_owned(),
                duration_ms: 1000,
                is_as_expected: case.is_as_expected(),
                cases: vec![case],
            };
            assert!(report.text().contains(words), "{}", report.text());
        }
    }

    #[test]
    fn tables_fit_eighty_columns() {
        let mut cases = Vec::new();
        for case in Case::named(&[]).unwrap() {
            let mut of_case = CaseReport::new(&case, &[], &BTreeMap::new(), None);
            for requests in [&mut of_case.reads, &mut of_case.writes] {
                (requests.sent, requests.failed, requests.slowest_ms) = (9_999, 9_999, 99_900);
            }
            of_case.kept = Some(KeptWrites {
                once: 9_999,
                ..KeptWrites::default()
            });
            cases.push(of_case);
        }
        let report = Report {
            stage: "staging".to_owned(),
            duration_ms: 1000,
            is_as_expected: true,
            cases,
        };
        let text = report.text();
        let rows = text.lines().filter(|line| line.contains(['│', '┆', '┌']));
        for row in rows {
            assert!(console::measure_text_width(row) <= 80, "{row}\n{text}");
        }
        assert!(text.contains("9999"), "{text}");
    }
}
