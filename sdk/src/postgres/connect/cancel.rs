//! The cancellation of a running statement, over a connection of its own.

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::config::TlsLibrary;
use crate::credentials::DatabaseUrl;
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::socket;
use crate::postgres::connect::startup::CancelKey;
use crate::postgres::connect::tls::{self, HandshakeError, Peer, PublicKey};

/// The address and key with which the statement of one session can be cancelled.
///
/// The driver's own token works only for connections that the driver opened itself.
pub(in crate::postgres) struct CancelToken {
    /// The URL with the address of the session's server: its name may resolve to another by now.
    pub(in crate::postgres) url: DatabaseUrl,
    /// `host:port`, for messages.
    pub(in crate::postgres) server: String,
    pub(in crate::postgres) key: CancelKey,
    /// The public key that the server showed. A server that receives the secret has to show the
    /// same.
    pub(in crate::postgres) server_key: Option<PublicKey>,
    /// True if the session began with the TLS handshake.
    pub(in crate::postgres) direct_tls: bool,
    pub(in crate::postgres) library: TlsLibrary,
}

impl CancelToken {
    /// Sends a CancelRequest, and returns when the server has processed it. Only the session
    /// itself shows whether the statement was cancelled in time. Costs as many round trips as a
    /// new connection without authentication.
    ///
    /// # Cancel safety
    ///
    /// After a drop the request may have been sent or not.
    pub(in crate::postgres) async fn cancel(&self) -> Result<(), Error> {
        let server = &*self.server;
        let failed = |error| {
            let what = format!("could not ask {server} to cancel a statement");
            Error::with_source(ErrorKind::DatabaseUnreachable, what, error)
        };
        let connected = socket::connect(&self.url, server, None).await?;
        let peer = Peer {
            host: &self.url.host,
            name: server,
            direct_tls: self.direct_tls,
            library: self.library,
        };
        let handshake = tls::handshake(connected.stream, peer, None).await;
        let (mut stream, certificate) = handshake.map_err(|error| match error {
            HandshakeError::Failed(error) => error,
            HandshakeError::NoDirectTls => failed(std::io::Error::other("the server has changed")),
        })?;
        if !is_same_server(self.server_key.as_ref(), certificate.key().as_ref()) {
            return Err(failed(std::io::Error::other(
                "the server does not show the public key of the session's server",
            )));
        }
        let mut request = BytesMut::new();
        frontend::cancel_request(self.key.process_id, self.key.secret_key, &mut request);
        stream.write_all(&request).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        // The server replies nothing and closes the connection, some without a TLS close_notify.
        stream.read_u8().await.ok();
        Ok(())
    }
}

/// Returns whether a server shows the key of the session's server. Without such a key nothing shows that it
/// is the same one.
fn is_same_server(key: Option<&PublicKey>, shown: Option<&PublicKey>) -> bool {
    key.is_some() && key == shown
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;
    use crate::postgres::connect::tls::Certificate;

    fn key() -> PublicKey {
        let CertifiedKey { cert, .. } =
            generate_simple_self_signed(["db.test".to_owned()]).unwrap();
        Certificate::new(cert.der().clone(), Vec::new())
            .key()
            .unwrap()
    }

    #[test]
    fn server_without_the_key_of_the_session_gets_no_request() {
        let [own, other] = [key(), key()];
        assert!(is_same_server(Some(&own), Some(&own)));
        for (key, shown) in [
            (Some(&own), Some(&other)),
            (Some(&own), None),
            (None, Some(&other)),
            (None, None),
        ] {
            assert!(!is_same_server(key, shown), "{}", key.is_some());
        }
    }
}
