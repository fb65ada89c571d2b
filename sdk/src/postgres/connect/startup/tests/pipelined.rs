//! Tests of the SDK's own statements, which go ahead of the driver's.

use super::*;

/// A started session with a pending own statement, and the server's end of it.
async fn with_pipelined(statement: &str) -> (RewindStream<DuplexStream>, DuplexStream) {
    let (client, server) = duplex(1 << 16);
    let mut opening = RewindStream::new(client, bytes::BytesMut::new());
    opening.pipelined().add(statement);
    opening.write_all(&message(0, b"start")[1..]).await.unwrap();
    (opening, server)
}

#[tokio::test(start_paused = true)]
async fn own_statements_go_ahead_of_the_drivers_and_their_responses_are_dropped() {
    let (mut opening, mut server) = with_pipelined("SET a TO b").await;
    opening.pipelined().add("SELECT 2");
    let first = message(b'Q', b"SELECT 1\0");
    opening.write_all(&first).await.unwrap();
    opening.flush().await.unwrap();
    let ahead = message(b'Q', b"SET a TO b; SELECT 2\0");
    let sent = received_by(&mut server).await;
    assert_eq!(sent, [ahead, first].concat());

    let told = message(b'S', b"application_name\0it's mine\0");
    let ready = message(b'Z', b"I");
    let answer = [message(b'C', b"SELECT 1\0"), ready.clone()].concat();
    let says = [
        &message(b'C', b"SET\0")[..],
        &told,
        &message(b'T', b"columns"),
        &message(b'D', b"row"),
        &message(b'C', b"SELECT 1\0"),
        &ready,
        &answer,
    ]
    .concat();
    for part in says.chunks(3) {
        server.write_all(part).await.unwrap();
        tokio::task::yield_now().await;
    }
    let expected = [told, answer].concat();
    let mut got = vec![0; expected.len()];
    opening.read_exact(&mut got).await.unwrap();
    assert_eq!(got, expected);

    opening.write_all(b"more").await.unwrap();
    assert_eq!(received_by(&mut server).await, b"more");
    assert!(!opening.pipelined().take_near_limit());

    opening.pipelined().add("SELECT 3");
    let next = message(b'Q', b"SELECT 4\0");
    opening.write_all(&next).await.unwrap();
    let ahead = message(b'Q', b"SELECT 3\0");
    assert_eq!(
        received_by(&mut server).await,
        [ahead, next].concat(),
        "once more"
    );
    let row = [
        &b"\0\x01\0\0\0\x11"[..],
        session_params::NEAR_LIMIT.as_bytes(),
    ]
    .concat();
    let says = [message(b'D', &row), ready.clone(), ready.clone()].concat();
    server.write_all(&says).await.unwrap();
    let mut got = vec![0; ready.len()];
    opening.read_exact(&mut got).await.unwrap();
    assert_eq!(got, ready);
    assert!(opening.pipelined().take_near_limit());
}

#[tokio::test(start_paused = true)]
async fn refused_setting_is_ignored_and_an_ended_session_is_reported() {
    let (mut opening, mut server) = with_pipelined("SET a TO b").await;
    opening.write_all(b"Q....").await.unwrap();
    let refused = [
        message(b'E', b"SERROR\0VERROR\0C42501\0\0"),
        message(b'Z', b"I"),
        message(b'N', b"\0"),
    ];
    server.write_all(&refused.concat()).await.unwrap();
    let mut got = vec![0; refused[2].len()];
    opening.read_exact(&mut got).await.unwrap();
    assert_eq!(got, refused[2]);

    let (mut opening, mut server) = with_pipelined("SET a TO b").await;
    opening.write_all(b"Q....").await.unwrap();
    let ended = message(b'E', b"SFATAL\0VFATAL\0C57P01\0\0");
    server.write_all(&ended).await.unwrap();
    drop(server);
    let mut got = Vec::new();
    opening.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, ended);
}
