//! The output of a release phase, which is sent as it comes.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

/// Output of a release phase. Clones write to the same output.
#[derive(Clone)]
pub struct ReleaseOutput {
    id: Uuid,
    written: watch::Sender<Written>,
}

#[derive(Default)]
struct Written {
    text: String,
    is_finished: bool,
}

impl ReleaseOutput {
    pub(super) fn new() -> Self {
        Self {
            id: Uuid::new_v4(),
            written: watch::Sender::default(),
        }
    }

    /// Id of the stream, the only secret that reading it needs.
    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    /// Writes a line.
    pub fn write_line(&self, line: &str) {
        self.written.send_modify(|written| {
            written.text.push_str(line);
            written.text.push('\n');
        });
    }

    /// Ends the stream for its readers.
    pub(super) fn finish(&self) {
        self.written
            .send_modify(|written| written.is_finished = true);
    }

    /// Returns a body with the whole output, which ends when the output is finished.
    pub(super) fn body(&self) -> Body {
        let (sender, receiver) = mpsc::channel(1);
        let mut written = self.written.subscribe();
        tokio::spawn(async move {
            let mut sent = 0;
            loop {
                let (chunk, is_finished) = {
                    let written = written.borrow_and_update();
                    let chunk = written.text.get(sent..).unwrap_or_default().to_owned();
                    (chunk, written.is_finished)
                };
                sent += chunk.len();
                if !chunk.is_empty() && sender.send(chunk.into()).await.is_err() {
                    return;
                }
                if is_finished || written.changed().await.is_err() {
                    return;
                }
            }
        });
        Body::new(Chunks(receiver))
    }
}

impl fmt::Debug for ReleaseOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReleaseOutput").finish_non_exhaustive()
    }
}

/// A body of chunks, which ends with their sender.
struct Chunks(mpsc::Receiver<Bytes>);

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.0.poll_recv(context);
        chunk.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
