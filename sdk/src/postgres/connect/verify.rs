//! The decision whether a server may receive anything that depends on the password.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::config::ServerSettings;
use crate::credentials::{Binding, DatabaseUrl, Roots};
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::connect::server_hints::ServerHints;
use crate::postgres::connect::startup::{
    LEAST_ITERATIONS, SaslMechanisms, ServerCheck, StartupError,
};
use crate::postgres::connect::tls::{self, Anchors, Authority, Certificate, PublicKey};

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
        if key.is_some_and(|key| pins.contains(&key.pin())) {
            return Ok(true);
        }
        Err(Error::new(
            ErrorKind::ServerNotAuthenticated,
            format!(
                "{} shows a public key that is not in STAGELINK_SERVER_PIN: if the server's key \
                 was not changed, this may be a man-in-the-middle, and the pin should stay; if it was \
                 changed, run `stagelink mark show` without STAGELINK_SERVER_PIN, and set the variable \
                 to the key that it prints, or to OLD;NEW while the server may show both",
                self.server
            ),
        ))
    }
}

/// The check of one connection's server, by its key and certificate.
pub(super) struct CertificateCheck<'a> {
    pub(super) verifier: ServerVerifier<'a>,
    pub(super) certificate: &'a Certificate,
    /// True if the handshake has verified the certificate.
    pub(super) is_verified: bool,
    /// True if the server has shown a pinned key.
    pub(super) is_pinned: bool,
}

impl ServerCheck for CertificateCheck<'_> {
    /// # Errors
    ///
    /// [`StartupError::ServerNotAuthenticated`] when nothing authenticates the server;
    /// [`StartupError::CertificateNeeded`] when only a handshake that verifies the certificate
    /// can tell.
    fn authenticate_without_binding(
        &self,
        offered: SaslMechanisms,
    ) -> Result<ServerAuth, StartupError> {
        let server = self.verifier.server;
        let offer = Offer::of(offered);
        if self.verifier.url.binding == Binding::Required {
            let reason = match self.certificate.end_point() {
                None => format!(
                    "SCRAM channel binding, which the URL requires, cannot bind to the kind of \
                     certificate that {server} shows: {OTHER_CERTIFICATE}, or remove \
                     channel_binding=require and {ADVICE}"
                ),
                Some(_) => format!(
                    "{server} offers {offer}, and the URL requires SCRAM channel binding: {}, or \
                     remove channel_binding=require and {ADVICE}",
                    offer.cure()
                ),
            };
            return Err(StartupError::ServerNotAuthenticated(Error::new(
                ErrorKind::ServerNotAuthenticated,
                reason,
            )));
        }
        self.authenticate(|| match self.certificate.end_point() {
            None => format!(
                "{server} is not authenticated: SCRAM channel binding cannot bind to its kind of \
                 certificate, which does not verify either: {OTHER_CERTIFICATE}, or {ADVICE}"
            ),
            Some(_) => format!(
                "{server} is not authenticated: it offers {offer}, and its certificate does not \
                 verify: {}, or {ADVICE}",
                offer.cure()
            ),
        })
    }

    /// # Errors
    ///
    /// As for a server without channel binding.
    fn authenticate_before_proof(&self, iterations: u32) -> Result<ServerAuth, StartupError> {
        let server = self.verifier.server;
        self.authenticate(|| {
            format!(
                "{server} asks for a SCRAM proof of {iterations} iterations, from which a \
                 man-in-the-middle could guess the password, and its certificate does not verify: \
                 set scram_iterations to {LEAST_ITERATIONS} or more in the server and set the \
                 password again, or {ADVICE}"
            )
        })
    }
}

impl CertificateCheck<'_> {
    /// Determines what shows that the server is the right one: a key or a certificate.
    fn authenticate(&self, refusal: impl Fn() -> String) -> Result<ServerAuth, StartupError> {
        let ServerVerifier {
            url,
            server,
            settings,
            hints,
        } = self.verifier;
        if self.is_pinned {
            return Ok(ServerAuth::Pin);
        }
        if self.is_verified {
            return Ok(ServerAuth::Certificate);
        }
        let key = self.certificate.key();
        if key.is_some_and(|key| hints.vouches_for(&url.host, url.port, &key)) {
            return Ok(ServerAuth::Pin);
        }
        let anchors = self.verifier.anchors(&Roots::Default, true);
        match tls::verify(self.certificate, server, anchors, settings.tls_library) {
            Some(Ok(())) => Ok(ServerAuth::Certificate),
            _ if settings.danger_unauthenticated => {
                tracing::warn!(
                    "{server} is not authenticated: a man-in-the-middle could read the password \
                     (STAGELINK_DANGER_UNAUTHENTICATED)"
                );
                Ok(ServerAuth::Unauthenticated)
            }
            None => Err(StartupError::CertificateNeeded(refusal())),
            Some(Err(error)) => Err(StartupError::ServerNotAuthenticated(match error.kind() {
                ErrorKind::ServerNotAuthenticated => {
                    Error::with_source(ErrorKind::ServerNotAuthenticated, refusal(), error)
                }
                _ => error,
            })),
        }
    }
}

/// The offer of a server without channel binding.
#[derive(Clone, Copy)]
enum Offer {
    Scram,
    Other,
}

impl Offer {
    fn of(offered: SaslMechanisms) -> Self {
        match offered.scram {
            true => Self::Scram,
            false => Self::Other,
        }
    }

    /// Returns the change by which channel binding is offered.
    fn cure(self) -> &'static str {
        match self {
            Self::Scram => "connect to the database itself",
            Self::Other => {
                "let the server authenticate the role by scram-sha-256 (its line in pg_hba.conf, and a \
                 password that was set with password_encryption = scram-sha-256)"
            }
        }
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scram => {
                "SCRAM without channel binding, as a pooler does, a proxy that ends TLS, and a \
                 man-in-the-middle"
            }
            Self::Other => "no SCRAM",
        })
    }
}

/// Such as one signed with Ed25519, which names no hash (RFC 5929, section 4.1).
const OTHER_CERTIFICATE: &str =
    "give the server a certificate that is signed with RSA or ECDSA and SHA-2";

const ADVICE: &str = "trust its certificate with sslmode=verify-full&sslrootcert=FILE in the URL or \
     pin its key with STAGELINK_SERVER_PIN";
