//! The thread that writes lines: a terminal or a pipe that takes nothing keeps no request waiting.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::json;
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
        self.tell_left_out();
        if let Err(TrySendError::Full(_)) = self.lines.try_send(line) {
            self.left_out += 1;
        }
    }

    /// Says how many lines were left out, as soon as there is room for that.
    pub(super) fn tell_left_out(&mut self) {
        if self.left_out == 0 {
            return;
        }
        let note = match self.json {
            true => json::gap(self.left_out),
            false => format!("  ! {} lines came too fast to be shown", self.left_out),
        };
        if self.lines.try_send(note).is_ok() {
            self.left_out = 0;
        }
    }

    /// Waits until all is written, for a second at most.
    pub(super) async fn finish(mut self) {
        let all_written = async {
            self.tell_left_out();
            while self.left_out > 0 {
                sleep(Duration::from_millis(10)).await;
                self.tell_left_out();
            }
            drop(self.lines);
            let _ = self.written.await;
        };
        let _ = timeout(Duration::from_secs(1), all_written).await;
    }

    /// Returns an output of which a test takes the lines, and that has room for so many.
    #[cfg(test)]
    pub(super) fn to_a_test(room: usize, json: bool) -> (Self, Receiver<String>) {
        let (lines, queue) = sync_channel(room);
        let (_, written) = oneshot::channel();
        let output = Self {
            lines,
            left_out: 0,
            json,
            written,
        };
        (output, queue)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_room_are_told_once_there_is_some() {
        for (json, expected) in [
            (true, "{\"left_out\":3,\"type\":\"gap\"}"),
            (false, "  ! 3 lines came too fast to be shown"),
        ] {
            let (mut output, queue) = LineOutput::to_a_test(2, json);
            for number in 0..5 {
                output.line(number.to_string());
            }
            output.tell_left_out();
            assert_eq!(queue.try_iter().collect::<Vec<_>>(), ["0", "1"]);
            output.line("5".to_owned());
            output.tell_left_out();
            assert_eq!(queue.try_iter().collect::<Vec<_>>(), [expected, "5"]);
        }
    }

    #[tokio::test]
    async fn lines_left_out_last_are_told_before_the_end() {
        let (mut output, queue) = LineOutput::to_a_test(1, true);
        output.line("0".to_owned());
        output.line("1".to_owned());
        let reader = std::thread::spawn(move || queue.iter().collect::<Vec<_>>());
        output.finish().await;
        let lines = reader.join().unwrap();
        assert_eq!(lines, ["0", "{\"left_out\":1,\"type\":\"gap\"}"]);
    }
}
