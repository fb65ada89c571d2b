//! The ErrorResponse and NoticeResponse messages of a server.

use std::error::Error;
use std::fmt;

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{ErrorFields, ErrorResponseBody};

/// The code and message of an ErrorResponse, or of a NoticeResponse, which has the same fields. The sender may be an attacker, so both are kept short
/// and free of control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct ErrorResponse {
    pub(in crate::postgres) code: String,
    pub(in crate::postgres) message: String,
}

impl ErrorResponse {
    pub(in crate::postgres) fn read(body: &ErrorResponseBody) -> Self {
        Self::of_fields(body.fields())
    }

    pub(in crate::postgres) fn of_fields(mut fields: ErrorFields<'_>) -> Self {
        let mut response = Self {
            code: String::new(),
            message: String::new(),
        };
        // Malformed fields are left out.
        while let Ok(Some(field)) = fields.next() {
            let text = || printable(field.value_bytes());
            match field.type_() {
                b'C' => response.code = text(),
                b'M' => response.message = text(),
                _ => {}
            }
        }
        response
    }

    /// Returns whether the error may be a reaction to messages that were sent before the server
    /// asked: protocol violations, unsupported features, internal errors. Other errors are about the
    /// server or the login.
    pub(in crate::postgres) fn may_concern_early_messages(&self) -> bool {
        ["08", "0A", "XX"]
            .iter()
            .any(|class| self.code.starts_with(class))
            || self.code.is_empty()
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server said: {} ({})", self.message, self.code)
    }
}

impl Error for ErrorResponse {}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_CHARS)
        .collect()
}

const MAX_CHARS: usize = 500;
