//! The start of a session: StartupMessage, authentication, and what the server reports.
//!
//! The driver waits for the server's list of mechanisms before it begins SCRAM, a round trip
//! that most servers make needless, and cannot be told that a server needs no channel binding.
//! So the SDK starts the session itself, and hands the driver a stream that replays the
//! server's messages ([`RewindStream`]).

mod authenticate;
mod message_stream;
mod pipelined;
mod reset_messages;
mod rewind;
#[cfg(any(test, feature = "testing"))]
mod scripted_server;
mod sent_reset;
pub(in crate::postgres) mod session_params;
mod session_reset;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use postgres_protocol::message::backend::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use self::authenticate::ScramExchange;
use self::message_stream::{MessageStream, ReadySession};
use crate::credentials::Binding;
use crate::error::Error;
use crate::postgres::connect::scram::ScramKeyCache;
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::protocol::ErrorResponse;
use crate::postgres::sqlstate::may_concern_early_messages;

pub(in crate::postgres) use self::authenticate::{LEAST_ITERATIONS, Mechanism, SaslMechanisms};
pub(in crate::postgres) use self::pipelined::Pipelined;
pub(in crate::postgres) use self::rewind::{ResponseAtStart, RewindStream};
#[cfg(feature = "testing")]
pub(crate) use self::scripted_server::{PASSWORD, run_script};
pub(in crate::postgres) use self::session_reset::SessionReset;

/// The parameters of the StartupMessage, and the password.
#[derive(Clone, Copy)]
pub(in crate::postgres) struct StartupParams<'a> {
    pub(in crate::postgres) user: &'a str,
    pub(in crate::postgres) password: &'a [u8],
    /// The password's SCRAM keys, where they were derived before.
    pub(in crate::postgres) key_cache: &'a ScramKeyCache,
    pub(in crate::postgres) database: &'a str,
    pub(in crate::postgres) options: Option<&'a str>,
}

/// The conditions under which the server may receive anything that depends on the password.
pub(in crate::postgres) struct AuthRequirements<C, T> {
    pub(in crate::postgres) binding: Binding,
    /// The certificate's hash that SCRAM binds to, if the certificate allows that.
    pub(in crate::postgres) end_point: Option<Vec<u8>>,
    /// The SCRAM mechanism to begin with before the server names any.
    pub(in crate::postgres) early: Option<Mechanism>,
    /// Decides what authenticates the server where channel binding does not suffice.
    pub(in crate::postgres) server: C,
    /// Called with the offered mechanisms: returns a query to send right behind the client's last
    /// message of the authentication. It holds no secret, and sets nothing: the session may be a
    /// pooler's.
    pub(in crate::postgres) early_query: T,
}

/// The check of one server by its key and certificate.
pub(in crate::postgres) trait ServerCheck {
    /// Determines what authenticates a server that offers no channel binding.
    fn authenticate_without_binding(
        &self,
        offered: SaslMechanisms,
    ) -> Result<ServerAuth, StartupError>;

    /// Determines what authenticates a server that offers channel binding, before it receives a
    /// proof of this few iterations.
    fn authenticate_before_proof(&self, iterations: u32) -> Result<ServerAuth, StartupError>;
}

/// A session that has started.
pub(in crate::postgres) struct Started<S> {
    pub(in crate::postgres) stream: RewindStream<S>,
    pub(in crate::postgres) reports: Reports,
    pub(in crate::postgres) cancel_key: CancelKey,
    /// The notices that the server sent after the login, such as that a password expires soon.
    pub(in crate::postgres) notices: Vec<ErrorResponse>,
    /// The mechanisms that the server offered.
    pub(in crate::postgres) mechanisms: SaslMechanisms,
    pub(in crate::postgres) server_auth: ServerAuth,
    /// True if the early query was sent.
    pub(in crate::postgres) has_early_query: bool,
}

/// The settings that a server reports when a session starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::postgres) struct Reports {
    pub(in crate::postgres) server_version: Option<String>,
    pub(in crate::postgres) is_standby: bool,
    pub(in crate::postgres) is_read_only: bool,
}

/// The key that cancels the session's statements. All zeros where the server sent none.
#[derive(Clone, Copy, Default)]
pub(in crate::postgres) struct CancelKey {
    pub(in crate::postgres) process_id: i32,
    pub(in crate::postgres) secret_key: i32,
}

/// The reason why a session did not start.
#[derive(Debug)]
pub(in crate::postgres) enum StartupError {
    /// The server sent an ErrorResponse.
    ErrorResponse(ErrorResponse),
    /// The connection broke.
    Io(io::Error),
    /// The server's messages do not follow the protocol.
    Protocol(io::Error),
    /// The SCRAM exchange failed: the server does not know the password's verifier.
    ScramFailed(io::Error),
    /// The server did not accept an early SCRAM message. Holds the mechanisms that it offers, if
    /// it named them.
    EarlyScramRejected(Option<SaslMechanisms>),
    /// Nothing authenticates the server.
    ServerNotAuthenticated(Error),
    /// The server's certificate has to be verified, which takes another handshake. Holds what is to be
    /// said where it does not verify.
    CertificateNeeded(String),
}

/// Starts a session on a stream that is encrypted.
///
/// # Cancel safety
///
/// The stream is of no use after a drop.
pub(in crate::postgres) async fn start<S, C, T>(
    stream: S,
    params: StartupParams<'_>,
    requirements: AuthRequirements<C, T>,
) -> Result<Started<S>, StartupError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: ServerCheck,
    T: Fn(SaslMechanisms) -> Option<String>,
{
    let mut messages = MessageStream::new(stream);
    messages.put_startup(&params)?;
    let early = match requirements.early {
        Some(mechanism) => ScramExchange::new(mechanism, &requirements)?,
        None => None,
    };
    if let Some(exchange) = &early {
        messages.put(|buf| exchange.begin(buf))?;
    }
    let is_early = early.is_some();
    let (request, mechanisms) = match send_and_receive(&mut messages).await {
        Ok(message) => {
            let mechanisms = SaslMechanisms::of(&message)?;
            (message, mechanisms)
        }
        Err(StartupError::ErrorResponse(response))
            if is_early && may_concern_early_messages(&response) =>
        {
            return Err(StartupError::EarlyScramRejected(None));
        }
        Err(StartupError::Io(_) | StartupError::Protocol(_)) if is_early => {
            return Err(StartupError::EarlyScramRejected(None));
        }
        Err(error) => return Err(error),
    };
    let (server_auth, has_early_query) = match early {
        Some(exchange) if exchange.is_offered(mechanisms) => {
            let server_auth = exchange.server_auth(&requirements, mechanisms)?;
            // The server replies to both messages at once. If a middlebox dropped the early one,
            // its reply never comes.
            let challenge = match timeout(EARLY_REPLY_TIMEOUT, messages.receive()).await {
                Err(_) | Ok(Err(StartupError::Io(_))) => {
                    return Err(StartupError::EarlyScramRejected(None));
                }
                Ok(challenge) => challenge?,
            };
            let query = (requirements.early_query)(mechanisms);
            let finished = exchange.finish(
                &mut messages,
                challenge,
                &params,
                &requirements,
                server_auth,
                query.as_deref(),
            );
            let server_auth = finished
                .await
                .map_err(|error| error.after_early_query(query.is_some()))?;
            (server_auth, query.is_some())
        }
        Some(_) => return Err(StartupError::EarlyScramRejected(Some(mechanisms))),
        None => {
            authenticate::authenticate(&mut messages, request, mechanisms, &params, &requirements)
                .await?
        }
    };
    let ready = messages.read_until_ready().await;
    let ReadySession {
        reports,
        cancel_key,
        notices,
        received,
    } = ready.map_err(|error| error.after_early_query(has_early_query))?;
    Ok(Started {
        stream: messages.into_rewind_stream(received, has_early_query)?,
        reports,
        cancel_key,
        notices,
        mechanisms,
        server_auth,
        has_early_query,
    })
}

/// Sends the pending messages and receives the next one.
async fn send_and_receive<S>(messages: &mut MessageStream<S>) -> Result<Message, StartupError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    messages.flush().await?;
    messages.receive().await
}

impl Reports {
    fn record(&mut self, name: &str, value: &str) {
        match name {
            "server_version" => self.server_version = Some(value.to_owned()),
            "in_hot_standby" => self.is_standby = value == "on",
            "default_transaction_read_only" => self.is_read_only = value == "on",
            _ => {}
        }
    }

    /// Returns the major version: 17 of `17.5 (Debian 17.5-1)`.
    pub(in crate::postgres) fn major_version(&self) -> Option<u32> {
        let version = self.server_version.as_deref()?;
        let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    }
}

/// Time to wait for the reply to a message that the server may not have understood. A server
/// that did replies within one round trip: a second covers several around the globe, and leaves
/// time for the usual way afterwards.
pub(in crate::postgres) const EARLY_REPLY_TIMEOUT: Duration = Duration::from_secs(1);

impl StartupError {
    /// Reinterprets an error that followed the early query: it may be the reason why the server
    /// closed the connection or complained.
    fn after_early_query(self, has_early_query: bool) -> Self {
        match self {
            Self::Io(_) if has_early_query => Self::EarlyScramRejected(None),
            Self::ErrorResponse(response)
                if has_early_query && may_concern_early_messages(&response) =>
            {
                Self::EarlyScramRejected(None)
            }
            error => error,
        }
    }

    fn protocol(what: &str) -> Self {
        Self::Protocol(io::Error::other(what.to_owned()))
    }
}
