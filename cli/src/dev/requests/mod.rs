//! The requests of `stagelink dev` as they come: lines for people on standard error, or JSON for
//! machines on standard output.

mod json;
pub(in crate::dev) mod noise;
mod output;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use stagelink_local::lambda::LogLine;
use stagelink_local::{RequestEvent, RequestRecord};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use self::output::LineOutput;
use self::text::Columns;

/// The form in which requests are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestStyle {
    /// JSON on standard output instead of text on standard error.
    pub(super) json: bool,
    /// Shows the lines of the runtime and of the SDK, too.
    pub(super) noise: bool,
    /// The stage's database is a real one, which each line says.
    pub(super) is_remote: bool,
}

/// Shows the requests in the background until it is stopped.
#[derive(Debug)]
pub(super) struct RequestPrinter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// The state of the lines: which requests run, and what their functions logged so far.
struct Lines {
    style: RequestStyle,
    columns: Columns,
    output: LineOutput,
    running: BTreeMap<String, Running>,
    /// The functions that have streamed a response, of which a note was printed.
    streaming: BTreeSet<String>,
}

/// A request without a line of its own.
struct Running {
    arrived: Instant,
    record: std::sync::Arc<RequestRecord>,
    lines: Vec<LogLine>,
    /// True if a line says that it runs, and its log lines are shown as they come.
    is_shown: bool,
}

impl RequestPrinter {
    /// Shows the requests of a subscription. `stages` are the names of the stages.
    ///
    /// The subscription is older than the line that says that everything runs, since a client may send a
    /// request as soon as it has read that line.
    pub(super) fn start(
        events: Receiver<RequestEvent>,
        style: RequestStyle,
        stages: &[&str],
    ) -> Self {
        let columns = Columns::of(stages, style);
        let (stop, stopped) = oneshot::channel();
        Self {
            stop,
            task: tokio::spawn(show(events, stopped, style, columns)),
        }
    }

    /// Shows what has happened so far, and ends.
    pub(super) async fn stop(self) {
        // Both fail only if the task has ended.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn show(
    mut events: Receiver<RequestEvent>,
    mut stopped: oneshot::Receiver<()>,
    style: RequestStyle,
    columns: Columns,
) {
    let mut lines = Lines {
        style,
        columns,
        output: LineOutput::start(style.json),
        running: BTreeMap::new(),
        streaming: BTreeSet::new(),
    };
    let mut clock = interval(Duration::from_millis(250));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = clock.tick() => {
                lines.output.tell_left_out();
                lines.show_long_ones();
            }
            event = events.recv() => match event {
                Ok(event) => lines.show(event),
                Err(RecvError::Lagged(count)) => lines.show_gap(count),
                Err(RecvError::Closed) => break,
            },
        }
    }
    loop {
        match events.try_recv() {
            Ok(event) => lines.show(event),
            Err(TryRecvError::Lagged(count)) => lines.show_gap(count),
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    lines.output.finish().await;
}

impl Lines {
    fn show(&mut self, event: RequestEvent) {
        match event {
            RequestEvent::Started(record) => {
                let running = Running {
                    arrived: Instant::now(),
                    record: record.clone(),
                    lines: Vec::new(),
                    is_shown: false,
                };
                self.running.insert(record.id.clone(), running);
            }
            RequestEvent::Line { stage, line } => self.show_log_line(&stage, line),
            RequestEvent::Finished(record) => self.show_finished(&record),
            _ => {}
        }
    }

    /// Shows a line at once, or keeps it for the line of its request.
    fn show_log_line(&mut self, stage: &str, line: LogLine) {
        if !self.style.noise && noise::is_noise(&line) {
            return;
        }
        let request = line.request.as_deref();
        if let Some(running) = request.and_then(|id| self.running.get_mut(id)) {
            if running.is_shown && !self.style.json {
                self.output.line(text::log_line(&line, self.style));
            } else if running.lines.len() < MAX_KEPT_LINES {
                running.lines.push(line);
            }
            return;
        }
        self.output.line(match self.style.json {
            true => json::log_line(stage, &line),
            false if line.request.is_some() => text::log_line(&line, self.style),
            false => text::line_without_request(stage, &line, self.style),
        });
    }

    fn show_finished(&mut self, record: &RequestRecord) {
        let running = self.running.remove(&record.id);
        if self.style.json {
            self.output.line(json::request(record, self.style));
            return;
        }
        self.output.line(text::request(record, self.columns));
        if let Some(line) = text::opened_connection(record) {
            self.output.line(line);
        }
        // Those of a long request were shown as they came.
        for line in running.into_iter().flat_map(|running| running.lines) {
            self.output.line(text::log_line(&line, self.style));
        }
        if let Some(function) = record
            .function
            .as_ref()
            .filter(|_| record.first_byte.is_some())
            && self.streaming.insert(function.clone())
        {
            self.output.line(text::streaming_note(function));
        }
        if record.lines_left_out > 0 {
            let (id, count) = (record.short_id(), record.lines_left_out);
            self.output
                .line(format!("         {id} … and {count} more lines"));
        }
    }

    /// Says of requests that they run, once they have done so for a second.
    fn show_long_ones(&mut self) {
        if self.style.json {
            return;
        }
        for running in self.running.values_mut() {
            if running.is_shown || running.arrived.elapsed() < LONG {
                continue;
            }
            running.is_shown = true;
            self.output
                .line(text::running(&running.record, self.columns));
            for line in running.lines.drain(..) {
                self.output.line(text::log_line(&line, self.style));
            }
        }
    }

    fn show_gap(&mut self, count: u64) {
        // The ends of some that run may be among what was missed.
        self.running.clear();
        self.output.line(match self.style.json {
            true => json::gap(count),
            false => format!("  ! {count} changes came too fast to be shown"),
        });
    }
}

/// Time after which a request that runs gets a line that says so.
const LONG: Duration = Duration::from_secs(1);

/// Log lines that wait for the line of their request. Its record counts the others.
const MAX_KEPT_LINES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_were_missed_are_told_as_text_and_as_json() {
        for (json, expected) in [
            (true, "{\"left_out\":7,\"type\":\"gap\"}"),
            (false, "  ! 7 changes came too fast to be shown"),
        ] {
            let style = RequestStyle {
                json,
                noise: false,
                is_remote: false,
            };
            let (output, queue) = LineOutput::to_a_test(1, json);
            let mut lines = Lines {
                style,
                columns: Columns::of(&[], style),
                output,
                running: BTreeMap::new(),
                streaming: BTreeSet::new(),
            };
            lines.show_gap(7);
            assert_eq!(queue.try_iter().collect::<Vec<_>>(), [expected]);
        }
    }
}
