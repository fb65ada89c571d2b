//! Tests of the reset of a session, which goes ahead of the driver's next request.

use std::sync::Arc;

use super::*;
use crate::postgres::connect::startup::reset_messages::{ResetMessages, ResetStatement};
use crate::postgres::protocol::{Tap, Tapped};

/// A reset of statements that are prepared, whose texts are their tags.
fn reset_of(tags: &[&'static str]) -> Arc<ResetMessages> {
    Arc::new(ResetMessages::executing(0, &statements(tags)))
}

fn statements(tags: &[&'static str]) -> Vec<ResetStatement> {
    let one = |tag: &&'static str| ResetStatement::command(tag, tag);
    tags.iter().map(one).collect()
}

/// The messages of such a reset.
fn bound_and_executed(count: usize) -> Vec<u8> {
    let one = |number: usize| {
        let bind = format!("\0_sl{number}\0\0\0\0\0\0\0");
        [message(b'B', bind.as_bytes()), message(b'E', &[0; 5])].concat()
    };
    (0..count).flat_map(one).collect()
}

/// The server's response to one of its statements.
fn completed(tag: &str) -> Vec<u8> {
    let tag = message(b'C', format!("{tag}\0").as_bytes());
    [message(b'2', b""), tag].concat()
}

/// The driver's request of the extended protocol.
fn request() -> Vec<u8> {
    [
        message(b'P', b"\0INSERT\0\0\0"),
        message(b'B', &[0; 8]),
        message(b'E', &[0; 5]),
        message(b'S', b""),
    ]
    .concat()
}

/// The server's response to it.
fn answer() -> Vec<u8> {
    let parsed = message(b'1', b"");
    [parsed, completed("INSERT 0 1"), message(b'Z', b"I")].concat()
}

const TAGS: [&str; 3] = ["BEGIN", "RESET", "COMMIT"];

/// A session in which a reset was sent ahead of a request, and the server's end of it, which has
/// received both.
async fn with_reset() -> (
    Tapped<RewindStream<DuplexStream>>,
    Tap,
    Pipelined,
    DuplexStream,
) {
    let (mut tapped, tap, pipelined, mut server) = tapped(1 << 16).await;
    pipelined.add_reset(reset_of(&TAGS));
    tapped.write_all(&request()).await.unwrap();
    let sent = received_by(&mut server).await;
    assert_eq!(sent, [bound_and_executed(3), request()].concat());
    (tapped, tap, pipelined, server)
}

#[tokio::test(start_paused = true)]
async fn reset_has_no_sync_and_its_response_is_dropped() {
    let notice = message(b'N', b"\0");
    let parts = TAGS.map(completed);
    let usual = parts.concat();
    // A row or a notice: a success too, which is read message by message.
    let row = message(b'D', b"\0\x01\0\0\0\0");
    let [begin, reset, commit] = &parts;
    let unusual = [&begin[..], &notice, &row, reset, commit].concat();
    let cases = [(usual, answer()), (unusual, [notice, answer()].concat())];
    for (response, expected) in cases {
        let length = response.len();
        let says = [response, answer()].concat();
        for size in [1, 3, 20, length - 1, length, length + 1, says.len()] {
            let (mut tapped, tap, pipelined, mut server) = with_reset().await;
            let mut got = Vec::new();
            let (read, ()) = tokio::join!(tapped.read_to_end(&mut got), async {
                for part in says.chunks(size) {
                    server.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
                drop(server);
            });
            read.unwrap();
            assert_eq!(got, expected, "{size}");
            assert!(pipelined.reset_error().is_none());
            assert_eq!(tap.unanswered_count(), 0);
        }
    }
}

#[test]
fn first_reset_prepares_what_the_next_execute() {
    let first = ResetMessages::preparing(0, &statements(&TAGS));
    let sent = String::from_utf8_lossy(first.bytes());
    assert!(sent.contains("_sl0\0BEGIN\0"), "{sent}");
    let parsed_and_completed = |tag| [message(b'1', b""), completed(tag)].concat();
    let usual: Vec<u8> = TAGS.into_iter().flat_map(parsed_and_completed).collect();
    assert_eq!(first.usual_response(), usual);
}

#[tokio::test(start_paused = true)]
async fn other_statements_go_between_a_reset_and_the_request() {
    let (mut tapped, _, pipelined, mut server) = tapped(1 << 16).await;
    pipelined.add("SELECT 3");
    pipelined.add_reset(reset_of(&TAGS));
    let query = message(b'Q', b"SELECT 1\0");
    tapped.write_all(&query).await.unwrap();
    let own = message(b'Q', b"SELECT 3\0");
    let sent = received_by(&mut server).await;
    assert_eq!(sent, [&bound_and_executed(3)[..], &own, &query].concat());
    let ready = message(b'Z', b"I");
    let selected = [message(b'C', b"SELECT 1\0"), ready].concat();
    let reset = TAGS.map(completed).concat();
    let says = [&reset[..], &selected, &selected].concat();
    for part in says.chunks(3) {
        server.write_all(part).await.unwrap();
        tokio::task::yield_now().await;
    }
    drop(server);
    let mut got = Vec::new();
    tapped.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, selected);
}

#[tokio::test(start_paused = true)]
async fn failed_reset_ends_the_stream_without_effect() {
    let refused = message(b'E', b"SERROR\0VERROR\0C42501\0Mno\0\0");
    let begin = completed("BEGIN");
    let row = message(b'D', b"another tenant's");
    // In the transaction, and before it began; the rest of the response comes too or does not.
    for before in [&begin[..], &[]] {
        for rest in [&[][..], &[&message(b'Z', b"E")[..], &row].concat()] {
            for is_alone in [true, false] {
                let (mut tapped, tap, pipelined, mut server) = with_reset().await;
                if !is_alone {
                    tapped.write_all(&request()).await.unwrap();
                }
                let says = [before, &refused, rest].concat();
                server.write_all(&says).await.unwrap();
                let mut got = Vec::new();
                tapped.read_to_end(&mut got).await.unwrap();
                assert!(holds(&got, b"VFATAL\0C08006\0"), "{got:?}");
                assert!(!holds(&got, b"tenant"), "{got:?}");
                // A second request may end the failed transaction.
                let had_no_effect = holds(&got, b"\0Rstagelink_reset\0");
                assert_eq!(had_no_effect, is_alone, "{got:?}");
                assert_eq!(pipelined.reset_error().unwrap().code, "42501");
                assert!(tap.has_ended());
                let again = tapped.write_all(&request()).await;
                assert_eq!(again.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reset_that_is_skipped_or_has_no_end_ends_the_stream() {
    let begin = completed("BEGIN");
    let ready = message(b'Z', b"I");
    let endless = [b"D", &u32::MAX.to_be_bytes()[..], b"row"].concat();
    let skipped = [&begin[..], &ready, &answer()].concat();
    // The session has put a query in the place of a statement.
    let replaced = [begin, completed("SELECT 1"), completed("COMMIT"), answer()].concat();
    for says in [&skipped, &ready, &endless, &replaced] {
        let (mut tapped, _, _, mut server) = with_reset().await;
        server.write_all(says).await.unwrap();
        drop(server);
        let mut got = Vec::new();
        tapped.read_to_end(&mut got).await.ok();
        assert!(!holds(&got, b"INSERT"), "{got:?}");
        assert!(!holds(&got, b"\0Rstagelink_reset\0"), "{got:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn end_of_the_session_within_a_reset_passes_to_the_driver() {
    let (mut tapped, _, pipelined, mut server) = with_reset().await;
    let ended = message(b'E', b"SFATAL\0VFATAL\0C57P01\0\0");
    let says = [completed("BEGIN"), ended.clone()].concat();
    server.write_all(&says).await.unwrap();
    drop(server);
    let mut got = Vec::new();
    tapped.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, ended);
    assert!(pipelined.reset_error().is_none());
}

/// A started session under a tap, whose buffers hold so many bytes.
async fn tapped(
    space: usize,
) -> (
    Tapped<RewindStream<DuplexStream>>,
    Tap,
    Pipelined,
    DuplexStream,
) {
    let (client, mut server) = duplex(space);
    let stream = RewindStream::new(client, bytes::BytesMut::new());
    let pipelined = stream.pipelined();
    let (mut tapped, tap) = Tapped::new(stream, usize::MAX);
    pipelined.attach_tap(&tap);
    tapped.write_all(&message(0, b"start")[1..]).await.unwrap();
    let ready = message(b'Z', b"I");
    let mut got = vec![0; ready.len()];
    let (sent, read) = tokio::join!(server.write_all(&ready), tapped.read_exact(&mut got));
    sent.and(read.map(drop)).unwrap();
    assert!(tap.is_idle());
    (tapped, tap, pipelined, server)
}

#[tokio::test(start_paused = true)]
async fn reset_goes_ahead_of_a_message_and_never_into_one() {
    for (space, cut) in [(16, 8), (16, 3), (1 << 16, 3), (1 << 16, 7)] {
        let (mut tapped, tap, pipelined, mut server) = tapped(space).await;
        let given_up = message(b'P', b"\0SELECT 'a long parameter'\0\0\0");
        // The handler gives it up in the middle: the stream takes no more, or has not had all.
        let write = tapped.write_all(&given_up[..cut]);
        timeout(Duration::from_millis(1), write).await.ok();
        assert!(!tap.is_idle(), "{space} {cut}");
        pipelined.add_reset(reset_of(&["RESET"]));
        let next = message(b'Q', b"SELECT 1\0");
        let all = [given_up.clone(), message(b'S', b""), next.clone()].concat();
        let (client, ()) = tokio::join!(
            async {
                tapped.write_all(&given_up[cut..]).await.unwrap();
                tapped.write_all(&message(b'S', b"")).await.unwrap();
                tapped.write_all(&next).await.unwrap();
                tapped.shutdown().await
            },
            async {
                let mut got = Vec::new();
                server.read_to_end(&mut got).await.unwrap();
                let reset = bound_and_executed(1);
                let at = got
                    .windows(reset.len())
                    .position(|window| window == reset)
                    .expect("the reset is sent");
                assert_eq!(at, given_up.len(), "{space} {cut}");
                got.drain(at..at + reset.len());
                assert_eq!(got, all, "{space} {cut}");
            }
        );
        client.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_the_stream_was_offered_are_sent_before_the_reset() {
    let flush = message(b'H', b"");
    let next = message(b'Q', b"SELECT 1\0");
    let (mut tapped, tap, pipelined, mut server) = tapped(flush.len()).await;
    tapped.write_all(&flush).await.unwrap();
    let blocked = tapped.write_all(&flush);
    let blocked = timeout(Duration::from_millis(1), blocked).await;
    blocked.unwrap_err();
    assert!(!tap.is_idle(), "bytes wait to be sent");
    pipelined.add_reset(reset_of(&["RESET"]));
    let mut got = Vec::new();
    let (read, ()) = tokio::join!(server.read_to_end(&mut got), async {
        tapped.write_all(&flush).await.unwrap();
        tapped.write_all(&next).await.unwrap();
        tapped.shutdown().await.unwrap();
    });
    read.unwrap();
    let reset = bound_and_executed(1);
    assert_eq!(got, [&flush[..], &flush, &reset, &next].concat());
}

#[tokio::test(start_paused = true)]
async fn response_to_an_earlier_request_of_the_driver_passes_ahead_of_the_resets() {
    let (client, mut server) = duplex(1 << 16);
    let opening = RewindStream::new(client, bytes::BytesMut::new());
    let pipelined = opening.pipelined();
    let (mut tapped, tap) = Tapped::new(opening, usize::MAX);
    pipelined.attach_tap(&tap);
    tapped.write_all(&message(0, b"start")[1..]).await.unwrap();
    tapped.write_all(&message(b'S', b"")).await.unwrap();
    // The start of a session has no response here.
    assert_eq!(tap.unanswered_count(), 2);
    pipelined.add_reset(reset_of(&["RESET"]));
    tapped
        .write_all(&message(b'Q', b"SELECT 1\0"))
        .await
        .unwrap();
    received_by(&mut server).await;
    let ready = message(b'Z', b"I");
    let earlier = [ready.clone(), message(b'3', b""), ready.clone()].concat();
    let answer = [message(b'C', b"SELECT 1\0"), ready.clone()].concat();
    let reset = completed("RESET");
    let says = [&earlier[..], &reset, &answer].concat();
    server.write_all(&says).await.unwrap();
    drop(server);
    let mut got = Vec::new();
    tapped.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [earlier, answer].concat());
}
