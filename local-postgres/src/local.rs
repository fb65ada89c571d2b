//! A server of installed binaries, and how it is started and stopped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::cluster::{Access, Builder, CERTIFICATE, KEY};
use crate::home::Home;
use crate::port;
use crate::watchdog::{SHELL, Watchdog};
use crate::{Error, ErrorKind};

/// A running server of installed binaries.
#[derive(Debug)]
pub(crate) struct Local {
    watchdog: Watchdog,
    data: PathBuf,
    /// What the watchdog removes at the end.
    temporary: Option<PathBuf>,
}

impl Local {
    /// Starts a server and waits until it takes connections. With port 0 it
    /// gets a free one.
    pub(crate) async fn start(
        builder: Builder,
        home: Option<Arc<Home>>,
        port: u16,
    ) -> Result<(Self, u16, Access), Error> {
        port::claim(port, |port| Self::attempt(&builder, home.clone(), port)).await
    }

    async fn attempt(
        builder: &Builder,
        home: Option<Arc<Home>>,
        port: u16,
    ) -> Result<(Self, u16, Access), Error> {
        let local = match &home {
            Some(home) => Self::watched(builder, home.cluster(), None, port, home.log()?).await?,
            None => {
                let directory = builder.account.temporary_path();
                let data = directory.join("cluster");
                // The log has no name, so that nothing has to remove it.
                let log = tempfile::tempfile().map_err(|error| {
                    Error::new(ErrorKind::System, "could not make a log for Postgres")
                        .because(error)
                })?;
                Self::watched(builder, data, Some(directory), port, log).await?
            }
        };
        let builder = builder.clone();
        // The task owns the watchdog meanwhile: if this future is dropped, the
        // directory is removed after the task has stopped writing to it.
        let prepared = spawn_blocking(move || {
            let access = match home {
                Some(home) => builder.kept(&home),
                None => builder.temporary(&local.data),
            };
            access.map(|access| (local, access))
        });
        let (mut local, access) = prepared.await.map_err(|error| {
            Error::new(ErrorKind::System, "could not prepare a Postgres server").because(error)
        })??;
        match local.resume().await {
            Ok(()) => Ok((local, port, access)),
            // Between looking and listening someone else may take a port.
            Err(error) if port::check_port(port).is_err() => {
                Err(port::in_use("127.0.0.1", port).because(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Starts the watchdog that makes the temporary directory, and will run
    /// the server when told to.
    async fn watched(
        builder: &Builder,
        data: PathBuf,
        temporary: Option<PathBuf>,
        port: u16,
        log: File,
    ) -> Result<Self, Error> {
        let postgres = builder.binaries.program("postgres");
        let mut settings = settings(port);
        let (directory, signal) = match &temporary {
            Some(directory) => {
                settings.extend(UNSAFE_SETTINGS.map(str::to_owned));
                (utf8(directory)?, "QUIT")
            }
            None => ("", "INT"),
        };
        let arguments = [directory, signal, utf8(&postgres)?, "-D", utf8(&data)?]
            .into_iter()
            .chain(settings.iter().flat_map(|setting| ["-c", setting]));
        let shell = builder.account.command(SHELL);
        let script = include_str!("watchdog.sh");
        let mut watchdog = Watchdog::spawn(shell, script, arguments, log)?;
        if !watchdog.hear().await {
            let failure = format!("could not make the directory {directory}");
            return Err(Error::new(ErrorKind::System, failure).because(watchdog.last_words()));
        }
        Ok(Self {
            watchdog,
            data,
            temporary,
        })
    }

    /// Waits until the server says in its pid file that it takes connections.
    async fn ready(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + START_LIMIT;
        let failure = if let Some(status) = loop {
            if self
                .pid_file_line(STATUS_LINE)
                .is_some_and(|status| status == "ready")
            {
                return Ok(());
            }
            if let Some(status) = self.watchdog.ended() {
                break Some(status);
            }
            if Instant::now() > deadline {
                break None;
            }
            sleep(POLL).await;
        } {
            format!("the Postgres server ended while it started ({status})")
        } else {
            format!(
                "the Postgres server was not ready within {} s",
                START_LIMIT.as_secs()
            )
        };
        Err(Error::new(ErrorKind::Process, failure).because(self.watchdog.last_words()))
    }

    fn pid_file_line(&self, index: usize) -> Option<String> {
        let text = std::fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        text.lines().nth(index).map(|line| line.trim().to_owned())
    }

    /// Shuts the server down in order; its directory stays.
    pub(crate) async fn halt(&mut self) -> Result<(), Error> {
        self.watchdog.tell("end").await;
        match timeout(STOP_LIMIT, self.watchdog.hear()).await {
            Ok(true) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Process,
                format!(
                    "could not shut down the Postgres server of {}",
                    self.data.display()
                ),
            )
            .because(self.watchdog.last_words())),
        }
    }

    /// Starts the server in its prepared directory, again after [`halt`](Self::halt).
    pub(crate) async fn resume(&mut self) -> Result<(), Error> {
        self.watchdog.tell("start").await;
        self.ready().await
    }

    /// Stops the server; its processes and its temporary directory are gone then.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        let pid = self
            .pid_file_line(PID_LINE)
            .and_then(|line| line.parse().ok());
        if self.watchdog.end(STOP_LIMIT).await.is_none() {
            // Ending its sessions in order has failed; let it end at once.
            if let Some(pid) = pid {
                let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
            }
            if self.watchdog.end(STOP_LIMIT).await.is_none() {
                return Err(Error::new(
                    ErrorKind::Process,
                    format!(
                        "could not stop the Postgres server of {}{}",
                        self.data.display(),
                        pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
                    ),
                )
                .because(self.watchdog.last_words()));
            }
        }
        match self.temporary {
            Some(directory) if directory.exists() => Err(Error::new(
                ErrorKind::System,
                format!(
                    "could not remove {}; remove it by hand",
                    directory.display()
                ),
            )),
            _ => Ok(()),
        }
    }
}

fn utf8(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| {
        Error::new(
            ErrorKind::Input,
            format!("could not use {}: it is not UTF-8", path.display()),
        )
    })
}

fn settings(port: u16) -> Vec<String> {
    [
        &format!("port={port}"),
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        &format!("max_connections={MAX_CONNECTIONS}"),
        "password_encryption=scram-sha-256",
        "ssl=on",
        &format!("ssl_cert_file={CERTIFICATE}"),
        &format!("ssl_key_file={KEY}"),
        "ssl_min_protocol_version=TLSv1.2",
        "logging_collector=off",
        "log_destination=stderr",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// For a server whose data need not survive a crash of the machine.
pub(crate) const UNSAFE_SETTINGS: [&str; 3] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
];

/// Enough for nine databases whose roles use all their 20.
pub(crate) const MAX_CONNECTIONS: u32 = 200;

/// Of `postmaster.pid`, counted from 0 (Postgres' pidfile.h).
const PID_LINE: usize = 0;
const STATUS_LINE: usize = 7;

/// Also for the recovery of a kept cluster after a crash.
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
