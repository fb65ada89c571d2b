//! Stops what a session does in its server, over a connection of its own.

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::credentials::DatabaseUrl;
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::socket;
use crate::postgres::connect::startup::CancelKey;
use crate::postgres::connect::tls::{self, Peer, PublicKey, Refusal};

/// What it takes to stop what one session does.
///
/// The driver has the same for connections that it opened itself, and does not know where
/// these lead to.
pub(in crate::postgres) struct CancelToken {
    /// With the address of the session's own server, whose name may lead elsewhere by now.
    pub(in crate::postgres) url: DatabaseUrl,
    /// `host:port`, for messages.
    pub(in crate::postgres) server: String,
    pub(in crate::postgres) key: CancelKey,
    /// The public key with which that server has proved itself. Whoever is told the secret
    /// has to show it, too.
    pub(in crate::postgres) server_key: Option<PublicKey>,
    /// Whether the session began with the TLS handshake.
    pub(in crate::postgres) direct: bool,
}

impl CancelToken {
    /// Asks the server to stop, and returns when it has told the session so. Whether that
    /// came in time shows on the session alone. Costs what a new connection does, without
    /// the authentication.
    ///
    /// # Cancel safety
    ///
    /// After a drop the request may have been sent or not.
    pub(in crate::postgres) async fn cancel(&self) -> Result<(), Error> {
        let server = &*self.server;
        let failed = |error| {
            let what = format!("could not ask {server} to stop a statement");
            Error::with_source(ErrorKind::DatabaseUnreachable, what, error)
        };
        let tcp = socket::connect(&self.url, server).await?;
        let peer = Peer {
            host: &self.url.host,
            name: server,
            direct: self.direct,
        };
        let shaken = tls::handshake(tcp, peer, None).await;
        let (mut stream, certificate) = shaken.map_err(|refusal| match refusal {
            Refusal::Error(error) => error,
            Refusal::NotDirect => failed(std::io::Error::other("it is another server by now")),
        })?;
        if self.server_key.is_some() && certificate.key() != self.server_key {
            return Err(failed(std::io::Error::other("it shows another key by now")));
        }
        let mut request = BytesMut::new();
        frontend::cancel_request(self.key.process_id, self.key.secret_key, &mut request);
        stream.write_all(&request).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        // It says nothing, and hangs up when it is done. Some do so without a word of TLS.
        stream.read_u8().await.ok();
        Ok(())
    }
}
