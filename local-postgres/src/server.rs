//! A running server, from any source.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_postgres::Client;

use crate::connector::Connector;
use crate::data_directory::DataDirectory;
use crate::database_admin::server_version;
use crate::launch::{LaunchedServer, launch};
use crate::password::Password;
use crate::provision;
use crate::server_process::ServerProcess;
use crate::{Database, DatabaseAdmin, Error, ServerOptions, ServerSource, ServerUrl};

/// A running Postgres server that requires TLS and SCRAM, as Heroku Postgres does.
///
/// Dropping the value stops the server too, but does not wait for its end.
pub struct Server {
    process: ServerProcess,
    is_shut_down: bool,
    superuser: Connector,
    description: String,
    host: String,
    port: u16,
    certificate_pem: Option<String>,
    /// Databases on a server that runs on, to be dropped at the end.
    borrowed: Mutex<Vec<String>>,
    /// Holds the lock on the directory.
    _data_directory: Option<Arc<DataDirectory>>,
}

impl Server {
    /// Starts a server, or connects to the running one that the source names,
    /// and logs in as its superuser once.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Missing`](crate::ErrorKind::Missing): the source is not
    ///   available. For [`ServerSource::Auto`] the message has the reason of each source.
    /// - [`ErrorKind::PortInUse`](crate::ErrorKind::PortInUse): another program
    ///   has the requested port.
    /// - [`ErrorKind::Input`](crate::ErrorKind::Input): another server uses the
    ///   data directory, the server's user cannot enter it, or it belongs to
    ///   another source or version.
    /// - [`ErrorKind::Process`](crate::ErrorKind::Process): the server, Docker
    ///   or npm failed. The cause has the last lines of its output.
    /// - [`ErrorKind::System`](crate::ErrorKind::System): the operating system
    ///   refused access to a file, a directory or the port.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the processes that were started, and removes
    /// the temporary files.
    pub async fn start(options: ServerOptions) -> Result<Self, Error> {
        match &options.source {
            ServerSource::Url(url) => Self::connect_to(url, options.data_directory.is_some()).await,
            _ => Self::from_launched(launch(options).await?).await,
        }
    }

    /// Logs in to a server that was just started, for the first time.
    async fn from_launched(launched: LaunchedServer) -> Result<Self, Error> {
        let LaunchedServer {
            process,
            port,
            access,
            data_directory,
            origin,
        } = launched;
        let mut server = Self {
            process,
            is_shut_down: false,
            superuser: Connector::for_local(port, &access.password)?,
            description: String::new(),
            host: "127.0.0.1".to_owned(),
            port,
            certificate_pem: Some(access.certificate_pem),
            borrowed: Mutex::default(),
            _data_directory: data_directory,
        };
        let client = server.connect_as_superuser().await?;
        provision::revoke_public_connect(&client).await?;
        server.description = format!("PostgreSQL {} {origin}", server_version(&client).await?);
        Ok(server)
    }

    /// Logs in to a server that another program runs.
    async fn connect_to(url: &ServerUrl, keeps_databases: bool) -> Result<Self, Error> {
        let superuser = Connector::for_url(url)?;
        let (host, port) = (url.host().to_owned(), url.port());
        let client = superuser.connect().await.map_err(|error| {
            error.into_error(format!(
                "could not log in to the Postgres server at {host}:{port}; it must offer TLS and \
                 SCRAM-SHA-256 with channel binding"
            ))
        })?;
        Ok(Self {
            process: ServerProcess::External {
                address: format!("{host}:{port}"),
                keeps_databases,
            },
            is_shut_down: false,
            description: format!(
                "PostgreSQL {} at {host}:{port}",
                server_version(&client).await?
            ),
            superuser,
            host,
            port,
            certificate_pem: None,
            borrowed: Mutex::default(),
            _data_directory: None,
        })
    }

    /// Returns the server's version and origin, such as `PostgreSQL 15.18 from
    /// /usr/lib/postgresql/15/bin` or `PostgreSQL 17.5 in Docker (postgres:17)`.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Returns `127.0.0.1`, or the host of the URL.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port that the server listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the server's self-signed certificate, as the root that a
    /// verifying client trusts; `None` for a server given by its URL.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    /// Creates a database and a role of the same name. The role owns the
    /// database, may open 20 connections, and is the only one, besides the
    /// superuser, that can connect to the database.
    ///
    /// If an earlier call has created both, the role gets this password; the
    /// data and the open connections stay.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Input`](crate::ErrorKind::Input): the name is not valid,
    ///   or a role or database of that name was not created by this method.
    /// - [`ErrorKind::Process`](crate::ErrorKind::Process): the server failed.
    pub async fn create_database(&self, name: &str, password: &str) -> Result<Database, Error> {
        let password = Password::new(password);
        let client = self.connect_as_superuser().await?;
        let is_new = provision::create_database(&client, name, &password).await?;
        if is_new && self.process.drops_databases() {
            self.borrowed().push(name.to_owned());
        }
        Ok(Database::new(name, &password, &self.host, self.port))
    }

    /// Drops a database that [`create_database`](Self::create_database) created,
    /// its connections and its role. A database that does not exist is not an error.
    ///
    /// # Errors
    ///
    /// Those of [`create_database`](Self::create_database).
    pub async fn drop_database(&self, name: &str) -> Result<(), Error> {
        provision::drop_database(&self.connect_as_superuser().await?, name).await?;
        self.borrowed().retain(|borrowed| borrowed != name);
        Ok(())
    }

    /// Returns an administrator of the server's databases that is independent of this value.
    pub fn database_admin(&self) -> DatabaseAdmin {
        DatabaseAdmin::new(self.superuser.clone())
    }

    /// Connects to a database as the role that owns it.
    ///
    /// The connection uses TLS, and SCRAM channel binding authenticates the
    /// server. The client's background task runs on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`](crate::ErrorKind::Process) if the server cannot be
    /// reached or refuses the login, as with a password that has been rotated.
    pub async fn connect(&self, database: &Database) -> Result<Client, Error> {
        self.connect_with(&self.superuser.with_owner(database))
            .await
    }

    /// Connects to the database `postgres` as the superuser, otherwise as
    /// [`connect`](Self::connect) does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`](crate::ErrorKind::Process) if the server cannot be
    /// reached or refuses the login.
    pub async fn connect_as_superuser(&self) -> Result<Client, Error> {
        self.connect_with(&self.superuser).await
    }

    /// Connects to a database as the superuser, otherwise as
    /// [`connect`](Self::connect) does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`](crate::ErrorKind::Process) if the server cannot be
    /// reached or has no such database.
    pub async fn connect_as_superuser_to(&self, database: &Database) -> Result<Client, Error> {
        self.connect_with(&self.superuser.with_database(database.name()))
            .await
    }

    async fn connect_with(&self, connector: &Connector) -> Result<Client, Error> {
        connector.connect().await.map_err(|error| {
            error.into_error(format!(
                "could not log in to the Postgres server at {}:{}",
                self.host, self.port
            ))
        })
    }

    /// Shuts the server down and starts it again on the same port with the same
    /// data, as in maintenance. Returns when the server is ready.
    ///
    /// Open sessions end with SQLSTATE `57P01`. Until the server is ready, new
    /// connections fail with `57P03` or are refused.
    ///
    /// # Errors
    ///
    /// Those of [`shut_down`](Self::shut_down) and [`start_again`](Self::start_again).
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.shut_down().await?;
        self.start_again().await
    }

    /// Shuts the server down until [`start_again`](Self::start_again). Open
    /// sessions end with SQLSTATE `57P01`. When this returns, the port is
    /// closed. A server that is shut down already is not an error.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Input`](crate::ErrorKind::Input): the server was given by
    ///   its URL, so another program runs it.
    /// - [`ErrorKind::Process`](crate::ErrorKind::Process): the server does not
    ///   shut down cleanly.
    pub async fn shut_down(&mut self) -> Result<(), Error> {
        if !self.is_shut_down {
            self.process.shut_down().await?;
            self.is_shut_down = true;
        }
        Ok(())
    }

    /// Starts the server again after [`shut_down`](Self::shut_down), on the same
    /// port with the same data, and waits until it is ready. A server that runs
    /// already is not an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`](crate::ErrorKind::Process) or
    /// [`ErrorKind::PortInUse`](crate::ErrorKind::PortInUse) if the server cannot
    /// start. Its databases are lost then, unless they are in a data directory.
    pub async fn start_again(&mut self) -> Result<(), Error> {
        if self.is_shut_down {
            self.process.start_again(&self.superuser).await?;
            self.is_shut_down = false;
        }
        Ok(())
    }

    /// Stops the server. When this returns, its processes and temporary files
    /// are gone.
    ///
    /// A server given by its URL runs on. This drops the databases that this
    /// value created on it, unless [`ServerOptions::data_directory`] was set.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`](crate::ErrorKind::Process) or
    /// [`ErrorKind::System`](crate::ErrorKind::System); the message names what
    /// may be left, and where.
    pub async fn stop(self) -> Result<(), Error> {
        let borrowed = std::mem::take(&mut *self.borrowed());
        for name in borrowed {
            provision::drop_database(&self.connect_as_superuser().await?, &name).await?;
        }
        self.process.stop().await
    }

    fn borrowed(&self) -> MutexGuard<'_, Vec<String>> {
        // No code panics while it holds this lock, and each change of the list is one step.
        self.borrowed.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
