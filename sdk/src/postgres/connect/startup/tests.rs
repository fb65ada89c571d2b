//! Sessions with servers that say what a test lets them say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::scripted_server::{PASSWORD, begin, heard, meet};
use super::*;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn authentication(code: u32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes()[..], rest].concat())
}

fn offer(names: &str) -> Vec<u8> {
    authentication(10, format!("{names}\0").as_bytes())
}

const BOTH: &str = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0";
const PLAIN: &str = "SCRAM-SHA-256\0";

fn error(code: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0C{code}\0Msorry\0\0").as_bytes())
}

/// The end of a start without SCRAM, and a byte of what comes next.
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

fn failure(result: Result<Started<DuplexStream>, Failure>) -> Failure {
    match result {
        Ok(_) => panic!("a session has started"),
        Err(failure) => failure,
    }
}

fn holds(heard: &[u8], part: &[u8]) -> bool {
    heard.windows(part.len()).any(|window| window == part)
}

#[tokio::test(start_paused = true)]
async fn server_that_asks_for_the_password_gets_it_only_if_it_is_trusted() {
    for asks in [
        authentication(3, b""),
        authentication(5, b"salt"),
        authentication(0, b""),
        offer(PLAIN),
    ] {
        let (result, heard) = meet(&asks, None, false).await;
        assert!(matches!(failure(result), Failure::Demanded(_)));
        assert!(!holds(&heard, PASSWORD) && !holds(&heard, b"md5"));
    }
    let says = [authentication(3, b""), ready()].concat();
    let (result, heard) = meet(&says, None, true).await;
    assert_eq!(result.ok().unwrap().server_auth, ServerAuth::Certificate);
    assert!(holds(&heard, PASSWORD));
}

#[tokio::test(start_paused = true)]
async fn reports_are_read_and_all_is_told_to_the_driver_again() {
    let (result, _) = meet(&ready(), None, true).await;
    let mut started = result.ok().unwrap();
    assert_eq!(started.reports.major_version(), Some(17));
    assert_eq!(
        started.reports.application_name.as_deref(),
        Some("stagelink:staging")
    );
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

#[tokio::test(start_paused = true)]
async fn what_comes_early_is_given_up_where_the_server_asks_for_something_else() {
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
        (Plus, offer(PLAIN), Some(plain)),
        (PlainDowngradeCheck, offer(BOTH), Some(both)),
        (Plain, authentication(3, b""), Some(nothing)),
        (Plus, error("08P01"), None),
        (Plus, error("0A000"), None),
        (Plus, Vec::new(), None),
        (Plus, b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), None),
    ] {
        let (result, heard) = meet(&says, Some(mechanism), true).await;
        match failure(result) {
            Failure::NotEarly(offer) => assert_eq!(offer, expected, "{mechanism:?}"),
            other => panic!("{mechanism:?}: {other:?}"),
        }
        assert!(!holds(&heard, PASSWORD));
    }
}

#[tokio::test(start_paused = true)]
async fn error_about_the_server_or_the_login_is_believed_early_too() {
    for code in ["53300", "57P03", "28000", "3D000", "57P01"] {
        let (result, _) = meet(&error(code), Some(Mechanism::Plus), false).await;
        match failure(result) {
            Failure::ErrorResponse(said) => assert_eq!(said.code, code),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn start_goes_out_with_the_beginning_of_scram_in_one_flight() {
    let (_, heard) = meet(b"", Some(Mechanism::Plus), false).await;
    assert!(holds(&heard, b"database\0d\0"));
    assert!(holds(&heard, b"SCRAM-SHA-256-PLUS\0"));
    assert!(holds(&heard, b"p=tls-server-end-point,,n=,r="));
}

#[tokio::test(start_paused = true)]
async fn server_that_leaves_out_the_proof_is_refused() {
    // As if SCRAM had gone well, without its last message.
    let says = [offer(BOTH), ready()].concat();
    let (result, _) = meet(&says, Some(Mechanism::Plus), false).await;
    assert!(matches!(failure(result), Failure::Protocol(_)));
}

#[tokio::test(start_paused = true)]
async fn server_that_answers_scram_with_nonsense_is_unproved() {
    for first in ["", "r=other,s=AAAA,i=4096", "r=,s=AAAA,i=4096", "\u{1F980}"] {
        let says = [offer(BOTH), authentication(11, first.as_bytes())].concat();
        let (result, _) = meet(&says, Some(Mechanism::Plus), false).await;
        assert!(matches!(failure(result), Failure::Unproved(_)), "{first}");
    }
}

#[tokio::test(start_paused = true)]
async fn endless_message_is_given_up() {
    let says = [&b"R"[..], &(1_u32 << 30).to_be_bytes()].concat();
    let (result, _) = meet(&says, None, false).await;
    assert!(matches!(failure(result), Failure::Protocol(_)));
}

/// A session that has started, with a statement of ours, and the server's side of it.
async fn with_ahead(statement: &str) -> (RewindStream<DuplexStream>, DuplexStream) {
    let (client, server) = duplex(1 << 16);
    let mut opening = RewindStream::new(client, bytes::BytesMut::new());
    opening.ahead().add(statement);
    opening.write_all(&message(0, b"start")[1..]).await.unwrap();
    (opening, server)
}

#[tokio::test(start_paused = true)]
async fn own_statements_go_ahead_of_the_drivers_and_their_answers_go_nowhere() {
    let (mut opening, mut server) = with_ahead("SET a TO b").await;
    opening.ahead().add("SELECT 2");
    let first = message(b'Q', b"SELECT 1\0");
    opening.write_all(&first).await.unwrap();
    opening.flush().await.unwrap();
    let ahead = message(b'Q', b"SET a TO b; SELECT 2\0");
    let sent = heard(&mut server).await;
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
    assert_eq!(heard(&mut server).await, b"more");
    assert!(!opening.ahead().take_near_limit());

    opening.ahead().add("SELECT 3");
    let next = message(b'Q', b"SELECT 4\0");
    opening.write_all(&next).await.unwrap();
    let ahead = message(b'Q', b"SELECT 3\0");
    assert_eq!(
        heard(&mut server).await,
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
    assert!(opening.ahead().take_near_limit());
}

#[tokio::test(start_paused = true)]
async fn refused_setting_is_no_trouble_and_an_ended_session_is_told() {
    let (mut opening, mut server) = with_ahead("SET a TO b").await;
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

    let (mut opening, mut server) = with_ahead("SET a TO b").await;
    opening.write_all(b"Q....").await.unwrap();
    let ended = message(b'E', b"SFATAL\0VFATAL\0C57P01\0\0");
    server.write_all(&ended).await.unwrap();
    drop(server);
    let mut got = Vec::new();
    opening.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, ended);
}

/// What a server says that knows the password: its offer and challenge, and at the end its
/// proof. In between it takes what the client sends.
async fn prove(server: &mut DuplexStream) -> Vec<u8> {
    let begun = heard(server).await;
    let nonce = begun
        .windows(2)
        .position(|window| window == b"r=")
        .map(|at| String::from_utf8(begun[at + 2..].to_vec()).unwrap())
        .unwrap();
    let bare = format!("n=,r={nonce}");
    let challenge = format!("r={nonce}more,s=c2FsdA==,i=2");
    let says = [offer(BOTH), authentication(11, challenge.as_bytes())].concat();
    server.write_all(&says).await.unwrap();
    let last = heard(server).await;
    let text = String::from_utf8_lossy(&last[5..]);
    let without_proof = text.split(",p=").next().unwrap();
    let exchanged = format!("{bare},{challenge},{without_proof}");
    let signature = ScramKeyCache::default()
        .keys(PASSWORD, b"salt", 2)
        .signature(exchanged.as_bytes());
    let proof = format!("v={}", STANDARD.encode(signature));
    server
        .write_all(&authentication(12, proof.as_bytes()))
        .await
        .unwrap();
    last
}

/// What comes of a client that begins early with a server that proves itself and then does
/// what it does. Returns the client's last flight before that, too.
async fn meet_one_that_proves_itself(
    then: &[u8],
) -> (
    Result<Started<DuplexStream>, Failure>,
    Vec<u8>,
    Option<DuplexStream>,
) {
    let (client, mut server) = duplex(1 << 16);
    let served = async {
        let last = prove(&mut server).await;
        if then.is_empty() {
            drop(server);
            return (last, None);
        }
        server.write_all(then).await.unwrap();
        (last, Some(server))
    };
    let (result, (last, server)) = tokio::join!(begin(client), served);
    (result, last, server)
}

#[tokio::test(start_paused = true)]
async fn terms_go_out_with_the_proof_and_their_answer_goes_nowhere() {
    let column = [b"\0\x01", session_params::AT_START.as_bytes(), b"\0"].concat();
    let answer = [
        message(b'T', &column),
        message(b'D', b"row"),
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ]
    .concat();
    let ready = ready();
    let start = &ready[..ready.len() - message(b'N', b"\0").len()];
    // All at once, the answer later, and half of it.
    for part in [answer.len(), 0, 7] {
        let says = [start, &answer[..part]].concat();
        let (result, last, server) = meet_one_that_proves_itself(&says).await;
        assert!(holds(&last, session_params::AT_START.as_bytes()));
        let (mut started, mut server) = (result.ok().unwrap(), server.unwrap());
        assert!(started.has_terms);
        let told = message(b'N', b"\0");
        let rest = [&answer[part..], &told].concat();
        server.write_all(&rest).await.unwrap();
        drop(server);
        let startup = message(0, b"");
        started.stream.write_all(&startup[1..]).await.unwrap();
        let mut got = Vec::new();
        started.stream.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [start, &told].concat(), "{part}");
    }
}

#[tokio::test(start_paused = true)]
async fn terms_that_somebody_has_lost_are_not_waited_for() {
    let ready = ready();
    let (result, _, server) = meet_one_that_proves_itself(&ready).await;
    let (mut started, mut server) = (result.ok().unwrap(), server.unwrap());
    started.stream.ahead().add("SELECT 2");
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
async fn server_that_takes_offence_at_the_terms_is_met_without_them() {
    for then in [Vec::new(), error("08P01"), error("XX000")] {
        let (result, ..) = meet_one_that_proves_itself(&then).await;
        assert!(matches!(failure(result), Failure::NotEarly(None)));
    }
    let (result, ..) = meet_one_that_proves_itself(&error("53300")).await;
    assert!(matches!(failure(result), Failure::ErrorResponse(_)));
}

proptest::proptest! {
    #[test]
    fn any_server_is_borne_and_learns_no_password(says: Vec<u8>, begins: u8, early: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let beginnings = [
            Vec::new(),
            offer(BOTH),
            offer(PLAIN),
            authentication(3, b""),
            [offer(BOTH), authentication(11, b"r=")].concat(),
        ];
        let begins = &beginnings[usize::from(begins) % beginnings.len()];
        let says = [&begins[..], &says].concat();
        let early = early.then_some(Mechanism::Plus);
        let (result, heard) = runtime.block_on(meet(&says, early, false));
        assert!(result.is_err());
        assert!(!holds(&heard, PASSWORD));
    }
}
