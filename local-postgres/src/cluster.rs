//! A cluster: the directory that a server of installed binaries serves.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::Progress;
use crate::account::Account;
use crate::binaries::Binaries;
use crate::cache::Cache;
use crate::certificate::{Certificate, RENEWAL};
use crate::home::Home;
use crate::password::Password;
use crate::run::{run, run_with_input};
use crate::{Error, ErrorKind};

/// Makes clusters for a server's binaries.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    pub(crate) binaries: Binaries,
    pub(crate) account: Account,
    /// Where prepared clusters are; without it each is made from nothing.
    pub(crate) cache: Option<Cache>,
    pub(crate) progress: Progress,
}

/// What it takes to enter a cluster's server.
pub(crate) struct Access {
    pub(crate) password: Password,
    pub(crate) certificate_pem: String,
}

impl Builder {
    /// A cluster in a directory that does not exist yet, not meant to survive
    /// a crash of the machine.
    pub(crate) fn temporary(&self, data: &Path) -> Result<Access, Error> {
        let password = Password::random();
        match &self.cache {
            Some(cache) => self.copy_template(cache, data)?,
            None => self.initdb(data, &NO_SYNC)?,
        }
        self.set_password(data, &password, &["-F"])?;
        self.secure(data, password)
    }

    /// The cluster of a directory that is kept, made if there is none yet.
    pub(crate) fn kept(&self, home: &Home) -> Result<Access, Error> {
        let data = home.cluster();
        let (password, is_new) = home.password()?;
        if data.join("PG_VERSION").exists() {
            clear_stale_pid(&data)?;
            if is_new {
                self.set_password(&data, &password, &[])?;
            }
        } else {
            let unfinished = home.path().join("cluster.new");
            remove_if_there(&unfinished)
                .and_then(|()| remove_if_there(&data))
                .and_then(|()| fs::create_dir(&unfinished))
                .and_then(|()| self.account.own(&unfinished))
                .map_err(|error| refused(&unfinished, error))?;
            self.initdb(&unfinished, &[])?;
            self.set_password(&unfinished, &password, &[])?;
            fs::rename(&unfinished, &data).map_err(|error| refused(&data, error))?;
        }
        self.secure(&data, password)
    }

    /// Copies a cluster that was made before with the same binaries for the
    /// same user. Nobody can log in to it: its superuser has no password, and
    /// its rules reject everyone.
    fn copy_template(&self, cache: &Cache, data: &Path) -> Result<(), Error> {
        let directory = self.binaries.directory().display().to_string();
        let name = format!(
            "{TEMPLATE}-{}{}-uid{}",
            self.binaries.version(),
            directory.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-"),
            self.account.uid()
        );
        let template = cache.entry("clusters", &name, |staging| {
            let made = staging.join("cluster");
            self.initdb(&made, &NO_SYNC)?;
            Ok(made)
        });
        match template {
            Ok(template) => {
                copy(template.path(), data, &self.account).map_err(|error| refused(data, error))
            }
            // A cache that cannot be written costs time, and that is all.
            Err(error) if error.kind() == ErrorKind::System => self.initdb(data, &NO_SYNC),
            Err(error) => Err(error),
        }
    }

    fn initdb(&self, data: &Path, options: &[&str]) -> Result<(), Error> {
        self.progress
            .tell(format!("initialising {}", self.binaries.description()));
        let initdb = |locale: &[&str]| {
            let mut command = self.account.command(self.binaries.program("initdb"));
            command
                .args(["--username=postgres", "--auth=reject", "--encoding=UTF8"])
                .args(["--locale=C", "--text-search-config=english"])
                .args(locale)
                .args(options)
                .arg("--pgdata")
                .arg(data)
                // A database on Heroku lives in UTC wherever its user lives.
                .env("TZ", "Etc/UTC");
            let failure = format!("could not initialise a cluster in {}", data.display());
            run(command, &failure)
        };
        // Heroku's databases sort and fold like en_US.UTF-8. Operating systems
        // differ in which locales they have; ICU is the same everywhere, but
        // was not compiled into every server.
        if self.binaries.major() >= FIRST_WITH_ICU_DATABASES
            && initdb(&["--locale-provider=icu", "--icu-locale=en-US"]).is_ok()
        {
            return Ok(());
        }
        initdb(&[]).map(drop)
    }

    /// Sets the superuser's password while no server runs.
    fn set_password(
        &self,
        data: &Path,
        password: &Password,
        options: &[&str],
    ) -> Result<(), Error> {
        let mut command = self.account.command(self.binaries.program("postgres"));
        command.arg("--single").args(options);
        command.arg("-D").arg(data).arg("postgres");
        command.stdout(Stdio::null());
        let statement = format!("alter role postgres password '{}'\n", password.verifier());
        let failure = format!(
            "could not set the superuser's password in {}",
            data.display()
        );
        run_with_input(command, &statement, &failure)
    }

    /// Writes who may connect, and the certificate where it is missing or old.
    fn secure(&self, data: &Path, password: Password) -> Result<Access, Error> {
        let write = |name: &str, text: &str| {
            let path = data.join(name);
            write_private(&path, text)
                .and_then(|()| self.account.own(&path))
                .map_err(|error| refused(&path, error))
        };
        write("pg_hba.conf", RULES)?;
        let kept = data.join(CERTIFICATE);
        let is_fresh = fs::metadata(&kept)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|made| {
                SystemTime::now()
                    .duration_since(made)
                    .is_ok_and(|age| age < RENEWAL)
            });
        let certificate_pem = if is_fresh && data.join(KEY).exists() {
            fs::read_to_string(&kept).map_err(|error| refused(&kept, error))?
        } else {
            let certificate = Certificate::sign()?;
            write(KEY, &certificate.key_pem)?;
            write(CERTIFICATE, &certificate.certificate_pem)?;
            certificate.certificate_pem
        };
        Ok(Access {
            password,
            certificate_pem,
        })
    }
}

/// Removes the pid file of a server that was killed, so that it is neither
/// taken for this server's nor for a process that has the same number by now.
///
/// The lock on the directory says that no server of ours is left; someone may
/// have started one by hand.
fn clear_stale_pid(data: &Path) -> Result<(), Error> {
    let path = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let pid = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok());
    if let Some(pid) = pid
        && is_postgres(pid)
    {
        return Err(Error::new(
            ErrorKind::Input,
            format!(
                "could not use the databases in {}: another running Postgres server has them \
                 (process {pid}); stop it or choose another directory",
                data.display()
            ),
        ));
    }
    fs::remove_file(&path).map_err(|error| refused(&path, error))
}

/// Whether a process is a Postgres server; in doubt it is.
fn is_postgres(pid: i32) -> bool {
    if kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
        return false;
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).or_else(|_| {
        std::process::Command::new("ps")
            .args(["-o", "comm=", "-p", &pid.to_string()])
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    name.map_or(true, |name| {
        name.contains("postgres") || name.contains("postmaster")
    })
}

/// Copies a directory of files and directories, and gives it to a user.
fn copy(from: &Path, to: &Path, account: &Account) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    // First of all, so that the watchdog, who is that user, can remove half a copy.
    account.own(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target, account)?;
        } else {
            fs::copy(entry.path(), &target)?;
            account.own(&target)?;
        }
    }
    Ok(())
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    let mut options = super::home::private();
    let mut file = options.write(true).truncate(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn remove_if_there(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn refused(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::System,
        format!("could not prepare {} for Postgres", path.display()),
    )
    .because(error)
}

/// Nobody enters but over TLS and with SCRAM; that is the whole file.
pub(crate) const RULES: &str = "hostssl all all all scram-sha-256\n";

pub(crate) const CERTIFICATE: &str = "server.crt";
pub(crate) const KEY: &str = "server.key";

/// For what need not survive a crash of the machine.
const NO_SYNC: [&str; 1] = ["--no-sync"];

/// Part of a prepared cluster's name; to be changed with the options of initdb.
const TEMPLATE: &str = "1";

const FIRST_WITH_ICU_DATABASES: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn pid_file(pid: u32) -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        let text = format!("{pid}\n/data\n1700000000\n5432\n\n127.0.0.1\n\nready   \n");
        fs::write(data.path().join("postmaster.pid"), text).unwrap();
        data
    }

    #[test]
    fn pid_of_an_ended_process_is_cleared() {
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let data = pid_file(ended.id());
        clear_stale_pid(data.path()).unwrap();
        assert!(!data.path().join("postmaster.pid").exists());
    }

    #[test]
    fn pid_that_another_program_has_by_now_is_cleared() {
        let data = pid_file(std::process::id());
        clear_stale_pid(data.path()).unwrap();
        assert!(!data.path().join("postmaster.pid").exists());
    }
}
