//! A directory that keeps databases from run to run.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::password::Password;
use crate::pid_file::{self, PidFile};
use crate::private_file;
use crate::server_user::ServerUser;
use crate::{Error, ErrorKind};

/// A directory that keeps databases, locked against every other server.
///
/// The lock is on the server's log. The server and its child processes write to
/// that open file, so the directory stays locked until the last of them has
/// ended, even if the process that started them was killed.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    log: File,
}

/// The databases that a [`DataDirectory`] keeps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    Empty,
    /// A cluster of server binaries of this major version.
    Cluster {
        major: u32,
    },
    /// A Docker volume, by its name, and the image that serves it.
    Volume {
        volume: String,
        image: String,
    },
}

impl DataDirectory {
    /// Opens the directory or creates it. Waits a few seconds for a server that is shutting down.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if another server uses the directory or the
    /// server's user cannot enter it; [`ErrorKind::System`] if it cannot be created.
    pub(crate) fn open(path: &Path, user: &ServerUser) -> Result<Self, Error> {
        let failed = |error: io::Error| io_error(path, error);
        if !path.exists() {
            fs::create_dir_all(path).map_err(failed)?;
            if user.is_other_user() {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
            }
        }
        let path = path.canonicalize().map_err(failed)?;
        if let Some(inaccessible) = user.first_inaccessible(&path) {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not keep databases in {}: Postgres runs as {}, which cannot enter {}; \
                     choose another directory",
                    path.display(),
                    user.description(),
                    inaccessible.display()
                ),
            ));
        }
        let log = private_file::open_options()
            .append(true)
            .open(path.join(LOG))
            .map_err(failed)?;
        let directory = Self { path, log };
        directory.lock()?;
        directory.log.set_len(0).map_err(failed)?;
        Ok(directory)
    }

    fn lock(&self) -> Result<(), Error> {
        let deadline = Instant::now() + SHUTDOWN_LIMIT;
        loop {
            match self.log.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(io_error(&self.path, error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(POLL_INTERVAL);
                }
                Err(TryLockError::WouldBlock) => {
                    let pid = PidFile::read(&self.cluster()).and_then(|file| file.pid());
                    return Err(pid_file::in_use_error(&self.path, pid));
                }
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the cluster that server binaries serve.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    /// Returns the log for the server to write to. It holds the lock as this value does.
    pub(crate) fn log(&self) -> Result<File, Error> {
        self.log
            .try_clone()
            .map_err(|error| io_error(&self.path, error))
    }

    /// Reads which databases earlier runs have left here.
    pub(crate) fn contents(&self) -> Result<Contents, Error> {
        let version = self.cluster().join("PG_VERSION");
        if let Some(text) = self.read_if_exists(&version)? {
            let major = text.trim().parse().map_err(|error| {
                Error::new(
                    ErrorKind::Input,
                    format!("{} holds no major version of Postgres", version.display()),
                )
                .with_source(error)
            })?;
            return Ok(Contents::Cluster { major });
        }
        let Some(text) = self.read_if_exists(&self.path.join(VOLUME))? else {
            return Ok(Contents::Empty);
        };
        let mut lines = text.lines().map(str::to_owned);
        match (lines.next(), lines.next()) {
            (Some(volume), Some(image)) => Ok(Contents::Volume { volume, image }),
            _ => Err(Error::new(
                ErrorKind::Input,
                format!(
                    "{} does not hold the name of a Docker volume and, on a second line, of an \
                     image",
                    self.path.join(VOLUME).display()
                ),
            )),
        }
    }

    /// Records that the databases are in a Docker volume, and the certificate of its server.
    pub(crate) fn record_volume(
        &self,
        volume: &str,
        image: &str,
        certificate_pem: &str,
    ) -> Result<(), Error> {
        self.write(CERTIFICATE, certificate_pem)?;
        self.write(VOLUME, &format!("{volume}\n{image}\n"))
    }

    /// Reads the certificate that [`record_volume`](Self::record_volume) has written.
    pub(crate) fn volume_certificate(&self) -> Result<Option<String>, Error> {
        self.read_if_exists(&self.path.join(CERTIFICATE))
    }

    /// Returns the superuser's password, and whether it was created by this call.
    pub(crate) fn load_or_create_password(&self) -> Result<(Password, bool), Error> {
        if let Some(text) = self.read_if_exists(&self.path.join(PASSWORD))?
            && !text.trim().is_empty()
        {
            return Ok((Password::new(text.trim()), false));
        }
        let password = Password::random();
        self.write(PASSWORD, password.expose())?;
        Ok((password, true))
    }

    fn read_if_exists(&self, path: &Path) -> Result<Option<String>, Error> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&self.path, error)),
        }
    }

    /// Writes a file atomically, readable by this user alone.
    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        tempfile::NamedTempFile::new_in(&self.path)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.as_file().sync_all()?;
                file.persist(self.path.join(name))?;
                Ok(())
            })
            .map_err(|error| io_error(&self.path, error))
    }
}

fn io_error(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::System,
        format!("could not keep databases in {}", path.display()),
    )
    .with_source(error)
}

const LOG: &str = "server.log";
const PASSWORD: &str = "superuser-password";
const VOLUME: &str = "docker-volume";
const CERTIFICATE: &str = "docker-certificate.pem";

/// Time for the server of a process that was just killed to shut down.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
