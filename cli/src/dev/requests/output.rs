//! The thread that writes lines: a terminal or a pipe that takes nothing keeps no request waiting.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::output::{note_styled, print_line};

/// Writes lines in their order, and leaves out those for which there is no room.
pub(super) struct LineOutput {
    lines: SyncSender<String>,
    left_out: u64,
    json: bool,
    written: oneshot::Receiver<()>,
}

impl LineOutput {
    /// Starts to write: JSON to standard output, text to standard error.
    pub(super) fn start(json: bool) -> Self {
        let (lines, queue) = sync_channel(MAX_WAITING_LINES);
        let (done, written) = oneshot::channel();
        // A thread of its own and not of the async runtime, which would wait for it at its end.
        std::thread::spawn(move || {
            write_all(&queue, json);
            let _ = done.send(());
        });
        Self {
            lines,
            left_out: 0,
            json,
            written,
        }
    }

    pub(super) fn line(&mut self, line: String) {
        if self.left_out > 0 && !self.json {
            let note = format!("  ! {} lines came too fast to be shown", self.left_out);
            if self.lines.try_send(note).is_ok() {
                self.left_out = 0;
            }
        }
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            self.left_out += 1;
        }
    }

    /// Waits until all is written, for a second at most.
    pub(super) async fn finish(self) {
        drop(self.lines);
        let _ = timeout(Duration::from_secs(1), self.written).await;
    }
}

fn write_all(queue: &Receiver<String>, json: bool) {
    for line in queue {
        match json {
            // A reader that has gone wants no more; the command goes on.
            true if print_line(&line).is_err() => return,
            true => {}
            false => note_styled(line),
        }
    }
}

const MAX_WAITING_LINES: usize = 4_096;
