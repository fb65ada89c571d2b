//! What the server asks for, and the answer to it: SCRAM, or less where it may be trusted.

use fallible_iterator::FallibleIterator as _;
use std::io;

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncWrite};

use super::message_stream::MessageStream;
use super::{AuthRequirements, Failure, StartupParams, answer};
use crate::credentials::Binding;
use crate::postgres::connect::scram::{self, ClientFirst};
use crate::postgres::connect::server_auth::ServerAuth;

/// A way of SCRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Mechanism {
    /// SCRAM-SHA-256-PLUS: bound to the TLS connection.
    Plus,
    /// SCRAM-SHA-256, with the word that nothing more is wanted: every server
    /// with SCRAM takes that.
    Plain,
    /// SCRAM-SHA-256, with the word that the server seems to offer nothing more: one
    /// that did offer more finds out that somebody has hidden it.
    PlainDowngradeCheck,
}

/// What a server asks for. Neither is a password as it is, its MD5 hash, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::postgres) struct SaslMechanisms {
    pub(in crate::postgres) scram_plus: bool,
    pub(in crate::postgres) scram: bool,
}

impl SaslMechanisms {
    pub(in crate::postgres) fn of(message: &Message) -> Result<Self, Failure> {
        let mut offer = Self::default();
        match message {
            Message::AuthenticationSasl(body) => {
                let mut mechanisms = body.mechanisms();
                while let Some(name) = mechanisms.next().map_err(Failure::Protocol)? {
                    offer.scram_plus |= name == SCRAM_SHA_256_PLUS;
                    offer.scram |= name == SCRAM_SHA_256;
                }
                Ok(offer)
            }
            Message::AuthenticationOk
            | Message::AuthenticationCleartextPassword
            | Message::AuthenticationMd5Password(_)
            | Message::AuthenticationKerberosV5
            | Message::AuthenticationScmCredential
            | Message::AuthenticationGss
            | Message::AuthenticationSspi => Ok(offer),
            _ => Err(Failure::protocol("an unexpected message")),
        }
    }
}

/// One SCRAM exchange, from the client's first message on.
pub(in crate::postgres) struct Exchange {
    mechanism: Mechanism,
    scram: ClientFirst,
}

impl Exchange {
    /// `None` if this mechanism cannot be had: the certificate leaves nothing to bind to.
    pub(in crate::postgres) fn new<W, T>(
        mechanism: Mechanism,
        requirements: &AuthRequirements<W, T>,
    ) -> Result<Option<Self>, Failure> {
        let binding = match mechanism {
            Mechanism::Plus => match requirements.end_point.clone() {
                Some(hash) => scram::Binding::EndPoint(hash),
                None => return Ok(None),
            },
            Mechanism::Plain => scram::Binding::None,
            Mechanism::PlainDowngradeCheck => scram::Binding::NotOffered,
        };
        let scram = ClientFirst::new(binding).map_err(Failure::Broken)?;
        Ok(Some(Self { mechanism, scram }))
    }

    /// Writes the client's first message. It holds nothing of the password.
    pub(in crate::postgres) fn begin(&self, buf: &mut BytesMut) -> io::Result<()> {
        let name = match self.mechanism {
            Mechanism::Plus => SCRAM_SHA_256_PLUS,
            Mechanism::Plain | Mechanism::PlainDowngradeCheck => SCRAM_SHA_256,
        };
        frontend::sasl_initial_response(name, self.scram.message().as_bytes(), buf)
    }

    /// Whether a server that offers this takes what was begun.
    pub(in crate::postgres) fn fits(&self, offer: SaslMechanisms) -> bool {
        match self.mechanism {
            Mechanism::Plus => offer.scram_plus,
            Mechanism::Plain => offer.scram,
            Mechanism::PlainDowngradeCheck => offer.scram && !offer.scram_plus,
        }
    }

    /// What the server has to have proved itself by before it gets to know more.
    pub(in crate::postgres) fn proof<W, T>(
        &self,
        requirements: &AuthRequirements<W, T>,
    ) -> Result<ServerAuth, Failure>
    where
        W: Fn() -> Result<ServerAuth, Failure>,
    {
        match self.mechanism {
            Mechanism::Plus => Ok(ServerAuth::ChannelBinding),
            Mechanism::Plain | Mechanism::PlainDowngradeCheck => (requirements.without_binding)(),
        }
    }

    /// The rest of the exchange, from the server's first message on. Statements may go behind
    /// the client's last one, in the same flight.
    pub(in crate::postgres) async fn finish<S>(
        self,
        wire: &mut MessageStream<S>,
        challenge: Message,
        login: &StartupParams<'_>,
        behind: Option<&str>,
    ) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Message::AuthenticationSaslContinue(body) = challenge else {
            return Err(Failure::protocol("no answer to the beginning of SCRAM"));
        };
        let answered = self
            .scram
            .answer(body.data(), login.password, login.key_cache)
            .map_err(Failure::Unproved)?;
        wire.put(|buf| frontend::sasl_response(answered.message().as_bytes(), buf))?;
        if let Some(statements) = behind {
            wire.put(|buf| frontend::query(statements, buf))?;
        }
        let Message::AuthenticationSaslFinal(body) = answer(wire).await? else {
            return Err(Failure::protocol("no end of SCRAM"));
        };
        answered.check(body.data()).map_err(Failure::Unproved)?;
        authenticated(wire).await
    }
}

/// Gives the server what it asks for, if it may have that. Returns what it has
/// proved itself by.
pub(in crate::postgres) async fn asked_for<S, W, T>(
    wire: &mut MessageStream<S>,
    asked: Message,
    offer: SaslMechanisms,
    login: &StartupParams<'_>,
    requirements: &AuthRequirements<W, T>,
) -> Result<ServerAuth, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
    W: Fn() -> Result<ServerAuth, Failure>,
{
    if let Some(mechanism) = choose(
        offer,
        requirements.binding,
        requirements.end_point.is_some(),
    ) {
        let exchange = Exchange::new(mechanism, requirements)?
            .ok_or_else(|| Failure::protocol("nothing to bind to"))?;
        let proof = exchange.proof(requirements)?;
        wire.put(|buf| exchange.begin(buf))?;
        let challenge = answer(wire).await?;
        exchange.finish(wire, challenge, login, None).await?;
        return Ok(proof);
    }
    let proof = (requirements.without_binding)()?;
    match asked {
        Message::AuthenticationOk => return Ok(proof),
        Message::AuthenticationCleartextPassword => {
            wire.put(|buf| frontend::password_message(login.password, buf))?;
        }
        Message::AuthenticationMd5Password(body) => {
            let hash = md5_hash(login.user.as_bytes(), login.password, body.salt());
            wire.put(|buf| frontend::password_message(hash.as_bytes(), buf))?;
        }
        _ => {
            return Err(Failure::protocol(
                "a way of authentication that is not known",
            ));
        }
    }
    authenticated(wire).await?;
    Ok(proof)
}

/// The strongest that the server offers and the policy wants.
fn choose(offer: SaslMechanisms, binding: Binding, can_bind: bool) -> Option<Mechanism> {
    let would_bind = can_bind && binding != Binding::Never;
    match offer {
        SaslMechanisms {
            scram_plus: true, ..
        } if would_bind => Some(Mechanism::Plus),
        SaslMechanisms {
            scram_plus: false,
            scram: true,
        } if would_bind => Some(Mechanism::PlainDowngradeCheck),
        SaslMechanisms { scram: true, .. } => Some(Mechanism::Plain),
        _ => None,
    }
}

async fn authenticated<S>(wire: &mut MessageStream<S>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match answer(wire).await? {
        Message::AuthenticationOk => Ok(()),
        _ => Err(Failure::protocol("no end of the authentication")),
    }
}
