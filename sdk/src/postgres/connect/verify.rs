//! Whether a server has shown enough to be told what depends on the password.

use crate::config::ServerSettings;
use crate::credentials::DatabaseUrl;
use crate::credentials::{Binding, Roots};
use crate::error::{Error, ErrorKind};
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::connect::server_hints::{self, ServerHints};
use crate::postgres::connect::startup::{Failure, Mechanism};
use crate::postgres::connect::tls::{Anchors, Authority, Certificate, PublicKey};

/// What a server has to show.
#[derive(Clone, Copy)]
pub(in crate::postgres) struct Trust<'a> {
    pub(in crate::postgres) url: &'a DatabaseUrl,
    /// `host:port`, for messages.
    pub(in crate::postgres) server: &'a str,
    pub(in crate::postgres) settings: &'a ServerSettings,
}

impl<'a> Trust<'a> {
    pub(in crate::postgres) fn anchors(&self, roots: &'a Roots, hostname: bool) -> Anchors<'a> {
        Anchors {
            authority: Authority::new(roots, self.settings.roots.as_deref()),
            host: hostname.then_some(&self.url.host),
        }
    }

    /// Whether the server has shown a key that was pinned, where any was.
    pub(in crate::postgres) fn is_pinned(&self, key: Option<&PublicKey>) -> Result<bool, Error> {
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
                "{} shows another public key than the one in STAGELINK_SERVER_PIN: somebody is in \
                 between, or the server has a new key, which `stagelink mark show` tells where the \
                 server proves it",
                self.server
            ),
        ))
    }

    /// What the server has proved itself by, if it binds nothing to this connection.
    pub(in crate::postgres) fn without_binding(
        &self,
        certificate: &Certificate,
        is_verified: bool,
        is_pinned: bool,
    ) -> Result<ServerAuth, Failure> {
        if self.url.tls.binding() == Binding::Required {
            return Err(Failure::Demanded(self.no_binding(None)));
        }
        if is_pinned {
            return Ok(ServerAuth::Pin);
        }
        if is_verified {
            return Ok(ServerAuth::Certificate);
        }
        let key = certificate.key();
        if key.is_some_and(|key| server_hints::has_been_proved(&self.url.host, &key)) {
            return Ok(ServerAuth::Pin);
        }
        let judged = certificate.judge(self.server, self.anchors(&Roots::Default, true));
        match judged {
            Some(Ok(())) => Ok(ServerAuth::Certificate),
            _ if self.settings.danger_unauthenticated => {
                tracing::warn!(
                    "{} has proved nothing: whoever is in between can read the password \
                     (STAGELINK_DANGER_UNAUTHENTICATED)",
                    self.server
                );
                Ok(ServerAuth::Unauthenticated)
            }
            None => Err(Failure::WantsCertificate),
            Some(Err(error)) => Err(Failure::Demanded(match error.kind() {
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
                    "{server} does not prove that it is the right one: it offers no SCRAM channel \
                     binding and shows no certificate that verifies: {ADVICE}"
                ),
                error,
            ),
        }
    }
}

/// With what to begin before the server has asked.
pub(in crate::postgres) fn early(
    known: ServerHints,
    binding: Binding,
    is_pinned: bool,
) -> Option<Mechanism> {
    match (known.offer, binding) {
        // A server that is known by its key is most often a pooler, which offers no
        // binding.
        (None, Binding::IfOffered) if is_pinned => None,
        (None, Binding::IfOffered | Binding::Required) => Some(Mechanism::Plus),
        (None, Binding::Never) => Some(Mechanism::Plain),
        (Some(offer), Binding::Never) => offer.scram.then_some(Mechanism::Plain),
        (Some(offer), _) if offer.scram_plus => Some(Mechanism::Plus),
        (Some(_), Binding::Required) => None,
        (Some(offer), Binding::IfOffered) => offer.scram.then_some(Mechanism::PlainDowngradeCheck),
    }
}

const ADVICE: &str = "give the server SCRAM passwords (password_encryption = scram-sha-256), trust \
     its certificate with sslmode=verify-full&sslrootcert=FILE in the URL, or pin its key with \
     STAGELINK_SERVER_PIN";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::connect::startup::SaslMechanisms;

    #[test]
    fn what_comes_early_is_what_the_server_takes() {
        use Binding::{IfOffered, Never, Required};
        use Mechanism::{Plain, PlainDowngradeCheck, Plus};
        let offer = |scram_plus, scram| Some(SaslMechanisms { scram_plus, scram });
        let of = |offer, binding, is_pinned| {
            let known = ServerHints {
                offer,
                ..ServerHints::default()
            };
            early(known, binding, is_pinned)
        };
        for (known, binding, is_pinned, expected) in [
            (None, IfOffered, false, Some(Plus)),
            (None, IfOffered, true, None),
            (None, Required, true, Some(Plus)),
            (None, Never, false, Some(Plain)),
            (offer(true, true), IfOffered, true, Some(Plus)),
            (offer(true, true), Never, false, Some(Plain)),
            (
                offer(false, true),
                IfOffered,
                false,
                Some(PlainDowngradeCheck),
            ),
            (offer(false, true), Required, false, None),
            (offer(false, false), IfOffered, false, None),
        ] {
            let found = of(known, binding, is_pinned);
            assert_eq!(found, expected, "{known:?} {binding:?} {is_pinned}");
        }
    }
}
