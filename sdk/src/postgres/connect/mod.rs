//! The way from a URL to a session: TCP, TLS, authentication, and a look at whose database it is.

pub(in crate::postgres) mod cancel;
pub(in crate::postgres) mod connector;
pub(in crate::postgres) mod driver;
pub(crate) mod scram;
pub(crate) mod server_auth;
pub(in crate::postgres) mod server_hints;
pub(in crate::postgres) mod socket;
pub(crate) mod startup;
pub(crate) mod timings;
pub(crate) mod tls;
pub(in crate::postgres) mod verify;
pub(in crate::postgres) mod watch;

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join;
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout};

use crate::config::{Pooler, ServerSettings};
use crate::credentials::DatabaseUrl;
use crate::credentials::{Roots, TlsPolicy};
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::connect::cancel::CancelToken;
use crate::postgres::connect::connector::{NewConnection, ServerInfo, took_too_long};
use crate::postgres::connect::driver::{Driven, drive};
use crate::postgres::connect::scram::ScramKeyCache;
use crate::postgres::connect::server_auth::ServerAuth;
use crate::postgres::connect::startup::session_params;
use crate::postgres::connect::startup::{
    AuthRequirements, Failure, PATIENCE, SaslMechanisms, Started, StartupParams,
};
use crate::postgres::connect::timings::ConnectTimings;
use crate::postgres::connect::tls::{Anchors, Certificate, Peer, Refusal};
use crate::postgres::connect::verify::Trust;
use crate::postgres::connect::watch::Socket;
use crate::postgres::sqlstate::{Staleness, refused, unauthenticated};
use crate::postgres::stage_mark::StageMark;

/// The way from here to a session, with a time limit for each step: a server that has much to
/// do gets on slowly, and one that is gone gets nowhere.
pub(in crate::postgres) struct ConnectAttempt<'a> {
    pub(in crate::postgres) url: &'a DatabaseUrl,
    /// `host:port`, for messages and for what is remembered of it.
    pub(in crate::postgres) server: &'a str,
    pub(in crate::postgres) settings: &'a ServerSettings,
    pub(in crate::postgres) key_cache: &'a ScramKeyCache,
    /// How long the server may keep a session without a statement.
    pub(in crate::postgres) idle: Duration,
    /// For each step.
    pub(in crate::postgres) budget: Duration,
}

/// A TCP connection, apart from its bytes.
struct TcpInfo {
    socket: Socket,
    /// The other end's.
    address: Option<IpAddr>,
    round_trip: Duration,
}

/// How a server is met this time. Each setback leaves less to try.
struct Plan<'a> {
    direct: bool,
    early: bool,
    anchors: Option<Anchors<'a>>,
}

/// Why a plan came to nothing.
enum Fallback {
    NotDirect,
    NotEarly(Option<SaslMechanisms>),
    WantsCertificate,
    Error(Error),
}

impl<'a> ConnectAttempt<'a> {
    /// Tries one plan after the other, until one comes to something.
    pub(in crate::postgres) async fn run(
        &self,
        phases: &mut ConnectTimings,
    ) -> Result<NewConnection, Error> {
        let known = server_hints::of(self.server);
        let wanted = self.url.direct_tls.unwrap_or(self.settings.direct_tls);
        let mut plan = Plan {
            direct: match self.url.direct_tls {
                Some(false) => false,
                _ => known.direct_tls.unwrap_or(wanted),
            },
            early: self.settings.early_scram && !known.wants_to_ask,
            anchors: match &self.url.tls {
                TlsPolicy::Verify {
                    roots, hostname, ..
                } => Some(self.trust().anchors(roots, *hostname)),
                _ => None,
            },
        };
        let mut put_off = false;
        loop {
            match self.follow(&plan, phases).await {
                Ok(opened) => {
                    if put_off {
                        server_hints::learn(self.server, |habits| habits.wants_to_ask = true);
                    }
                    return Ok(opened);
                }
                Err(Fallback::NotDirect) => {
                    server_hints::learn(self.server, |habits| habits.direct_tls = Some(false));
                    plan.direct = false;
                }
                Err(Fallback::NotEarly(Some(offer))) => {
                    server_hints::learn(self.server, |habits| habits.offer = Some(offer));
                    plan.early = false;
                }
                Err(Fallback::NotEarly(None)) => {
                    put_off = true;
                    plan.early = false;
                }
                Err(Fallback::WantsCertificate) => {
                    plan.anchors = Some(self.trust().anchors(&Roots::Default, true));
                }
                Err(Fallback::Error(error)) => return Err(error),
            }
        }
    }

    fn trust(&self) -> Trust<'a> {
        Trust {
            url: self.url,
            server: self.server,
            settings: self.settings,
        }
    }

    /// One connection, step by step.
    async fn follow(
        &self,
        plan: &Plan<'_>,
        phases: &mut ConnectTimings,
    ) -> Result<NewConnection, Fallback> {
        let started = Instant::now();
        // Without a request for encryption this is where there is time to make ready.
        let make_ready = async { plan.direct.then(tls::make_ready) };
        let connected = self.within(
            Phase::Connect,
            join(socket::connect(self.url, self.server), make_ready),
        );
        let tcp = connected.await?.0?;
        let line = TcpInfo {
            socket: Socket::of(&tcp),
            address: tcp.peer_addr().ok().map(|address| address.ip()),
            round_trip: started.elapsed(),
        };
        phases.connect = line.round_trip;

        let started = Instant::now();
        let peer = Peer {
            host: &self.url.host,
            name: self.server,
            direct: plan.direct,
        };
        let handshake = tls::handshake(tcp, peer, plan.anchors);
        let (stream, certificate) = if plan.direct {
            // Some poolers say nothing to a handshake that they do not know.
            let in_time = self.within(Phase::Handshake, timeout(PATIENCE, handshake));
            in_time.await?.map_err(|_| Fallback::NotDirect)??
        } else {
            self.within(Phase::Handshake, handshake).await??
        };
        phases.tls = started.elapsed();

        let started = Instant::now();
        let session = self.session(stream, line, &certificate, plan);
        let opened = self.within(Phase::Handshake, session).await??;
        phases.authenticate = started.elapsed();
        Ok(opened)
    }

    /// Starts the session, and hands it to the driver.
    async fn session(
        &self,
        stream: tls::Stream,
        line: TcpInfo,
        certificate: &Certificate,
        plan: &Plan<'_>,
    ) -> Result<NewConnection, Fallback> {
        let key = certificate.key();
        let trust = self.trust();
        let is_pinned = trust.is_pinned(key.as_ref())?;
        let binding = self.url.tls.binding();
        let known = server_hints::of(self.server);
        // A pooler offers no channel binding as a rule, and tells the version of the server
        // behind it.
        let is_pooled = |offer: SaslMechanisms| match self.settings.pooler {
            Pooler::Auto => !offer.scram_plus || self.url.names_a_pooler(),
            Pooler::Always => true,
            Pooler::Never => false,
        };
        let terms = |is_pooled: bool| {
            // A pooler may show one client's name to the next.
            let own_name = self.url.application_name.as_ref();
            let name = own_name.or((!is_pooled).then_some(&self.settings.application_name));
            let idle = (!is_pooled).then_some(self.idle);
            session_params::at_start(idle, name.map(String::as_str))
        };
        let requirements = AuthRequirements {
            binding,
            end_point: certificate.end_point(),
            early: plan
                .early
                .then(|| verify::early(known, binding, is_pinned))
                .flatten(),
            without_binding: || {
                let is_verified = plan.anchors.is_some();
                trust.without_binding(certificate, is_verified, is_pinned)
            },
            terms: |offer| (!is_pooled(offer)).then(|| terms(false)),
        };
        let login = StartupParams {
            user: &self.url.user,
            password: self.url.password.expose_secret(),
            key_cache: self.key_cache,
            database: &self.url.database,
            options: self.url.options.as_deref(),
        };
        let started = startup::start(stream, login, requirements).await;
        let Started {
            stream,
            reports,
            cancel_key,
            offer,
            server_auth,
            has_terms,
        } = started.map_err(|failure| self.setback(failure))?;
        let is_pooled = is_pooled(offer);
        let direct_tls =
            plan.direct || (!is_pooled && reports.major_version() >= Some(FIRST_WITH_DIRECT_TLS));
        server_hints::learn(self.server, |habits| {
            habits.offer = Some(offer);
            if direct_tls {
                habits.direct_tls.get_or_insert(true);
            }
        });
        if let (ServerAuth::ChannelBinding, Some(key)) = (server_auth, &key) {
            server_hints::trust_key(&self.url.host, key);
        }
        let ahead = stream.ahead();
        if !has_terms {
            ahead.add(&terms(is_pooled));
        }
        let Driven { client, task, tap } = drive(stream, &self.url.user, self.server).await?;
        // A pooler goes on to tell what it has once heard, also when the mark is another
        // one by now (PgBouncer 1.18 and 1.24 do).
        let reported = StageMark::reported(reports.application_name.as_deref());
        let mark = match reported.filter(|_| !is_pooled) {
            Some(mark) => mark,
            None => StageMark::ask(&client).await?,
        };
        let facts = ServerInfo {
            server_auth,
            key: key.clone(),
            mark,
            direct_tls,
            is_read_only: reports.is_standby || reports.is_read_only,
            is_pooled,
            round_trip: line.round_trip,
            server_version: reports.server_version,
        };
        let mut url = self.url.clone();
        url.address = line.address.or(url.address);
        let cancel_token = CancelToken {
            url,
            server: self.server.to_owned(),
            key: cancel_key,
            server_key: key,
            direct: plan.direct,
        };
        Ok(NewConnection {
            client,
            task,
            tap,
            socket: line.socket,
            cancel_token,
            ahead: (!is_pooled).then_some(ahead),
            facts,
        })
    }

    fn setback(&self, failure: Failure) -> Fallback {
        let server = self.server;
        Fallback::Error(match failure {
            Failure::NotEarly(offer) => return Fallback::NotEarly(offer),
            Failure::WantsCertificate => return Fallback::WantsCertificate,
            Failure::Demanded(error) => error,
            Failure::ErrorResponse(said) => refused(said, server, self.url),
            Failure::Unproved(error) => unauthenticated(error, server),
            Failure::Broken(error) => Error::with_source(
                ErrorKind::DatabaseUnreachable,
                format!("the connection to {server} broke while the session started"),
                error,
            )
            .with_staleness(Staleness::Suspect),
            Failure::Protocol(error) => Error::with_source(
                ErrorKind::DatabaseUnreachable,
                format!("{server} does not speak Postgres's protocol as it should"),
                error,
            )
            .with_staleness(Staleness::Suspect),
        })
    }

    /// A step within the time limit.
    async fn within<T>(&self, phase: Phase, step: impl Future<Output = T>) -> Result<T, Error> {
        timeout(self.budget, step).await.map_err(|_| {
            let what = match phase {
                Phase::Connect => format!("reaching the database server {}", self.server),
                _ => format!("starting a session on {}", self.server),
            };
            took_too_long(phase, self.budget, &what)
        })
    }
}

impl From<Refusal> for Fallback {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotDirect => Self::NotDirect,
            Refusal::Error(error) => Self::Error(error),
        }
    }
}

impl From<Error> for Fallback {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The first version of Postgres that takes a TLS handshake at once
/// (postgresql.org/docs/17/release-17.html).
const FIRST_WITH_DIRECT_TLS: u32 = 17;
