//! The ErrorResponse and NoticeResponse messages of a server.

use std::error::Error;
use std::fmt;

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{ErrorFields, ErrorResponseBody};

/// The code and message of an ErrorResponse, or of a NoticeResponse, which has the same fields. The
/// sender may be an attacker, so both are kept short and free of control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorResponse {
    /// The SQLSTATE.
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ErrorResponse {
    pub(in crate::postgres) fn read(body: &ErrorResponseBody) -> Self {
        Self::of_fields(body.fields())
    }

    pub(in crate::postgres) fn of_fields(mut fields: ErrorFields<'_>) -> Self {
        let mut response = Self::default();
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
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server said: {} ({})", self.message, self.code)
    }
}

impl Error for ErrorResponse {}

/// Returns a text that is kept short and free of control characters.
pub(super) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_CHARS)
        .collect()
}

const MAX_CHARS: usize = 500;

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use postgres_protocol::message::backend::Message;

    use super::*;

    #[test]
    fn response_is_shown_on_one_short_line_with_its_code() {
        for (message, shown) in [
            ("no such table", "no such table".to_owned()),
            ("two\nlines\u{1b}[2J", "two lines [2J".to_owned()),
            (&"x".repeat(900), "x".repeat(500)),
        ] {
            let fields = format!("SERROR\0C42P01\0M{message}\0Dabout a row\0\0");
            let mut bytes = BytesMut::from(&b"E"[..]);
            bytes.extend_from_slice(&(fields.len() as u32 + 4).to_be_bytes());
            bytes.extend_from_slice(fields.as_bytes());
            let Ok(Some(Message::ErrorResponse(body))) = Message::parse(&mut bytes) else {
                panic!("not an ErrorResponse");
            };
            let expected = format!("the server said: {shown} (42P01)");
            assert_eq!(ErrorResponse::read(&body).to_string(), expected);
        }
    }
}
