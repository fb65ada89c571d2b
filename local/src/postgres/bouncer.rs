//! PgBouncer before a server: the pooler that a Postgres as a service has, or puts in between.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::sleep;

use super::account::Account;
use super::cache::Cache;
use super::debian;
use super::watchdog::{SHELL, Watchdog};
use super::{Database, Server, home};
use crate::port;
use crate::{Error, ErrorKind};

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
}

/// What it is started with.
struct Setup<'a> {
    program: PathBuf,
    account: Account,
    /// The server's.
    host: &'a str,
    port: u16,
    users: String,
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
        let account = Account::of_servers();
        let owner = account.clone();
        let found = tokio::task::spawn_blocking(move || find(&owner)).await;
        let setup = Setup {
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
            (USERS, &setup.users),
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
        let (program, settings) = (setup.program.to_string_lossy(), directory.join(SETTINGS));
        let (path, settings) = (directory.to_string_lossy(), settings.to_string_lossy());
        let log = tempfile::tempfile().map_err(|error| {
            Error::new(ErrorKind::System, "could not make a log for PgBouncer").because(error)
        })?;
        // Versions before 1.23 end at the SIGTERM that comes first, later ones wait for
        // their clients then and end at SIGQUIT.
        let arguments = [&*path, "QUIT", &*program, &*settings];
        let shell = setup.account.command(SHELL);
        let mut watchdog = Watchdog::spawn(shell, include_str!("watchdog.sh"), arguments, log)?;
        if !watchdog.hear().await {
            let failure = format!("could not make the directory {path}");
            return Err(Error::new(ErrorKind::System, failure).because(watchdog.last_words()));
        }
        Ok(Self {
            watchdog,
            directory,
            port,
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
        format!(
            "[databases]\n\
             * = host={host} port={port}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {listen_port}\n\
             unix_socket_dir =\n\
             pool_mode = transaction\n\
             auth_type = scram-sha-256\n\
             auth_file = {users}\n\
             client_tls_sslmode = require\n\
             client_tls_cert_file = {certificate}\n\
             client_tls_key_file = {key}\n\
             server_tls_sslmode = require\n"
        )
    }
}

/// The program, on `PATH` or in the places that are not on everybody's, or else by apt.
fn find(account: &Account) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path)
        .chain(USUAL_PLACES.map(PathBuf::from))
        .map(|directory| directory.join(PROGRAM))
        .find(|program| program.is_file());
    if let Some(program) = installed {
        return Ok(program);
    }
    let fetched = Cache::new(None, account).and_then(|cache| debian::fetch(&cache, PROGRAM));
    fetched.map_err(|error| {
        Error::new(
            ErrorKind::Missing,
            "no PgBouncer (pgbouncer) on PATH or in the usual places; install it, say by \
             `apt-get install pgbouncer` or `brew install pgbouncer`",
        )
        .because(error)
    })
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

const PROGRAM: &str = "pgbouncer";
const SETTINGS: &str = "pgbouncer.ini";
const USERS: &str = "users.txt";
const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";

/// Debian's package and Homebrew's.
const USUAL_PLACES: [&str; 3] = ["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
