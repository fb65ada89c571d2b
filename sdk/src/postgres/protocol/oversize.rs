//! A message of the server that is longer than a connection takes.

use std::fmt;

/// A message whose length, as its header tells it, is above the limit. The connection ends before
/// the message is read into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OversizeMessage {
    pub(super) bytes: usize,
    pub(super) limit: usize,
}

impl OversizeMessage {
    /// Builds the ErrorResponse that the driver reads in place of the message. It has no routine,
    /// so it does not say whether the request has taken effect.
    pub(super) fn error_response(self) -> Vec<u8> {
        let fields = format!("SFATAL\0VFATAL\0C{PROGRAM_LIMIT_EXCEEDED}\0M{self}\0\0");
        let length = u32::try_from(fields.len() + LENGTH_BYTES).unwrap_or(u32::MAX);
        [b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()
    }
}

impl fmt::Display for OversizeMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the server sent a message of {} bytes, such as a row, and {} bytes is the most that \
             the function takes (STAGELINK_MAX_MESSAGE_BYTES), so the connection was closed: select \
             fewer or shorter columns, read a large value in parts with substring(), or raise the \
             limit together with the function's memory",
            self.bytes, self.limit
        )
    }
}

impl std::error::Error for OversizeMessage {}

/// program_limit_exceeded.
const PROGRAM_LIMIT_EXCEEDED: &str = "54000";

const LENGTH_BYTES: usize = 4;
