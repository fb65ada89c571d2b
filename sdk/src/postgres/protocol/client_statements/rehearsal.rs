//! A conversation of arbitrary bytes, for tests and the fuzzer.

use bytes::BytesMut;

use super::Conversation;
use super::messages::{body, length, text};

/// Runs a conversation until one side breaks the protocol. The input is a list of pieces: a byte
/// whose highest bit says that the server sends and whose others are the length, and the bytes.
///
/// # Panics
///
/// When a statement with a name is sent to the server.
pub(crate) fn rehearse_client_statements(mut input: &[u8]) {
    let mut conversation = Conversation::new();
    let (mut to_server, mut to_driver) = (BytesMut::new(), BytesMut::new());
    let started = conversation
        .send(STARTUP, &mut to_server, &mut to_driver)
        .and_then(|_| conversation.receive(STARTED, &mut to_server, &mut to_driver));
    started.expect("the session starts");
    to_server.clear();
    while let Some((head, rest)) = input.split_first() {
        let (piece, rest) = rest.split_at(usize::from(head & 0x7f).min(rest.len()));
        input = rest;
        let done = if head & 0x80 == 0 {
            let sent = conversation.send(piece, &mut to_server, &mut to_driver);
            // The driver would keep what waits for a COPY.
            sent.map(drop)
        } else {
            conversation.receive(piece, &mut to_server, &mut to_driver)
        };
        if done.is_err() {
            break;
        }
    }
    check_names(&to_server);
}

/// Checks that no message names a statement. The last one may be incomplete.
fn check_names(mut sent: &[u8]) {
    while let Ok(length) = length(sent)
        && length <= sent.len()
    {
        let (message, rest) = sent.split_at(length);
        let mut body = body(message);
        let named = match message[0] {
            b'P' => text(&mut body),
            b'B' => text(&mut body).and_then(|_portal| text(&mut body)),
            b'D' | b'C' => body.strip_prefix(b"S"),
            _ => None,
        };
        assert!(
            named.is_none_or(|name| matches!(name, b"" | b"\0")),
            "a statement has a name at the server"
        );
        sent = rest;
    }
}

/// A StartupMessage without parameters.
const STARTUP: &[u8] = b"\0\0\0\x08\0\x03\0\0";
/// AuthenticationOk and ReadyForQuery.
const STARTED: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
