//! Opens connections for the pool: TCP, TLS, authentication.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use secrecy::ExposeSecret;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation};

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Phase};
use crate::postgres::failure::{Says, connect_failed, lacks_channel_binding};
use crate::postgres::tap::{Tap, Tapped};
use crate::postgres::tls::{self, Encrypted, Roots, Stream, TlsPolicy};
use crate::postgres::url::DatabaseUrl;
use crate::settings::Limits;
use crate::telemetry::Phases;

/// Opens connections with the credentials of one generation.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    credentials: Credentials,
    limits: Limits,
    /// By the URL's own policy.
    tls: OnceLock<tls::Connector>,
    /// By a certificate that verifies; set once a server turned out to offer
    /// no channel binding to a URL that leaves the choice.
    verified: OnceLock<tls::Connector>,
    /// How long it took to get the credentials, until it is told once.
    resolved_in: Mutex<Option<Duration>>,
    phases: Mutex<Option<Phases>>,
}

/// A session on a server, and what passes on it.
pub(super) struct Opened {
    pub(super) client: ClientWrapper,
    pub(super) tap: Tap,
}

impl Connector {
    pub(super) fn new(
        credentials: Credentials,
        resolved_in: Option<Duration>,
        limits: Limits,
    ) -> Self {
        Self(Arc::new(Inner {
            credentials,
            limits,
            tls: OnceLock::new(),
            verified: OnceLock::new(),
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

    pub(super) async fn open(&self) -> Result<Opened, Error> {
        let mut phases = Phases::default();
        let url = self.0.credentials.url();
        let budget = url
            .connect_timeout
            .map_or(self.0.limits.connect, |own| own.min(self.0.limits.connect));
        let attempt = Attempt {
            url,
            server: format!("{}:{}", url.host, url.port),
            budget,
            deadline: Instant::now() + budget,
        };
        let opened = match (&url.tls, self.0.verified.get()) {
            (TlsPolicy::Auto, Some(verified)) => {
                attempt
                    .run(verified, &verified_policy(), &mut phases)
                    .await?
            }
            (TlsPolicy::Auto, None) => {
                let bound = self.connector(&url.tls)?;
                match attempt.run(bound, &url.tls, &mut phases).await? {
                    Some(opened) => Some(opened),
                    None => self.verify_instead(&attempt, &mut phases).await?,
                }
            }
            (policy, _) => {
                attempt
                    .run(self.connector(policy)?, policy, &mut phases)
                    .await?
            }
        };
        let opened = opened.ok_or_else(|| no_binding(&attempt.server, None))?;
        phases.resolve = lock(&self.0.resolved_in).take();
        tracing::debug!(origin = self.0.credentials.origin(), ?phases, "connected");
        *lock(&self.0.phases) = Some(phases);
        Ok(opened)
    }

    fn connector(&self, policy: &TlsPolicy) -> Result<&tls::Connector, Error> {
        if let Some(connector) = self.0.tls.get() {
            return Ok(connector);
        }
        let made = tls::Connector::of(policy)?;
        Ok(self.0.tls.get_or_init(|| made))
    }

    /// The second choice of a URL that leaves the choice: a server without
    /// channel binding has to show a certificate that verifies.
    async fn verify_instead(
        &self,
        attempt: &Attempt<'_>,
        phases: &mut Phases,
    ) -> Result<Option<Opened>, Error> {
        let policy = verified_policy();
        let connector = tls::Connector::of(&policy)?;
        let opened = attempt
            .run(&connector, &policy, phases)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::Insecure => no_binding(&attempt.server, Some(error)),
                _ => error,
            })?;
        self.0.verified.get_or_init(|| connector);
        Ok(opened)
    }
}

/// One way from here to a session, with one time limit.
struct Attempt<'a> {
    url: &'a DatabaseUrl,
    server: String,
    budget: Duration,
    deadline: Instant,
}

impl Attempt<'_> {
    /// `None` means that the server does not offer the channel binding that the policy needs.
    async fn run(
        &self,
        connector: &tls::Connector,
        policy: &TlsPolicy,
        phases: &mut Phases,
    ) -> Result<Option<Opened>, Error> {
        let started = Instant::now();
        let tcp = self.within(Phase::Connect, self.tcp()).await?;
        phases.connect = started.elapsed();

        let started = Instant::now();
        let handshake = connector.handshake(tcp, &self.url.host, &self.server);
        let stream = self.within(Phase::Handshake, handshake).await?;
        phases.tls = started.elapsed();

        let started = Instant::now();
        let session = self.session(stream, policy);
        let opened = self.within(Phase::Handshake, session).await?;
        phases.authenticate = started.elapsed();
        Ok(opened)
    }

    async fn tcp(&self) -> Result<TcpStream, Error> {
        let unreachable = |what: &str, error: std::io::Error| {
            // Nobody listens there, or the name is gone: the server may have moved.
            let moved = error.kind() == std::io::ErrorKind::ConnectionRefused || what == LOOK_UP;
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
        let mut last = std::io::Error::other("the name has no address");
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

    fn set_up(&self, tcp: &TcpStream) -> std::io::Result<()> {
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

    async fn session(&self, stream: Stream, policy: &TlsPolicy) -> Result<Option<Opened>, Error> {
        let mut config = Config::new();
        config
            .user(&self.url.user)
            .password(self.url.password.expose_secret())
            .dbname(&self.url.database)
            .channel_binding(policy.channel_binding())
            // The handshake is over: the driver takes the stream as encrypted.
            .ssl_mode(SslMode::Require)
            .ssl_negotiation(SslNegotiation::Direct);
        if let Some(name) = &self.url.application_name {
            config.application_name(name);
        }
        if let Some(options) = &self.url.options {
            config.options(options);
        }
        let (stream, tap) = Tapped::new(stream);
        let (client, connection) = match config.connect_raw(stream, Encrypted).await {
            Ok(opened) => opened,
            Err(error) if lacks_channel_binding(&error) => return Ok(None),
            Err(error) => {
                let DatabaseUrl { user, database, .. } = self.url;
                return Err(connect_failed(error, &self.server, user, database));
            }
        };
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(%error, cause = error.source(), "a database connection broke");
            }
        });
        let client = ClientWrapper::new(client, task);
        Ok(Some(Opened { client, tap }))
    }

    async fn within<T>(
        &self,
        phase: Phase,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        timeout_at(self.deadline, step).await.unwrap_or_else(|_| {
            let what = match phase {
                Phase::Connect => format!("reaching the database server {}", self.server),
                _ => format!("starting a session on {}", self.server),
            };
            Err(took_too_long(phase, self.budget, &what))
        })
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

fn verified_policy() -> TlsPolicy {
    TlsPolicy::verify_full(Roots::System)
}

fn no_binding(server: &str, certificate: Option<Error>) -> Error {
    let advice = "give the server SCRAM passwords (password_encryption = scram-sha-256), or trust \
                  its certificate with sslmode=verify-full&sslrootcert=FILE in the URL";
    match certificate {
        None => Error::new(
            ErrorKind::Insecure,
            format!("{server} offers no SCRAM channel binding, which the URL requires: {advice}"),
        ),
        Some(error) => Error::because(
            ErrorKind::Insecure,
            format!(
                "{server} does not prove that it is the right one: it offers no SCRAM channel \
                 binding and shows no certificate that verifies: {advice}"
            ),
            error,
        ),
    }
}

pub(super) fn took_too_long(phase: Phase, limit: Duration, what: &str) -> Error {
    Error::new(
        ErrorKind::Timeout(phase),
        format!("{what} took more than {} ms ({phase})", limit.as_millis()),
    )
}

const LOOK_UP: &str = "could not look up";
