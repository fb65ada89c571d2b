//! A server of binaries on this machine: its start, shutdown and end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::cluster::ClusterBuilder;
use crate::data_directory::DataDirectory;
use crate::pid_file::PidFile;
use crate::port;
use crate::server_settings::{CERTIFICATE_FILE, ClusterAccess, KEY_FILE, NO_DURABILITY};
use crate::watchdog::{PROCESS_SCRIPT, SHELL, Watchdog};
use crate::{Error, ErrorKind};

/// A running server of binaries on this machine.
#[derive(Debug)]
pub(crate) struct InstalledServer {
    watchdog: Watchdog,
    cluster: PathBuf,
    /// The directory that the watchdog removes at the end.
    temporary: Option<PathBuf>,
}

impl InstalledServer {
    /// Starts a server and waits until it is ready. Port 0 takes a free one.
    pub(crate) async fn start(
        builder: ClusterBuilder,
        data_directory: Option<Arc<DataDirectory>>,
        port: u16,
        max_connections: u32,
    ) -> Result<(Self, u16, ClusterAccess), Error> {
        port::start_on_port(port, |port| {
            Self::try_start(&builder, data_directory.clone(), port, max_connections)
        })
        .await
    }

    async fn try_start(
        builder: &ClusterBuilder,
        data_directory: Option<Arc<DataDirectory>>,
        port: u16,
        max_connections: u32,
    ) -> Result<(Self, u16, ClusterAccess), Error> {
        let server = match &data_directory {
            Some(kept) => {
                let settings = settings(port, max_connections);
                Self::spawn_watchdog(builder, kept.cluster(), None, settings, kept.log()?).await?
            }
            None => {
                let directory = builder.user.temporary_path();
                let cluster = directory.join("cluster");
                // An unnamed file: the operating system removes it when the last process ends.
                let log = tempfile::tempfile().map_err(|error| {
                    let message = "could not create a log file for the Postgres server";
                    Error::new(ErrorKind::System, message).with_source(error)
                })?;
                let mut settings = settings(port, max_connections);
                settings.extend(NO_DURABILITY.map(str::to_owned));
                Self::spawn_watchdog(builder, cluster, Some(directory), settings, log).await?
            }
        };
        let builder = builder.clone();
        // The task owns the watchdog: if this future is dropped, the watchdog removes the
        // directory after the task has stopped writing to it.
        let prepared = spawn_blocking(move || {
            let access = match data_directory {
                Some(kept) => builder.prepare_kept(&kept),
                None => builder.prepare_temporary(&server.cluster),
            };
            access.map(|access| (server, access))
        });
        let (mut server, access) = prepared.await.map_err(|error| {
            Error::new(ErrorKind::System, "could not prepare a Postgres server").with_source(error)
        })??;
        match server.start_again().await {
            Ok(()) => Ok((server, port, access)),
            // Another program may take the port between the check and the server's start.
            Err(error) if port::check_available(port).is_err() => {
                Err(port::in_use_error(port).with_source(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Starts the watchdog, which creates the temporary directory and runs the
    /// server on request.
    async fn spawn_watchdog(
        builder: &ClusterBuilder,
        cluster: PathBuf,
        temporary: Option<PathBuf>,
        settings: Vec<String>,
        log: File,
    ) -> Result<Self, Error> {
        let postgres = builder.binaries.program("postgres");
        let (directory, signal) = match &temporary {
            Some(directory) => (utf8(directory)?, "QUIT"),
            None => ("", "INT"),
        };
        let arguments = [directory, signal, utf8(&postgres)?, "-D", utf8(&cluster)?]
            .into_iter()
            .chain(settings.iter().flat_map(|setting| ["-c", setting]));
        let shell = builder.user.command(SHELL);
        let mut watchdog = Watchdog::spawn(shell, PROCESS_SCRIPT, arguments, log)?;
        if watchdog.next_line().await.is_none() {
            let message = format!("could not create the directory {directory}");
            return Err(Error::new(ErrorKind::System, message).with_source(watchdog.log_tail()));
        }
        Ok(Self {
            watchdog,
            cluster,
            temporary,
        })
    }

    /// Returns the watchdog, which removes the temporary directory too.
    pub(crate) fn into_watchdog(self) -> Watchdog {
        self.watchdog
    }

    /// Waits until the pid file says that the server accepts connections.
    async fn wait_until_ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + START_LIMIT;
        let message = loop {
            if PidFile::read(&self.cluster).is_some_and(|file| file.is_ready()) {
                return Ok(());
            }
            if let Some(status) = self.watchdog.try_wait() {
                break format!("the Postgres server ended during its start ({status})");
            }
            if Instant::now() > deadline {
                let limit = START_LIMIT.as_secs();
                break format!("the Postgres server was not ready within {limit} s");
            }
            sleep(POLL_INTERVAL).await;
        };
        Err(Error::new(ErrorKind::Process, message).with_source(self.watchdog.log_tail()))
    }

    /// Shuts the server down; its directory stays.
    pub(crate) async fn shut_down(&mut self) -> Result<(), Error> {
        self.watchdog.send_line("shut down").await;
        match timeout(STOP_LIMIT, self.watchdog.next_line()).await {
            Ok(Some(_)) => Ok(()),
            _ => Err(self.stop_error("could not shut down", None)),
        }
    }

    /// Starts the server in its prepared directory, also after [`shut_down`](Self::shut_down).
    pub(crate) async fn start_again(&mut self) -> Result<(), Error> {
        self.watchdog.send_line("start").await;
        self.wait_until_ready().await
    }

    /// Stops the server. When this returns, its processes and its temporary
    /// directory are gone.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        let pid = PidFile::read(&self.cluster).and_then(|file| file.pid());
        if self.watchdog.close(STOP_LIMIT).await.is_none() {
            // The clean shutdown took too long: end the server immediately.
            if let Some(pid) = pid {
                let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
            }
            if self.watchdog.close(STOP_LIMIT).await.is_none() {
                return Err(self.stop_error("could not stop", pid));
            }
        }
        match self.temporary {
            Some(directory) if directory.exists() => Err(Error::new(
                ErrorKind::System,
                format!(
                    "could not remove the temporary directory {}; remove it by hand",
                    directory.display()
                ),
            )),
            _ => Ok(()),
        }
    }

    fn stop_error(&self, failure: &str, pid: Option<i32>) -> Error {
        let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
        let message = format!(
            "{failure} the Postgres server of {}{process}",
            self.cluster.display()
        );
        Error::new(ErrorKind::Process, message).with_source(self.watchdog.log_tail())
    }
}

fn utf8(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| {
        Error::new(
            ErrorKind::Input,
            format!("could not use the path {}: not UTF-8", path.display()),
        )
    })
}

fn settings(port: u16, max_connections: u32) -> Vec<String> {
    [
        &format!("port={port}"),
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        &format!("max_connections={max_connections}"),
        "password_encryption=scram-sha-256",
        "ssl=on",
        &format!("ssl_cert_file={CERTIFICATE_FILE}"),
        &format!("ssl_key_file={KEY_FILE}"),
        "ssl_min_protocol_version=TLSv1.2",
        "logging_collector=off",
        "log_destination=stderr",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Includes the recovery of a kept cluster after a crash.
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
