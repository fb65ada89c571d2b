//! The decision whether a server may receive anything that depends on the password.

use crate::config::ServerSettings;
use crate::credentials::{Binding, DatabaseUrl, Roots};
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::connect::server_hints::ServerHints;
use crate::postgres::connect::startup::StartupError;
use crate::postgres::connect::tls::{Anchors, Authority, Certificate, PublicKey};

/// Verifies one server by pins, certificates and known keys.
#[derive(Clone, Copy)]
pub(super) struct ServerVerifier<'a> {
    pub(super) url: &'a DatabaseUrl,
    /// The server as `host:port`, for messages.
    pub(super) server: &'a str,
    pub(super) settings: &'a ServerSettings,
    pub(super) hints: &'a ServerHints,
}

impl<'a> ServerVerifier<'a> {
    /// Returns the trust anchors that the server's certificate has to lead to.
    pub(super) fn anchors(&self, roots: &'a Roots, hostname: bool) -> Anchors<'a> {
        Anchors {
            authority: Authority::new(roots, self.settings.roots.as_deref()),
            host: hostname.then_some(&self.url.host),
        }
    }

    /// Returns whether the server showed a pinned key; false where no key is pinned.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ServerNotAuthenticated`] when keys are pinned and the server showed another.
    pub(super) fn is_pinned(&self, key: Option<&PublicKey>) -> Result<bool, Error> {
        let pins = &self.settings.pins;
        if pins.is_empty() {
            return Ok(false);
        }
        if key
            .and_then(PublicKey::pin)
            .is_some_and(|pin| pins.contains(&pin))
        {
            return Ok(true);
        }
        Err(Error::new(
            ErrorKind::ServerNotAuthenticated,
            format!(
                "{} shows a public key that is not in STAGELINK_SERVER_PIN: possible \
                 man-in-the-middle, or the server has a new key; where the server can prove its \
                 key, `stagelink mark show` prints it",
                self.server
            ),
        ))
    }

    /// Decides what authenticates a server that offers no channel binding on this connection.
    ///
    /// # Errors
    ///
    /// [`StartupError::ServerNotAuthenticated`] when nothing does;
    /// [`StartupError::CertificateNeeded`] when only a handshake that verifies the certificate
    /// can tell.
    pub(super) fn authenticate_without_binding(
        &self,
        certificate: &Certificate,
        is_verified: bool,
        is_pinned: bool,
    ) -> Result<ServerAuth, StartupError> {
        if self.url.binding == Binding::Required {
            return Err(StartupError::ServerNotAuthenticated(self.no_binding(None)));
        }
        if is_pinned {
            return Ok(ServerAuth::Pin);
        }
        if is_verified {
            return Ok(ServerAuth::Certificate);
        }
        let key = certificate.key();
        if key.is_some_and(|key| self.hints.is_trusted(&self.url.host, &key)) {
            return Ok(ServerAuth::Pin);
        }
        let verified = certificate.verify(self.server, self.anchors(&Roots::Default, true));
        match verified {
            Some(Ok(())) => Ok(ServerAuth::Certificate),
            _ if self.settings.danger_unauthenticated => {
                tracing::warn!(
                    "{} is not authenticated: a man-in-the-middle could read the password \
                     (STAGELINK_DANGER_UNAUTHENTICATED)",
                    self.server
                );
                Ok(ServerAuth::Unauthenticated)
            }
            None => Err(StartupError::CertificateNeeded),
            Some(Err(error)) => Err(StartupError::ServerNotAuthenticated(match error.kind() {
                ErrorKind::ServerNotAuthenticated => self.no_binding(Some(error)),
                _ => error,
            })),
        }
    }

    fn no_binding(&self, certificate: Option<Error>) -> Error {
        let server = self.server;
        match certificate {
            None => Error::new(
                ErrorKind::ServerNotAuthenticated,
                format!(
                    "{server} offers no SCRAM channel binding, which the URL requires: {ADVICE}"
                ),
            ),
            Some(error) => Error::with_source(
                ErrorKind::ServerNotAuthenticated,
                format!(
                    "{server} is not authenticated: it offers no SCRAM channel binding, and its \
                     certificate does not verify: {ADVICE}"
                ),
                error,
            ),
        }
    }
}

const ADVICE: &str = "give the server SCRAM passwords (password_encryption = scram-sha-256), trust \
     its certificate with sslmode=verify-full&sslrootcert=FILE in the URL, or pin its key with \
     STAGELINK_SERVER_PIN";
