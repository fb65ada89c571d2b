//! A server that the processes of one user share, one after the other and at the same time.

mod description;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_postgres::Client;

use self::description::Description;
use crate::cache::Cache;
use crate::connector::Connector;
use crate::database_admin::server_version;
use crate::launch::{LaunchedServer, launch};
use crate::password::Password;
use crate::random::unique_name;
use crate::server_user::ServerUser;
use crate::watchdog::SHELL;
use crate::{Error, ErrorKind, ServerOptions, ServerSource};

/// A Postgres server that all processes of this user share, for the tests of several programs.
///
/// The first process starts it, from the same sources as [`Server`](crate::Server), and it outlives
/// that process: it ends two minutes after the last process that used it, with all its databases. A
/// process that is killed uses it no longer. There is one for each source.
pub struct SharedServer {
    superuser: Connector,
    host: String,
    port: u16,
    description: String,
    directory: Option<PathBuf>,
    /// The pipe by which the server's keeper knows that this process uses it.
    _use: Option<File>,
}

impl SharedServer {
    /// Returns the running server of this source, or starts one. A server that is given by its URL
    /// runs already.
    ///
    /// Of the options, the source, the cache directory and the listener count: the port is a free
    /// one, and the databases are temporary.
    ///
    /// # Errors
    ///
    /// Those of [`Server::start`](crate::Server::start).
    pub async fn attach(options: ServerOptions) -> Result<Self, Error> {
        let user = ServerUser::detect();
        let folder = Cache::open(options.cache_directory.as_deref(), &user)
            .and_then(|cache| cache.private_directory("shared", &key(&options.source)));
        if let ServerSource::Url(url) = &options.source {
            return Ok(Self {
                superuser: Connector::for_url(url)?,
                host: url.host().to_owned(),
                port: url.port(),
                description: format!("{}:{}", url.host(), url.port()),
                directory: folder.ok(),
                _use: None,
            });
        }
        let folder = folder?;
        if let Some(server) = Self::attach_to_running(&folder).await {
            return Ok(server);
        }
        let lock_path = folder.join("lock");
        let lock = spawn_blocking(move || {
            let lock = File::create(&lock_path)?;
            lock.lock()?;
            Ok(lock)
        });
        let _lock = lock
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| io_error(&folder, error))?;
        // Another process may have started one meanwhile.
        if let Some(server) = Self::attach_to_running(&folder).await {
            return Ok(server);
        }
        Self::start(options, &folder).await
    }

    /// Attaches to the server that a folder describes, if that still runs.
    async fn attach_to_running(folder: &Path) -> Option<Self> {
        let found = Description::read(folder)?;
        let mut pipe = open_pipe(&found.instance).ok()?;
        pipe.write_all(b"attached\n").ok()?;
        let address = ("127.0.0.1", found.port);
        let reached = timeout(REACH_LIMIT, TcpStream::connect(address)).await;
        reached.ok()?.ok()?;
        // The keeper withdraws the description before it looks for attached processes once more.
        if Description::read(folder)? != found {
            return None;
        }
        Self::of(found, folder, pipe).ok()
    }

    fn of(found: Description, folder: &Path, pipe: File) -> Result<Self, Error> {
        Ok(Self {
            superuser: Connector::for_local(found.port, &found.password)?,
            host: "127.0.0.1".to_owned(),
            port: found.port,
            description: found.text,
            directory: Some(folder.to_owned()),
            _use: Some(pipe),
        })
    }

    /// Starts a server, and leaves it to a keeper.
    async fn start(options: ServerOptions, folder: &Path) -> Result<Self, Error> {
        let options = ServerOptions {
            port: 0,
            data_directory: None,
            max_connections: None,
            ..options
        };
        let LaunchedServer {
            process,
            port,
            access,
            origin,
            ..
        } = launch(options).await?;
        let client = Connector::for_local(port, &access.password)?
            .connect()
            .await
            .map_err(|error| error.into_error("could not log in to the server just started"))?;
        crate::provision::revoke_public_connect(&client).await?;
        let found = Description {
            instance: folder.join(unique_name()),
            port,
            password: access.password,
            text: format!("PostgreSQL {} {origin}", server_version(&client).await?),
        };
        let watchdog = process
            .into_watchdog_pipe()
            .ok_or_else(|| Error::new(ErrorKind::Process, "the server has ended already"))?
            .map_err(|error| io_error(folder, error))?;
        let pipe =
            keep(&found.instance, watchdog, KEPT_FOR).map_err(|error| io_error(folder, error))?;
        found
            .write(folder)
            .map_err(|error| io_error(folder, error))?;
        Self::of(found, folder, pipe)
    }

    /// Returns the server's version and origin, such as `PostgreSQL 15.18 from
    /// /usr/lib/postgresql/15/bin`; the address of a server that was given by its URL.
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

    /// Returns a directory that all processes of this user which use this server have for their files,
    /// such as locks, and no process of another user. Servers that are given by their URL have one for all
    /// of them, and `None` where there is no usable cache directory.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Connects to a database as the superuser, over TLS and with SCRAM channel binding. The
    /// client's background task runs on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] if the server cannot be reached or has no such database. The cause is
    /// the driver's error.
    pub async fn connect_as_superuser(&self, database: &str) -> Result<Client, Error> {
        self.connect_with(&self.superuser.with_database(database))
            .await
    }

    /// Connects to a database as a role, otherwise as
    /// [`connect_as_superuser`](Self::connect_as_superuser) does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Process`] if the server cannot be reached or refuses the login.
    pub async fn connect(
        &self,
        database: &str,
        role: &str,
        password: &str,
    ) -> Result<Client, Error> {
        let role = self
            .superuser
            .with_database(database)
            .with_role(role, &Password::new(password));
        self.connect_with(&role).await
    }

    async fn connect_with(&self, connector: &Connector) -> Result<Client, Error> {
        connector.connect().await.map_err(|error| {
            error.into_error(format!(
                "could not log in to the Postgres server at {}:{}",
                self.host, self.port
            ))
        })
    }
}

impl fmt::Debug for SharedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedServer")
            .field("description", &self.description)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Starts the keeper of a server, with the pipe of its watchdog. Returns the end of the pipe by which
/// this process uses the server.
fn keep(instance: &Path, watchdog: OwnedFd, kept_for: Duration) -> io::Result<File> {
    fs::DirBuilder::new().mode(0o700).create(instance)?;
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(instance.join(PIPE))
        .stdin(Stdio::null())
        .status()?;
    if !made.success() {
        return Err(io::Error::other("mkfifo failed"));
    }
    let pipe = open_pipe(instance)?;
    Command::new(SHELL)
        .args(["-c", include_str!("keeper.sh"), "stagelink-keeper"])
        .arg(instance)
        .arg(kept_for.as_secs().to_string())
        .stdin(Stdio::null())
        .stdout(watchdog)
        .stderr(Stdio::null())
        // Ctrl-C in a terminal reaches the tests, and not the server of other tests.
        .process_group(0)
        .spawn()?;
    Ok(pipe)
}

/// Opens the pipe. It is opened for both directions, which does not wait for the keeper.
fn open_pipe(instance: &Path) -> io::Result<File> {
    let path = instance.join(PIPE);
    File::options().read(true).write(true).open(path)
}

/// Returns the name of a source's folder: its text, with other characters than letters and digits as
/// their numbers.
fn key(source: &ServerSource) -> String {
    let text = match source {
        ServerSource::Auto => "auto".to_owned(),
        ServerSource::Url(_) => "given".to_owned(),
        ServerSource::Docker { image: None } => "docker".to_owned(),
        ServerSource::Docker { image: Some(image) } => format!("docker-{image}"),
        ServerSource::Binaries { dir: None } => "local".to_owned(),
        ServerSource::Binaries { dir: Some(dir) } => format!("local-{}", dir.display()),
        ServerSource::Npm { major: None } => "npm".to_owned(),
        ServerSource::Npm { major: Some(major) } => format!("npm-{major}"),
    };
    let mut key = String::new();
    for c in text.chars() {
        match c {
            '.' | '-' => key.push(c),
            c if c.is_ascii_alphanumeric() => key.push(c),
            c => key.push_str(&format!("_{:x}_", u32::from(c))),
        }
    }
    key
}

fn io_error(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::System,
        format!("could not share a Postgres server in {}", path.display()),
    )
    .with_source(error)
}

const PIPE: &str = "users";

/// The time that a server is kept after its last use: longer than a compiler takes between two runs of
/// the tests of a small crate.
const KEPT_FOR: Duration = Duration::from_secs(120);

const REACH_LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::mpsc;

    use super::*;

    /// Starts a keeper, with the description of a server that is not there. Returns the use of the
    /// server, and a channel that tells of the end of the keeper.
    fn keeper(folder: &Path) -> (Description, File, mpsc::Receiver<()>) {
        let found = Description {
            instance: folder.join(unique_name()),
            port: 1,
            password: Password::new("c4n4ry"),
            text: "a server".to_owned(),
        };
        let (mut end, watchdog) = io::pipe().unwrap();
        let pipe = keep(&found.instance, watchdog.into(), Duration::ZERO).unwrap();
        found.write(folder).unwrap();
        let (told, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let _ = end.read(&mut [0]);
            let _ = told.send(());
        });
        (found, pipe, ended)
    }

    #[test]
    fn server_is_kept_until_its_last_use_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (found, first, ended) = keeper(folder.path());
        assert!(Description::read(folder.path()).unwrap() == found);
        let mut second = open_pipe(&found.instance).unwrap();
        second.write_all(b"attached\n").unwrap();
        drop(first);
        ended.recv_timeout(Duration::from_millis(300)).unwrap_err();
        assert!(Description::read(folder.path()).is_some());
        drop(second);
        ended.recv_timeout(Duration::from_secs(20)).unwrap();
        // It has removed its own directory before it ended.
        assert!(Description::read(folder.path()).is_none());
        assert!(!found.instance.exists());
    }

    #[test]
    fn description_of_another_server_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (_, first, first_ended) = keeper(folder.path());
        let (second, pipe, _ended) = keeper(folder.path());
        drop(first);
        first_ended.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(Description::read(folder.path()).unwrap() == second);
        drop(pipe);
    }

    #[test]
    fn sources_do_not_share_a_folder() {
        let key = |text: &str| key(&text.parse().unwrap());
        assert_eq!(key("npm:18"), "npm-18");
        assert_ne!(key("local:/a/b"), key("local:/a_b"));
        assert_ne!(key("docker:postgres:16"), key("docker:postgres_16"));
    }
}
