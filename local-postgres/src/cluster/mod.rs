//! Creates and secures clusters, the directories that server binaries serve.

mod copy;

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::SystemTime;

use crate::binaries::ServerBinaries;
use crate::cache::Cache;
use crate::certificate::{RENEW_AFTER, ServerCertificate};
use crate::data_directory::DataDirectory;
use crate::options::ProgressListener;
use crate::password::Password;
use crate::pid_file;
use crate::private_file;
use crate::run::{run, run_with_input};
use crate::server_settings::{CERTIFICATE_FILE, ClusterAccess, HBA_RULES, KEY_FILE};
use crate::server_user::ServerUser;
use crate::{Error, ErrorKind};

/// Prepares clusters with the programs of one set of server binaries.
#[derive(Clone, Debug)]
pub(crate) struct ClusterBuilder {
    pub(crate) binaries: ServerBinaries,
    pub(crate) user: ServerUser,
    /// Holds prepared clusters. Without a cache, initdb creates each cluster.
    pub(crate) cache: Option<Cache>,
    pub(crate) progress: ProgressListener,
}

impl ClusterBuilder {
    /// Prepares a cluster in a new directory. The cluster need not survive a
    /// crash of the machine.
    pub(crate) fn prepare_temporary(&self, cluster: &Path) -> Result<ClusterAccess, Error> {
        let password = Password::random();
        match &self.cache {
            Some(cache) => self.copy_template(cache, cluster)?,
            None => self.initdb(cluster, &NO_SYNC)?,
        }
        self.set_password(cluster, &password, &["-F"])?;
        self.secure(cluster, password)
    }

    /// Prepares the cluster of a data directory. Creates it if there is none yet.
    pub(crate) fn prepare_kept(&self, kept: &DataDirectory) -> Result<ClusterAccess, Error> {
        let cluster = kept.cluster();
        let (password, is_new) = kept.load_or_create_password()?;
        if cluster.join("PG_VERSION").exists() {
            pid_file::remove_stale(&cluster)?;
            if is_new {
                self.set_password(&cluster, &password, &[])?;
            }
        } else {
            let unfinished = kept.path().join("cluster.new");
            remove_if_exists(&unfinished)
                .and_then(|()| remove_if_exists(&cluster))
                .and_then(|()| fs::create_dir(&unfinished))
                .and_then(|()| self.user.chown(&unfinished))
                .map_err(|error| io_error(&unfinished, error))?;
            self.initdb(&unfinished, &[])?;
            self.set_password(&unfinished, &password, &[])?;
            fs::rename(&unfinished, &cluster).map_err(|error| io_error(&cluster, error))?;
        }
        self.secure(&cluster, password)
    }

    /// Copies a prepared cluster of the same binaries and the same user from the
    /// cache. The cached cluster accepts no login: its superuser has no
    /// password, and its rules reject every connection.
    fn copy_template(&self, cache: &Cache, cluster: &Path) -> Result<(), Error> {
        let directory = self.binaries.directory().display().to_string();
        let name = format!(
            "{TEMPLATE_VERSION}-{}{}-uid{}",
            self.binaries.version(),
            directory.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-"),
            self.user.uid()
        );
        let template = cache.entry("clusters", &name, |staging| {
            let created = staging.join("cluster");
            self.initdb(&created, &NO_SYNC)?;
            Ok(created)
        });
        match template {
            Ok(template) => copy::copy_directory(template.path(), cluster, &self.user)
                .map_err(|error| io_error(cluster, error)),
            // Without a writable cache the start takes longer, but works.
            Err(error) if error.kind() == ErrorKind::System => self.initdb(cluster, &NO_SYNC),
            Err(error) => Err(error),
        }
    }

    fn initdb(&self, cluster: &Path, options: &[&str]) -> Result<(), Error> {
        self.progress
            .report(format!("initializing {}", self.binaries.description()));
        let initdb = |locale: &[&str]| {
            let mut command = self.user.command(self.binaries.program("initdb"));
            command
                .args(["--username=postgres", "--auth=reject", "--encoding=UTF8"])
                .args(["--locale=C", "--text-search-config=english"])
                .args(locale)
                .args(options)
                .arg("--pgdata")
                .arg(cluster)
                // A database on Heroku uses UTC, whatever the time zone of its user.
                .env("TZ", "Etc/UTC");
            let failure = format!("could not initialize a cluster in {}", cluster.display());
            run(command, &failure)
        };
        // Heroku's databases sort and fold by en_US.UTF-8, which not every operating system has.
        // ICU is the same on all of them, but not every server was compiled with it.
        if self.binaries.major() >= FIRST_WITH_ICU_DATABASES
            && initdb(&["--locale-provider=icu", "--icu-locale=en-US"]).is_ok()
        {
            return Ok(());
        }
        initdb(&[]).map(drop)
    }

    /// Sets the superuser's password in single-user mode, while no server runs.
    fn set_password(
        &self,
        cluster: &Path,
        password: &Password,
        options: &[&str],
    ) -> Result<(), Error> {
        let mut command = self.user.command(self.binaries.program("postgres"));
        command.arg("--single").args(options);
        command.arg("-D").arg(cluster).arg("postgres");
        command.stdout(Stdio::null());
        let statement = format!(
            "alter role postgres password '{}'\n",
            password.scram_verifier()
        );
        let failure = format!(
            "could not set the superuser's password in {}",
            cluster.display()
        );
        run_with_input(command, &statement, &failure)
    }

    /// Writes `pg_hba.conf`, and the certificate if it is missing or old.
    fn secure(&self, cluster: &Path, password: Password) -> Result<ClusterAccess, Error> {
        let write = |name: &str, text: &str| {
            let path = cluster.join(name);
            private_file::write(&path, text)
                .and_then(|()| self.user.chown(&path))
                .map_err(|error| io_error(&path, error))
        };
        write("pg_hba.conf", HBA_RULES)?;
        let kept = cluster.join(CERTIFICATE_FILE);
        let is_fresh = fs::metadata(&kept)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|created| {
                SystemTime::now()
                    .duration_since(created)
                    .is_ok_and(|age| age < RENEW_AFTER)
            });
        let certificate_pem = if is_fresh && cluster.join(KEY_FILE).exists() {
            fs::read_to_string(&kept).map_err(|error| io_error(&kept, error))?
        } else {
            let certificate = ServerCertificate::generate()?;
            write(KEY_FILE, &certificate.key_pem)?;
            write(CERTIFICATE_FILE, &certificate.certificate_pem)?;
            certificate.certificate_pem
        };
        Ok(ClusterAccess {
            password,
            certificate_pem,
        })
    }
}

fn remove_if_exists(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn io_error(path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::System,
        format!("could not prepare {} for Postgres", path.display()),
    )
    .with_source(error)
}

/// initdb's option for a cluster that need not survive a crash of the machine.
const NO_SYNC: [&str; 1] = ["--no-sync"];

/// Part of a cached cluster's name. Increment it with each change of initdb's options.
const TEMPLATE_VERSION: &str = "1";

const FIRST_WITH_ICU_DATABASES: u32 = 15;
