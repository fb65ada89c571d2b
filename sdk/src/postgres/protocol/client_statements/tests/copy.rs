//! COPY: its end, and what waits for it.

use bytes::BytesMut;

use super::super::Conversation;
use super::model::{COPIES, close, copy, execute, prepare, request, simple_query};
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

/// A conversation that has prepared a statement `s1`, which returns no rows.
fn with_statement(text: &str) -> Conversation {
    let mut conversation = prepared();
    sent(&mut conversation, &prepare("s1", text));
    let response = messages(&[(b'1', b""), (b't', b"\0\0"), (b'n', b""), (b'Z', b"I")]);
    received(&mut conversation, &response);
    conversation
}

/// Returns the types of the messages that these bytes of a server add for the driver and for the
/// server.
fn seen_and_due(conversation: &mut Conversation, bytes: &[u8]) -> (String, String) {
    let (mut due, mut seen) = (BytesMut::new(), BytesMut::new());
    let done = conversation.receive(bytes, &mut due, &mut seen);
    done.expect("a response");
    (types(&seen), types(&due))
}

#[test]
fn copy_from_the_client_is_recognized_by_its_text() {
    for (text, is_copy_in) in [
        ("COPY t FROM STDIN", true),
        ("copy binary t from/**/stdin;", true),
        (
            " ;\tCOPY\"Order\"(\"a)\", b)FROM STDIN WITH (FORMAT csv, DELIMITER ',')",
            true,
        ),
        ("COPY \"to\" (\"from\") FROM stdout", true),
        ("COPY s.from FROM STDIN WHERE n IN (1)", true),
        ("COPY t FROM 'stdin'", false),
        ("COPY t FROM PROGRAM 'stdin'", false),
        ("COPY t TO STDOUT", false),
        ("COPY t (\"from stdin\") TO STDOUT", false),
        ("COPY (SELECT 1 FROM stdin) TO STDOUT", false),
        ("COPY t TO STDOUT -- from stdin", false),
        ("copyright FROM STDIN", false),
        ("SELECT n FROM stdin", false),
        ("COPY", false),
    ] {
        let mut conversation = with_statement(text);
        let kinds = types(&sent(&mut conversation, &execute("s1")));
        assert_eq!(kinds, if is_copy_in { "PBEH" } else { "PBES" }, "{text}");
    }
}

/// Its body would be sent behind the message that stands for it.
#[test]
fn sync_with_a_body_ends_the_conversation() {
    let mut conversation = with_statement("COPY t FROM STDIN");
    let executed = execute("s1");
    let (ahead, _sync) = executed.split_at(executed.len() - 5);
    sent(&mut conversation, ahead);
    let (mut out, mut seen) = (BytesMut::new(), BytesMut::new());
    let sync = messages(&[(b'S', b"P")]);
    let error = conversation.send(&sync, &mut out, &mut seen);
    let error = error.expect_err("no Sync has a body");
    assert!(error.to_string().contains("a Sync"), "{error}");
    assert!(out.is_empty());
}

/// However it ends and wherever its end is sent, the server gets one Sync, behind the data, and the
/// driver one ReadyForQuery.
#[test]
fn copy_from_the_client_has_one_sync() {
    let begun = messages(&[(b'1', b""), (b'2', b""), (b'G', b"\0\0\0")]);
    let error = messages(&[(b'E', b"C42809\0\0")]);
    let done = messages(&[(b'C', b"COPY 1\0")]);
    let ready = messages(&[(b'Z', b"I")]);
    let failed = [&begun[..], &error].concat();
    let early = messages(&[(b'1', b""), (b'2', b""), (b'E', b"C42501\0\0")]);
    for (before, between, behind, expected) in [
        (&begun, &[][..], &[&done[..], &ready].concat(), "2GCZ"),
        (&begun, &[], &[&error[..], &ready].concat(), "2GEZ"),
        (&begun, &error, &ready, "2GEZ"),
        (&failed, &[], &ready, "2GEZ"),
        (&Vec::new(), &[], &[&failed[..], &ready].concat(), "2GEZ"),
        (&Vec::new(), &[], &[&early[..], &ready].concat(), "2EZ"),
        (&Vec::new(), &early, &ready, "2EZ"),
    ] {
        // The driver sends no data of a COPY that has not begun.
        let ends = match expected {
            "2EZ" => vec![COPY_FAIL.to_vec()],
            _ => vec![copy(true), copy(false), COPY_FAIL.to_vec()],
        };
        for end in ends {
            for cut in [0, 3, 5, end.len() - 2] {
                let mut conversation = with_statement(COPIES[1]);
                let kinds = types(&sent(&mut conversation, &execute("s1")));
                assert_eq!(kinds, "PBEH");
                let mut seen = types(&received(&mut conversation, before));
                // Only the end of the COPY may be sent.
                let next = execute("s0");
                assert_eq!(sent_in_part(&mut conversation, &next).1, next.len());
                let mut to_send = BytesMut::new();
                for (piece, response) in [(&end[..cut], between), (&end[cut..], behind)] {
                    let mut unused = BytesMut::new();
                    let taken = conversation.send(piece, &mut to_send, &mut unused);
                    assert_eq!(taken.expect("the end"), piece.len());
                    let mut driver = BytesMut::new();
                    let done = conversation.receive(response, &mut to_send, &mut driver);
                    done.expect("a response");
                    seen += &types(&driver);
                }
                assert_eq!(seen, expected, "{cut}");
                let syncs = types(&to_send).matches('S').count();
                assert_eq!(syncs, 1, "{cut}: {}", types(&to_send));
                answers_a_request(&mut conversation);
            }
        }
    }
}

/// The driver's `execute` sends no end of a COPY, nor does it need one where none begins.
#[test]
fn sync_that_was_held_back_is_sent_where_no_copy_begins() {
    for (response, expected) in [
        ([(b'1', &b""[..]), (b'E', b"C42501\0\0")], "E"),
        ([(b'2', b""), (b'C', b"COPY 1\0")], "2C"),
    ] {
        for ends in [false, true] {
            let mut conversation = with_statement(COPIES[1]);
            // The response to a request ahead of it changes nothing.
            sent(&mut conversation, &simple_query("SELECT"));
            assert_eq!(types(&sent(&mut conversation, &execute("s1"))), "PBEH");
            let ahead = messages(&[(b'E', b"C42P01\0\0"), (b'Z', b"I")]);
            assert_eq!(received(&mut conversation, &ahead), ahead);
            let first = messages(&[(b'1', b"")]);
            let response = match response[0].0 {
                b'1' => messages(&response),
                _ => [first, messages(&response)].concat(),
            };
            let (seen, due) = seen_and_due(&mut conversation, &response);
            assert_eq!((&*seen, &*due), (expected, "S"));
            if ends {
                assert!(sent(&mut conversation, COPY_FAIL).is_empty());
            }
            let ready = messages(&[(b'Z', b"I")]);
            assert_eq!(received(&mut conversation, &ready), ready);
            answers_a_request(&mut conversation);
        }
    }
}
