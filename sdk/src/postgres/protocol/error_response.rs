//! What a server says instead of starting a session.

use std::error::Error;
use std::fmt;

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::ErrorResponseBody;

/// An ErrorResponse: whoever is on the other side may have written it, so it is
/// kept short and without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct ErrorResponse {
    pub(in crate::postgres) code: String,
    pub(in crate::postgres) message: String,
}

impl ErrorResponse {
    pub(in crate::postgres) fn read(body: &ErrorResponseBody) -> Self {
        let mut said = Self {
            code: String::new(),
            message: String::new(),
        };
        let mut fields = body.fields();
        // What cannot be read any more is left out.
        while let Ok(Some(field)) = fields.next() {
            let text = || printable(field.value_bytes());
            match field.type_() {
                b'C' => said.code = text(),
                b'M' => said.message = text(),
                _ => {}
            }
        }
        said
    }

    /// Whether this may be about a message that the server did not expect yet:
    /// protocol errors, features that are not there, internal errors. All else that
    /// is said this early is about the server or the login.
    pub(in crate::postgres) fn may_be_about_what_came_early(&self) -> bool {
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
        .take(LONGEST_CHARS)
        .collect()
}

const LONGEST_CHARS: usize = 500;
