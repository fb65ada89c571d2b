//! Tests of the query that goes out with the last message of the login, and of the mark that its
//! response tells.

use super::*;
use crate::postgres::stage_mark::StageMark;
use crate::stage::Stage;

#[tokio::test(start_paused = true)]
async fn early_query_goes_out_with_the_scram_proof_and_their_response_is_dropped() {
    let answer = [
        columns_at_start(),
        row_at_start(Some("application_name=stagelink:staging")),
    ]
    .concat();
    let answer = [
        &answer[..],
        &message(b'C', b"SELECT 1\0"),
        &message(b'Z', b"I"),
    ]
    .concat();
    let ready = ready();
    let start = &ready[..ready.len() - message(b'N', b"\0").len()];
    // All at once, the answer later, and half of it.
    for part in [answer.len(), 0, 7] {
        let says = [start, &answer[..part]].concat();
        let (result, last, server) = run_authenticating_server(&says).await;
        assert!(holds(&last, session_params::AT_START.as_bytes()));
        let (mut started, mut server) = (result.ok().unwrap(), server.unwrap());
        assert!(started.has_early_query);
        let told = message(b'N', b"\0");
        let rest = [&answer[part..], &told].concat();
        server.write_all(&rest).await.unwrap();
        drop(server);
        let response = started.stream.response_at_start(EARLY_REPLY_TIMEOUT).await;
        let Ok(ResponseAtStart::Row(row)) = response else {
            panic!("no row with {part} bytes at once");
        };
        assert_eq!(StageMark::of_row(&row), Some(StageMark::Of(Stage::STAGING)));
        let startup = message(0, b"");
        started.stream.write_all(&startup[1..]).await.unwrap();
        let mut got = Vec::new();
        started.stream.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [start, &told].concat(), "{part}");
    }
}

/// Sends bytes, more than the stream has room for.
fn say(mut server: DuplexStream, says: Vec<u8>) {
    tokio::spawn(async move { server.write_all(&says).await });
}

/// The description of the columns of the response to the statements at the start.
fn columns_at_start() -> Vec<u8> {
    let name = session_params::AT_START.as_bytes();
    message(b'T', &[b"\0\x01", name, b"\0"].concat())
}

/// A row of two columns, the first of which is the database's settings.
fn row_at_start(setting: Option<&str>) -> Vec<u8> {
    let length = setting.map_or(-1, |setting| i32::try_from(setting.len()).unwrap());
    let setting = setting.unwrap_or_default().as_bytes();
    let columns = [&b"\0\x02"[..], &length.to_be_bytes(), setting, &[0xff; 4]];
    message(b'D', &columns.concat())
}

/// Starts a session with a server that answers the statements at the start with this. Returns the
/// mark that it tells, if it does.
async fn mark_at_start(says: &[Vec<u8>]) -> io::Result<Option<StageMark>> {
    let (result, _, server) = run_authenticating_server(&ready()).await;
    let (mut started, mut server) = (result.ok().unwrap(), server.unwrap());
    server.write_all(&says.concat()).await.unwrap();
    if !says.is_empty() {
        drop(server);
    }
    let response = started
        .stream
        .response_at_start(EARLY_REPLY_TIMEOUT)
        .await?;
    Ok(match response {
        ResponseAtStart::Row(row) => StageMark::of_row(&row),
        ResponseAtStart::Refused | ResponseAtStart::Missing => None,
    })
}

#[tokio::test(start_paused = true)]
async fn mark_is_what_the_first_row_says_and_nothing_else() {
    let error = |severity: &str| {
        message(
            b'E',
            format!("S{severity}\0V{severity}\0C42501\0\0").as_bytes(),
        )
    };
    let (columns, ready) = (columns_at_start(), message(b'Z', b"I"));
    let complete = message(b'C', b"SELECT 1\0");
    let row = |setting| row_at_start(setting);
    let production = StageMark::Of(Stage::PRODUCTION);
    for (says, expected) in [
        (
            vec![
                columns.clone(),
                row(Some("application_name=stagelink:production")),
                complete.clone(),
                ready.clone(),
            ],
            Some(production),
        ),
        (
            vec![
                columns.clone(),
                row(Some("application_name=psql")),
                complete.clone(),
                ready.clone(),
            ],
            Some(StageMark::None),
        ),
        (
            vec![columns.clone(), row(None), complete.clone(), ready.clone()],
            Some(StageMark::None),
        ),
        // No row is no answer: only a row shows that there is no mark.
        (vec![columns.clone(), complete.clone(), ready.clone()], None),
        (vec![error("ERROR"), ready.clone()], None),
        (
            vec![columns.clone(), row(None), error("ERROR"), ready.clone()],
            None,
        ),
        (vec![columns.clone(), error("FATAL")], None),
        (vec![error("FATAL")], None),
        (Vec::new(), None),
    ] {
        assert_eq!(mark_at_start(&says).await.unwrap(), expected, "{says:?}");
    }
    for says in [vec![columns.clone()], vec![columns, row(None)]] {
        mark_at_start(&says).await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn response_behind_more_than_a_server_sends_ends_the_connection() {
    let fatal = message(b'E', b"SFATAL\0VFATAL\0C57P01\0\0");
    let row = row_at_start(Some("application_name=stagelink:staging"));
    let complete = message(b'C', b"SELECT 1\0");
    let answer = [columns_at_start(), row, complete, message(b'Z', b"I")].concat();
    for kept in [
        message(b'S', &[b"TimeZone\0", &[b'a'; 1000][..], b"\0"].concat()),
        message(b'N', &[b"SNOTICE\0M", &[b'a'; 1000][..], b"\0\0"].concat()),
        message(b'A', &[b'a'; 1000]),
    ] {
        for (count, is_accepted) in [(10, true), (200, false)] {
            let (result, _, server) = run_authenticating_server(&ready()).await;
            let (mut started, server) = (result.ok().unwrap(), server.unwrap());
            say(server, [kept.repeat(count), answer.clone()].concat());
            let response = started.stream.response_at_start(EARLY_REPLY_TIMEOUT).await;
            assert_eq!(response.is_ok(), is_accepted, "{count}");
        }
    }
    // The query that is sent again is still owed behind messages that end the session.
    let (result, _, server) = run_authenticating_server(&ready()).await;
    let (mut started, server) = (result.ok().unwrap(), server.unwrap());
    let missing = started.stream.response_at_start(EARLY_REPLY_TIMEOUT).await;
    assert!(matches!(missing, Ok(ResponseAtStart::Missing)));
    say(server, [fatal.repeat(4000), answer].concat());
    let again = started
        .stream
        .query_at_start("SELECT 1", EARLY_REPLY_TIMEOUT);
    let error = again.await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test(start_paused = true)]
async fn lost_early_query_is_not_waited_for() {
    let ready = ready();
    let (result, _, server) = run_authenticating_server(&ready).await;
    let (mut started, mut server) = (result.ok().unwrap(), server.unwrap());
    started.stream.pipelined().add("SELECT 2");
    let sent = [&message(0, b"")[1..], &message(b'Q', b"SELECT 1\0")].concat();
    let (startup, statement) = sent.split_at(4);
    started.stream.write_all(startup).await.unwrap();
    started.stream.write_all(statement).await.unwrap();
    let answer = |word: &[u8]| {
        let row = message(b'D', word);
        [message(b'T', b"columns"), row, message(b'Z', b"I")].concat()
    };
    let says = [answer(b"2"), answer(b"1")].concat();
    server.write_all(&says).await.unwrap();
    drop(server);
    let mut got = Vec::new();
    started.stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [ready, answer(b"1")].concat());
}

#[tokio::test(start_paused = true)]
async fn response_to_the_query_that_is_sent_again_is_told_from_that_to_the_early_one() {
    let error = message(b'E', b"SERROR\0VERROR\0C42501\0\0");
    let (columns, ready) = (columns_at_start(), message(b'Z', b"I"));
    let row = row_at_start(Some("application_name=stagelink:staging"));
    let row = [&columns[..], &row, &message(b'C', b"SELECT 1\0"), &ready].concat();
    let refused = [&error[..], &ready].concat();
    let none = Vec::new();
    for (early, again, is_row) in [
        (&none, &row, true),
        (&none, &refused, false),
        (&row, &row, true),
        (&refused, &row, true),
        (&refused, &refused, false),
    ] {
        let (result, _, server) = run_authenticating_server(&self::ready()).await;
        let (mut started, mut server) = (result.ok().unwrap(), server.unwrap());
        let missing = started.stream.response_at_start(EARLY_REPLY_TIMEOUT).await;
        assert!(matches!(missing, Ok(ResponseAtStart::Missing)));
        let says = [&early[..], &ready, again].concat();
        server.write_all(&says).await.unwrap();
        let limit = EARLY_REPLY_TIMEOUT;
        let found = started.stream.query_at_start("SELECT 1", limit).await;
        let found = found.unwrap();
        let expected = if is_row { "row" } else { "refusal" };
        assert_eq!(
            matches!(found, ResponseAtStart::Row(_)),
            is_row,
            "{expected}"
        );
        assert_eq!(
            matches!(found, ResponseAtStart::Refused),
            !is_row,
            "{expected}"
        );
        // The driver's own response follows, and its error passes.
        server.write_all(&refused).await.unwrap();
        drop(server);
        let startup = message(0, b"");
        started.stream.write_all(&startup[1..]).await.unwrap();
        let mut got = Vec::new();
        started.stream.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [&self::ready()[..], &refused].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_rejects_early_query_is_tried_without_them() {
    for then in [Vec::new(), error("08P01"), error("XX000")] {
        let (result, ..) = run_authenticating_server(&then).await;
        assert!(matches!(
            failure(result),
            StartupError::EarlyScramRejected(None)
        ));
    }
    let (result, ..) = run_authenticating_server(&error("53300")).await;
    assert!(matches!(failure(result), StartupError::ErrorResponse(_)));
}
