//! The record of one request.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::lambda::{InstanceStart, LogLine, LogStream, SpanReport};

/// The record of one request to a site, or of another invocation of one of its functions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestRecord {
    /// Id of the request, which a client of the site gets in `x-nf-request-id`.
    pub id: String,
    /// Arrival of the request.
    pub time: Timestamp,
    /// Name of the stage.
    pub stage: String,
    /// Id of the deploy of the local Netlify that got the request; `None` for the functions that the site
    /// itself runs.
    pub deploy: Option<String>,
    /// The cause of the invocation.
    pub trigger: Trigger,
    /// Name of the function; `None` for a file and a redirect.
    pub function: Option<String>,
    /// Method of the request.
    pub method: String,
    /// Path of the request as its client sent it, without the query. It may hold any characters.
    pub path: String,
    /// Status of the response; `None` while there is none.
    pub status: Option<u16>,
    /// Time until the response, and for a streamed response until its end; `None` while it runs.
    pub duration: Option<Duration>,
    /// Time until the head of a streamed response; `None` for a whole one.
    pub first_byte: Option<Duration>,
    /// Type of the error by which the invocation failed.
    pub error: Option<String>,
    /// Number of the function's instance.
    pub instance: Option<usize>,
    /// State of that instance; `None` for no instance, and one that failed before it had the event.
    pub start: Option<InstanceStart>,
    /// Time with the database since the request's arrival; `None` where the runtime does not report
    /// it.
    pub spans: Option<SpanReport>,
    /// The lines that the function logged meanwhile, and those of a cold instance's INIT.
    pub lines: Vec<LogLine>,
    /// Number of lines that are left out of `lines`.
    pub lines_left_out: usize,
    /// The event that the function got; `None` without a function, and for an event of more than
    /// 64 KiB.
    pub event: Option<Bytes>,
    /// Size of the event in bytes.
    pub event_bytes: usize,
    /// True when nothing will be added to the record.
    pub is_finished: bool,
}

/// The cause of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// A request to the site.
    Request,
    /// A schedule of netlify.toml.
    Schedule,
    /// A person or a script, by `stagelink invoke`.
    Invoke,
    /// A person who sent the event of an earlier request again.
    Repeat,
}

impl Trigger {
    /// Name of the trigger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Schedule => "schedule",
            Self::Invoke => "invoke",
            Self::Repeat => "repeat",
        }
    }
}

impl RequestRecord {
    pub(super) fn new(
        id: &str,
        trigger: Trigger,
        stage: &str,
        (method, path): (&str, &str),
    ) -> Self {
        Self {
            id: id.to_owned(),
            time: Timestamp::now(),
            stage: beginning(stage).to_owned(),
            deploy: None,
            trigger,
            function: None,
            method: beginning(method).to_owned(),
            path: path.to_owned(),
            status: None,
            duration: None,
            first_byte: None,
            error: None,
            instance: None,
            start: None,
            spans: None,
            lines: Vec::new(),
            lines_left_out: 0,
            event: None,
            event_bytes: 0,
            is_finished: false,
        }
    }

    /// The end of the id, by which a person tells requests apart.
    pub fn short_id(&self) -> &str {
        short_id(&self.id)
    }

    /// The record as JSON, without the event.
    ///
    /// Times are in milliseconds, and what is unknown is null. `start_ms` of a span counts from the
    /// request's arrival.
    pub fn to_json(&self) -> Value {
        let init = match self.start {
            Some(InstanceStart::Cold { init }) => Some(ms(init)),
            _ => None,
        };
        let lines = self.lines.iter();
        let lines: Vec<_> = lines
            .map(|line| json!({ "stream": stream_name(line.stream), "line": line.line }))
            .collect();
        json!({
            "id": self.id,
            "time": self.time.to_string(),
            "stage": self.stage,
            "deploy": self.deploy,
            "trigger": self.trigger.as_str(),
            "function": self.function,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "duration_ms": self.duration.map(ms),
            "first_byte_ms": self.first_byte.map(ms),
            "error": self.error,
            "instance": self.instance,
            "start": self.start.map(|start| match start {
                InstanceStart::Cold { .. } => "cold",
                InstanceStart::Warm => "warm",
            }),
            "init_ms": init,
            "database": self.spans.as_ref().map(|report| self.database_json(report)),
            "lines": lines,
            "lines_left_out": self.lines_left_out,
        })
    }

    fn database_json(&self, report: &SpanReport) -> Value {
        let began = self.time.as_microsecond();
        let spans = report.spans.iter().map(|span| {
            let start = i64::try_from(span.start_us).unwrap_or(i64::MAX);
            json!({
                "phase": span.phase.as_str(),
                "start_ms": start.saturating_sub(began) as f64 / 1000.0,
                "duration_ms": ms(span.duration()),
                "is_unfinished": span.is_unfinished,
            })
        });
        json!({
            "ms": ms(report.database_time()),
            "round_trips": report.round_trips,
            "spans": spans.collect::<Vec<_>>(),
        })
    }

    /// Memory of the parts whose size the request decides, in bytes.
    pub(super) fn size(&self) -> usize {
        let lines = self.lines.iter().map(|line| line.line.len());
        let event = self.event.as_ref().map_or(0, Bytes::len);
        self.path.len() + self.method.len() + self.stage.len() + event + lines.sum::<usize>()
    }
}

/// Returns the end of an id: its beginning is the time, which two requests may share.
pub(super) fn short_id(id: &str) -> &str {
    let start = id.len().saturating_sub(SHORT_ID_LENGTH);
    id.get(start..).unwrap_or(id)
}

/// Returns the name of a line's origin.
fn stream_name(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
        LogStream::Platform => "platform",
    }
}

/// Returns a duration in milliseconds, to the microsecond.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Returns the beginning of a name, which a client or a deploy may choose: it is in each line of a request.
fn beginning(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME_BYTES)]
}

const MAX_NAME_BYTES: usize = 64;

const SHORT_ID_LENGTH: usize = 6;
