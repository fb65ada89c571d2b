//! Authentication: SCRAM, or a password or MD5 hash for a server that is authenticated already.

use fallible_iterator::FallibleIterator as _;
use std::io;

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncWrite};

use super::message_stream::MessageStream;
use super::{AuthRequirements, ServerCheck, StartupError, StartupParams, send_and_receive};
use crate::credentials::Binding;
use crate::postgres::connect::scram::{self, ClientFirst};
use crate::postgres::connect::server_auth::ServerAuth;

/// A SCRAM mechanism, with the channel binding flag of RFC 5802.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Mechanism {
    /// SCRAM-SHA-256-PLUS, bound to the TLS connection (flag `p`).
    Plus,
    /// SCRAM-SHA-256 without channel binding (flag `n`). Every server with SCRAM accepts it.
    Plain,
    /// SCRAM-SHA-256 with the statement that the server offers no channel binding (flag `y`). A
    /// server that does offer it detects the downgrade.
    PlainDowngradeCheck,
}

impl Mechanism {
    /// Chooses the mechanism to begin with before the server has named any. `known` are those
    /// that it offered before; of a server that `may_not_bind` the offer is waited for.
    pub(in crate::postgres) fn early(
        known: Option<SaslMechanisms>,
        binding: Binding,
        may_not_bind: bool,
    ) -> Option<Self> {
        match (known, binding) {
            (None, Binding::IfOffered) if may_not_bind => None,
            (None, Binding::IfOffered | Binding::Required) => Some(Self::Plus),
            (None, Binding::Never) => Some(Self::Plain),
            (Some(offered), Binding::Never) => offered.scram.then_some(Self::Plain),
            (Some(offered), _) if offered.scram_plus => Some(Self::Plus),
            (Some(_), Binding::Required) => None,
            (Some(offered), Binding::IfOffered) => {
                offered.scram.then_some(Self::PlainDowngradeCheck)
            }
        }
    }
}

/// The SCRAM mechanisms that a server offers. Neither: it wants a password, an MD5 hash, or
/// nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::postgres) struct SaslMechanisms {
    pub(in crate::postgres) scram_plus: bool,
    pub(in crate::postgres) scram: bool,
}

impl SaslMechanisms {
    /// Reads the mechanisms from the server's authentication request.
    pub(in crate::postgres) fn of(message: &Message) -> Result<Self, StartupError> {
        let mut offered = Self::default();
        match message {
            Message::AuthenticationSasl(body) => {
                let mut mechanisms = body.mechanisms();
                while let Some(name) = mechanisms.next().map_err(StartupError::Protocol)? {
                    offered.scram_plus |= name == SCRAM_SHA_256_PLUS;
                    offered.scram |= name == SCRAM_SHA_256;
                }
                Ok(offered)
            }
            Message::AuthenticationOk
            | Message::AuthenticationCleartextPassword
            | Message::AuthenticationMd5Password(_)
            | Message::AuthenticationKerberosV5
            | Message::AuthenticationScmCredential
            | Message::AuthenticationGss
            | Message::AuthenticationSspi => Ok(offered),
            _ => Err(StartupError::protocol("an unexpected message")),
        }
    }
}

/// A SCRAM exchange, from the client's first message on.
pub(in crate::postgres) struct ScramExchange {
    mechanism: Mechanism,
    scram: ClientFirst,
}

impl ScramExchange {
    /// Creates an exchange. `None` if the mechanism binds and the certificate allows no binding.
    pub(in crate::postgres) fn new<C, T>(
        mechanism: Mechanism,
        requirements: &AuthRequirements<C, T>,
    ) -> Result<Option<Self>, StartupError> {
        let binding = match mechanism {
            Mechanism::Plus => match requirements.end_point.clone() {
                Some(hash) => scram::Binding::EndPoint(hash),
                None => return Ok(None),
            },
            Mechanism::Plain => scram::Binding::None,
            Mechanism::PlainDowngradeCheck => scram::Binding::NotOffered,
        };
        let scram = ClientFirst::new(binding).map_err(StartupError::Io)?;
        Ok(Some(Self { mechanism, scram }))
    }

    /// Writes the client's first message. It depends on the password in no way.
    pub(in crate::postgres) fn begin(&self, buf: &mut BytesMut) -> io::Result<()> {
        let name = match self.mechanism {
            Mechanism::Plus => SCRAM_SHA_256_PLUS,
            Mechanism::Plain | Mechanism::PlainDowngradeCheck => SCRAM_SHA_256,
        };
        frontend::sasl_initial_response(name, self.scram.message().as_bytes(), buf)
    }

    /// Returns whether the server offers the mechanism of this exchange.
    pub(in crate::postgres) fn is_offered(&self, offered: SaslMechanisms) -> bool {
        match self.mechanism {
            Mechanism::Plus => offered.scram_plus,
            Mechanism::Plain => offered.scram,
            Mechanism::PlainDowngradeCheck => offered.scram && !offered.scram_plus,
        }
    }

    /// Determines what authenticates the server before it receives the next message.
    pub(in crate::postgres) fn server_auth<C: ServerCheck, T>(
        &self,
        requirements: &AuthRequirements<C, T>,
        offered: SaslMechanisms,
    ) -> Result<ServerAuth, StartupError> {
        match self.mechanism {
            Mechanism::Plus => Ok(ServerAuth::ChannelBinding),
            Mechanism::Plain | Mechanism::PlainDowngradeCheck => {
                requirements.server.authenticate_without_binding(offered)
            }
        }
    }

    /// Completes the exchange from the server's first message on. `early_query` goes right
    /// behind the client's last message, in the same flight. `server_auth` is what authenticates the
    /// server so far; returns what does in the end.
    pub(in crate::postgres) async fn finish<S, C, T>(
        self,
        messages: &mut MessageStream<S>,
        challenge: Message,
        params: &StartupParams<'_>,
        requirements: &AuthRequirements<C, T>,
        server_auth: ServerAuth,
        early_query: Option<&str>,
    ) -> Result<ServerAuth, StartupError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        C: ServerCheck,
    {
        let mut server_auth = server_auth;
        let Message::AuthenticationSaslContinue(body) = challenge else {
            return Err(StartupError::protocol(
                "no reply to the first SCRAM message",
            ));
        };
        let received = self.scram.receive(body.data());
        let received = received.map_err(StartupError::ScramFailed)?;
        let iterations = received.iterations();
        // The server's signature comes after the proof. An attacker who finds the password from
        // the proof before this step times out can sign as well.
        if server_auth == ServerAuth::ChannelBinding && iterations < LEAST_ITERATIONS {
            server_auth = match requirements.server.authenticate_before_proof(iterations)? {
                ServerAuth::Unauthenticated => ServerAuth::Unauthenticated,
                _ => server_auth,
            };
        }
        let client_final = received.respond(params.password, params.key_cache);
        messages.put(|buf| frontend::sasl_response(client_final.message().as_bytes(), buf))?;
        if let Some(query) = early_query {
            messages.put(|buf| frontend::query(query, buf))?;
        }
        let Message::AuthenticationSaslFinal(body) = send_and_receive(messages).await? else {
            return Err(StartupError::protocol("no final SCRAM message"));
        };
        let keys = client_final.verify(body.data());
        params
            .key_cache
            .store(keys.map_err(StartupError::ScramFailed)?);
        expect_authentication_ok(messages).await?;
        Ok(server_auth)
    }
}

/// Answers the server's authentication request, after the server is authenticated. Returns by
/// what means it is, and whether the early query was sent.
pub(in crate::postgres) async fn authenticate<S, C, T>(
    messages: &mut MessageStream<S>,
    request: Message,
    offered: SaslMechanisms,
    params: &StartupParams<'_>,
    requirements: &AuthRequirements<C, T>,
) -> Result<(ServerAuth, bool), StartupError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: ServerCheck,
    T: Fn(SaslMechanisms) -> Option<String>,
{
    let query = || (requirements.early_query)(offered);
    if let Some(mechanism) = choose(
        offered,
        requirements.binding,
        requirements.end_point.is_some(),
    ) {
        let exchange = ScramExchange::new(mechanism, requirements)?
            .ok_or_else(|| StartupError::protocol("the certificate allows no channel binding"))?;
        let server_auth = exchange.server_auth(requirements, offered)?;
        messages.put(|buf| exchange.begin(buf))?;
        let challenge = send_and_receive(messages).await?;
        let query = query();
        let finished = exchange.finish(
            messages,
            challenge,
            params,
            requirements,
            server_auth,
            query.as_deref(),
        );
        let server_auth = finished
            .await
            .map_err(|error| error.after_early_query(query.is_some()))?;
        return Ok((server_auth, query.is_some()));
    }
    let server_auth = requirements.server.authenticate_without_binding(offered)?;
    match request {
        Message::AuthenticationOk => return Ok((server_auth, false)),
        Message::AuthenticationCleartextPassword => {
            messages.put(|buf| frontend::password_message(params.password, buf))?;
        }
        Message::AuthenticationMd5Password(body) => {
            let hash = md5_hash(params.user.as_bytes(), params.password, body.salt());
            messages.put(|buf| frontend::password_message(hash.as_bytes(), buf))?;
        }
        _ => {
            return Err(StartupError::protocol("an unknown authentication method"));
        }
    }
    let query = query();
    if let Some(query) = &query {
        messages.put(|buf| frontend::query(query, buf))?;
    }
    expect_authentication_ok(messages)
        .await
        .map_err(|error| error.after_early_query(query.is_some()))?;
    Ok((server_auth, query.is_some()))
}

/// Chooses the strongest mechanism that the server offers and the policy allows.
fn choose(offered: SaslMechanisms, binding: Binding, can_bind: bool) -> Option<Mechanism> {
    let would_bind = can_bind && binding != Binding::Never;
    match offered {
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

/// Least number of iterations that a server may ask for before it is known by a pin or a
/// certificate: the default of Postgres (`scram_iterations` of
/// postgresql.org/docs/18/runtime-config-connection.html), and the least of RFC 7677, section 4.
pub(in crate::postgres) const LEAST_ITERATIONS: u32 = 4096;

async fn expect_authentication_ok<S>(messages: &mut MessageStream<S>) -> Result<(), StartupError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match send_and_receive(messages).await? {
        Message::AuthenticationOk => Ok(()),
        _ => Err(StartupError::protocol("no AuthenticationOk")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_mechanism_is_one_that_the_server_takes() {
        use Binding::{IfOffered, Never, Required};
        use Mechanism::{Plain, PlainDowngradeCheck, Plus};
        let offered = |scram_plus, scram| Some(SaslMechanisms { scram_plus, scram });
        for (known, binding, may_not_bind, expected) in [
            (None, IfOffered, false, Some(Plus)),
            (None, IfOffered, true, None),
            (None, Required, true, Some(Plus)),
            (None, Never, false, Some(Plain)),
            (offered(true, true), IfOffered, true, Some(Plus)),
            (offered(true, true), Never, false, Some(Plain)),
            (
                offered(false, true),
                IfOffered,
                false,
                Some(PlainDowngradeCheck),
            ),
            (offered(false, true), Required, false, None),
            (offered(false, false), IfOffered, false, None),
        ] {
            let found = Mechanism::early(known, binding, may_not_bind);
            assert_eq!(found, expected, "{known:?} {binding:?} {may_not_bind}");
        }
    }
}
