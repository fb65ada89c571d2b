//! PgBouncer in front of a server, as many database services offer it.

mod config;
mod options;
mod program;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::sleep;

use self::config::{PgBouncerConfig, SETTINGS_FILE};
use self::program::PgBouncerProgram;
use crate::certificate::ServerCertificate;
use crate::port;
use crate::private_file;
use crate::server_user::ServerUser;
use crate::watchdog::{PROCESS_SCRIPT, SHELL, Watchdog};
use crate::{Database, Error, ErrorKind, Server};

pub use self::options::PgBouncerOptions;

/// A running PgBouncer that requires TLS and SCRAM, with transaction pooling.
///
/// PgBouncer does not support SCRAM channel binding (as of version 1.24), so a
/// client can authenticate it by its certificate alone.
///
/// PgBouncer runs as the same unprivileged user as servers. It ends with
/// [`stop`](Self::stop), when this value is dropped, and when this process dies.
#[derive(Debug)]
pub struct PgBouncer {
    watchdog: Watchdog,
    directory: PathBuf,
    port: u16,
    version: String,
    certificate_pem: String,
}

/// The parts of a start that do not depend on the port.
struct Setup {
    program: PgBouncerProgram,
    user: ServerUser,
    config: PgBouncerConfig,
}

impl PgBouncer {
    /// Starts a PgBouncer on a free port, in front of these databases of a server.
    ///
    /// It logs in to the server with the current passwords of the databases, and
    /// requires the same passwords from its clients.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Missing`]: `pgbouncer` is neither on `PATH` nor in the
    ///   directory of a common package, and could not be fetched; or, with
    ///   prepared statements, no version from 1.21 on was found or could be built.
    /// - [`ErrorKind::Process`]: it does not start.
    /// - [`ErrorKind::System`]: its files could not be written.
    pub async fn start(
        server: &Server,
        databases: &[&Database],
        options: PgBouncerOptions,
    ) -> Result<Self, Error> {
        let user = ServerUser::detect();
        let owner = user.clone();
        let needs_prepared_statements = options.max_prepared_statements > 0;
        let program = tokio::task::spawn_blocking(move || {
            if needs_prepared_statements {
                PgBouncerProgram::find_with_prepared_statements(&owner)
            } else {
                PgBouncerProgram::find(&owner)
            }
        })
        .await
        .map_err(|error| {
            Error::new(ErrorKind::System, "the search for PgBouncer panicked").with_source(error)
        })??;
        let certificate = match options.certificate.clone() {
            Some(certificate) => certificate,
            None => ServerCertificate::generate()?,
        };
        let prepares = program.supports_prepared_statements();
        let setup = Setup {
            config: PgBouncerConfig::new(server, databases, options, certificate, prepares),
            program,
            user,
        };
        port::start_on_port(0, |port| Self::try_start(&setup, port)).await
    }

    async fn try_start(setup: &Setup, port: u16) -> Result<Self, Error> {
        let directory = setup.user.temporary_path();
        let mut bouncer = Self::spawn_watchdog(setup, directory, port).await?;
        for (name, text) in setup.config.files(&bouncer.directory, port) {
            let path = bouncer.directory.join(name);
            write_new(&path, &text)
                .and_then(|()| setup.user.chown(&path))
                .map_err(|error| {
                    let message = format!("could not write {} for PgBouncer", path.display());
                    Error::new(ErrorKind::System, message).with_source(error)
                })?;
        }
        bouncer.watchdog.send_line("start").await;
        bouncer.wait_until_ready().await?;
        Ok(bouncer)
    }

    /// Returns the port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the version, such as `1.18.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the certificate that clients see, as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Returns the URL of a database through this PgBouncer. It holds the password.
    pub fn url(&self, database: &Database) -> String {
        database.at("127.0.0.1", self.port).url()
    }

    /// Stops PgBouncer. When this returns, its process and its directory are gone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] if it does not end.
    pub async fn stop(mut self) -> Result<(), Error> {
        if self.watchdog.close(LIMIT).await.is_some() && !self.directory.exists() {
            return Ok(());
        }
        let message = format!("could not stop the PgBouncer on port {}", self.port);
        Err(Error::new(ErrorKind::Process, message).with_source(self.watchdog.log_tail()))
    }

    /// Starts the watchdog, which creates the directory and runs PgBouncer on request.
    async fn spawn_watchdog(setup: &Setup, directory: PathBuf, port: u16) -> Result<Self, Error> {
        let (program, settings) = (&setup.program.path, directory.join(SETTINGS_FILE));
        let (program, settings) = (program.to_string_lossy(), settings.to_string_lossy());
        let path = directory.to_string_lossy();
        let open_files = setup.config.open_files().to_string();
        let log = tempfile::tempfile().map_err(|error| {
            let message = "could not create a log file for PgBouncer";
            Error::new(ErrorKind::System, message).with_source(error)
        })?;
        // The watchdog sends SIGTERM, then SIGQUIT. Versions before 1.23 end at SIGTERM; newer
        // ones wait for their clients then, and end at SIGQUIT.
        let arguments = [
            &*path,
            "QUIT",
            SHELL,
            "-c",
            include_str!("start.sh"),
            "start.sh",
            &*open_files,
            &*program,
            &*settings,
        ];
        let shell = setup.user.command(SHELL);
        let mut watchdog = Watchdog::spawn(shell, PROCESS_SCRIPT, arguments, log)?;
        if watchdog.next_line().await.is_none() {
            let message = format!("could not create the directory {path}");
            return Err(Error::new(ErrorKind::System, message).with_source(watchdog.log_tail()));
        }
        Ok(Self {
            watchdog,
            directory,
            port,
            version: setup.program.version.clone(),
            certificate_pem: setup.config.certificate_pem().to_owned(),
        })
    }

    /// Waits until PgBouncer accepts connections.
    async fn wait_until_ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            let log = self.watchdog.log_tail();
            if log.contains("Address already in use") {
                return Err(port::in_use_error(self.port).with_source(log));
            }
            if self.watchdog.try_wait().is_some() || Instant::now() > deadline {
                let error = Error::new(ErrorKind::Process, "PgBouncer did not start");
                return Err(error.with_source(log));
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

/// Writes a file that must not exist yet, readable by its owner alone.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    private_file::open_options()
        .write(true)
        .create_new(true)
        .open(path)?
        .write_all(text.as_bytes())
}

const LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServerOptions, ServerSource};

    #[tokio::test]
    async fn pgbouncer_after_stop_leaves_no_directory() {
        let options = ServerOptions::new().source(ServerSource::Binaries { dir: None });
        let server = Server::start(options).await.unwrap();
        let shop = server.create_database("shop", "pw").await.unwrap();
        let bouncer = PgBouncer::start(&server, &[&shop], PgBouncerOptions::new())
            .await
            .unwrap();
        let directory = bouncer.directory.clone();
        assert!(directory.exists());
        bouncer.stop().await.unwrap();
        assert!(!directory.exists());
        server.stop().await.unwrap();
    }
}
