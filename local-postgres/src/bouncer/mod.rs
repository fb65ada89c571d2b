//! PgBouncer before a server: the pooler that a Postgres as a service has, or puts in between.

mod options;
pub(super) mod program;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::sleep;

use self::program::Program;
use crate::account::Account;
use crate::port;
use crate::watchdog::{SHELL, Watchdog};
use crate::{Database, Server, home};
use crate::{Error, ErrorKind};

pub use self::options::BouncerOptions;

/// A running PgBouncer that asks for TLS and SCRAM, and pools by transaction.
///
/// It offers SCRAM without channel binding, as all versions do, so a client that wants
/// to know whom it talks to has nothing but the certificate.
///
/// It is a process of the unprivileged user that servers run as. It ends with
/// [`stop`](Self::stop), when it is dropped, and when this process dies.
#[derive(Debug)]
pub struct Bouncer {
    watchdog: Watchdog,
    pub(super) directory: PathBuf,
    port: u16,
    version: String,
}

/// What it is started with.
struct Setup<'a> {
    options: &'a BouncerOptions,
    program: Program,
    account: Account,
    /// The server's.
    host: &'a str,
    port: u16,
    users: Vec<String>,
    certificate_pem: &'a str,
    key_pem: &'a str,
}

impl Bouncer {
    /// Starts it on a free port, before these databases of a server. To its clients it
    /// shows the certificate, which with its key is given as PEM.
    ///
    /// It logs in to the server with the passwords that the databases have at this
    /// moment, and takes the same ones from its clients.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] if there is no `pgbouncer` on `PATH` or where packages put
    /// it, and apt has none; [`ErrorKind::Process`] if it does not start; [`ErrorKind::System`] for a file.
    pub async fn start(
        server: &Server,
        databases: &[&Database],
        certificate_pem: &str,
        key_pem: &str,
    ) -> Result<Self, Error> {
        let options = BouncerOptions::default();
        Self::start_with(&options, server, databases, certificate_pem, key_pem).await
    }

    /// The same with options.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); and [`ErrorKind::Missing`] if it is to keep prepared
    /// statements, and there is none that can.
    pub async fn start_with(
        options: &BouncerOptions,
        server: &Server,
        databases: &[&Database],
        certificate_pem: &str,
        key_pem: &str,
    ) -> Result<Self, Error> {
        let account = Account::of_servers();
        let owner = account.clone();
        let prepares = options.prepared_statements > 0;
        let found = tokio::task::spawn_blocking(move || {
            if prepares {
                Program::that_prepares(&owner)
            } else {
                Program::of_this_machine(&owner)
            }
        })
        .await;
        let setup = Setup {
            options,
            program: found.map_err(|error| {
                Error::new(ErrorKind::System, "the search for PgBouncer panicked").because(error)
            })??,
            account,
            host: server.host(),
            port: server.port(),
            users: databases.iter().map(|database| user(database)).collect(),
            certificate_pem,
            key_pem,
        };
        port::claim(0, |port| Self::attempt(&setup, port)).await
    }

    async fn attempt(setup: &Setup<'_>, port: u16) -> Result<Self, Error> {
        let directory = setup.account.temporary_path();
        let mut bouncer = Self::watched(setup, directory, port).await?;
        for (name, text) in [
            (SETTINGS, &*setup.settings(&bouncer.directory, port)),
            (USERS, &setup.users.concat()),
            (CERTIFICATE, setup.certificate_pem),
            (KEY, setup.key_pem),
        ] {
            let path = bouncer.directory.join(name);
            write_private(&path, text)
                .and_then(|()| setup.account.own(&path))
                .map_err(|error| {
                    let what = format!("could not prepare {} for PgBouncer", path.display());
                    Error::new(ErrorKind::System, what).because(error)
                })?;
        }
        bouncer.watchdog.tell("start").await;
        bouncer.ready().await?;
        Ok(bouncer)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its version: `1.18.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Stops it. When this returns, its process and its directory are gone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] if it does not end.
    pub async fn stop(mut self) -> Result<(), Error> {
        if self.watchdog.end(LIMIT).await.is_some() && !self.directory.exists() {
            return Ok(());
        }
        let failure = format!("could not stop the PgBouncer on port {}", self.port);
        Err(Error::new(ErrorKind::Process, failure).because(self.watchdog.last_words()))
    }

    /// Starts the watchdog, which makes the directory.
    async fn watched(setup: &Setup<'_>, directory: PathBuf, port: u16) -> Result<Self, Error> {
        let (program, settings) = (&setup.program.path, directory.join(SETTINGS));
        let (program, settings) = (program.to_string_lossy(), settings.to_string_lossy());
        let (path, files) = (directory.to_string_lossy(), setup.files().to_string());
        let log = tempfile::tempfile().map_err(|error| {
            Error::new(ErrorKind::System, "could not make a log for PgBouncer").because(error)
        })?;
        // Versions before 1.23 end at the SIGTERM that comes first, later ones wait for
        // their clients then and end at SIGQUIT.
        let arguments = [
            &*path,
            "QUIT",
            SHELL,
            "-c",
            include_str!("start.sh"),
            "start.sh",
            &*files,
            &*program,
            &*settings,
        ];
        let shell = setup.account.command(SHELL);
        let mut watchdog = Watchdog::spawn(shell, include_str!("../watchdog.sh"), arguments, log)?;
        if !watchdog.hear().await {
            let failure = format!("could not make the directory {path}");
            return Err(Error::new(ErrorKind::System, failure).because(watchdog.last_words()));
        }
        Ok(Self {
            watchdog,
            directory,
            port,
            version: setup.program.version.clone(),
        })
    }

    /// Waits until it takes connections.
    async fn ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            let said = self.watchdog.last_words();
            if said.contains("Address already in use") {
                return Err(port::in_use("127.0.0.1", self.port).because(said));
            }
            if self.watchdog.ended().is_some() || Instant::now() > deadline {
                return Err(Error::new(ErrorKind::Process, "PgBouncer did not start").because(said));
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}

impl Setup<'_> {
    /// The text of its file of settings. The server's certificate is not verified: both
    /// are on this machine.
    fn settings(&self, directory: &Path, listen_port: u16) -> String {
        let file = |name| directory.join(name).display().to_string();
        let (users, certificate, key) = (file(USERS), file(CERTIFICATE), file(KEY));
        let (host, port) = (self.host, self.port);
        let BouncerOptions {
            server_connections,
            clients,
            prepared_statements,
        } = self.options;
        // Versions that do not know it refuse to start with it.
        let prepared_statements = if self.program.can_prepare() {
            format!("max_prepared_statements = {prepared_statements}\n")
        } else {
            String::new()
        };
        format!(
            "[databases]\n\
             * = host={host} port={port}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {listen_port}\n\
             unix_socket_dir =\n\
             pool_mode = transaction\n\
             default_pool_size = {server_connections}\n\
             max_client_conn = {clients}\n\
             {prepared_statements}\
             auth_type = scram-sha-256\n\
             auth_file = {users}\n\
             client_tls_sslmode = require\n\
             client_tls_cert_file = {certificate}\n\
             client_tls_key_file = {key}\n\
             server_tls_sslmode = require\n"
        )
    }

    /// How many files it may have open: its connections to both sides, and its own.
    fn files(&self) -> usize {
        let of_servers = self.options.server_connections as usize * self.users.len();
        self.options.clients as usize + of_servers + OWN_FILES
    }
}

/// A line of PgBouncer's file of users, which doubles a quotation mark.
fn user(database: &Database) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let (role, password) = (quoted(database.role()), quoted(database.password()));
    format!("{role} {password}\n")
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    home::private()
        .write(true)
        .create_new(true)
        .open(path)?
        .write_all(text.as_bytes())
}

const SETTINGS: &str = "pgbouncer.ini";
const USERS: &str = "users.txt";
const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";

/// Its log, what it listens on, and what its libraries hold, with room to spare.
const OWN_FILES: usize = 64;

const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
