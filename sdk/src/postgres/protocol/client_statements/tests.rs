//! Conversations with a server that takes no names, beside the same ones with a server that does.

mod copy;
mod model;

use bytes::BytesMut;
use proptest::prelude::*;
use proptest::sample::Index;

use self::model::{
    COPIES, Server, bind_portal, close, copy, description, execute, execute_portal, prepare,
    query_typed, request, simple_query,
};
use super::messages::{self, body, length};
use super::{Conversation, rehearse_client_statements};

/// A started conversation.
fn started() -> Conversation {
    let mut conversation = Conversation::new();
    let (mut sent, mut received) = (BytesMut::new(), BytesMut::new());
    let startup = b"\0\0\0\x08\0\x03\0\0";
    conversation
        .send(startup, &mut sent, &mut received)
        .expect("a StartupMessage");
    assert_eq!(&sent[..], startup);
    let ready = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    conversation
        .receive(ready, &mut sent, &mut received)
        .expect("the start of the session");
    assert_eq!(&received[..], ready);
    conversation
}

/// Returns what the conversation sends to the server for this request.
fn sent(conversation: &mut Conversation, request: &[u8]) -> Vec<u8> {
    let mut to_send = BytesMut::new();
    let taken = conversation.send(request, &mut to_send, &mut BytesMut::new());
    assert_eq!(taken.expect("a request"), request.len());
    to_send.to_vec()
}

/// Returns what the driver receives for these bytes of the server.
fn received(conversation: &mut Conversation, bytes: &[u8]) -> Vec<u8> {
    let mut received = BytesMut::new();
    let mut to_send = BytesMut::new();
    conversation
        .receive(bytes, &mut to_send, &mut received)
        .expect("a response");
    assert!(to_send.is_empty(), "no Sync is due");
    received.to_vec()
}

/// Returns the types of the messages, and the body of each.
fn split(mut bytes: &[u8]) -> Vec<(char, Vec<u8>)> {
    let mut split = Vec::new();
    while !bytes.is_empty() {
        let (message, rest) = bytes.split_at(length(bytes).expect("a length"));
        split.push((char::from(message[0]), body(message).to_vec()));
        bytes = rest;
    }
    split
}

fn types(bytes: &[u8]) -> String {
    split(bytes).into_iter().map(|(tag, _)| tag).collect()
}

/// Messages with these types and bodies.
fn messages(parts: &[(u8, &[u8])]) -> Vec<u8> {
    request(|out| {
        for (tag, body) in parts {
            messages::write(out, *tag, &[body]).expect("a message");
        }
    })
}

/// A conversation in which `s0` is prepared from the text `some`, with three columns.
fn prepared() -> Conversation {
    let mut conversation = started();
    sent(&mut conversation, &prepare("s0", "some"));
    let response = messages(&[
        (b'1', b""),
        (b't', b"\0\x01\0\0\0\x17"),
        (b'T', &description((3, 25))),
        (b'Z', b"I"),
    ]);
    assert_eq!(received(&mut conversation, &response), response);
    conversation
}

#[test]
fn statement_is_prepared_without_a_name() {
    let sent = split(&sent(&mut started(), &prepare("s0", "some")));
    let expected: [(char, &[u8]); 3] = [('P', b"\0some\0\0\0"), ('D', b"S\0"), ('S', b"")];
    assert_eq!(sent, expected.map(|(tag, body)| (tag, body.to_vec())));
}

#[test]
fn prepared_statement_is_sent_again_with_its_described_parameters_and_one_format_per_column() {
    let mut conversation = prepared();
    let sent = split(&sent(&mut conversation, &execute("s0")));
    let expected: [(char, &[u8]); 5] = [
        ('P', b"\0some\0\0\x01\0\0\0\x17"),
        ('D', b"S\0"),
        ('B', b"\0\0\0\0\0\0\0\x03\0\x01\0\x01\0\x01"),
        ('E', b"\0\0\0\0\0"),
        ('S', b""),
    ];
    assert_eq!(sent, expected.map(|(tag, body)| (tag, body.to_vec())));
    let response = messages(&[
        (b'1', b""),
        (b't', b"\0\x01\0\0\0\x17"),
        (b'T', &description((3, 25))),
        (b'2', b""),
        (b'D', b"\0\0"),
        (b'C', b"SELECT 1\0"),
        (b'Z', b"I"),
    ]);
    assert_eq!(types(&received(&mut conversation, &response)), "2DCZ");
}

#[test]
fn outdated_statement_fails_and_the_error_says_if_it_was_executed() {
    for (columns, detail, rest) in [
        ((4, 25), "The statement was not executed", "E"),
        ((3, 23), "The statement was executed", "2DC"),
    ] {
        let mut conversation = prepared();
        sent(&mut conversation, &execute("s0"));
        let mut response = messages(&[
            (b'1', b""),
            (b't', b"\0\x01\0\0\0\x17"),
            (b'T', &description(columns)),
        ]);
        for tag in rest.bytes() {
            response.extend(messages(&[(tag, b"")]));
        }
        let early = received(&mut conversation, &response);
        assert!(early.is_empty(), "the outcome is not known yet");
        let ready = messages(&[(b'Z', b"I")]);
        let answer = split(&received(&mut conversation, &ready));
        let [('E', error), ('Z', _)] = &*answer else {
            panic!("{answer:?}")
        };
        let error = String::from_utf8_lossy(error);
        assert!(error.contains("C0A000\0Mcached plan must not"), "{error}");
        assert!(error.contains(detail), "{error}");
        assert!(conversation.take_outdated());
        // The next request is read as always.
        let simple = simple_query("SELECT");
        assert_eq!(sent(&mut conversation, &simple), simple);
        let response = messages(&[(b'C', b"SELECT 0\0"), (b'Z', b"I")]);
        assert_eq!(received(&mut conversation, &response), response);
    }
}

#[test]
fn close_is_answered_without_the_server_in_its_turn() {
    let mut conversation = prepared();
    assert_eq!(types(&sent(&mut conversation, &execute("s0"))), "PDBES");
    let (mut to_send, mut response) = (BytesMut::new(), BytesMut::new());
    let closed = conversation.send(&close(b'S', "s0"), &mut to_send, &mut response);
    closed.expect("a Close");
    assert!(to_send.is_empty() && response.is_empty());
    let executed = messages(&[(b'1', b""), (b'E', b"C42P01\0\0"), (b'Z', b"T")]);
    let response = split(&received(&mut conversation, &executed));
    let expected: [(char, &[u8]); 4] = [('E', b"C42P01\0\0"), ('Z', b"T"), ('3', b""), ('Z', b"T")];
    assert_eq!(response, expected.map(|(tag, body)| (tag, body.to_vec())));

    let closed = conversation.send(&close(b'S', "s1"), &mut to_send, &mut BytesMut::new());
    closed.expect("a Close of what was never there");
    assert!(to_send.is_empty());
}

#[test]
fn made_up_response_waits_for_the_end_of_a_message() {
    let mut conversation = prepared();
    let notice = messages(&[(b'N', b"SNOTICE\0\0")]);
    let mut response = BytesMut::new();
    let (first, rest) = notice.split_at(8);
    conversation
        .receive(first, &mut BytesMut::new(), &mut response)
        .expect("a notice");
    let closed = conversation.send(&close(b'S', "s0"), &mut BytesMut::new(), &mut response);
    closed.expect("a Close");
    conversation
        .receive(rest, &mut BytesMut::new(), &mut response)
        .expect("its rest");
    assert_eq!(types(&response), "N3Z");
}

#[test]
fn statement_that_fails_to_be_prepared_is_forgotten() {
    let mut conversation = started();
    sent(&mut conversation, &prepare("s0", "missing"));
    let failed = messages(&[(b'E', b"C42P01\0\0"), (b'Z', b"I")]);
    assert_eq!(received(&mut conversation, &failed), failed);
    assert!(conversation.exchange.statements.is_empty());
}

#[test]
fn closed_statement_is_not_looked_for_on_the_server() {
    let mut conversation = prepared();
    sent(&mut conversation, &close(b'S', "s0"));
    let mut to_send = BytesMut::new();
    let bound = conversation.send(&execute("s0"), &mut to_send, &mut BytesMut::new());
    bound.expect_err("an error");
    assert!(to_send.is_empty());
}

#[test]
fn response_to_another_request_ends_the_conversation() {
    let mut conversation = prepared();
    sent(&mut conversation, &execute("s0"));
    let wrong = messages(&[(b'2', b"")]);
    let read = conversation.receive(&wrong, &mut BytesMut::new(), &mut BytesMut::new());
    read.expect_err("an error");
}

/// A step of the driver.
#[derive(Clone, Debug)]
enum Deed {
    Prepare(&'static str),
    Execute(Index),
    Portal(Index),
    Close(Index),
    Typed(&'static str),
    Simple,
    Copy { text: &'static str, succeeds: bool },
    Migrate(&'static str, u16, u32),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let table = || prop::sample::select(vec!["none", "one", "some", "broken", "missing"]);
    let deed = prop_oneof![
        table().prop_map(Deed::Prepare),
        any::<Index>().prop_map(Deed::Execute),
        any::<Index>().prop_map(Deed::Execute),
        any::<Index>().prop_map(Deed::Portal),
        any::<Index>().prop_map(Deed::Close),
        table().prop_map(Deed::Typed),
        Just(Deed::Simple),
        (prop::sample::select(COPIES.to_vec()), any::<bool>())
            .prop_map(|(text, succeeds)| Deed::Copy { text, succeeds }),
        (
            prop::sample::select(vec!["one", "some"]),
            1..4_u16,
            23..26_u32
        )
            .prop_map(|(table, count, oid)| Deed::Migrate(table, count, oid)),
    ];
    prop::collection::vec(deed, 1..40)
}

/// A message of any type, most often with names in its body.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let tag = prop::sample::select(b"PBDECSQfcdHFX123tTnCDEGIZNsK".to_vec());
    let body = prop_oneof![
        prop::sample::select(vec![
            &b"\0"[..],
            b"s0\0SELECT\0\0\0",
            b"s0\0SELECT\0\0\x01\0\0\0\x17",
            b"\0s0\0\0\0\0\0\0\x01\0\x01",
            b"\0\0\0\0\0\0\0\x01\0\x01",
            b"Ss0\0",
            b"S\0",
            b"Pp0\0",
            b"I",
        ])
        .prop_map(<[u8]>::to_vec),
        prop::sample::select(vec![(1, 25), (2, 25), (2, 23)]).prop_map(description),
        any::<Vec<u8>>(),
    ];
    (tag, body).prop_map(|(tag, body)| messages(&[(tag, &body)]))
}

/// Both conversations: with a server that takes names, and with one that does not.
struct Pair {
    named: Server,
    unnamed: Server,
    conversation: Conversation,
    /// Bytes of the driver that have not been sent.
    queue: Vec<u8>,
    expected: Vec<u8>,
    received: BytesMut,
    sizes: Vec<usize>,
}

impl Pair {
    /// Sends what is queued, in pieces.
    fn flush(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        self.expected.extend(self.named.receive(&queue));
        let mut responses = Vec::new();
        for mut piece in pieces(&queue, &self.sizes) {
            loop {
                let mut to_send = BytesMut::new();
                let taken = self
                    .conversation
                    .send(piece, &mut to_send, &mut self.received);
                responses.extend(self.unnamed.receive(&to_send));
                piece = &piece[taken.expect("a request")..];
                if piece.is_empty() {
                    break;
                }
                // It waits for the end of a COPY.
                assert!(!responses.is_empty(), "the COPY ends");
                self.receive(&std::mem::take(&mut responses));
            }
        }
        self.receive(&responses);
    }

    fn receive(&mut self, responses: &[u8]) {
        for piece in pieces(responses, &self.sizes) {
            let mut due = BytesMut::new();
            let done = self
                .conversation
                .receive(piece, &mut due, &mut self.received);
            done.expect("a response");
            assert!(due.is_empty(), "each COPY begins");
        }
    }
}

/// Cuts bytes into pieces of these sizes, over and over.
fn pieces<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let size = sizes.next().copied().unwrap_or(1);
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

proptest! {
    /// Pipelined requests, errors and migrations, cut anywhere: the driver receives the bytes of
    /// a server of its own.
    #[test]
    fn driver_receives_what_a_server_of_its_own_sends(
        deeds in deeds(),
        flushes in prop::collection::vec(any::<bool>(), 40),
        sizes in prop::collection::vec(1..30_usize, 1..10),
    ) {
        let mut pair = Pair {
            named: Server::new(true),
            unnamed: Server::new(false),
            conversation: started(),
            queue: Vec::new(),
            expected: Vec::new(),
            received: BytesMut::new(),
            sizes,
        };
        let mut statements = Vec::new();
        for (number, (deed, flushes)) in deeds.into_iter().zip(flushes).enumerate() {
            let pick = |index: Index| (!statements.is_empty()).then(|| index.get(&statements));
            let name = format!("s{number}");
            match deed {
                Deed::Prepare(table) => {
                    pair.queue.extend(prepare(&name, table));
                    if table != "missing" {
                        statements.push(name);
                    }
                }
                Deed::Execute(index) => {
                    if let Some(name) = pick(index) {
                        pair.queue.extend(execute(name));
                    }
                }
                Deed::Portal(index) => {
                    if let Some(name) = pick(index) {
                        let portal = format!("p{number}");
                        pair.queue.extend(bind_portal(&portal, name));
                        pair.flush();
                        if types(&pair.expected).ends_with("2Z") {
                            pair.queue.extend(execute_portal(&portal));
                            pair.queue.extend(close(b'P', &portal));
                        }
                    }
                }
                Deed::Close(index) => {
                    if !statements.is_empty() {
                        let name = statements.swap_remove(index.index(statements.len()));
                        pair.queue.extend(close(b'S', &name));
                    }
                }
                Deed::Typed(table) => pair.queue.extend(query_typed(table)),
                Deed::Simple => pair.queue.extend(simple_query("SELECT")),
                Deed::Copy { text, succeeds } => {
                    pair.queue.extend(prepare(&name, text));
                    pair.queue.extend(execute(&name));
                    pair.queue.extend(copy(succeeds));
                    pair.queue.extend(close(b'S', &name));
                }
                Deed::Migrate(table, count, oid) => {
                    pair.flush();
                    pair.named.migrate(table, (count, oid));
                    pair.unnamed.migrate(table, (count, oid));
                }
            }
            if flushes {
                pair.flush();
            }
        }
        pair.flush();
        prop_assert_eq!(split(&pair.received), split(&pair.expected));
    }

    /// Messages of any types and bodies from both sides, cut anywhere.
    #[test]
    fn no_statement_has_a_name_at_the_server(
        parts in prop::collection::vec((any::<bool>(), any_message(), 1..40_usize), 0..40),
    ) {
        let mut input = Vec::new();
        for (is_servers, message, size) in parts {
            for piece in message.chunks(size) {
                let length = u8::try_from(piece.len()).unwrap();
                input.push(if is_servers { 0x80 | length } else { length });
                input.extend_from_slice(piece);
            }
        }
        rehearse_client_statements(&input);
    }

    #[test]
    fn any_bytes_of_a_server_are_borne(bytes: Vec<Vec<u8>>) {
        let mut conversation = prepared();
        sent(&mut conversation, &execute("s0"));
        for piece in bytes {
            let (mut due, mut seen) = (BytesMut::new(), BytesMut::new());
            if conversation.receive(&piece, &mut due, &mut seen).is_err() {
                break;
            }
        }
    }
}
