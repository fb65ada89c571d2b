//! The report of what the clients saw in each case, beside what is expected.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use super::Progress;
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
    /// The signal that stopped the drill before its end.
    #[serde(serialize_with = "signal_name")]
    stopped_by: Option<Signal>,
    pub(super) cases: Vec<CaseReport>,
}

/// The result of a case.
#[derive(Debug, Serialize)]
pub(super) struct CaseReport {
    pub(super) fault: &'static str,
    /// The reason why the running clouds cannot make the fault.
    not_drilled: Option<String>,
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
    /// Those that were under way while the fault lasted.
    met: usize,
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
    /// Judges a case by its outcomes, the time in which its fault lasted, the outcomes of the writes
    /// that were sent again with their key, and the count.
    pub(super) fn new(
        case: &Case,
        outcomes: &[Outcome],
        lasted: (Instant, Instant),
        again: &BTreeMap<String, bool>,
        counted: Option<Result<BTreeMap<String, usize>, String>>,
    ) -> Self {
        let (writes, reads): (Vec<_>, Vec<_>) =
            outcomes.iter().partition(|outcome| outcome.id.is_some());
        let kept_writes = writes;
        let [reads, writes] = [&reads, &kept_writes].map(|of| RequestReport::of(of, lasted));
        let mut unexpected = Vec::new();
        for (kind, requests) in [("read", &reads), ("write", &writes)] {
            if requests.sent > 0 && requests.met == 0 {
                unexpected.push(format!("no {kind} was under way while the fault lasted"));
            }
        }
        if reads.failed > case.failed_reads {
            unexpected.push(format!("reads failed: {}", reads.failed));
        }
        if writes.sent > 0 && writes.failed == writes.sent && !again.values().any(|done| *done) {
            unexpected.push("no write succeeded".to_owned());
        }
        let unsaved = again.values().filter(|done| !**done).count();
        if unsaved > 0 {
            unexpected.push(format!(
                "writes that failed with their key again: {unsaved}"
            ));
        }
        let (kept, not_counted) = match counted {
            None => (None, None),
            Some(Ok(counted)) => (Some(KeptWrites::of(&kept_writes, again, &counted)), None),
            Some(Err(reason)) => (None, Some(reason)),
        };
        if let Some(kept) = kept {
            for (number, what) in [(kept.lost, "lost"), (kept.doubled, "stored more than once")] {
                if number > 0 {
                    unexpected.push(format!("writes {what}: {number}"));
                }
            }
        }
        if let Some(reason) = &not_counted {
            unexpected.push(format!("the writes could not be counted: {reason}"));
        }
        Self {
            fault: case.name,
            not_drilled: None,
            reads,
            writes,
            kept,
            not_counted,
            failed_reads_expected: case.failed_reads,
            unexpected,
        }
    }

    /// Returns a case whose fault could not be injected or ended.
    pub(super) fn failed(case: &Case, reason: String) -> Self {
        Self {
            unexpected: vec![reason],
            ..Self::empty(case)
        }
    }

    /// Returns a case whose fault the running clouds cannot make, which nothing is expected of.
    pub(super) fn of_none(case: &Case, reason: String) -> Self {
        Self {
            not_drilled: Some(reason),
            ..Self::empty(case)
        }
    }

    fn empty(case: &Case) -> Self {
        Self {
            fault: case.name,
            not_drilled: None,
            reads: RequestReport::default(),
            writes: RequestReport::default(),
            kept: None,
            not_counted: None,
            failed_reads_expected: case.failed_reads,
            unexpected: Vec::new(),
        }
    }

    pub(super) fn is_as_expected(&self) -> bool {
        self.unexpected.is_empty()
    }

    pub(super) fn is_drilled(&self) -> bool {
        self.not_drilled.is_none()
    }

    pub(super) fn not_drilled(&self) -> Option<&str> {
        self.not_drilled.as_deref()
    }

    /// Returns the verdict in words.
    pub(super) fn verdict(&self) -> &'static str {
        match (self.is_drilled(), self.is_as_expected()) {
            (false, _) => "not drilled here",
            (true, true) => "as expected",
            (true, false) => "not as expected",
        }
    }

    /// Returns the verdict as a mark in a table.
    fn mark(&self) -> &'static str {
        match (self.is_drilled(), self.is_as_expected()) {
            (false, _) => "–",
            (true, true) => "✓",
            (true, false) => "✗",
        }
    }
}

impl RequestReport {
    fn of(outcomes: &[&Outcome], lasted: (Instant, Instant)) -> Self {
        let mut failures = BTreeMap::new();
        let failed = outcomes.iter().filter(|outcome| !outcome.is_success());
        for outcome in failed {
            *failures.entry(answer_text(&outcome.answer)).or_default() += 1;
        }
        let slowest = outcomes.iter().map(|outcome| outcome.took).max();
        let slowest = slowest.unwrap_or_default().as_millis();
        Self {
            sent: outcomes.len(),
            met: outcomes
                .iter()
                .filter(|outcome| outcome.has_met(lasted))
                .count(),
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
    /// Makes the report of a drill that has ended, or that a signal stopped.
    pub(super) fn new(
        duration: Duration,
        progress: &mut Progress,
        stopped_by: Option<Signal>,
    ) -> Self {
        let cases = std::mem::take(&mut progress.reports);
        let is_as_expected = cases.iter().all(CaseReport::is_as_expected);
        Self {
            stage: progress.stage.clone(),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            is_as_expected: is_as_expected && stopped_by.is_none(),
            stopped_by,
            cases,
        }
    }

    pub(super) fn stopped_by(&self) -> Option<Signal> {
        self.stopped_by
    }

    /// Returns a table of the reads and one of the writes, and what is not as expected. Both fit 80 columns.
    pub(super) fn text(&self) -> String {
        let mut reads = Table::with_header([
            "fault", "reads", "met it", "failed", "expected", "slowest", "",
        ]);
        let mut writes = Table::with_header([
            "fault", "writes", "failed", "slowest", "once", "lost", "twice", "doubt",
        ]);
        for case in &self.cases {
            if !case.is_drilled() {
                let fault = case.fault;
                reads.add_row([fault, "–", "–", "–", "–", "–", case.mark()]);
                writes.add_row([fault, "–", "–", "–", "–", "–", "–", "–"]);
                continue;
            }
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
            reads.add_row([
                case.fault,
                &case.reads.sent.to_string(),
                &case.reads.met.to_string(),
                &case.reads.failed.to_string(),
                &expected,
                &seconds(case.reads.slowest_ms),
                case.mark(),
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
        for column in 1..6 {
            reads.align_right(column);
        }
        for column in 1..8 {
            writes.align_right(column);
        }
        let mut text = format!("{reads}\n\n{writes}\n");
        let mut drilled = self.cases.iter().filter(|case| case.is_drilled());
        if drilled.any(|case| case.kept.is_none()) {
            text.push_str("?: the writes of this case were not checked\n");
        }
        text.push_str("expected of the writes: 0 lost, 0 twice\n");
        for case in &self.cases {
            if let Some(reason) = case.not_drilled() {
                text.push_str(&format!("– {}: not drilled here: {reason}\n", case.fault));
            }
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
        if self.stopped_by.is_some() {
            return text + "stopped before its end";
        }
        let mut drilled = self.cases.iter().filter(|case| case.is_drilled());
        let are_writes_counted = drilled.all(|case| case.kept.is_some());
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

fn signal_name<S: Serializer>(signal: &Option<Signal>, to: S) -> Result<S::Ok, S::Error> {
    signal.map(Signal::as_str).serialize(to)
}

fn answer_text(answer: &Answer) -> String {
    match answer {
        Ok(status) => status.to_string(),
        Err(reason) => format!("by nothing ({reason})"),
    }
}

#[cfg(test)]
mod tests;
