//! Opens connections for the pool: TCP, TLS, authentication, and a look at whose database it is.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::future::join;
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::failure::{Says, refused, unauthenticated};
use crate::postgres::habits;
use crate::postgres::identity::StageMark;
use crate::postgres::policy::{Proof, Roots, TlsPolicy};
use crate::postgres::session::{self, Demands, Failure, Login, Offer, Opening, PATIENCE, Started};
use crate::postgres::tap::{Tap, Tapped};
use crate::postgres::tcp;
use crate::postgres::tls::{self, Anchors, Certificate, Peer, Refusal};
use crate::postgres::trust::{self, Trust};
use crate::postgres::url::DatabaseUrl;
use crate::postgres::watch::Socket;
use crate::settings::{Limits, ServerPin, ServerSettings};
use crate::stage::Stage;
use crate::telemetry::Phases;

/// Opens connections with the credentials of one generation.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    stage: Stage,
    credentials: Credentials,
    limits: Limits,
    settings: ServerSettings,
    /// `host:port`, for messages and for what is remembered of it.
    server: String,
    /// How long it took to get the credentials, until it is told once.
    resolved_in: Mutex<Option<Duration>>,
    phases: Mutex<Option<Phases>>,
}

/// A session on a server, and what passes on it.
pub(super) struct Opened {
    pub(super) client: ClientWrapper,
    pub(super) tap: Tap,
    pub(super) socket: Socket,
    pub(super) facts: Facts,
}

/// What was shown and told while a connection was opened.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) proof: Proof,
    /// The server's public key.
    pub(super) key: Option<ServerPin>,
    pub(super) mark: StageMark,
    pub(super) server_version: Option<String>,
    /// Whether it takes a TLS handshake at once.
    pub(super) direct_tls: bool,
    /// Whether it says that it takes no writes.
    pub(super) is_read_only: bool,
}

impl Connector {
    pub(super) fn new(
        stage: Stage,
        credentials: Credentials,
        resolved_in: Option<Duration>,
        limits: Limits,
        settings: ServerSettings,
    ) -> Self {
        let url = credentials.url();
        Self(Arc::new(Inner {
            stage,
            server: format!("{}:{}", url.host, url.port),
            credentials,
            limits,
            settings,
            resolved_in: Mutex::new(resolved_in),
            phases: Mutex::new(None),
        }))
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// How long the phases of the connection opened last took.
    pub(super) fn phases(&self) -> Option<Phases> {
        *lock(&self.0.phases)
    }

    /// A connection to the stage's own database.
    pub(super) async fn open(&self) -> Result<Opened, Error> {
        let opened = self.open_unchecked().await?;
        let url = self.0.credentials.url();
        let required = self.0.settings.require_mark;
        opened.facts.mark.check(self.0.stage, required, url)?;
        Ok(opened)
    }

    /// A connection to whichever database the credentials lead to, not to be handed out.
    pub(super) async fn open_unchecked(&self) -> Result<Opened, Error> {
        let inner = &*self.0;
        let url = inner.credentials.url();
        let budget = url
            .connect_timeout
            .map_or(inner.limits.connect, |own| own.min(inner.limits.connect));
        let attempt = Attempt {
            url,
            server: &inner.server,
            settings: &inner.settings,
            budget,
            deadline: Instant::now() + budget,
        };
        let mut phases = Phases::default();
        let opened = attempt.run(&mut phases).await?;
        phases.resolve = lock(&inner.resolved_in).take();
        tracing::debug!(origin = inner.credentials.origin(), ?phases, "connected");
        *lock(&inner.phases) = Some(phases);
        Ok(opened)
    }
}

/// The way from here to a session, with one time limit.
struct Attempt<'a> {
    url: &'a DatabaseUrl,
    server: &'a str,
    settings: &'a ServerSettings,
    budget: Duration,
    deadline: Instant,
}

/// How a server is met this time. Each setback leaves less to try.
struct Plan<'a> {
    direct: bool,
    early: bool,
    anchors: Option<Anchors<'a>>,
}

/// Why a plan came to nothing.
enum Setback {
    NotDirect,
    NotEarly(Option<Offer>),
    WantsCertificate,
    Error(Error),
}

impl<'a> Attempt<'a> {
    async fn run(&self, phases: &mut Phases) -> Result<Opened, Error> {
        let known = habits::of(self.server);
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
                        habits::learn(self.server, |habits| habits.wants_to_ask = true);
                    }
                    return Ok(opened);
                }
                Err(Setback::NotDirect) => {
                    habits::learn(self.server, |habits| habits.direct_tls = Some(false));
                    plan.direct = false;
                }
                Err(Setback::NotEarly(Some(offer))) => {
                    habits::learn(self.server, |habits| habits.offer = Some(offer));
                    plan.early = false;
                }
                Err(Setback::NotEarly(None)) => {
                    put_off = true;
                    plan.early = false;
                }
                Err(Setback::WantsCertificate) => {
                    plan.anchors = Some(self.trust().anchors(&Roots::Default, true));
                }
                Err(Setback::Error(error)) => return Err(error),
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
    async fn follow(&self, plan: &Plan<'_>, phases: &mut Phases) -> Result<Opened, Setback> {
        let started = Instant::now();
        // Without a request for encryption this is where there is time to make ready.
        let make_ready = async { plan.direct.then(tls::make_ready) };
        let connected = self.within(
            Phase::Connect,
            join(tcp::connect(self.url, self.server), make_ready),
        );
        let tcp = connected.await?.0?;
        let socket = Socket::of(&tcp);
        phases.connect = started.elapsed();

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
            in_time.await?.map_err(|_| Setback::NotDirect)??
        } else {
            self.within(Phase::Handshake, handshake).await??
        };
        phases.tls = started.elapsed();

        let started = Instant::now();
        let session = self.session(stream, socket, &certificate, plan);
        let opened = self.within(Phase::Handshake, session).await??;
        phases.authenticate = started.elapsed();
        Ok(opened)
    }

    /// Starts the session, and hands it to the driver.
    async fn session(
        &self,
        stream: tls::Stream,
        socket: Socket,
        certificate: &Certificate,
        plan: &Plan<'_>,
    ) -> Result<Opened, Setback> {
        let key = certificate.pin();
        let trust = self.trust();
        let is_pinned = trust.is_pinned(key)?;
        let binding = self.url.tls.binding();
        let known = habits::of(self.server);
        let demands = Demands {
            binding,
            end_point: certificate.end_point(),
            early: plan
                .early
                .then(|| trust::early(known, binding, is_pinned))
                .flatten(),
            without_binding: || {
                let is_verified = plan.anchors.is_some();
                trust.without_binding(certificate, is_verified, is_pinned)
            },
        };
        let login = Login {
            user: &self.url.user,
            password: self.url.password.expose_secret(),
            database: &self.url.database,
            options: self.url.options.as_deref(),
        };
        let started = session::start(stream, login, demands).await;
        let Started {
            mut stream,
            reports,
            offer,
            proof,
        } = started.map_err(|failure| self.setback(failure))?;
        // A pooler offers no channel binding as a rule, and tells the version of the server
        // behind it.
        let is_pooler = !offer.scram_plus || self.url.names_a_pooler();
        let direct_tls =
            plan.direct || (!is_pooler && reports.major_version() >= Some(FIRST_WITH_DIRECT_TLS));
        habits::learn(self.server, |habits| {
            habits.offer = Some(offer);
            if direct_tls {
                habits.direct_tls.get_or_insert(true);
            }
        });
        if let (Proof::ChannelBinding, Some(key)) = (proof, key) {
            habits::is_authentic(&self.url.host, key);
        }
        // A pooler may show one client's name to the next.
        if let Some(name) = self
            .url
            .application_name
            .as_ref()
            .or_else(|| offer.scram_plus.then_some(&self.settings.application_name))
        {
            stream.call_it(name);
        }
        let (client, tap) = self.drive(stream).await?;
        // A pooler goes on to tell what it has once heard, also when the mark is another
        // one by now (PgBouncer 1.18 and 1.24 do).
        let reported = StageMark::reported(reports.application_name.as_deref());
        let mark = match reported.filter(|_| !is_pooler) {
            Some(mark) => mark,
            None => StageMark::ask(&client).await?,
        };
        let facts = Facts {
            proof,
            key,
            mark,
            direct_tls,
            is_read_only: reports.is_standby || reports.is_read_only,
            server_version: reports.server_version,
        };
        Ok(Opened {
            client,
            tap,
            socket,
            facts,
        })
    }

    /// Gives the session to the driver.
    async fn drive(&self, stream: Opening<tls::Stream>) -> Result<(ClientWrapper, Tap), Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .user(&self.url.user)
            // The handshake is over: the driver takes the stream as encrypted.
            .ssl_mode(SslMode::Require)
            .ssl_negotiation(SslNegotiation::Direct);
        let (stream, tap) = Tapped::new(stream);
        let driven = config.connect_raw(stream, Encrypted).await;
        let (client, connection) = driven.map_err(|error| {
            Error::because(
                ErrorKind::DatabaseUnreachable,
                format!(
                    "the connection to {} broke as the session began",
                    self.server
                ),
                error,
            )
            .that_says(Says::Doubt)
        })?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(%error, cause = error.source(), "a database connection broke");
            }
        });
        Ok((ClientWrapper::new(client, task), tap))
    }

    fn setback(&self, failure: Failure) -> Setback {
        let server = self.server;
        Setback::Error(match failure {
            Failure::NotEarly(offer) => return Setback::NotEarly(offer),
            Failure::WantsCertificate => return Setback::WantsCertificate,
            Failure::Demanded(error) => error,
            Failure::Said(said) => refused(said, server, self.url),
            Failure::Unproved(error) => unauthenticated(error, server),
            Failure::Broken(error) => Error::because(
                ErrorKind::DatabaseUnreachable,
                format!("the connection to {server} broke while the session started"),
                error,
            )
            .that_says(Says::Doubt),
            Failure::Protocol(error) => Error::because(
                ErrorKind::DatabaseUnreachable,
                format!("{server} does not speak Postgres's protocol as it should"),
                error,
            )
            .that_says(Says::Doubt),
        })
    }

    /// A step within the time limit.
    async fn within<T>(&self, phase: Phase, step: impl Future<Output = T>) -> Result<T, Error> {
        timeout_at(self.deadline, step).await.map_err(|_| {
            let what = match phase {
                Phase::Connect => format!("reaching the database server {}", self.server),
                _ => format!("starting a session on {}", self.server),
            };
            took_too_long(phase, self.budget, &what)
        })
    }
}

impl From<Refusal> for Setback {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotDirect => Self::NotDirect,
            Refusal::Error(error) => Self::Error(error),
        }
    }
}

impl From<Error> for Setback {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Hands the driver a stream on which the handshake is over already.
struct Encrypted;

impl<S: TlsStream + Unpin> TlsConnect<S> for Encrypted {
    type Stream = S;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<S>>;

    fn connect(self, stream: S) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

impl TlsStream for Tapped<Opening<tls::Stream>> {
    fn channel_binding(&self) -> ChannelBinding {
        // The authentication is over, too.
        ChannelBinding::none()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector")
            .field(&self.0.credentials)
            .finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn took_too_long(phase: Phase, limit: Duration, what: &str) -> Error {
    Error::new(
        ErrorKind::Timeout(phase),
        format!("{what} took more than {} ms ({phase})", limit.as_millis()),
    )
}

/// The first version of Postgres that takes a TLS handshake at once
/// (postgresql.org/docs/17/release-17.html).
const FIRST_WITH_DIRECT_TLS: u32 = 17;
