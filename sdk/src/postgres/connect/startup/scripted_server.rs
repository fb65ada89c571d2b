//! A session's start with a server that says what it is told to: for tests and for a fuzzer.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::session_params;
use super::{AuthRequirements, Failure, Mechanism, SaslMechanisms, Started, StartupParams, start};
use crate::credentials::Binding;
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::scram::ScramKeyCache;
use crate::postgres::connect::server_auth::ServerAuth;

/// What the rehearsed client keeps to itself.
pub(crate) const PASSWORD: &[u8] = b"c4n4ry";

/// What comes of a server that says this, whatever it hears, and what it heard.
pub(in crate::postgres) async fn meet(
    says: &[u8],
    early: Option<Mechanism>,
    is_trusted: bool,
) -> (Result<Started<DuplexStream>, Failure>, Vec<u8>) {
    let (client, mut server) = duplex(MOST_BYTES);
    server
        .write_all(&says[..says.len().min(MOST_BYTES)])
        .await
        .ok();
    server.shutdown().await.ok();
    let result = log_in(client, early, is_trusted).await;
    (result, heard(&mut server).await)
}

/// What comes of a stream on which the client begins early.
#[cfg(test)]
pub(in crate::postgres) async fn begin(
    client: DuplexStream,
) -> Result<Started<DuplexStream>, Failure> {
    log_in(client, Some(Mechanism::Plus), false).await
}

async fn log_in(
    client: DuplexStream,
    early: Option<Mechanism>,
    is_trusted: bool,
) -> Result<Started<DuplexStream>, Failure> {
    let login = StartupParams {
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
        terms: |offer: SaslMechanisms| {
            offer
                .scram_plus
                .then(|| session_params::at_start(Some(MOMENT), None))
        },
        without_binding: || match is_trusted {
            true => Ok(ServerAuth::Certificate),
            false => Err(Failure::Demanded(Error::new(
                ErrorKind::ServerNotAuthenticated,
                "no proof",
            ))),
        },
    };
    start(client, login, requirements).await
}

/// All that has been sent to the server and not been read yet.
pub(in crate::postgres) async fn heard(server: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = vec![0; MOST_BYTES];
    let read = tokio::time::timeout(MOMENT, server.read(&mut bytes)).await;
    bytes.truncate(read.map_or(0, |read| read.unwrap_or(0)));
    bytes
}

/// The same for a fuzzer, with what a driver sends and hears behind it. Returns
/// whether a session has started, all that the server heard, and all that the driver did.
#[cfg(feature = "testing")]
pub(crate) async fn rehearse(says: &[u8], is_early: bool, is_trusted: bool) -> Rehearsed {
    let early = is_early.then_some(Mechanism::Plus);
    let (result, to_server) = meet(says, early, is_trusted).await;
    let Ok(mut started) = result else {
        return Rehearsed {
            has_started: false,
            to_server,
            to_driver: Vec::new(),
        };
    };
    started.stream.ahead().add("SET a TO b");
    // A start-up message without parameters, and a Sync.
    let sent = [0, 0, 0, 9, 0, 3, 0, 0, 0, b'S', 0, 0, 0, 4];
    let mut to_driver = Vec::new();
    // The other end may be gone.
    started.stream.write_all(&sent).await.ok();
    started.stream.read_to_end(&mut to_driver).await.ok();
    Rehearsed {
        has_started: true,
        to_server,
        to_driver,
    }
}

/// What came of a rehearsal.
#[cfg(feature = "testing")]
pub(crate) struct Rehearsed {
    pub(crate) has_started: bool,
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_driver: Vec<u8>,
}

const MOMENT: Duration = Duration::from_millis(50);
const MOST_BYTES: usize = 1 << 20;
