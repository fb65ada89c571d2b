//! The messages that reset a session, and the response to be expected.

use bytes::{BufMut as _, Bytes, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

/// A statement of a reset.
#[derive(Debug)]
pub(super) struct ResetStatement {
    /// Its SQL text.
    pub(super) text: String,
    /// The tag of its CommandComplete.
    pub(super) tag: &'static str,
    /// True for a query. Its one row has one empty column.
    pub(super) has_row: bool,
    /// True for a statement that a session must not be able to lose: its text is sent with each
    /// reset.
    pub(super) is_unnamed: bool,
}

impl ResetStatement {
    pub(super) fn command(text: &str, tag: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            tag,
            has_row: false,
            is_unnamed: false,
        }
    }

    /// Returns this statement without a name in the session.
    pub(super) fn unnamed(self) -> Self {
        Self {
            is_unnamed: true,
            ..self
        }
    }
}

/// The messages of one reset: Bind and Execute of each statement, without a Sync.
///
/// The server sends the response together with that to the driver's request, whose Sync ends
/// both. If a statement fails, the server ignores all messages up to the next Sync, so the request
/// is not executed.
///
/// SQL can drop a prepared statement and put a query in its place. The command tag shows that, since
/// SQL prepares no `SET`, `RESET` or `DISCARD`.
#[derive(Debug)]
pub(in crate::postgres) struct ResetMessages {
    bytes: Bytes,
    tags: Vec<&'static str>,
    usual_response: Bytes,
}

impl ResetMessages {
    /// Builds messages that prepare and execute these statements. The names of the prepared
    /// statements are numbered, from this number on.
    pub(super) fn preparing(first: usize, statements: &[ResetStatement]) -> Self {
        Self::new(first, statements, true)
    }

    /// Builds messages that execute these statements, which are prepared.
    pub(super) fn executing(first: usize, statements: &[ResetStatement]) -> Self {
        Self::new(first, statements, false)
    }

    fn new(first: usize, statements: &[ResetStatement], prepares: bool) -> Self {
        let mut bytes = BytesMut::new();
        let mut usual_response = BytesMut::new();
        for (number, statement) in (first..).zip(statements) {
            let name = match statement.is_unnamed {
                true => String::new(),
                false => format!("{NAME}{number}"),
            };
            // Only a text with a NUL byte is refused, and the SDK's have none.
            if prepares || statement.is_unnamed {
                frontend::parse(&name, &statement.text, [], &mut bytes).ok();
                usual_response.put_slice(PARSED);
            }
            let values = [(); 0];
            frontend::bind(
                "",
                &name,
                [],
                values,
                |(), _| Ok(IsNull::Yes),
                [],
                &mut bytes,
            )
            .ok();
            frontend::execute("", 0, &mut bytes).ok();
            put_response(statement, &mut usual_response);
        }
        Self {
            bytes: bytes.freeze(),
            tags: statements.iter().map(|one| one.tag).collect(),
            usual_response: usual_response.freeze(),
        }
    }

    /// Returns the messages.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the command tags of the statements, in their order.
    pub(super) fn tags(&self) -> &[&'static str] {
        &self.tags
    }

    /// Returns the response of a server that has nothing else to say. One with a notice or a changed
    /// parameter is a success too.
    pub(super) fn usual_response(&self) -> &[u8] {
        &self.usual_response
    }
}

fn put_response(statement: &ResetStatement, response: &mut BytesMut) {
    response.put_slice(BOUND);
    if statement.has_row {
        response.put_slice(EMPTY_ROW);
    }
    response.put_u8(b'C');
    let length = LENGTH_BYTES + statement.tag.len() + 1;
    response.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    response.put_slice(statement.tag.as_bytes());
    response.put_u8(0);
}

/// Begins the names of prepared statements. Short, since each reset sends it many times.
const NAME: &str = "_sl";

/// ParseComplete.
const PARSED: &[u8] = b"1\0\0\0\x04";
/// BindComplete.
const BOUND: &[u8] = b"2\0\0\0\x04";
/// DataRow with one column of no bytes.
const EMPTY_ROW: &[u8] = b"D\0\0\0\x0a\0\x01\0\0\0\0";

const LENGTH_BYTES: usize = 4;
