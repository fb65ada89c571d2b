//! Rehearsals for this crate's fuzzer: parsers of outside data with any input.

use secrecy::ExposeSecret as _;

use crate::credentials::{Credentials, parse_deploy_time};
use crate::stage::Stage;

/// Starts a session with a server that sends these bytes, for this crate's fuzzer.
///
/// # Panics
///
/// When an untrusted server starts a session or receives the password.
#[doc(hidden)]
pub async fn rehearse_session(says: &[u8], is_early: bool, is_trusted: bool) {
    use crate::postgres::{PASSWORD, run_script};

    let result = run_script(says, is_early, is_trusted).await;
    assert!(is_trusted || !result.has_started, "a session has started");
    let is_told = |part: &[u8]| {
        let mut parts = result.to_server.windows(part.len());
        parts.any(|window| window == part)
    };
    assert!(is_trusted || !is_told(PASSWORD), "the password was sent");
    // A cleartext request for the password is no answer to an early SCRAM message.
    assert!(
        !is_early || !is_told(PASSWORD),
        "the password is told early"
    );
    // The driver receives AuthenticationOk and the server's own messages, and no others.
    assert!(
        result.to_driver.len() <= says.len() + 9,
        "something is made up"
    );
}

/// Runs a conversation of the driver with a pooler's server, for this crate's fuzzer. The input is
/// a list of pieces: a byte whose highest bit says that the server sends and whose others are the
/// length, and the bytes.
///
/// # Panics
///
/// When a statement has a name at the server.
#[doc(hidden)]
pub fn rehearse_client_statements(input: &[u8]) {
    crate::postgres::rehearse_client_statements(input);
}

/// Runs arbitrary bytes in both directions past a connection's tap, for this crate's fuzzer. The
/// input is a list of pieces, as for [`rehearse_client_statements`].
///
/// # Panics
///
/// When the outcome of a write depends on how the bytes are split, or changes after it took effect.
#[doc(hidden)]
pub fn rehearse_tap(input: &[u8]) {
    crate::postgres::rehearse_tap(input);
}

/// Reads a value of `STAGELINK_CREDENTIALS` for stage staging, for this crate's fuzzer, and returns
/// all that is shown of it.
///
/// # Panics
///
/// When credentials that were read are others after they were written.
#[doc(hidden)]
pub fn rehearse_credentials(variable: &str) -> String {
    let credentials = match parse_deploy_time(&variable.into(), Stage::STAGING) {
        Err(error) => return format!("{} {error:?}", error.report()),
        Ok(credentials) => credentials,
    };
    let written = credentials.to_variable(Stage::STAGING);
    let again = parse_deploy_time(&written, Stage::STAGING).expect("what was read can be written");
    assert!(
        again.url.is_same_as(&credentials.url),
        "the URL is another one"
    );
    let keys = |credentials: &Credentials| {
        let keys = credentials.scram_keys.as_ref();
        keys.map(|keys| keys.text().expose_secret().to_owned())
    };
    assert_eq!(keys(&again), keys(&credentials));
    format!("{credentials:?}")
}

/// Judges a certificate by one root, for this crate's fuzzer, and reads what SCRAM binds to.
///
/// # Panics
///
/// When the judge does, or trusts without a root, or by a name alone.
#[doc(hidden)]
pub fn rehearse_certificate(own: &[u8], root: &[u8]) {
    crate::tls::rehearse(own, root);
}

/// Converts an event into a request, for this crate's fuzzer, and returns whether it was one. The
/// text before the first NUL is the client context.
///
/// # Panics
///
/// When the conversion does, or its request has another path or query than the event.
#[cfg(feature = "lambda")]
#[doc(hidden)]
pub fn rehearse_event(input: &[u8]) -> bool {
    crate::lambda::rehearse_event(input)
}
