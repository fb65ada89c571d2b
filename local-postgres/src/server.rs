//! A running server, from whichever source.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_postgres::Client;

use crate::admin::Admin;
use crate::cluster::Access;
use crate::container::Container;
use crate::home::Home;
use crate::local::Local;
use crate::password::Password;
use crate::start::Start;
use crate::{Database, Databases, Options, ServerUrl, Source, database};
use crate::{Error, ErrorKind};

/// A running Postgres server that asks for TLS and SCRAM, as Heroku's do.
///
/// Dropping it stops the server too, but does not wait for that.
pub struct Server {
    backend: Backend,
    is_halted: bool,
    admin: Admin,
    description: String,
    host: String,
    port: u16,
    certificate_pem: Option<String>,
    /// Databases to be dropped at the end, because the server stays.
    borrowed: Mutex<Vec<String>>,
    /// Holds the lock on what is kept.
    _home: Option<Arc<Home>>,
}

/// What runs the server.
#[derive(Debug)]
pub(crate) enum Backend {
    Local(Local),
    Container(Container),
    /// Someone else's; says whether databases stay there.
    Running {
        keep: bool,
    },
}

impl Server {
    /// Starts a server, or finds the running one, and logs in to it once.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Missing`]: the source is not there; with [`Source::Auto`]
    ///   the message says of each source why.
    /// - [`ErrorKind::PortInUse`]: the port that was asked for.
    /// - [`ErrorKind::Input`]: the kept directory is in use, unreachable for
    ///   the server's user, or of another source or version.
    /// - [`ErrorKind::Process`]: the server, Docker or npm failed; the cause has
    ///   the last lines of what it said.
    /// - [`ErrorKind::System`]: a file or directory.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, whatever had been started ends, and what was
    /// temporary is removed.
    pub async fn start(options: Options) -> Result<Self, Error> {
        match &options.source {
            Source::Url(url) => Self::running(url, options.data.is_some()).await,
            _ => Start::new(options).await?.server().await,
        }
    }

    /// A server that was just started: logs in to it for the first time and
    /// closes what all roles could enter.
    pub(crate) async fn new(
        backend: Backend,
        port: u16,
        access: Access,
        home: Option<Arc<Home>>,
    ) -> Result<Self, Error> {
        let mut server = Self {
            backend,
            is_halted: false,
            admin: Admin::local(port, &access.password)?,
            description: String::new(),
            host: "127.0.0.1".to_owned(),
            port,
            certificate_pem: Some(access.certificate_pem),
            borrowed: Mutex::default(),
            _home: home,
        };
        let client = server.admin().await?;
        database::close_common(&client).await.map_err(|error| {
            Error::new(
                ErrorKind::Process,
                "could not close the server's common databases to roles",
            )
            .because(error)
        })?;
        server.description = format!("PostgreSQL {}", version(&client).await?);
        Ok(server)
    }

    /// The same, said to come from somewhere.
    pub(crate) fn with_origin(mut self, origin: &str) -> Self {
        self.description = format!("{} {origin}", self.description);
        self
    }

    /// Uses a server that someone else runs.
    async fn running(url: &ServerUrl, keep: bool) -> Result<Self, Error> {
        let admin = Admin::of(url)?;
        let (host, port) = (url.host().to_owned(), url.port());
        let client = admin.try_connect().await.map_err(|refusal| {
            refusal.into_error(&format!(
                "could not log in to the Postgres server at {host}:{port}; it has to offer TLS \
                 and SCRAM-SHA-256 with channel binding"
            ))
        })?;
        Ok(Self {
            backend: Backend::Running { keep },
            is_halted: false,
            description: format!("PostgreSQL {} at {host}:{port}", version(&client).await?),
            admin,
            host,
            port,
            certificate_pem: None,
            borrowed: Mutex::default(),
            _home: None,
        })
    }

    /// What runs and where it comes from, as in `PostgreSQL 15.18 from
    /// /usr/lib/postgresql/15/bin` or `PostgreSQL 17.5 in Docker (postgres:17)`.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// `127.0.0.1`, or the host of the URL.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's self-signed certificate, to be trusted by a client that
    /// verifies; `None` for a server that was given by its URL.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    /// Creates a database with a role of the same name that owns it, may hold
    /// 20 connections, and is the only one that can connect to it.
    ///
    /// If both are there from an earlier call, the data stays, the role gets
    /// this password, and what is connected stays connected.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if Postgres cannot take the name, or if a role or
    /// database of that name was not made by this method;
    /// [`ErrorKind::Process`] if the server fails.
    pub async fn create_database(&self, name: &str, password: &str) -> Result<Database, Error> {
        let password = Password::new(password);
        let is_new = database::create(&self.admin().await?, name, &password).await?;
        if is_new && matches!(self.backend, Backend::Running { keep: false }) {
            self.borrowed().push(name.to_owned());
        }
        Ok(Database::new(name, &password, &self.host, self.port))
    }

    /// Drops a database that [`create_database`](Self::create_database) made,
    /// with all connections to it, and its role. It is no error if there is none.
    ///
    /// # Errors
    ///
    /// As [`create_database`](Self::create_database).
    pub async fn drop_database(&self, name: &str) -> Result<(), Error> {
        database::remove(&self.admin().await?, name).await?;
        self.borrowed().retain(|borrowed| borrowed != name);
        Ok(())
    }

    /// The way to its databases for whoever looks after them, apart from the server.
    pub fn databases(&self) -> Databases {
        Databases::new(self.admin.clone())
    }

    /// Connects as the superuser, over TLS, with SCRAM channel binding
    /// required, which authenticates the server. The client's background task
    /// runs on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] if the server cannot be reached or refuses.
    pub async fn admin(&self) -> Result<Client, Error> {
        self.enter(&self.admin).await
    }

    /// As [`admin`](Self::admin), in a database that
    /// [`create_database`](Self::create_database) made.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] if the server cannot be reached or has no such database.
    pub async fn admin_in(&self, database: &Database) -> Result<Client, Error> {
        self.enter(&self.admin.with_database(database.name())).await
    }

    async fn enter(&self, admin: &Admin) -> Result<Client, Error> {
        admin.try_connect().await.map_err(|refusal| {
            refusal.into_error(&format!(
                "could not log in to the Postgres server at {}:{}",
                self.host, self.port
            ))
        })
    }

    /// Shuts the server down and starts it again, on the same port and with the same
    /// data, as for maintenance. Sessions are ended with `57P01`, and who comes
    /// meanwhile gets `57P03` or a refused connection. When this returns it serves.
    ///
    /// # Errors
    ///
    /// Those of [`halt`](Self::halt) and [`resume`](Self::resume).
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.halt().await?;
        self.resume().await
    }

    /// Shuts the server down until [`resume`](Self::resume): sessions are ended with
    /// `57P01`, and when this returns nobody listens on its port. It is no error if
    /// that is so already.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a server that was given by its URL: it is not this
    /// process's to shut down. [`ErrorKind::Process`] when the server does not end in
    /// order.
    pub async fn halt(&mut self) -> Result<(), Error> {
        if self.is_halted {
            return Ok(());
        }
        match &mut self.backend {
            Backend::Local(local) => local.halt().await?,
            Backend::Container(container) => container.halt().await?,
            Backend::Running { .. } => {
                return Err(Error::new(
                    ErrorKind::Input,
                    format!(
                        "could not shut down the Postgres server at {}:{}: it was given by its \
                         URL and is run by someone else; take one from another source",
                        self.host, self.port
                    ),
                ));
            }
        }
        self.is_halted = true;
        Ok(())
    }

    /// Starts the server again after [`halt`](Self::halt), on the same port and with
    /// the same data, and waits until it serves. It is no error if it does already.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] or [`ErrorKind::PortInUse`] when it cannot be started
    /// again; its databases are lost then, unless they are in a directory to be kept.
    pub async fn resume(&mut self) -> Result<(), Error> {
        if !self.is_halted {
            return Ok(());
        }
        match &mut self.backend {
            Backend::Local(local) => local.resume().await?,
            Backend::Container(container) => container.resume(&self.admin).await?,
            Backend::Running { .. } => {}
        }
        self.is_halted = false;
        Ok(())
    }

    /// Stops the server. When this returns, its processes and what was
    /// temporary are gone.
    ///
    /// A server that was given by its URL goes on; the databases that were
    /// created in it by this value are dropped, unless [`Options::data`] was given.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] or [`ErrorKind::System`] says what may be left,
    /// and where.
    pub async fn stop(self) -> Result<(), Error> {
        let borrowed = std::mem::take(&mut *self.borrowed());
        for name in borrowed {
            database::remove(&self.admin().await?, &name).await?;
        }
        match self.backend {
            Backend::Local(local) => local.stop().await,
            Backend::Container(container) => container.stop().await,
            Backend::Running { .. } => Ok(()),
        }
    }

    fn borrowed(&self) -> MutexGuard<'_, Vec<String>> {
        // Nothing panics while it holds this lock, and a list cannot be half changed.
        self.borrowed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without a packager's addition, as in `15.18`.
pub(crate) async fn version(client: &Client) -> Result<String, Error> {
    let row = client
        .query_one("select current_setting('server_version')", &[])
        .await
        .map_err(|error| {
            Error::new(
                ErrorKind::Process,
                "the Postgres server does not tell its version",
            )
            .because(error)
        })?;
    let version: &str = row.get(0);
    Ok(version.split(' ').next().unwrap_or(version).to_owned())
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("description", &self.description)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
