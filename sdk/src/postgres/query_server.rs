//! A server of simple queries for tests, with a driver that is connected to it in memory.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_postgres::{Client, NoTls};

use crate::postgres::protocol::{Tap, Tapped};

/// The server's response to a query.
pub(in crate::postgres) enum Reply {
    /// A row with one column.
    Row(Option<&'static str>),
    /// A row, after which a transaction is open.
    RowInTransaction(&'static str),
    /// No row.
    Empty,
    /// An error with this SQLSTATE.
    Refused(&'static str),
    /// No response at all.
    Silence,
    /// The end of the connection.
    HangUp,
}

/// Connects a driver, past a tap, to a server that gives each query the response of `answer`.
pub(in crate::postgres) async fn connect(
    answer: impl FnMut(&str) -> Reply + Send + 'static,
) -> (Client, Tap) {
    let (stream, server) = duplex(1 << 16);
    tokio::spawn(serve(server, answer));
    let (stream, tap) = Tapped::new(stream, usize::MAX);
    let config = {
        let mut config = tokio_postgres::Config::new();
        config.user("u");
        config
    };
    let (client, connection) = config.connect_raw(stream, NoTls).await.unwrap();
    tokio::spawn(connection);
    (client, tap)
}

/// Serves one client until it leaves, or is left.
async fn serve(mut stream: DuplexStream, mut answer: impl FnMut(&str) -> Reply) {
    // StartupMessage, which alone has no type.
    body(&mut stream).await;
    let mut reply = [message(b'R', &[0; 4]), message(b'Z', b"I")].concat();
    while stream.write_all(&reply).await.is_ok() {
        let Ok(b'Q') = stream.read_u8().await else {
            return;
        };
        let query = body(&mut stream).await;
        let query = std::str::from_utf8(&query).unwrap().trim_end_matches('\0');
        let Some(bytes) = messages(&answer(query)) else {
            return;
        };
        reply = bytes;
    }
}

/// Reads the length and the body of a message.
async fn body(stream: &mut DuplexStream) -> Vec<u8> {
    let length = stream.read_u32().await.unwrap();
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).await.unwrap();
    body
}

/// Returns the messages of a response; `None` for the end of the connection.
fn messages(reply: &Reply) -> Option<Vec<u8>> {
    let (mut bytes, status) = match reply {
        Reply::Row(value) => (row(*value), b"I"),
        Reply::RowInTransaction(value) => (row(Some(value)), b"T"),
        Reply::Empty => (message(b'C', b"SELECT 0\0"), b"I"),
        Reply::Refused(code) => {
            let fields = format!("SERROR\0VERROR\0C{code}\0Mrefused\0\0");
            (message(b'E', fields.as_bytes()), b"I")
        }
        Reply::Silence => return Some(Vec::new()),
        Reply::HangUp => return None,
    };
    bytes.extend(message(b'Z', status));
    Some(bytes)
}

/// The messages of a result with one column and one row.
fn row(value: Option<&str>) -> Vec<u8> {
    // RowDescription: the name, no table, the type text, its length and modifier, as text.
    let mut column = vec![0, 1, b'c', 0, 0, 0, 0, 0, 0, 0];
    column.extend([0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    let mut data = vec![0, 1];
    data.extend(value.map_or(-1, |value| value.len() as i32).to_be_bytes());
    data.extend(value.unwrap_or_default().as_bytes());
    [
        message(b'T', &column),
        message(b'D', &data),
        message(b'C', b"SELECT 1\0"),
    ]
    .concat()
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[tag], &length[..], body].concat()
}
