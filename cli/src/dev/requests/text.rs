//! Requests and log lines for people. Each is one line, whatever a client or a function put in it.

use std::time::Duration;

use console::{Style, StyledObject, measure_text_width, style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use stagelink::one_line;
use stagelink_local::lambda::{InstanceStart, LogLine, Phase, SpanReport};
use stagelink_local::{RequestRecord, Trigger};

use super::{RequestStyle, noise};
use crate::output::log_line as escaped_log_line;

/// The widths of the columns that differ from project to project.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    stage: usize,
    is_remote: bool,
}

impl Columns {
    pub(super) fn of(stages: &[&str], style: RequestStyle) -> Self {
        let widths = stages.iter().map(|name| measure_text_width(name));
        let mark = if style.is_remote { REMOTE.len() } else { 0 };
        Self {
            stage: widths.max().unwrap_or_default() + mark,
            is_remote: style.is_remote,
        }
    }

    /// Returns the name of a stage, with a mark where its database is a real one.
    fn stage(self, name: &str) -> String {
        let mark = if self.is_remote { REMOTE } else { "" };
        let name = format!("{}{mark}", one_line(name));
        format!("{name:<width$}", width = self.stage)
    }
}

/// The mark of a stage whose database is a real one.
const REMOTE: &str = " (remote)";

/// Returns the line of a finished request: time, stage, method, path, status, time, cold or warm,
/// time with the database, short id.
pub(super) fn request(record: &RequestRecord, columns: Columns) -> String {
    let status = match record.status {
        Some(status) => status_style(status).apply_to(status.to_string()),
        // An invocation without HTTP, such as that of a schedule.
        None if record.error.is_some() => Style::new()
            .red()
            .for_stderr()
            .apply_to("failed".to_owned()),
        // The client did not wait for the response.
        None => Style::new()
            .yellow()
            .for_stderr()
            .apply_to("gone".to_owned()),
    };
    let duration = record.duration.map(milliseconds).unwrap_or_default();
    let mut line = format!("{} {status} {duration:>9}", beginning(record, columns));
    if let Some(start) = record.start {
        line.push_str(&format!("  {}", temperature(start)));
    }
    if let Some(database) = database(record) {
        line.push_str(&format!("  {database}"));
    }
    if let Some(first_byte) = record.first_byte {
        line.push_str(&format!("  streamed after {}", milliseconds(first_byte)));
    }
    if let Some(deploy) = &record.deploy {
        line.push_str(&format!("  deploy {}", short_deploy(deploy)));
    }
    if let Some(error) = &record.error {
        let error = style(one_line(error).to_string()).red().for_stderr();
        line.push_str(&format!("  {error}"));
    }
    format!("{line}  {}", dim(record.short_id().to_owned()))
}

/// Returns the beginning of a deploy's id, by which a person tells deploys apart.
fn short_deploy(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Returns the line of a request that runs for long.
pub(super) fn running(record: &RequestRecord, columns: Columns) -> String {
    let id = dim(record.short_id().to_owned());
    format!("{} … it runs  {id}", beginning(record, columns))
}

/// Returns the line about the connection that a request opened, or tried to open, if it did.
pub(super) fn opened_connection(record: &RequestRecord) -> Option<String> {
    let words = connection_words(record.spans.as_ref()?)?;
    let text = dim(format!("{} {words}", record.short_id()));
    Some(format!("{INDENT}{text}"))
}

fn connection_words(report: &SpanReport) -> Option<String> {
    let has_begun = [Phase::Tcp, Phase::Tls, Phase::Login].iter().any(|phase| {
        report.time_of(*phase).is_some() || report.unfinished_time_of(*phase).is_some()
    });
    if !has_begun {
        return None;
    }
    let phases = [Phase::Credentials, Phase::Tcp, Phase::Tls, Phase::Login];
    let phases = phases.iter().flat_map(|phase| {
        let ended = report.time_of(*phase).map(milliseconds);
        let unfinished = report.unfinished_time_of(*phase).map(milliseconds);
        let ended = ended.map(|time| format!("{phase} {time}"));
        let unfinished = unfinished.map(|time| format!("{phase} {time} without an end"));
        unfinished.into_iter().chain(ended)
    });
    let phases = phases.collect::<Vec<_>>().join(", ");
    Some(match report.time_of(Phase::Login) {
        Some(_) => format!("opened a connection: {phases}"),
        None => format!("opened no connection: {phases}"),
    })
}

/// Returns the note on a function that has streamed a response for the first time.
pub(super) fn streaming_note(function: &str) -> String {
    format!(
        "  ! {} streams its response, as on a function URL of AWS Lambda. Netlify documents streamed responses \
         only for JavaScript: see docs/guides/netlify.md",
        one_line(function)
    )
}

/// Returns a line of a request's log.
pub(super) fn log_line(line: &LogLine, style: RequestStyle) -> String {
    let id = line.request.as_deref().unwrap_or_default();
    let id = dim(id
        .get(id.len().saturating_sub(6)..)
        .unwrap_or(id)
        .to_owned());
    format!("{INDENT}{id} {}", own_text(line, style))
}

/// Returns a line that belongs to no request, with its stage and function.
pub(super) fn line_without_request(stage: &str, line: &LogLine, style: RequestStyle) -> String {
    let origin = one_line(format_args!("{stage} {}", line.function)).to_string();
    format!("[{origin}] {}", own_text(line, style))
}

fn own_text(line: &LogLine, style: RequestStyle) -> String {
    match style.noise {
        true => escaped_log_line(&line.line),
        false => escaped_log_line(&noise::shortened(line)),
    }
}

/// Returns time, stage, method and path.
fn beginning(record: &RequestRecord, columns: Columns) -> String {
    let time = dim(clock_time(record.time));
    let stage = columns.stage(&record.stage);
    let stage = match columns.is_remote {
        true => style(stage).magenta().bold().for_stderr(),
        false => style(stage).cyan().for_stderr(),
    };
    let method = match record.trigger {
        Trigger::Schedule => "clock".to_owned(),
        Trigger::Invoke => "invoke".to_owned(),
        Trigger::Repeat => format!("again {}", one_line(&record.method)),
        _ => one_line(&record.method).to_string(),
    };
    let path = one_line(&record.path).to_string();
    format!("{time} {stage} {method:<6} {path:<28}")
}

fn clock_time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system())
        .strftime("%H:%M:%S")
        .to_string()
}

fn temperature(start: InstanceStart) -> StyledObject<String> {
    match start {
        // As wide as most of those of a cold start, so that what follows is in a column.
        InstanceStart::Cold { init } => {
            style(format!("{:<11}", format!("cold {}", milliseconds(init))))
                .blue()
                .for_stderr()
        }
        _ => dim(format!("{:<11}", "warm")),
    }
}

/// Returns the time with the database and the number of waits for it, if it was used.
fn database(record: &RequestRecord) -> Option<String> {
    let report = record.spans.as_ref()?;
    let trips = report.round_trips;
    if trips == 0 && report.spans.is_empty() {
        return None;
    }
    let time = milliseconds(report.database_time());
    let noun = if trips == 1 {
        "round trip"
    } else {
        "round trips"
    };
    Some(format!("database {time} in {trips} {noun}"))
}

/// Returns a time in milliseconds with three digits that count.
fn milliseconds(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        0.0..10.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

fn status_style(status: u16) -> Style {
    let style = Style::new().for_stderr();
    match status {
        ..300 => style.green(),
        300..400 => style.cyan(),
        400..500 => style.yellow(),
        500.. => style.red(),
    }
}

fn dim(text: String) -> StyledObject<String> {
    style(text).dim().for_stderr()
}

/// The place of the time, beneath which a request's other lines begin.
const INDENT: &str = "         ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_a_column_and_a_real_one_is_marked() {
        let style = |is_remote| RequestStyle {
            json: false,
            noise: false,
            is_remote,
        };
        let local = Columns::of(&["qa", "production"], style(false));
        assert_eq!(local.stage("qa"), "qa        ");
        assert_eq!(local.stage("production"), "production");
        let remote = Columns::of(&["qa"], style(true));
        assert_eq!(remote.stage("qa"), "qa (remote)");
    }

    #[test]
    fn phases_of_a_connection_are_told_also_those_that_did_not_end() {
        let words = |spans: &[(&str, u64, bool)]| {
            let spans = spans.iter().map(|(phase, us, is_unfinished)| {
                serde_json::json!({
                    "phase": phase, "start_us": 1, "duration_us": us, "is_unfinished": is_unfinished,
                })
            });
            let report = serde_json::json!({
                "spans": spans.collect::<Vec<_>>(), "round_trips": 0,
            });
            connection_words(&serde_json::from_value(report).unwrap())
        };
        assert_eq!(words(&[("query", 100, false)]), None);
        let stalled = words(&[("tcp", 1_200, false), ("tls", 5_000_000, true)]);
        let expected = "opened no connection: tcp 1.2 ms, tls 5000 ms without an end";
        assert_eq!(stalled.as_deref(), Some(expected));
        let at_last = words(&[
            ("tls", 5_000_000, true),
            ("tls", 9_700, false),
            ("login", 9_400, false),
        ]);
        let expected = "opened a connection: tls 5000 ms without an end, tls 9.7 ms, login 9.4 ms";
        assert_eq!(at_last.as_deref(), Some(expected));
    }
}
