//! A reset that was sent, and how far its response has come.

use std::sync::Arc;

use super::reset_messages::ResetMessages;

/// A reset that was sent.
pub(super) struct SentReset {
    messages: Arc<ResetMessages>,
    /// Number of its statements that have completed.
    completed_count: usize,
}

/// The state of a reset after one of its statements.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ResetProgress {
    Incomplete,
    Complete,
    /// The session has put another statement in the place of this one.
    Replaced,
}

impl SentReset {
    pub(super) fn new(messages: Arc<ResetMessages>) -> Self {
        Self {
            messages,
            completed_count: 0,
        }
    }

    /// Takes note of a CommandComplete.
    pub(super) fn complete(&mut self, message: &[u8]) -> ResetProgress {
        let tags = self.messages.tags();
        let tag = message
            .get(HEAD_BYTES..)
            .and_then(|tag| tag.strip_suffix(b"\0"));
        if tag != tags.get(self.completed_count).map(|tag| tag.as_bytes()) {
            return ResetProgress::Replaced;
        }
        self.completed_count += 1;
        if self.completed_count == tags.len() {
            ResetProgress::Complete
        } else {
            ResetProgress::Incomplete
        }
    }

    /// Returns the [usual response](ResetMessages::usual_response), or `None` if a statement has
    /// completed already.
    pub(super) fn usual_response(&self) -> Option<&[u8]> {
        (self.completed_count == 0).then(|| self.messages.usual_response())
    }
}

/// Bytes of a message's type and length.
const HEAD_BYTES: usize = 5;
