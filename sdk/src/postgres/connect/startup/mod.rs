//! The start of a session: who logs in, and the server's server_auth that it may be told the password.
//!
//! The driver could do this, and waits for the server's offer before it begins with
//! SCRAM: a round trip that most servers make needless. Nor could it be told that
//! some servers need no channel binding because they have proved themselves in
//! another way. So a session is started here, and the driver gets a stream on which
//! everything has happened already ([`RewindStream`]).

mod authenticate;
mod message_stream;
mod rewind;
#[cfg(any(test, feature = "testing"))]
mod scripted_server;
pub(in crate::postgres) mod session_params;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use postgres_protocol::message::backend::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use self::authenticate::Exchange;
use self::message_stream::MessageStream;
use crate::credentials::Binding;
use crate::error::Error;
use crate::postgres::connect::scram::ScramKeyCache;
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::protocol::ErrorResponse;

pub(in crate::postgres) use self::authenticate::{Mechanism, SaslMechanisms};
pub(in crate::postgres) use self::rewind::{Pipelined, RewindStream};
#[cfg(feature = "testing")]
pub(crate) use self::scripted_server::{PASSWORD, rehearse};

/// Who logs in to what.
#[derive(Clone, Copy)]
pub(in crate::postgres) struct StartupParams<'a> {
    pub(in crate::postgres) user: &'a str,
    pub(in crate::postgres) password: &'a [u8],
    /// The password's keys, where there are any yet.
    pub(in crate::postgres) key_cache: &'a ScramKeyCache,
    pub(in crate::postgres) database: &'a str,
    pub(in crate::postgres) options: Option<&'a str>,
}

/// What the server has to do before it is told anything that depends on the password, and what
/// it is told then.
pub(in crate::postgres) struct AuthRequirements<W, T> {
    pub(in crate::postgres) binding: Binding,
    /// What SCRAM binds to, if the server's certificate allows that.
    pub(in crate::postgres) end_point: Option<Vec<u8>>,
    /// Begin with this, without waiting for the offer.
    pub(in crate::postgres) early: Option<Mechanism>,
    /// Asked if the server will not bind: by what it has proved itself all the same.
    pub(in crate::postgres) without_binding: W,
    /// Asked for what a server that offers this is told besides, by statements that go behind
    /// the last word of what was begun early. None of them holds a secret.
    pub(in crate::postgres) terms: T,
}

/// A session that has started.
pub(in crate::postgres) struct Started<S> {
    pub(in crate::postgres) stream: RewindStream<S>,
    pub(in crate::postgres) reports: Reports,
    pub(in crate::postgres) cancel_key: CancelKey,
    /// What the server offered.
    pub(in crate::postgres) offer: SaslMechanisms,
    /// What it proved itself by.
    pub(in crate::postgres) server_auth: ServerAuth,
    /// Whether the terms have been sent.
    pub(in crate::postgres) has_terms: bool,
}

/// What a server says of itself at a session's start, unasked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::postgres) struct Reports {
    pub(in crate::postgres) application_name: Option<String>,
    pub(in crate::postgres) server_version: Option<String>,
    pub(in crate::postgres) is_standby: bool,
    pub(in crate::postgres) is_read_only: bool,
}

/// What lets its owner stop what the session does. All zeros where the server gave none.
#[derive(Clone, Copy, Default)]
pub(in crate::postgres) struct CancelKey {
    pub(in crate::postgres) process_id: i32,
    pub(in crate::postgres) secret_key: i32,
}

/// Why a session did not start.
#[derive(Debug)]
pub(in crate::postgres) enum Failure {
    /// The server refused.
    ErrorResponse(ErrorResponse),
    /// The connection broke.
    Broken(io::Error),
    /// What came is not Postgres's protocol.
    Protocol(io::Error),
    /// The server does not know the password, or not this one.
    Unproved(io::Error),
    /// The server did not play along with what was sent early. What it asks for
    /// instead, if it said so.
    NotEarly(Option<SaslMechanisms>),
    /// The server may not be trusted without channel binding.
    Demanded(Error),
    /// The server's certificate has to be judged, which needs another handshake.
    WantsCertificate,
}

/// Starts a session on a stream that is encrypted.
///
/// # Cancel safety
///
/// The stream is of no use after a drop.
pub(in crate::postgres) async fn start<S, W, T>(
    stream: S,
    login: StartupParams<'_>,
    requirements: AuthRequirements<W, T>,
) -> Result<Started<S>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
    W: Fn() -> Result<ServerAuth, Failure>,
    T: Fn(SaslMechanisms) -> Option<String>,
{
    let mut wire = MessageStream::new(stream);
    wire.startup(&login)?;
    let early = match requirements.early {
        Some(mechanism) => Exchange::new(mechanism, &requirements)?,
        None => None,
    };
    if let Some(exchange) = &early {
        wire.put(|buf| exchange.begin(buf))?;
    }
    let begun = early.is_some();
    let first = answer(&mut wire).await;
    let (asked, offer) = match first {
        Ok(message) => {
            let offer = SaslMechanisms::of(&message)?;
            (message, offer)
        }
        Err(Failure::ErrorResponse(said)) if begun && said.may_be_about_what_came_early() => {
            return Err(Failure::NotEarly(None));
        }
        Err(Failure::Broken(_) | Failure::Protocol(_)) if begun => {
            return Err(Failure::NotEarly(None));
        }
        Err(failure) => return Err(failure),
    };
    let mut has_terms = false;
    let server_auth = match early {
        Some(exchange) if exchange.fits(offer) => {
            let server_auth = exchange.proof(&requirements)?;
            // The answer to both comes at once. Who has lost what came early waits for it.
            let challenge = match timeout(PATIENCE, wire.message()).await {
                Err(_) | Ok(Err(Failure::Broken(_))) => return Err(Failure::NotEarly(None)),
                Ok(challenge) => challenge?,
            };
            let terms = (requirements.terms)(offer);
            has_terms = terms.is_some();
            let finished = exchange.finish(&mut wire, challenge, &login, terms.as_deref());
            finished
                .await
                .map_err(|failure| failure.behind(has_terms))?;
            server_auth
        }
        Some(_) => return Err(Failure::NotEarly(Some(offer))),
        None => authenticate::asked_for(&mut wire, asked, offer, &login, &requirements).await?,
    };
    let ready = wire.until_ready().await;
    let (reports, cancel_key, told) = ready.map_err(|failure| failure.behind(has_terms))?;
    Ok(Started {
        stream: wire.into_opening(told, has_terms)?,
        reports,
        cancel_key,
        offer,
        server_auth,
        has_terms,
    })
}

/// Sends what is to be sent, and waits for the next message; a refusal is a failure.
async fn answer<S>(wire: &mut MessageStream<S>) -> Result<Message, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    wire.flush().await?;
    wire.message().await
}

impl Reports {
    fn take(&mut self, name: &str, value: &str) {
        match name {
            "application_name" => self.application_name = Some(value.to_owned()),
            "server_version" => self.server_version = Some(value.to_owned()),
            "in_hot_standby" => self.is_standby = value == "on",
            "default_transaction_read_only" => self.is_read_only = value == "on",
            _ => {}
        }
    }

    /// The version's first number: 17 of `17.5 (Debian 17.5-1)`.
    pub(in crate::postgres) fn major_version(&self) -> Option<u32> {
        let version = self.server_version.as_deref()?;
        let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    }
}

/// How long to wait for a server that may not have understood what it was sent before
/// it asked. One that did answers in a round trip: this is several around the globe, and
/// leaves time to go about it the usual way.
pub(in crate::postgres) const PATIENCE: Duration = Duration::from_secs(1);

impl Failure {
    /// The same where the terms were sent before the server was ready, which may be why it has
    /// hung up or complains.
    fn behind(self, has_terms: bool) -> Self {
        match self {
            Self::Broken(_) if has_terms => Self::NotEarly(None),
            Self::ErrorResponse(said) if has_terms && said.may_be_about_what_came_early() => {
                Self::NotEarly(None)
            }
            failure => failure,
        }
    }

    fn protocol(what: &str) -> Self {
        Self::Protocol(io::Error::other(what.to_owned()))
    }
}
