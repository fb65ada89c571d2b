//! Tests of the start of a session against scripted servers.

mod pipelined;
mod reset;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::scripted_server::{PASSWORD, received_by, run, start_early};
use super::*;
use crate::postgres::stage_mark::StageMark;
use crate::stage::Stage;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn authentication(code: u32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes()[..], rest].concat())
}

fn sasl_request(names: &str) -> Vec<u8> {
    authentication(10, format!("{names}\0").as_bytes())
}

const BOTH: &str = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0";
const PLAIN: &str = "SCRAM-SHA-256\0";

fn error(code: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0C{code}\0Msorry\0\0").as_bytes())
}

/// The messages after authentication, and the first byte of the next.
fn ready() -> Vec<u8> {
    [
        authentication(0, b""),
        message(b'S', b"server_version\x0017.5 (Debian)\0"),
        message(b'S', b"application_name\0stagelink:staging\0"),
        message(b'S', b"in_hot_standby\0on\0"),
        message(b'K', &[0; 8]),
        message(b'Z', b"I"),
        message(b'N', b"\0"),
    ]
    .concat()
}

fn failure(result: Result<Started<DuplexStream>, StartupError>) -> StartupError {
    match result {
        Ok(_) => panic!("a session has started"),
        Err(failure) => failure,
    }
}

fn holds(received: &[u8], part: &[u8]) -> bool {
    received.windows(part.len()).any(|window| window == part)
}

#[tokio::test(start_paused = true)]
async fn server_gets_a_requested_password_only_if_it_is_authenticated() {
    for asks in [
        authentication(3, b""),
        authentication(5, b"salt"),
        authentication(0, b""),
        sasl_request(PLAIN),
    ] {
        let (result, received) = run(&asks, None, false).await;
        assert!(matches!(
            failure(result),
            StartupError::ServerNotAuthenticated(_)
        ));
        assert!(!holds(&received, PASSWORD) && !holds(&received, b"md5"));
    }
    let says = [authentication(3, b""), ready()].concat();
    let (result, received) = run(&says, None, true).await;
    assert_eq!(result.ok().unwrap().server_auth, ServerAuth::Certificate);
    assert!(holds(&received, PASSWORD));
}

#[tokio::test(start_paused = true)]
async fn reports_are_read_and_replayed_to_the_driver() {
    let (result, _) = run(&ready(), None, true).await;
    let mut started = result.ok().unwrap();
    assert_eq!(started.reports.major_version(), Some(17));
    assert!(started.reports.is_standby && !started.reports.is_read_only);
    started
        .stream
        .write_all(&message(0, b"")[1..])
        .await
        .unwrap();
    let mut told = Vec::new();
    started.stream.read_to_end(&mut told).await.unwrap();
    assert_eq!(told, ready());
}

fn notice(text: &str) -> Vec<u8> {
    let fields = format!("SWARNING\0VWARNING\0C01000\0M{text}\0\0");
    message(b'N', fields.as_bytes())
}

/// Postgres 19 warns of an MD5 password, and of a password that expires soon.
#[tokio::test(start_paused = true)]
async fn notices_between_login_and_readiness_are_kept_from_the_driver() {
    let parts = [
        authentication(0, b""),
        notice("an MD5 password\r\nlevel=ERROR"),
        message(b'S', b"server_version\x0019.0\0"),
        notice("it expires soon"),
        message(b'S', b"in_hot_standby\0off\0"),
        message(b'K', &[0, 0, 0, 7, 0, 0, 0, 9]),
        notice("it expires soon"),
        message(b'S', b"in_hot_standby\0on\0"),
        message(b'Z', b"I"),
    ];
    let told = [
        "an MD5 password  level=ERROR",
        "it expires soon",
        "it expires soon",
    ];
    let without_notices: Vec<u8> = parts
        .iter()
        .filter(|part| part[0] != b'N')
        .flatten()
        .copied()
        .collect();
    let (result, _) = run(&parts.concat(), None, true).await;
    let mut started = result.ok().unwrap();
    let messages: Vec<_> = started
        .notices
        .iter()
        .map(|notice| &*notice.message)
        .collect();
    assert_eq!(messages, told);
    assert!(started.notices.iter().all(|notice| notice.code == "01000"));
    assert_eq!(started.cancel_key.process_id, 7);
    assert_eq!(started.reports.major_version(), Some(19));
    assert!(started.reports.is_standby, "the last report counts");
    let startup = message(0, b"");
    started.stream.write_all(&startup[1..]).await.unwrap();
    let mut replayed = Vec::new();
    started.stream.read_to_end(&mut replayed).await.unwrap();
    assert_eq!(replayed, without_notices);

    // With statements that were sent before the server was ready.
    let (result, _, server) = run_authenticating_server(&parts.concat()).await;
    let (mut started, mut server) = (result.ok().unwrap(), server.unwrap());
    assert_eq!(started.notices.len(), 3);
    let row = [&b"\0\x01\0\0\0\x11"[..], b"stagelink:staging"].concat();
    let column = [b"\0\x01", session_params::AT_START.as_bytes(), b"\0"].concat();
    let says = [
        notice("behind readiness"),
        message(b'T', &column),
        message(b'D', &row),
        notice("in the response"),
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ];
    server.write_all(&says.concat()).await.unwrap();
    let response = started.stream.response_at_start(EARLY_REPLY_TIMEOUT).await;
    assert!(matches!(response.unwrap(), ResponseAtStart::Row(_)));
}

/// A server that sends a notice before each message of the login.
#[tokio::test(start_paused = true)]
async fn notices_within_the_login_are_ignored() {
    let says = [
        notice("hello"),
        authentication(3, b""),
        notice("again"),
        ready(),
    ]
    .concat();
    let (result, received) = run(&says, None, true).await;
    assert!(result.ok().unwrap().notices.is_empty());
    assert!(holds(&received, PASSWORD));
}

#[tokio::test(start_paused = true)]
async fn early_scram_is_rejected_where_the_server_asks_for_something_else() {
    use Mechanism::{Plain, PlainDowngradeCheck, Plus};
    let nothing = SaslMechanisms::default();
    let plain = SaslMechanisms {
        scram: true,
        ..nothing
    };
    let both = SaslMechanisms {
        scram_plus: true,
        scram: true,
    };
    for (mechanism, says, expected) in [
        (Plus, authentication(3, b""), Some(nothing)),
        (Plus, authentication(5, b"salt"), Some(nothing)),
        (Plus, ready(), Some(nothing)),
        (Plus, sasl_request(PLAIN), Some(plain)),
        (PlainDowngradeCheck, sasl_request(BOTH), Some(both)),
        (Plain, authentication(3, b""), Some(nothing)),
        (Plus, error("08P01"), None),
        (Plus, error("0A000"), None),
        (Plus, Vec::new(), None),
        (Plus, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), None),
    ] {
        let (result, received) = run(&says, Some(mechanism), true).await;
        match failure(result) {
            StartupError::EarlyScramRejected(offered) => {
                assert_eq!(offered, expected, "{mechanism:?}");
            }
            other => panic!("{mechanism:?}: {other:?}"),
        }
        assert!(!holds(&received, PASSWORD));
    }
}

#[tokio::test(start_paused = true)]
async fn error_about_the_server_or_the_login_stands_after_early_scram() {
    for code in ["53300", "57P03", "28000", "3D000", "57P01"] {
        let (result, _) = run(&error(code), Some(Mechanism::Plus), false).await;
        match failure(result) {
            StartupError::ErrorResponse(said) => assert_eq!(said.code, code),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn startup_message_and_first_scram_message_go_out_in_one_flight() {
    let (_, received) = run(b"", Some(Mechanism::Plus), false).await;
    assert!(holds(&received, b"database\0d\0"));
    assert!(holds(&received, b"SCRAM-SHA-256-PLUS\0"));
    assert!(holds(&received, b"p=tls-server-end-point,,n=,r="));
}

#[tokio::test(start_paused = true)]
async fn server_that_skips_its_scram_signature_is_refused() {
    // As if SCRAM had gone well, without its last message.
    let says = [sasl_request(BOTH), ready()].concat();
    let (result, _) = run(&says, Some(Mechanism::Plus), false).await;
    assert!(matches!(failure(result), StartupError::Protocol(_)));
}

#[tokio::test(start_paused = true)]
async fn malformed_scram_reply_is_a_scram_failure() {
    for first in ["", "r=other,s=AAAA,i=4096", "r=,s=AAAA,i=4096", "\u{1F980}"] {
        let says = [sasl_request(BOTH), authentication(11, first.as_bytes())].concat();
        let (result, _) = run(&says, Some(Mechanism::Plus), false).await;
        assert!(
            matches!(failure(result), StartupError::ScramFailed(_)),
            "{first}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn oversized_message_is_refused() {
    let says = [&b"R"[..], &(1_u32 << 30).to_be_bytes()].concat();
    let (result, _) = run(&says, None, false).await;
    assert!(matches!(failure(result), StartupError::Protocol(_)));
}

/// Plays a server that knows the password: mechanisms and challenge, and after the client's
/// messages its signature.
async fn authenticate_as_server(server: &mut DuplexStream, iterations: u32) -> Vec<u8> {
    let begun = received_by(server).await;
    let nonce = begun
        .windows(2)
        .position(|window| window == b"r=")
        .map(|at| String::from_utf8(begun[at + 2..].to_vec()).unwrap())
        .unwrap();
    let bare = format!("n=,r={nonce}");
    let challenge = format!("r={nonce}more,s=c2FsdA==,i={iterations}");
    let says = [sasl_request(BOTH), authentication(11, challenge.as_bytes())].concat();
    server.write_all(&says).await.unwrap();
    let last = received_by(server).await;
    let Some(text) = last.get(5..).map(String::from_utf8_lossy) else {
        return last;
    };
    let without_proof = text.split(",p=").next().unwrap();
    let exchanged = format!("{bare},{challenge},{without_proof}");
    let signature = ScramKeyCache::default()
        .get_or_derive(PASSWORD, b"salt", iterations)
        .signature(exchanged.as_bytes());
    let proof = format!("v={}", STANDARD.encode(signature));
    server
        .write_all(&authentication(12, proof.as_bytes()))
        .await
        .unwrap();
    last
}

/// Runs a client with early SCRAM against a server that authenticates itself and then sends
/// `then`. Returns also the client's last flight before that.
async fn run_authenticating_server(
    then: &[u8],
) -> (
    Result<Started<DuplexStream>, StartupError>,
    Vec<u8>,
    Option<DuplexStream>,
) {
    let (client, mut server) = duplex(1 << 16);
    let served = async {
        let last = authenticate_as_server(&mut server, 4096).await;
        if then.is_empty() {
            drop(server);
            return (last, None);
        }
        server.write_all(then).await.unwrap();
        (last, Some(server))
    };
    let (result, (last, server)) = tokio::join!(start_early(client, false), served);
    (result, last, server)
}

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
        assert_eq!(StageMark::of_row(&row), Some(StageMark::Of(Stage::Staging)));
        let startup = message(0, b"");
        started.stream.write_all(&startup[1..]).await.unwrap();
        let mut got = Vec::new();
        started.stream.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [start, &told].concat(), "{part}");
    }
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
    let production = StageMark::Of(Stage::Production);
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
async fn server_that_is_not_known_gets_no_proof_of_few_iterations() {
    for (iterations, is_known, is_sent) in [
        (1, false, false),
        (4095, false, false),
        (4096, false, true),
        (1, true, true),
    ] {
        let (client, mut server) = duplex(1 << 16);
        let served = async {
            let last = authenticate_as_server(&mut server, iterations).await;
            // The client may be gone.
            server.write_all(&ready()).await.ok();
            (last, server)
        };
        let (result, (last, _server)) = tokio::join!(start_early(client, is_known), served);
        assert_eq!(holds(&last, b",p="), is_sent, "{iterations}, {is_known}");
        assert_eq!(last.is_empty(), !is_sent, "no early query either");
        match result {
            Ok(started) => assert_eq!(started.server_auth, ServerAuth::ChannelBinding),
            Err(error) => assert!(
                !is_sent && matches!(error, StartupError::ServerNotAuthenticated(_)),
                "{error:?}"
            ),
        }
    }
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

proptest::proptest! {
    #[test]
    fn any_server_is_handled_and_learns_no_password(says: Vec<u8>, begins: u8, early: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let beginnings = [
            Vec::new(),
            sasl_request(BOTH),
            sasl_request(PLAIN),
            authentication(3, b""),
            [sasl_request(BOTH), authentication(11, b"r=")].concat(),
        ];
        let begins = &beginnings[usize::from(begins) % beginnings.len()];
        let says = [&begins[..], &says].concat();
        let early = early.then_some(Mechanism::Plus);
        let (result, received) = runtime.block_on(run(&says, early, false));
        assert!(result.is_err());
        assert!(!holds(&received, PASSWORD));
    }
}
