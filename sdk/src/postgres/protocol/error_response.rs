//! The ErrorResponse and NoticeResponse messages of a server.

use std::error::Error;
use std::fmt;

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::{ErrorFields, ErrorResponseBody};

/// The parts of an ErrorResponse that its meaning depends on, or of a NoticeResponse, which has the
/// same fields. The sender may be an attacker, so the texts are kept short and free of control
/// characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorResponse {
    /// The SQLSTATE.
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) severity: Severity,
    pub(crate) origin: Origin,
}

/// The consequence of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The statement and its transaction fail. Notices count as this, too.
    #[default]
    Error,
    /// The session ends.
    Fatal,
    /// All sessions of the server end.
    Panic,
}

/// The program that an error comes from, by the routine that it names as its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A pooler, or whatever else names no routine of Postgres.
    #[default]
    Pooler,
    Postgres,
    /// A server that a statement has asked by postgres_fdw or dblink. Its SQLSTATE and message
    /// stand in an error of the statement's, also those that end a session there.
    ForeignServer,
}

impl ErrorResponse {
    pub(in crate::postgres) fn read(body: &ErrorResponseBody) -> Self {
        Self::of_fields(body.fields())
    }

    pub(in crate::postgres) fn of_fields(mut fields: ErrorFields<'_>) -> Self {
        let mut response = Self::default();
        // Malformed fields are left out.
        while let Ok(Some(field)) = fields.next() {
            response.record_field(field.type_(), field.value_bytes());
        }
        response
    }

    /// Takes note of a field of the message, which may come in any order.
    pub(super) fn record_field(&mut self, kind: u8, value: &[u8]) {
        match kind {
            b'C' => self.code = printable(value),
            b'M' => self.message = printable(value),
            // Servers translate the severity in `S`, and send it untranslated in `V`. Some poolers
            // send `S` alone.
            b'V' => self.severity = Severity::of(value),
            b'S' if self.severity == Severity::Error => self.severity = Severity::of(value),
            b'R' => self.origin = Origin::of_routine(value),
            _ => {}
        }
    }
}

impl Severity {
    pub(in crate::postgres) fn of(text: &[u8]) -> Self {
        match text {
            b"FATAL" => Self::Fatal,
            b"PANIC" => Self::Panic,
            _ => Self::Error,
        }
    }
}

impl Origin {
    pub(in crate::postgres) fn of_routine(routine: &[u8]) -> Self {
        let is_foreign = FOREIGN.iter().any(|prefix| routine.starts_with(prefix));
        if is_foreign {
            Self::ForeignServer
        } else {
            Self::Postgres
        }
    }
}

/// The beginnings of the routines of postgres_fdw and dblink that pass errors on (Postgres 15 to 18).
const FOREIGN: [&[u8]; 2] = [b"pgfdw_", b"dblink_"];

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
    fn untranslated_severity_counts_whichever_comes_first() {
        let (translated, untranslated) = ((b'S', &b"FATALE"[..]), (b'V', &b"FATAL"[..]));
        for fields in [
            [translated, untranslated],
            [untranslated, translated],
            [(b'S', b"FATAL"), (b'M', b"by a pooler without the other")],
        ] {
            let mut response = ErrorResponse::default();
            for (kind, value) in fields {
                response.record_field(kind, value);
            }
            assert_eq!(response.severity, Severity::Fatal, "{fields:?}");
        }
    }

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
