//! A request that runs, and what makes its record.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::log::RequestLog;
use super::record::{RequestRecord, Trigger};
use crate::lambda::{InstanceStart, InvocationObserver, InvokeError, LogLine, SpanReport};

/// Begins the records of a stage's requests.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    log: RequestLog,
    stage: Arc<str>,
    deploy: Option<Arc<str>>,
}

/// A request that runs. Its record is finished when the last owner drops it: the site, which
/// responds, and the invocation, which may outlast its client.
#[derive(Debug)]
pub(crate) struct ActiveRequest {
    log: RequestLog,
    id: String,
    arrived: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    record: RequestRecord,
    is_streaming: bool,
    line_bytes: usize,
}

impl Recorder {
    /// Returns the recorder of a stage.
    pub(crate) fn new(log: &RequestLog, stage: &str) -> Self {
        Self {
            log: log.clone(),
            stage: stage.into(),
            deploy: None,
        }
    }

    /// Returns the recorder of a deploy that has the variables of a stage.
    #[cfg(feature = "netlify-api")]
    pub(crate) fn of_deploy(log: &RequestLog, stage: &str, deploy: &str) -> Self {
        Self {
            deploy: Some(deploy.into()),
            ..Self::new(log, stage)
        }
    }

    /// Returns whether the requests are those to a deploy.
    pub(crate) fn is_of_deploy(&self) -> bool {
        self.deploy.is_some()
    }

    /// Begins a record.
    pub(crate) fn begin(
        &self,
        id: &str,
        trigger: Trigger,
        method: &str,
        path: &str,
    ) -> Arc<ActiveRequest> {
        let mut record = RequestRecord::new(id, trigger, &self.stage, (method, path));
        record.deploy = self.deploy.as_deref().map(str::to_owned);
        self.log.send_started(&record);
        Arc::new(ActiveRequest {
            log: self.log.clone(),
            id: id.to_owned(),
            arrived: Instant::now(),
            state: Mutex::new(State {
                record,
                is_streaming: false,
                line_bytes: 0,
            }),
        })
    }
}

impl ActiveRequest {
    /// Records the function, and the event that it gets.
    pub(crate) fn set_function(&self, name: &str, event: &Bytes) {
        let record = &mut self.state().record;
        record.function = Some(name.to_owned());
        record.event_bytes = event.len();
        record.event = (event.len() <= MAX_EVENT_BYTES).then(|| event.clone());
    }

    /// Records that a streamed response begins, whose end is told by
    /// [`end_stream`](Self::end_stream).
    pub(crate) fn begin_stream(&self) {
        let first_byte = self.arrived.elapsed();
        let mut state = self.state();
        state.is_streaming = true;
        state.record.first_byte = Some(first_byte);
    }

    pub(crate) fn end_stream(&self) {
        self.state().record.duration = Some(self.arrived.elapsed());
    }

    /// Records the status of the response, and that it is whole unless it is streamed.
    pub(crate) fn responded(&self, status: StatusCode) {
        let duration = self.arrived.elapsed();
        let mut state = self.state();
        state.record.status = Some(status.as_u16());
        if !state.is_streaming {
            state.record.duration = Some(duration);
        }
    }

    /// Records the response to an invocation that came by no request: its status, if it has one.
    pub(crate) fn invoked(&self, response: &Result<Bytes, InvokeError>) {
        let duration = self.arrived.elapsed();
        match response {
            Ok(response) => {
                let response: Value = serde_json::from_slice(response).unwrap_or_default();
                let status = response["statusCode"].as_u64();
                self.state().record.status = status.and_then(|status| status.try_into().ok());
            }
            Err(error) => self.failed(error),
        }
        self.state().record.duration = Some(duration);
    }

    /// Records the error of the invocation, by its type alone.
    pub(crate) fn failed(&self, error: &InvokeError) {
        self.state().record.error = Some(error_type(error).to_owned());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InvocationObserver for ActiveRequest {
    fn id(&self) -> &str {
        &self.id
    }

    fn delivered(&self, instance: usize, start: InstanceStart) {
        let record = &mut self.state().record;
        record.instance = Some(instance);
        record.start = Some(start);
    }

    fn logged(&self, line: &LogLine) {
        let mut state = self.state();
        state.line_bytes += line.line.len();
        if state.record.lines.len() < MAX_LINES && state.line_bytes <= MAX_LINE_BYTES {
            state.record.lines.push(line.clone());
        } else {
            state.record.lines_left_out += 1;
        }
    }

    fn reported(&self, mut report: SpanReport) {
        let mut state = self.state();
        // An instance that was warmed up has connected before there was a request.
        let arrival = u64::try_from(state.record.time.as_microsecond()).unwrap_or_default();
        report.begin_at(arrival);
        state.record.spans = Some(report);
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let elapsed = self.arrived.elapsed();
        let mut record = self.state().record.clone();
        // The client of an unfinished response has gone.
        record.duration.get_or_insert(elapsed);
        record.is_finished = true;
        self.log.finish(record);
    }
}

/// Returns the type of an error: the function's own, or that of the platform.
fn error_type(error: &InvokeError) -> &str {
    match error {
        InvokeError::Function { error_type, .. } => error_type,
        InvokeError::Exited { .. } => "Runtime.ExitError",
        InvokeError::TimedOut { .. } | InvokeError::InitTimedOut { .. } => "Sandbox.Timedout",
        InvokeError::NotStarted(_) => "Runtime.NotStarted",
        InvokeError::EventTooLarge { .. } => "RequestTooLarge",
        InvokeError::ShutDown => "ShutDown",
    }
}

/// The largest event that is kept.
const MAX_EVENT_BYTES: usize = 64 * 1024;

/// The log lines of a request that are kept, by number and by length.
const MAX_LINES: usize = 500;
const MAX_LINE_BYTES: usize = 64 * 1024;
