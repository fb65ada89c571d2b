//! A server in a Docker container, by the official image's contract alone.
//!
//! The contract (hub.docker.com/_/postgres, 2026): the superuser's password is
//! in the file that `POSTGRES_PASSWORD_FILE` names; scripts in
//! `/docker-entrypoint-initdb.d/` run when the cluster has been made; options
//! after the image go to the server; it listens on port 5432; `PGDATA` says
//! where the data is. Files go in by `docker cp` rather than by a mount, so the
//! engine may be in a virtual machine.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::admin::Admin;
use crate::certificate::Certificate;
use crate::cluster::{Access, CERTIFICATE, KEY, RULES};
use crate::docker::Docker;
use crate::home::{Holds, Home};
use crate::local::{MAX_CONNECTIONS, UNSAFE_SETTINGS};
use crate::password::{Password, random_name};
use crate::port;
use crate::watchdog::{SHELL, Watchdog};
use crate::{Error, ErrorKind};

/// A running container.
#[derive(Debug)]
pub(crate) struct Container {
    docker: Docker,
    image: String,
    name: String,
    port: u16,
    watchdog: Watchdog,
}

/// The volume that keeps a container's data.
struct Volume {
    name: String,
    is_new: bool,
    mount: String,
}

impl Container {
    /// Starts a container of an image that the engine has, and waits until its
    /// server takes connections. With port 0 it gets a free one: one that the engine
    /// chose would be another after a restart.
    pub(crate) async fn start(
        docker: Docker,
        image: &str,
        home: Option<Arc<Home>>,
        port: u16,
    ) -> Result<(Self, u16, Access), Error> {
        port::claim(port, |port| {
            Self::attempt(docker, image, home.clone(), port)
        })
        .await
    }

    async fn attempt(
        docker: Docker,
        image: &str,
        home: Option<Arc<Home>>,
        port: u16,
    ) -> Result<(Self, u16, Access), Error> {
        let volume = match &home {
            Some(home) => Some(Volume::of(home, &docker, image).await?),
            None => None,
        };
        let log = match &home {
            Some(home) => home.log()?,
            None => tempfile::tempfile().map_err(refused)?,
        };
        let directory = std::env::temp_dir().join(random_name());
        let mut container =
            Self::create(docker, image, &directory, volume.as_ref(), port, log).await?;
        let access = container
            .fill(&directory, home.as_deref(), volume.as_ref())
            .await?;
        let admin = Admin::local(port, &access.password)?;
        container.resume(&admin).await?;
        if let (Some(home), Some(volume)) = (&home, &volume)
            && volume.is_new
        {
            home.keep_volume(&volume.name, image, &access.certificate_pem)?;
            container.watchdog.tell("keep").await;
        }
        Ok((container, port, access))
    }

    /// Creates the container and, for files on their way into it, a directory.
    async fn create(
        docker: Docker,
        image: &str,
        directory: &Path,
        volume: Option<&Volume>,
        port: u16,
        log: File,
    ) -> Result<Self, Error> {
        let directory = directory.to_string_lossy();
        let name = random_name();
        let grace = if volume.is_some() { GRACE_S } else { "0" };
        let new_volume = volume
            .filter(|volume| volume.is_new)
            .map_or("", |volume| &volume.name);
        let publish = format!("--publish=127.0.0.1:{port}:5432");
        let secret = format!("--env=POSTGRES_PASSWORD_FILE=/{PASSWORD}");
        let mount = volume.map(|volume| format!("--volume={}:{}", volume.name, volume.mount));
        let max_connections = format!("max_connections={MAX_CONNECTIONS}");

        let mut arguments = vec![&*directory, &name, grace, new_volume];
        arguments.extend([
            "--pull=never",
            "--label=stagelink.postgres",
            &publish,
            &secret,
        ]);
        arguments.extend(mount.as_deref());
        arguments.extend([image, "-c", &max_connections]);
        arguments.extend(["-c", "password_encryption=scram-sha-256"]);
        if volume.is_none() {
            arguments.extend(UNSAFE_SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        }
        let mut shell = Command::new(SHELL);
        shell.current_dir("/");
        let mut watchdog = Watchdog::spawn(shell, include_str!("container.sh"), arguments, log)?;
        if !watchdog.hear().await {
            return Err(Error::new(
                ErrorKind::Process,
                format!("Docker could not create a container of {image}"),
            )
            .because(watchdog.last_words()));
        }
        Ok(Self {
            docker,
            image: image.to_owned(),
            name,
            port,
            watchdog,
        })
    }

    /// Puts the superuser's password and the init script into the container.
    async fn fill(
        &self,
        directory: &Path,
        home: Option<&Home>,
        volume: Option<&Volume>,
    ) -> Result<Access, Error> {
        let password = match home {
            Some(home) => home.password()?.0,
            None => Password::random(),
        };
        let certificate = Certificate::sign()?;
        // In the container the first is read by the server's user, the second by root.
        for (file, text, mode, target) in [
            (SCRIPT, script(&certificate), 0o644, SCRIPT_DIRECTORY),
            (PASSWORD, password.reveal().to_owned(), 0o600, "/"),
        ] {
            let path = directory.join(file);
            fs::write(&path, text)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
                .map_err(refused)?;
            self.put(&path, target).await?;
            fs::remove_file(&path).map_err(refused)?;
        }
        // A volume that has a cluster has its certificate, too: the script does not run again.
        let kept = match (home, volume) {
            (Some(home), Some(volume)) if !volume.is_new => home.volume_certificate()?,
            _ => None,
        };
        Ok(Access {
            password,
            certificate_pem: kept.unwrap_or(certificate.certificate_pem),
        })
    }

    /// Copies a file into a directory of the container, as root's and with its mode.
    async fn put(&self, file: &Path, to: &str) -> Result<(), Error> {
        let target = format!("{}:{to}", self.name);
        let failure = format!("could not copy a file to {to} of the Docker container");
        let arguments = ["cp", &*file.to_string_lossy(), &target];
        self.docker.run(&arguments, &failure).await.map(drop)
    }

    /// Starts the container, again after [`halt`](Self::halt), and waits for its server.
    pub(crate) async fn resume(&self, admin: &Admin) -> Result<(), Error> {
        let (image, port) = (&self.image, self.port);
        let failure = format!("Docker could not start a container of {image}");
        self.docker
            .run(&["start", &self.name], &failure)
            .await
            .map_err(|error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let is_taken = |cause: &String| {
                    cause.contains("already allocated") || cause.contains("already in use")
                };
                if cause.as_ref().is_some_and(is_taken) {
                    port::in_use("127.0.0.1", port).because(error)
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
            .map_err(refused)?;
        let failure = tokio::select! {
            ready = ready(port, admin) => match ready {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            _ = ended.wait() => Error::new(
                ErrorKind::Process,
                format!("the container of {image} ended while it started"),
            ),
        };
        if std::error::Error::source(&failure).is_some() {
            return Err(failure);
        }
        let said = self.docker.last_words(&self.name).await;
        Err(failure.because(said))
    }

    /// Shuts the server down in order; the container stays.
    pub(crate) async fn halt(&self) -> Result<(), Error> {
        let failure = format!("could not shut down the container of {}", self.image);
        // Postgres takes SIGINT for a shutdown that does not wait for clients.
        let interrupt = ["kill", "--signal", "INT", &self.name];
        self.docker.run(&interrupt, &failure).await?;
        let wait = ["wait", &self.name];
        self.docker.run(&wait, &failure).await.map(drop)
    }

    /// Stops the server and removes the container.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        if self
            .watchdog
            .end(STOP_LIMIT)
            .await
            .is_some_and(|status| status.success())
        {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Process,
            format!(
                "could not remove the Docker container {name}; try `docker rm --force {name}`",
                name = self.name
            ),
        )
        .because(self.watchdog.last_words()))
    }
}

/// Waits until the superuser can log in: the entrypoint runs the server once
/// before, but not on TCP.
async fn ready(port: u16, admin: &Admin) -> Result<(), Error> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match admin.try_connect().await {
            Ok(_) => return Ok(()),
            Err(refusal) if refusal.is_final() => {
                return Err(refusal
                    .into_error("the Postgres server in Docker does not let its superuser in"));
            }
            Err(_) if Instant::now() < deadline => sleep(POLL).await,
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Process,
                    format!(
                        "the Postgres server in Docker was not ready on 127.0.0.1:{port} within                          {} s; if the engine is on another machine, give the URL of a server                          there instead",
                        START_LIMIT.as_secs()
                    ),
                ));
            }
        }
    }
}

impl Volume {
    /// The volume that a directory names, or a new one.
    async fn of(home: &Home, docker: &Docker, image: &str) -> Result<Self, Error> {
        let mount = docker.data_directory(image).await?;
        if let Holds::Volume { volume, .. } = home.holds()? {
            let inspect = ["volume", "inspect", "--format", "{{.Name}}", &volume];
            let is_new = docker.run(&inspect, "").await.is_err();
            return Ok(Self {
                name: volume,
                is_new,
                mount,
            });
        }
        Ok(Self {
            name: random_name(),
            is_new: true,
            mount,
        })
    }
}

/// What the image runs once its cluster is made. TLS is set there and not by
/// options: those go to the server that runs before, too, when there is no
/// certificate yet.
fn script(certificate: &Certificate) -> String {
    let Certificate {
        certificate_pem,
        key_pem,
    } = certificate;
    format!(
        "(
umask 077
cat > \"$PGDATA/{CERTIFICATE}\" <<'PEM'
{certificate_pem}
PEM
cat > \"$PGDATA/{KEY}\" <<'PEM'
{key_pem}
PEM
cat > \"$PGDATA/pg_hba.conf\" <<'RULES'
{RULES}RULES
cat >> \"$PGDATA/postgresql.conf\" <<'SETTINGS'
ssl = on
ssl_cert_file = '{CERTIFICATE}'
ssl_key_file = '{KEY}'
ssl_min_protocol_version = 'TLSv1.2'
SETTINGS
)
"
    )
}

fn refused(error: io::Error) -> Error {
    Error::new(
        ErrorKind::System,
        "could not prepare a Docker container for Postgres",
    )
    .because(error)
}

const SCRIPT: &str = "stagelink.sh";
const SCRIPT_DIRECTORY: &str = "/docker-entrypoint-initdb.d/";
const PASSWORD: &str = "stagelink-superuser-password";

/// How long a server with data to keep has to shut down.
const GRACE_S: &str = "30";
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
