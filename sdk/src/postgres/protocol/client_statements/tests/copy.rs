//! COPY: its end, and what waits for it.

use bytes::BytesMut;

use super::super::Conversation;
use super::model::{close, copy, execute, prepare, request, simple_query};
use super::{messages, prepared, received, sent, types};
use crate::postgres::protocol::tap::COPY_FAIL;

#[test]
fn copy_that_fails_before_it_begins_is_not_ended() {
    let mut conversation = prepared();
    sent(&mut conversation, &execute("s0"));
    let failed = messages(&[(b'1', b""), (b'E', b"C42P01\0\0")]);
    assert_eq!(types(&received(&mut conversation, &failed)), "E");
    let end = request(|out| {
        postgres_protocol::message::frontend::copy_fail("", out).expect("a CopyFail");
        postgres_protocol::message::frontend::sync(out);
    });
    assert_eq!(end, COPY_FAIL);
    assert!(sent(&mut conversation, &end).is_empty());
    let ready = messages(&[(b'Z', b"I")]);
    assert_eq!(received(&mut conversation, &ready), ready);
    assert!(sent(&mut conversation, &end).is_empty());
    assert_eq!(types(&sent(&mut conversation, &execute("s0"))), "PDBES");
}

/// Postgres answers the Sync ahead of the data of a view, and the one behind them too. The tap
/// beneath keeps the second response back.
#[test]
fn copy_that_fails_before_its_data_is_read_is_answered_once() {
    let ready = messages(&[(b'Z', b"I")]);
    let begun = [(b'1', &b""[..]), (b'2', b""), (b'G', b"\0\0\0")];
    for at in [0, 1, 2] {
        let mut conversation = prepared();
        sent(&mut conversation, &prepare("s1", "COPY"));
        let response = messages(&[(b'1', b""), (b't', b"\0\0"), (b'n', b""), (b'Z', b"I")]);
        received(&mut conversation, &response);
        sent(&mut conversation, &execute("s1"));
        received(&mut conversation, &messages(&begun));
        let mut seen = String::new();
        let error = messages(&[(b'E', b"C42809\0\0")]);
        for (now, response) in [&[][..], &error, &ready].into_iter().enumerate() {
            seen += &types(&received(&mut conversation, response));
            if now == at {
                assert_eq!(types(&sent(&mut conversation, &copy(true))), "dcS");
            }
        }
        assert_eq!(seen, "EZ", "the end is sent at {at}");
        answers_a_request(&mut conversation);
    }
}

/// A COPY that is dropped before the server has begun it.
#[test]
fn copy_whose_end_is_sent_before_it_begins_is_answered_once() {
    for begins in [false, true] {
        let mut conversation = prepared();
        sent(&mut conversation, &prepare("s1", "COPY"));
        let response = messages(&[(b'1', b""), (b't', b"\0\0"), (b'n', b""), (b'Z', b"I")]);
        received(&mut conversation, &response);
        sent(&mut conversation, &execute("s1"));
        assert_eq!(types(&sent(&mut conversation, COPY_FAIL)), "fS");
        let (begun, error) = ((b'G', &b"\0\0\0"[..]), (b'E', &b"C57014\0\0"[..]));
        let mut response = vec![(b'1', &b""[..]), (b'2', b""), error, (b'Z', b"I")];
        if begins {
            response.insert(2, begun);
        }
        let seen = types(&received(&mut conversation, &messages(&response)));
        assert_eq!(seen, if begins { "2GEZ" } else { "2EZ" });
        answers_a_request(&mut conversation);
    }
}

/// Sends a request, which waits for nothing, and takes the response to it.
fn answers_a_request(conversation: &mut Conversation) {
    assert_eq!(types(&sent(conversation, &simple_query("SELECT 1"))), "Q");
    let response = messages(&[(b'C', b"SELECT 1\0"), (b'Z', b"I")]);
    assert_eq!(received(conversation, &response), response);
    assert_eq!(types(&sent(conversation, &execute("s0"))), "PDBES");
}

/// Returns the types of the messages that are sent to the server for this request, and the number
/// of bytes that are left.
fn sent_in_part(conversation: &mut Conversation, request: &[u8]) -> (String, usize) {
    let mut to_send = BytesMut::new();
    let taken = conversation.send(request, &mut to_send, &mut BytesMut::new());
    (types(&to_send), request.len() - taken.expect("a request"))
}

/// PgBouncer would give the server away with the response to the next request outstanding.
#[test]
fn next_request_waits_for_the_end_of_a_copy() {
    let next = execute("s0");
    let ready = messages(&[(b'Z', b"I")]);
    for text in ["COPY", "/* a */ copy", "unknown"] {
        for failed in [false, true] {
            let mut conversation = prepared();
            sent(&mut conversation, &prepare("s1", text));
            let response = messages(&[(b'1', b""), (b't', b"\0\0"), (b'n', b""), (b'Z', b"I")]);
            received(&mut conversation, &response);
            sent(&mut conversation, &execute("s1"));
            let response = messages(&[(b'1', b""), (b'2', b""), (b'G', b"\0\0\0")]);
            received(&mut conversation, &response);
            let end = [copy(true), close(b'S', "s1"), next.clone()].concat();
            let error = messages(&[(b'E', b"C22P02\0\0")]);
            let (kinds, left) = sent_in_part(&mut conversation, &end);
            let waiting = close(b'S', "s1").len() + next.len();
            assert_eq!((&*kinds, left), ("dcS", waiting), "{text}");
            let done = messages(&[(b'C', b"COPY 1\0")]);
            received(&mut conversation, if failed { &error } else { &done });
            let (kinds, left) = sent_in_part(&mut conversation, &next);
            assert_eq!((&*kinds, left), ("", next.len()), "{text}");
            assert_eq!(received(&mut conversation, &ready), ready);
            assert_eq!(types(&sent(&mut conversation, &next)), "PDBES");
        }
    }
}

#[test]
fn request_behind_a_copy_to_the_client_waits_for_its_end() {
    for (text, is_known) in [
        ("copy", true),
        ("COPY(SELECT 1) TO STDOUT", true),
        (";COPY\"Order\" TO STDOUT", true),
        ("copyright", false),
        ("unknown", false),
    ] {
        let mut conversation = prepared();
        sent(&mut conversation, &prepare("s1", text));
        let response = messages(&[(b'1', b""), (b't', b"\0\0"), (b'n', b""), (b'Z', b"I")]);
        received(&mut conversation, &response);
        let next = execute("s0");
        let both = [execute("s1"), next.clone()].concat();
        let (kinds, left) = sent_in_part(&mut conversation, &both);
        assert_eq!(kinds, if is_known { "PBES" } else { "PBESPDBES" });
        assert_eq!(left, if is_known { next.len() } else { 0 });
        let begun = [
            (b'1', &b""[..]),
            (b'2', b""),
            (b'H', b"\0\0\0"),
            (b'd', b"a"),
        ];
        received(&mut conversation, &messages(&begun));
        assert_eq!(sent_in_part(&mut conversation, &next).1, next.len());
        let done = messages(&[(b'C', b"COPY 1\0"), (b'Z', b"I")]);
        received(&mut conversation, &done);
        assert_eq!(sent_in_part(&mut conversation, &next).1, 0);
    }
}

#[test]
fn request_behind_a_simple_copy_to_the_client_waits_for_its_end() {
    let mut conversation = prepared();
    sent(&mut conversation, &simple_query("COPY t TO STDOUT"));
    received(&mut conversation, &messages(&[(b'H', b"\0\0\0")]));
    let next = execute("s0");
    assert_eq!(sent_in_part(&mut conversation, &next).1, next.len());
    let done = messages(&[(b'c', b""), (b'C', b"COPY 1\0"), (b'Z', b"I")]);
    received(&mut conversation, &done);
    assert_eq!(sent_in_part(&mut conversation, &next).1, 0);
}
