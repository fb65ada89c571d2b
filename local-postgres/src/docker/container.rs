//! A server in a Docker container: its start, shutdown and end.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::engine::DockerEngine;
use super::init_script::init_script;
use super::volume::Volume;
use crate::certificate::ServerCertificate;
use crate::connector::Connector;
use crate::data_directory::DataDirectory;
use crate::password::Password;
use crate::port;
use crate::random::unique_name;
use crate::server_settings::{ClusterAccess, NO_DURABILITY};
use crate::watchdog::{SHELL, Watchdog};
use crate::{Error, ErrorKind};

/// A running server in a Docker container.
#[derive(Debug)]
pub(crate) struct Container {
    engine: DockerEngine,
    image: String,
    name: String,
    port: u16,
    watchdog: Watchdog,
}

impl Container {
    /// Starts a container of an image that the engine has, and waits until the
    /// server is ready. Port 0 takes a free one: a port that the engine chose
    /// would change with a restart.
    pub(crate) async fn start(
        engine: DockerEngine,
        image: &str,
        data_directory: Option<Arc<DataDirectory>>,
        port: u16,
        max_connections: u32,
    ) -> Result<(Self, u16, ClusterAccess), Error> {
        port::start_on_port(port, |port| {
            Self::try_start(engine, image, data_directory.clone(), port, max_connections)
        })
        .await
    }

    async fn try_start(
        engine: DockerEngine,
        image: &str,
        data_directory: Option<Arc<DataDirectory>>,
        port: u16,
        max_connections: u32,
    ) -> Result<(Self, u16, ClusterAccess), Error> {
        let volume = match &data_directory {
            Some(kept) => Some(Volume::for_data_directory(kept, engine, image).await?),
            None => None,
        };
        let log = match &data_directory {
            Some(kept) => kept.log()?,
            None => tempfile::tempfile().map_err(io_error)?,
        };
        let staging = std::env::temp_dir().join(unique_name());
        let settings = settings(max_connections, volume.is_none());
        let mut container = Self::create(
            engine,
            image,
            &staging,
            volume.as_ref(),
            port,
            &settings,
            log,
        )
        .await?;
        let access = container
            .copy_secrets(&staging, data_directory.as_deref(), volume.as_ref())
            .await?;
        let superuser = Connector::for_local(port, &access.password)?;
        container.start_again(&superuser).await?;
        if let (Some(kept), Some(volume)) = (&data_directory, &volume)
            && volume.is_new
        {
            kept.record_volume(&volume.name, image, &access.certificate_pem)?;
            container.watchdog.send_line("keep").await;
        }
        Ok((container, port, access))
    }

    /// Returns the watchdog, which removes the container too.
    pub(crate) fn into_watchdog(self) -> Watchdog {
        self.watchdog
    }

    /// Creates the container, and the directory `staging` for files to be copied into it.
    async fn create(
        engine: DockerEngine,
        image: &str,
        staging: &Path,
        volume: Option<&Volume>,
        port: u16,
        settings: &[String],
        log: File,
    ) -> Result<Self, Error> {
        let staging = staging.to_string_lossy();
        let name = unique_name();
        let grace = if volume.is_some() { GRACE_S } else { "0" };
        let new_volume = volume
            .filter(|volume| volume.is_new)
            .map_or("", |volume| &volume.name);
        let publish = format!("--publish=127.0.0.1:{port}:5432");
        let password_file = format!("--env=POSTGRES_PASSWORD_FILE=/{PASSWORD_FILE}");
        let mount = volume.map(|volume| format!("--volume={}:{}", volume.name, volume.mount_point));

        let mut arguments = vec![&*staging, &name, grace, new_volume];
        arguments.extend([
            "--pull=never",
            "--label=stagelink.postgres",
            &publish,
            &password_file,
        ]);
        arguments.extend(mount.as_deref());
        arguments.push(image);
        arguments.extend(settings.iter().flat_map(|setting| ["-c", setting]));
        let mut shell = Command::new(SHELL);
        shell.current_dir("/");
        let mut watchdog = Watchdog::spawn(shell, include_str!("container.sh"), arguments, log)?;
        if watchdog.next_line().await.is_none() {
            let message = format!("Docker could not create a container of {image}");
            return Err(Error::new(ErrorKind::Process, message).with_source(watchdog.log_tail()));
        }
        Ok(Self {
            engine,
            image: image.to_owned(),
            name,
            port,
            watchdog,
        })
    }

    /// Copies the superuser's password and the init script into the container.
    async fn copy_secrets(
        &self,
        staging: &Path,
        data_directory: Option<&DataDirectory>,
        volume: Option<&Volume>,
    ) -> Result<ClusterAccess, Error> {
        let password = match data_directory {
            Some(kept) => kept.load_or_create_password()?.0,
            None => Password::random(),
        };
        let certificate = ServerCertificate::generate()?;
        let script = init_script(&certificate);
        // In the container, the server's user reads the script and root reads the password.
        for (file, text, mode, target) in [
            (SCRIPT_FILE, &*script, 0o644, SCRIPT_DIRECTORY),
            (PASSWORD_FILE, password.expose(), 0o600, "/"),
        ] {
            let path = staging.join(file);
            fs::write(&path, text)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
                .map_err(io_error)?;
            self.copy_file(&path, target).await?;
            fs::remove_file(&path).map_err(io_error)?;
        }
        // The image skips the script for a volume that holds a cluster, which keeps its certificate.
        let kept = match (data_directory, volume) {
            (Some(kept), Some(volume)) if !volume.is_new => kept.volume_certificate()?,
            _ => None,
        };
        Ok(ClusterAccess {
            password,
            certificate_pem: kept.unwrap_or(certificate.certificate_pem),
        })
    }

    /// Copies a file into a directory of the container, with its mode and root as its owner.
    async fn copy_file(&self, file: &Path, to: &str) -> Result<(), Error> {
        let target = format!("{}:{to}", self.name);
        let failure = format!("could not copy a file to {to} of the Docker container");
        let arguments = ["cp", &*file.to_string_lossy(), &target];
        self.engine.run(&arguments, &failure).await.map(drop)
    }

    /// Starts the container, also after [`shut_down`](Self::shut_down), and
    /// waits until its server is ready.
    pub(crate) async fn start_again(&self, superuser: &Connector) -> Result<(), Error> {
        let (image, port) = (&self.image, self.port);
        let failure = format!("Docker could not start a container of {image}");
        self.engine
            .run(&["start", &self.name], &failure)
            .await
            .map_err(|error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let is_in_use = |cause: &String| {
                    cause.contains("already allocated") || cause.contains("already in use")
                };
                if cause.as_ref().is_some_and(is_in_use) {
                    port::in_use_error(port).with_source(error)
                } else {
                    error
                }
            })?;
        let mut ended = tokio::process::Command::new("docker")
            .args(["wait", &self.name])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(io_error)?;
        let error = tokio::select! {
            ready = wait_until_ready(port, superuser) => match ready {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            _ = ended.wait() => Error::new(
                ErrorKind::Process,
                format!("the container of {image} ended during its start"),
            ),
        };
        if std::error::Error::source(&error).is_some() {
            return Err(error);
        }
        Err(error.with_source(self.engine.log_tail(&self.name).await))
    }

    /// Shuts the server down; the container stays.
    pub(crate) async fn shut_down(&self) -> Result<(), Error> {
        let failure = format!("could not shut down the container of {}", self.image);
        // On SIGINT, Postgres disconnects its clients and shuts down.
        let interrupt = ["kill", "--signal", "INT", &self.name];
        self.engine.run(&interrupt, &failure).await?;
        let wait = ["wait", &self.name];
        self.engine.run(&wait, &failure).await.map(drop)
    }

    /// Stops the server and removes the container.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        let status = self.watchdog.close(STOP_LIMIT).await;
        if status.is_some_and(|status| status.success()) {
            return Ok(());
        }
        let message = format!(
            "could not remove the Docker container {name}; try `docker rm --force {name}`",
            name = self.name
        );
        Err(Error::new(ErrorKind::Process, message).with_source(self.watchdog.log_tail()))
    }
}

fn settings(max_connections: u32, is_temporary: bool) -> Vec<String> {
    let mut settings = vec![
        format!("max_connections={max_connections}"),
        "password_encryption=scram-sha-256".to_owned(),
    ];
    if is_temporary {
        settings.extend(NO_DURABILITY.map(str::to_owned));
    }
    settings
}

/// Waits until the superuser can log in. While the image creates its cluster, it
/// runs a temporary server that does not listen on TCP.
async fn wait_until_ready(port: u16, superuser: &Connector) -> Result<(), Error> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match superuser.connect().await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_permanent() => {
                let message = "the Postgres server in Docker refused the login of its superuser";
                return Err(error.into_error(message));
            }
            Err(_) if Instant::now() < deadline => sleep(POLL_INTERVAL).await,
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Process,
                    format!(
                        "the Postgres server in Docker was not ready on 127.0.0.1:{port} within \
                         {} s; if the engine runs on another machine, give the URL of a server \
                         there instead",
                        START_LIMIT.as_secs()
                    ),
                ));
            }
        }
    }
}

fn io_error(error: io::Error) -> Error {
    let message = "could not prepare a Docker container for Postgres";
    Error::new(ErrorKind::System, message).with_source(error)
}

const SCRIPT_FILE: &str = "stagelink.sh";
const SCRIPT_DIRECTORY: &str = "/docker-entrypoint-initdb.d/";
const PASSWORD_FILE: &str = "stagelink-superuser-password";

/// Time for a server with kept databases to shut down, in seconds.
const GRACE_S: &str = "30";
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
