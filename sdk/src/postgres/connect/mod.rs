//! Opening one connection: TCP, TLS, authentication, and the check of the stage mark.

pub(in crate::postgres) mod cancel;
pub(in crate::postgres) mod connector;
mod driver;
mod pooler;
pub(in crate::postgres) mod scram;
pub(crate) mod server_auth;
pub(in crate::postgres) mod server_hints;
pub(in crate::postgres) mod socket;
pub(crate) mod startup;
mod strategy;
pub(in crate::postgres) mod time_out;
pub(crate) mod timings;
pub(in crate::postgres) mod tls;
pub(in crate::postgres) mod turns;
mod verify;

use std::future::Future;
use std::num::NonZeroUsize;
use std::time::Duration;

use futures_util::future::{TryFutureExt as _, join};
use postgres_protocol::message::backend::DataRowBody;
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout};

use crate::config::ServerSettings;
use crate::credentials::{DatabaseUrl, Roots, TlsPolicy};
use crate::error::{Error, Phase};
use crate::local_spans::{SpanPhase, open_span};
use crate::postgres::connect::cancel::CancelToken;
use crate::postgres::connect::connector::{NewConnection, ServerInfo};
use crate::postgres::connect::driver::{Driven, drive};
use crate::postgres::connect::scram::ScramKeyCache;
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::connect::server_hints::ServerHints;
use crate::postgres::connect::socket::TcpInfo;
use crate::postgres::connect::startup::{
    AuthRequirements, EARLY_REPLY_TIMEOUT, Mechanism, Reports, ResponseAtStart, RewindStream,
    SaslMechanisms, SessionReset, Started, StartupError, StartupParams, session_params,
};
use crate::postgres::connect::strategy::{Fallback, Strategy};
use crate::postgres::connect::time_out::timed_out;
use crate::postgres::connect::timings::ConnectTimings;
use crate::postgres::connect::tls::{Certificate, Peer, PublicKey};
use crate::postgres::connect::verify::{CertificateCheck, ServerVerifier};
use crate::postgres::protocol::ErrorResponse;
use crate::postgres::stage_mark::StageMark;
use crate::stage::Stage;

/// An attempt to open a connection to a server.
///
/// It tries the strategy with the fewest round trips first, and falls back to a slower one when
/// the server does not support it. Each step has its own time limit: a busy server makes slow
/// progress, and an absent one makes none.
pub(in crate::postgres) struct ConnectAttempt<'a> {
    pub(in crate::postgres) stage: Stage,
    pub(in crate::postgres) url: &'a DatabaseUrl,
    /// The server as `host:port`, for messages and hints.
    pub(in crate::postgres) server: &'a str,
    pub(in crate::postgres) settings: &'a ServerSettings,
    pub(in crate::postgres) hints: &'a ServerHints,
    pub(in crate::postgres) key_cache: &'a ScramKeyCache,
    /// Time without a statement after which the server closes the session.
    pub(in crate::postgres) idle_timeout: Duration,
    /// Time limit of each step.
    pub(in crate::postgres) step_timeout: Duration,
    /// Length of the longest message that the server may send.
    pub(in crate::postgres) message_bytes: NonZeroUsize,
}

impl<'a> ConnectAttempt<'a> {
    /// Tries one strategy after the other until one succeeds or fails for good.
    pub(in crate::postgres) async fn run(
        &self,
        timings: &mut ConnectTimings,
    ) -> Result<NewConnection, Error> {
        let mut strategy = self.first_strategy();
        let mut early_scram_failed = false;
        loop {
            match self.connect(&strategy, timings).await {
                Ok(connection) => {
                    self.hints.record(self.server, |hint| {
                        hint.rejects_early_scram |= early_scram_failed;
                        hint.may_reject_early_scram = false;
                    });
                    return Ok(connection);
                }
                Err(Fallback::NoDirectTls) => {
                    self.hints
                        .record(self.server, |hint| hint.direct_tls = Some(false));
                    strategy.direct_tls = false;
                }
                Err(Fallback::NoEarlyScram(Some(mechanisms))) => {
                    self.hints
                        .record(self.server, |hint| hint.mechanisms = Some(mechanisms));
                    strategy.early_scram = false;
                }
                Err(Fallback::NoEarlyScram(None)) => {
                    early_scram_failed = true;
                    // The next attempts begin without, whatever becomes of this one.
                    self.hints
                        .record(self.server, |hint| hint.may_reject_early_scram = true);
                    strategy.early_scram = false;
                    strategy.early_query = false;
                }
                Err(Fallback::VerifyCertificate(refusal)) => {
                    strategy.refusal = Some(refusal);
                    strategy.anchors = Some(self.verifier().anchors(&Roots::Default, true));
                }
                Err(Fallback::Fail(error)) => return Err(error),
            }
        }
    }

    fn first_strategy(&self) -> Strategy<'a> {
        let hint = self.hints.of(self.server);
        let takes_early_scram = !hint.rejects_early_scram && !hint.may_reject_early_scram;
        let configured = self.url.direct_tls.unwrap_or(self.settings.direct_tls);
        Strategy {
            direct_tls: match self.url.direct_tls {
                Some(false) => false,
                _ => hint.direct_tls.unwrap_or(configured),
            },
            early_scram: self.settings.early_scram && takes_early_scram,
            early_query: takes_early_scram && !hint.drops_early_statements,
            anchors: match &self.url.tls {
                TlsPolicy::Verify {
                    roots, hostname, ..
                } => Some(self.verifier().anchors(roots, *hostname)),
                _ => None,
            },
            refusal: None,
        }
    }

    fn verifier(&self) -> ServerVerifier<'a> {
        ServerVerifier {
            url: self.url,
            server: self.server,
            settings: self.settings,
            hints: self.hints,
        }
    }

    /// Opens one connection with a strategy.
    async fn connect(
        &self,
        strategy: &Strategy<'_>,
        timings: &mut ConnectTimings,
    ) -> Result<NewConnection, Fallback> {
        let (started, span) = (Instant::now(), open_span(SpanPhase::Tcp));
        let library = self.settings.tls_library;
        // With direct TLS there is no SSLRequest whose reply leaves time for the set-up of TLS.
        let prepare = async { strategy.direct_tls.then(|| tls::prepare(library)) };
        let connect = socket::connect(self.url, self.server, Some(self.step_timeout));
        let connected = join(connect, prepare).await.0?;
        let tcp_info = TcpInfo::of(&connected);
        timings.connect = started.elapsed();
        span.end();

        let (started, span) = (Instant::now(), open_span(SpanPhase::Tls));
        let peer = Peer {
            host: &self.url.host,
            name: self.server,
            direct_tls: strategy.direct_tls,
            library,
        };
        // The large steps are in boxes: a future that holds them is moved several times.
        let handshake = Box::pin(tls::handshake(connected.stream, peer, strategy.anchors))
            .map_err(|error| strategy.explain(error));
        let (stream, certificate) = if strategy.direct_tls {
            // Some poolers do not reply to an unexpected TLS handshake.
            let in_time = self.within(timeout(EARLY_REPLY_TIMEOUT, handshake));
            in_time.await?.map_err(|_| Fallback::NoDirectTls)??
        } else {
            self.within(handshake).await??
        };
        timings.tls = started.elapsed();
        span.end();

        let (started, span) = (Instant::now(), open_span(SpanPhase::Login));
        let session = self.start_session(stream, tcp_info, &certificate, strategy);
        let connection = self.within(Box::pin(session)).await??;
        timings.authenticate = started.elapsed();
        span.end();
        Ok(connection)
    }

    /// Logs in, hands the session to the driver, and reads the stage mark.
    async fn start_session(
        &self,
        stream: tls::Stream,
        tcp: TcpInfo,
        certificate: &Certificate,
        strategy: &Strategy<'_>,
    ) -> Result<NewConnection, Fallback> {
        let server_key = certificate.key();
        let started = self
            .log_in(stream, certificate, server_key.as_ref(), strategy)
            .await?;
        self.learn(&started, server_key.as_ref());
        let Started {
            mut stream,
            reports,
            cancel_key,
            mechanisms,
            server_auth,
            has_early_query,
            notices,
            ..
        } = started;
        self.log_notices(&notices);
        let is_pooler = self.is_pooler();
        let mut row = match has_early_query {
            true => self.early_row(&mut stream).await?,
            false => None,
        };
        // A response to the early query that is missing may come yet: it must not be taken for that
        // of the driver's first statement.
        if row.is_none() && (is_pooler.is_none() || has_early_query) {
            row = self.inspect_session(&mut stream).await?;
        }
        let is_pooled = is_pooler.unwrap_or_else(|| {
            let is_of_server = |row| !pooler::is_of_pooler(row, cancel_key);
            !row.as_ref().is_some_and(is_of_server)
        });
        if is_pooled && is_pooler.is_none() && mechanisms.scram_plus {
            self.warn_of_pooler();
        }
        let mark = row.as_ref().and_then(StageMark::of_row);
        let has_own_tls = !is_pooled && (mechanisms.scram_plus || is_pooler == Some(false));
        let direct_tls = self.learn_direct_tls(strategy, has_own_tls, &reports);
        let pipelined = stream.pipelined();
        pipelined.add(&self.session_params(is_pooled));
        let driven = drive(
            stream,
            self.stage,
            &self.url.user,
            self.server,
            is_pooled,
            self.message_bytes,
        );
        let Driven {
            client,
            task,
            turns,
            tap,
        } = Box::pin(driven).await?;
        let mark = match mark {
            Some(mark) => mark,
            None => StageMark::query(&client, self.url).await?,
        };
        let mut url = self.url.clone();
        url.address = tcp.peer.or(url.address);
        Ok(NewConnection {
            client,
            task,
            turns,
            tap,
            socket: tcp.socket,
            cancel_token: CancelToken {
                url,
                server: self.server.to_owned(),
                key: cancel_key,
                server_key,
                direct_tls: strategy.direct_tls,
                library: self.settings.tls_library,
            },
            pipelined: (!is_pooled).then_some(pipelined),
            session_reset: self.session_reset(),
            info: ServerInfo {
                server_auth,
                key: server_key,
                mark,
                direct_tls,
                is_read_only: reports.is_standby || reports.is_read_only,
                wants_read_only: self.url.wants_read_only_sessions(),
                is_pooled,
                round_trip: tcp.round_trip,
                server_version: reports.server_version,
            },
        })
    }

    /// Returns the row that answers the query that went out with the last message of the
    /// authentication. `None` where there is no such response.
    async fn early_row(
        &self,
        stream: &mut RewindStream<tls::Stream>,
    ) -> Result<Option<DataRowBody>, Fallback> {
        match stream.response_at_start(EARLY_REPLY_TIMEOUT).await {
            Ok(ResponseAtStart::Row(row)) => Ok(Some(row)),
            Ok(ResponseAtStart::Refused) => Ok(None),
            Ok(ResponseAtStart::Missing) => {
                self.hints
                    .record(self.server, |hint| hint.drops_early_statements = true);
                Ok(None)
            }
            Err(_) => Err(Fallback::NoEarlyScram(None)),
        }
    }

    /// Logs that the server counts as a pooler although it authenticates as a direct one does, once
    /// per process.
    fn warn_of_pooler(&self) {
        if self.hints.record_notice(self.server, pooler::NOTICE) {
            tracing::warn!("{} {}", self.server, pooler::NOTICE);
        }
    }

    /// Logs what the server has remarked on the session, once per process.
    fn log_notices(&self, notices: &[ErrorResponse]) {
        for ErrorResponse { code, message, .. } in notices {
            let notice = format!("{message} ({code})");
            if self.hints.record_notice(self.server, &notice) {
                tracing::warn!("{} says as a session starts: {notice}", self.server);
            }
        }
    }

    /// Asks a session for its stage mark, and whether it is a pooler's. `None` where it gives no
    /// row.
    async fn inspect_session(
        &self,
        stream: &mut RewindStream<tls::Stream>,
    ) -> Result<Option<DataRowBody>, Fallback> {
        let query = pooler::query();
        match stream.query_at_start(&query, self.step_timeout).await {
            Ok(ResponseAtStart::Row(row)) => Ok(Some(row)),
            Ok(ResponseAtStart::Refused | ResponseAtStart::Missing) => Ok(None),
            Err(error) => Err(Fallback::of(StartupError::Io(error), self.server, self.url)),
        }
    }

    async fn log_in(
        &self,
        stream: tls::Stream,
        certificate: &Certificate,
        server_key: Option<&PublicKey>,
        strategy: &Strategy<'_>,
    ) -> Result<Started<tls::Stream>, Fallback> {
        let verifier = self.verifier();
        let is_pinned = !self.settings.pins.is_empty() && verifier.is_pinned(server_key)?;
        // A pinned server is most often a pooler, which offers no channel binding.
        let may_not_bind = is_pinned && self.is_pooler() != Some(false);
        let binding = self.url.binding;
        let hint = self.hints.of(self.server);
        let requirements = AuthRequirements {
            binding,
            end_point: certificate.end_point().map(<[u8]>::to_vec),
            early: strategy
                .early_scram
                .then(|| Mechanism::early(hint.mechanisms, binding, may_not_bind))
                .flatten(),
            server: CertificateCheck {
                verifier,
                certificate,
                is_verified: strategy.anchors.is_some(),
                is_pinned,
            },
            early_query: |mechanisms: SaslMechanisms| {
                let is_taken = match self.is_pooler() {
                    Some(is_pooler) => !is_pooler,
                    // Poolers without channel binding may not take it.
                    None => mechanisms.scram_plus,
                };
                (strategy.early_query && is_taken).then(session_params::early_query)
            },
        };
        let params = StartupParams {
            user: &self.url.user,
            password: self.url.password.expose_secret(),
            key_cache: self.key_cache,
            database: &self.url.database,
            options: self.url.options.as_deref(),
        };
        let started = startup::start(stream, params, requirements).await;
        started.map_err(|error| Fallback::of(error, self.server, self.url))
    }

    /// Records what the login has shown about the server.
    fn learn(&self, started: &Started<tls::Stream>, server_key: Option<&PublicKey>) {
        self.hints.record(self.server, |hint| {
            hint.mechanisms = Some(started.mechanisms);
        });
        if let (ServerAuth::ChannelBinding, Some(key)) = (started.server_auth, server_key) {
            let url = self.url;
            self.hints.record_proved_key(&url.host, url.port, key);
        }
    }

    /// Records that the server takes direct TLS, if it does. Returns whether that is so. A version
    /// that `reports` tells counts only where the server has its own TLS: a proxy that terminates
    /// TLS may take none directly, whatever the server behind it does.
    fn learn_direct_tls(
        &self,
        strategy: &Strategy<'_>,
        has_own_tls: bool,
        reports: &Reports,
    ) -> bool {
        let direct_tls = strategy.direct_tls
            || (has_own_tls && reports.major_version() >= Some(FIRST_WITH_DIRECT_TLS));
        if direct_tls {
            self.hints.record(self.server, |hint| {
                hint.direct_tls.get_or_insert(true);
            });
        }
        direct_tls
    }

    fn is_pooler(&self) -> Option<bool> {
        pooler::is_pooler(self.settings.pooler, self.url)
    }

    /// Builds the statements that set the session's parameters. A pooler gets neither a time
    /// limit nor the default name: its sessions are shared with other clients.
    fn session_params(&self, is_pooled: bool) -> String {
        let idle_timeout = (!is_pooled).then_some(self.idle_timeout);
        session_params::at_start(idle_timeout, self.name(is_pooled))
    }

    /// Builds the statements that make a session of the pool's own what it was at its start.
    fn session_reset(&self) -> SessionReset {
        SessionReset::new(self.idle_timeout, self.name(false))
    }

    /// Returns the name of a session, if it gets one.
    fn name(&self, is_pooled: bool) -> Option<&str> {
        let from_url = self.url.application_name.as_ref();
        let name = from_url.or((!is_pooled).then_some(&self.settings.application_name));
        name.map(String::as_str)
    }

    /// Runs a step of the handshake within its time limit.
    async fn within<T>(&self, step: impl Future<Output = T>) -> Result<T, Error> {
        timeout(self.step_timeout, step).await.map_err(|_| {
            let what = format!("starting a session on {}", self.server);
            timed_out(Phase::Handshake, self.step_timeout, &what)
        })
    }
}

/// First version of Postgres with direct TLS (postgresql.org/docs/17/release-17.html).
const FIRST_WITH_DIRECT_TLS: u32 = 17;
