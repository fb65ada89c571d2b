//! Tests of the start of a session against scripted servers.

mod early_query;
mod pipelined;
mod reset;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::scripted_server::{PASSWORD, received_by, run, start_early};
use super::*;

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
