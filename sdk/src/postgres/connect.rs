//! Opens connections for the pool: TCP, TLS, authentication, and a look at whose database it is.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::future::join;
use secrecy::ExposeSecret;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::failure::{Says, refused, unauthenticated};
use crate::postgres::habits::{self, Habits};
use crate::postgres::identity::StageMark;
use crate::postgres::policy::{Binding, Proof, Roots, TlsPolicy};
use crate::postgres::session::{
    self, Demands, Failure, Login, Mechanism, Offer, Opening, PATIENCE, Started,
};
use crate::postgres::tap::{Tap, Tapped};
use crate::postgres::tls::{self, Anchors, Authority, Certificate, Peer, Refusal};
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
            direct: known
                .direct_tls
                .unwrap_or(wanted && self.url.direct_tls != Some(false)),
            early: self.settings.early_scram && !known.wants_to_ask,
            anchors: match &self.url.tls {
                TlsPolicy::Verify {
                    roots, hostname, ..
                } => Some(self.anchors(roots, *hostname)),
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
                    plan.anchors = Some(self.anchors(&Roots::Default, true));
                }
                Err(Setback::Error(error)) => return Err(error),
            }
        }
    }

    fn anchors(&self, roots: &'a Roots, hostname: bool) -> Anchors<'a> {
        Anchors {
            authority: Authority::new(roots, self.settings.roots.as_deref()),
            host: hostname.then_some(&self.url.host),
        }
    }

    /// One connection, step by step.
    async fn follow(&self, plan: &Plan<'_>, phases: &mut Phases) -> Result<Opened, Setback> {
        let started = Instant::now();
        // Without a request for encryption this is where there is time to make ready.
        let make_ready = async { plan.direct.then(tls::make_ready) };
        let connected = self.within(Phase::Connect, join(self.tcp(), make_ready));
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

    async fn tcp(&self) -> Result<TcpStream, Error> {
        let unreachable = |what: &str, error: io::Error| {
            // Nobody listens there, or the name is gone: the server may have moved.
            let moved = error.kind() == io::ErrorKind::ConnectionRefused || what == LOOK_UP;
            Error::because(
                ErrorKind::DatabaseUnreachable,
                format!("{what} the database server {}", self.server),
                error,
            )
            .that_says(if moved { Says::Stale } else { Says::Doubt })
        };
        let addresses: Vec<SocketAddr> = match self.url.address {
            Some(address) => vec![(address, self.url.port).into()],
            None => tokio::net::lookup_host((self.url.host.as_str(), self.url.port))
                .await
                .map_err(|error| unreachable(LOOK_UP, error))?
                .collect(),
        };
        let mut last = io::Error::other("the name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(tcp) => {
                    self.set_up(&tcp)
                        .map_err(|error| unreachable("could not set up the socket to", error))?;
                    return Ok(tcp);
                }
                Err(error) => last = error,
            }
        }
        Err(unreachable("could not connect to", last))
    }

    fn set_up(&self, tcp: &TcpStream) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        let options = &self.url.tcp;
        let socket = SockRef::from(tcp);
        if options.keepalives {
            let mut keepalive = TcpKeepalive::new();
            if let Some(idle) = options.keepalives_idle {
                keepalive = keepalive.with_time(idle);
            }
            if let Some(interval) = options.keepalives_interval {
                keepalive = keepalive.with_interval(interval);
            }
            if let Some(count) = options.keepalives_count {
                keepalive = keepalive.with_retries(count);
            }
            socket.set_tcp_keepalive(&keepalive)?;
        }
        #[cfg(target_os = "linux")]
        if options.user_timeout.is_some() {
            socket.set_tcp_user_timeout(options.user_timeout)?;
        }
        Ok(())
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
        let is_pinned = self.is_pinned(key)?;
        let binding = self.url.tls.binding();
        let known = habits::of(self.server);
        let demands = Demands {
            binding,
            end_point: certificate.end_point(),
            early: plan
                .early
                .then(|| early(known, binding, is_pinned))
                .flatten(),
            without_binding: || self.without_binding(certificate, plan, is_pinned),
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
        // A pooler offers no channel binding, and tells the version of the server behind it.
        let direct_tls = plan.direct
            || (offer.scram_plus && reports.major_version() >= Some(FIRST_WITH_DIRECT_TLS));
        habits::learn(self.server, |habits| {
            habits.offer = Some(offer);
            if direct_tls && self.url.direct_tls != Some(false) {
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
        // A pooler, which offers no channel binding, goes on to tell what it has once
        // heard, also when the mark is another one by now (PgBouncer 1.18 and 1.24 do).
        let reported = StageMark::reported(reports.application_name.as_deref());
        let mark = match reported.filter(|_| offer.scram_plus) {
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

    /// Whether the server has shown a key that was pinned, where any was.
    fn is_pinned(&self, key: Option<ServerPin>) -> Result<bool, Error> {
        let pins = &self.settings.pins;
        if pins.is_empty() {
            return Ok(false);
        }
        if key.is_some_and(|key| pins.contains(&key)) {
            return Ok(true);
        }
        Err(Error::new(
            ErrorKind::Insecure,
            format!(
                "{} shows another public key than the one in STAGELINK_SERVER_PIN: somebody is in \
                 between, or the server has a new key, which `stagelink mark show` tells where the \
                 server proves it",
                self.server
            ),
        ))
    }

    /// What the server has proved itself by, if it binds nothing to this connection.
    fn without_binding(
        &self,
        certificate: &Certificate,
        plan: &Plan<'_>,
        is_pinned: bool,
    ) -> Result<Proof, Failure> {
        if self.url.tls.binding() == Binding::Required {
            return Err(Failure::Demanded(self.no_binding(None)));
        }
        if is_pinned {
            return Ok(Proof::Pin);
        }
        if plan.anchors.is_some() {
            return Ok(Proof::Certificate);
        }
        let key = certificate.pin();
        if key.is_some_and(|key| habits::has_been_proved(&self.url.host, key)) {
            return Ok(Proof::Pin);
        }
        let judged = certificate.judge(self.server, self.anchors(&Roots::Default, true));
        match judged {
            Some(Ok(())) => Ok(Proof::Certificate),
            _ if self.settings.danger_unauthenticated => {
                tracing::warn!(
                    "{} has proved nothing: whoever is in between can read the password \
                     (STAGELINK_DANGER_UNAUTHENTICATED)",
                    self.server
                );
                Ok(Proof::Nothing)
            }
            None => Err(Failure::WantsCertificate),
            Some(Err(error)) => Err(Failure::Demanded(match error.kind() {
                ErrorKind::Insecure => self.no_binding(Some(error)),
                _ => error,
            })),
        }
    }

    fn no_binding(&self, certificate: Option<Error>) -> Error {
        let server = self.server;
        match certificate {
            None => Error::new(
                ErrorKind::Insecure,
                format!(
                    "{server} offers no SCRAM channel binding, which the URL requires: {ADVICE}"
                ),
            ),
            Some(error) => Error::because(
                ErrorKind::Insecure,
                format!(
                    "{server} does not prove that it is the right one: it offers no SCRAM channel \
                     binding and shows no certificate that verifies: {ADVICE}"
                ),
                error,
            ),
        }
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

/// With what to begin before the server has asked.
fn early(known: Habits, binding: Binding, is_pinned: bool) -> Option<Mechanism> {
    match (known.offer, binding) {
        // A server that is known by its key is most often a pooler, which offers no
        // binding.
        (None, Binding::IfOffered) if is_pinned => None,
        (None, Binding::IfOffered | Binding::Required) => Some(Mechanism::Plus),
        (None, Binding::Never) => Some(Mechanism::Plain),
        (Some(offer), Binding::Never) => offer.scram.then_some(Mechanism::Plain),
        (Some(offer), _) if offer.scram_plus => Some(Mechanism::Plus),
        (Some(_), Binding::Required) => None,
        (Some(offer), Binding::IfOffered) => offer.scram.then_some(Mechanism::PlainForWant),
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

const LOOK_UP: &str = "could not look up";

const ADVICE: &str = "give the server SCRAM passwords (password_encryption = scram-sha-256), trust \
     its certificate with sslmode=verify-full&sslrootcert=FILE in the URL, or pin its key with \
     STAGELINK_SERVER_PIN";

/// The first version of Postgres that takes a TLS handshake at once
/// (postgresql.org/docs/17/release-17.html).
const FIRST_WITH_DIRECT_TLS: u32 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_early_is_what_the_server_takes() {
        use Binding::{IfOffered, Never, Required};
        use Mechanism::{Plain, PlainForWant, Plus};
        let offer = |scram_plus, scram| Some(Offer { scram_plus, scram });
        let of = |offer, binding, is_pinned| {
            let known = Habits {
                offer,
                ..Habits::default()
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
            (offer(false, true), IfOffered, false, Some(PlainForWant)),
            (offer(false, true), Required, false, None),
            (offer(false, false), IfOffered, false, None),
        ] {
            let found = of(known, binding, is_pinned);
            assert_eq!(found, expected, "{known:?} {binding:?} {is_pinned}");
        }
    }
}
