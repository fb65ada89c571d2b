//! The start of a session against a server with scripted messages, for tests and a fuzzer.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::{
    AuthRequirements, Mechanism, SaslMechanisms, ServerCheck, Started, StartupError, StartupParams,
    session_params, start,
};
use crate::credentials::Binding;
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::scram::ScramKeyCache;
use crate::postgres::connect::server_auth::ServerAuth;

/// The password of the scripted client, which must never be sent in clear.
pub(crate) const PASSWORD: &[u8] = b"c4n4ry";

/// Starts a session with a server that sends `script` whatever it receives. Returns the result
/// and the bytes that the server received.
pub(in crate::postgres) async fn run(
    script: &[u8],
    early: Option<Mechanism>,
    is_trusted: bool,
) -> (Result<Started<DuplexStream>, StartupError>, Vec<u8>) {
    let (client, mut server) = duplex(MAX_BYTES);
    server
        .write_all(&script[..script.len().min(MAX_BYTES)])
        .await
        .ok();
    server.shutdown().await.ok();
    let result = log_in(client, early, is_trusted).await;
    (result, received_by(&mut server).await)
}

/// Starts a session with an early SCRAM message.
#[cfg(test)]
pub(in crate::postgres) async fn start_early(
    client: DuplexStream,
    is_trusted: bool,
) -> Result<Started<DuplexStream>, StartupError> {
    log_in(client, Some(Mechanism::Plus), is_trusted).await
}

async fn log_in(
    client: DuplexStream,
    early: Option<Mechanism>,
    is_trusted: bool,
) -> Result<Started<DuplexStream>, StartupError> {
    let params = StartupParams {
        user: "u",
        password: PASSWORD,
        key_cache: &ScramKeyCache::default(),
        database: "d",
        options: None,
    };
    let requirements = AuthRequirements {
        binding: Binding::IfOffered,
        end_point: Some(vec![7; 32]),
        early,
        early_query: |offered: SaslMechanisms| offered.scram_plus.then(session_params::early_query),
        server: Known(is_trusted),
    };
    start(client, params, requirements).await
}

/// The check of a server that is known, or is not.
struct Known(bool);

impl ServerCheck for Known {
    fn authenticate_without_binding(&self, _: SaslMechanisms) -> Result<ServerAuth, StartupError> {
        match self.0 {
            true => Ok(ServerAuth::Certificate),
            false => Err(StartupError::ServerNotAuthenticated(Error::new(
                ErrorKind::ServerNotAuthenticated,
                "not authenticated",
            ))),
        }
    }

    fn authenticate_before_proof(&self, _: u32) -> Result<ServerAuth, StartupError> {
        self.authenticate_without_binding(SaslMechanisms::default())
    }
}

/// Reads all bytes that have arrived at the server.
pub(in crate::postgres) async fn received_by(server: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = vec![0; MAX_BYTES];
    let read = tokio::time::timeout(MOMENT, server.read(&mut bytes)).await;
    bytes.truncate(read.map_or(0, |read| read.unwrap_or(0)));
    bytes
}

/// Runs a script for the fuzzer, with the messages of a driver after it.
#[cfg(feature = "testing")]
pub(crate) async fn run_script(script: &[u8], is_early: bool, is_trusted: bool) -> ScriptResult {
    let early = is_early.then_some(Mechanism::Plus);
    let (result, to_server) = run(script, early, is_trusted).await;
    let Ok(mut started) = result else {
        return ScriptResult {
            has_started: false,
            to_server,
            to_driver: Vec::new(),
        };
    };
    started.stream.pipelined().add("SET a TO b");
    // A StartupMessage without parameters, and a Sync.
    let sent = [0, 0, 0, 9, 0, 3, 0, 0, 0, b'S', 0, 0, 0, 4];
    let mut to_driver = Vec::new();
    // The other end may be gone.
    started.stream.write_all(&sent).await.ok();
    started.stream.read_to_end(&mut to_driver).await.ok();
    ScriptResult {
        has_started: true,
        to_server,
        to_driver,
    }
}

/// The result of a script.
#[cfg(feature = "testing")]
pub(crate) struct ScriptResult {
    pub(crate) has_started: bool,
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_driver: Vec<u8>,
}

const MOMENT: Duration = Duration::from_millis(50);
const MAX_BYTES: usize = 1 << 20;
