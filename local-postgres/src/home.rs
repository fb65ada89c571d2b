//! A directory that keeps databases from run to run.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::password::Password;
use crate::{Error, ErrorKind};

/// A directory that keeps databases, locked against every other server.
///
/// The lock is on the server's log. The server and all its processes write to
/// that very open file, so it stays locked until the last of them has ended,
/// even if the process that started them was killed.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    log: File,
}

/// What a [`Home`] keeps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Nothing,
    /// A cluster of server binaries of this major version.
    Cluster {
        major: u32,
    },
    /// The name of a Docker volume.
    Volume {
        volume: String,
        image: String,
    },
}

impl Home {
    /// Opens the directory, or makes it; waits a little for a server that is just ending.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if another server uses it or servers could not
    /// enter it, [`ErrorKind::System`] if it cannot be made.
    pub(crate) fn open(path: &Path, account: &Account) -> Result<Self, Error> {
        let refused = |error: io::Error| refused(path, error);
        if !path.exists() {
            fs::create_dir_all(path).map_err(refused)?;
            if account.is_another() {
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(refused)?;
            }
        }
        let path = path.canonicalize().map_err(refused)?;
        if let Some(barrier) = account.blocked_at(&path) {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not keep databases in {}: {}, as which Postgres servers run, \
                     cannot enter {}; choose another directory",
                    path.display(),
                    account.name(),
                    barrier.display()
                ),
            ));
        }
        let log = private()
            .append(true)
            .open(path.join(LOG))
            .map_err(refused)?;
        let home = Self { path, log };
        home.lock()?;
        home.log.set_len(0).map_err(refused)?;
        Ok(home)
    }

    fn lock(&self) -> Result<(), Error> {
        let deadline = Instant::now() + ENDING;
        loop {
            match self.log.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(refused(&self.path, error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => {
                    let holder = fs::read_to_string(self.cluster().join("postmaster.pid"))
                        .ok()
                        .and_then(|text| Some(format!(" (process {})", text.lines().next()?)))
                        .unwrap_or_default();
                    return Err(Error::new(
                        ErrorKind::Input,
                        format!(
                            "could not use the databases in {}: another running Postgres \
                             server has them{holder}; stop it or choose another directory",
                            self.path.display()
                        ),
                    ));
                }
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a cluster of server binaries is.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    /// The log, to be written to by the server; holds the lock as this value does.
    pub(crate) fn log(&self) -> Result<File, Error> {
        self.log
            .try_clone()
            .map_err(|error| refused(&self.path, error))
    }

    /// What was kept here by earlier runs.
    pub(crate) fn holds(&self) -> Result<Holds, Error> {
        let version = self.cluster().join("PG_VERSION");
        if let Some(text) = self.read_if_there(&version)? {
            let major = text.trim().parse().map_err(|error| {
                Error::new(
                    ErrorKind::Input,
                    format!("{} does not name a version of Postgres", version.display()),
                )
                .because(error)
            })?;
            return Ok(Holds::Cluster { major });
        }
        let Some(text) = self.read_if_there(&self.path.join(VOLUME))? else {
            return Ok(Holds::Nothing);
        };
        let mut lines = text.lines().map(str::to_owned);
        match (lines.next(), lines.next()) {
            (Some(volume), Some(image)) => Ok(Holds::Volume { volume, image }),
            _ => Err(Error::new(
                ErrorKind::Input,
                format!(
                    "{} does not name a volume and an image, one a line",
                    self.path.join(VOLUME).display()
                ),
            )),
        }
    }

    /// Notes that the databases are in a Docker volume, whose server shows this certificate.
    pub(crate) fn keep_volume(
        &self,
        volume: &str,
        image: &str,
        certificate_pem: &str,
    ) -> Result<(), Error> {
        self.write(CERTIFICATE, certificate_pem)?;
        self.write(VOLUME, &format!("{volume}\n{image}\n"))
    }

    /// The certificate noted by [`keep_volume`](Self::keep_volume).
    pub(crate) fn volume_certificate(&self) -> Result<Option<String>, Error> {
        self.read_if_there(&self.path.join(CERTIFICATE))
    }

    /// The superuser's password, and whether it had to be made.
    pub(crate) fn password(&self) -> Result<(Password, bool), Error> {
        if let Some(text) = self.read_if_there(&self.path.join(PASSWORD))?
            && !text.trim().is_empty()
        {
            return Ok((Password::new(text.trim()), false));
        }
        let password = Password::random();
        self.write(PASSWORD, password.reveal())?;
        Ok((password, true))
    }

    fn read_if_there(&self, path: &Path) -> Result<Option<String>, Error> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refused(&self.path, error)),
        }
    }

    /// Writes a file that only this user can read, whole or not at all.
    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        tempfile::NamedTempFile::new_in(&self.path)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.as_file().sync_all()?;
                file.persist(self.path.join(name))?;
                Ok(())
            })
            .map_err(|error| refused(&self.path, error))
    }
}

/// How a file is made that only its owner can read.
pub(crate) fn private() -> fs::OpenOptions {
    let mut options = File::options();
    options.read(true).create(true).mode(0o600);
    options
}

fn refused(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::System,
        format!("could not keep databases in {}", path.display()),
    )
    .because(error)
}

const LOG: &str = "server.log";
const PASSWORD: &str = "superuser-password";
const VOLUME: &str = "docker-volume";
const CERTIFICATE: &str = "docker-certificate.pem";

/// How long a server whose owner was just killed may take to shut down.
const ENDING: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
