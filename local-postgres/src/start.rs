//! Which source a server is started from, and what that source needs.

use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::account::Account;
use crate::binaries::Binaries;
use crate::cache::Cache;
use crate::cluster::Builder;
use crate::container::Container;
use crate::docker::{DEFAULT_IMAGE, Docker};
use crate::home::{Holds, Home};
use crate::local::Local;
use crate::release::Release;
use crate::server::Backend;
use crate::{Error, ErrorKind};
use crate::{Options, Server, Source, npm};

/// What all ways of starting a server share.
pub(crate) struct Start {
    options: Options,
    account: Account,
    home: Option<Arc<Home>>,
    holds: Holds,
}

impl Start {
    /// Opens the directory that is to be kept, if any.
    pub(crate) async fn new(options: Options) -> Result<Self, Error> {
        let account = Account::of_servers();
        let home = match &options.data {
            None => None,
            Some(path) => {
                let (path, account) = (path.clone(), account.clone());
                let home = blocking(move || Home::open(&path, &account)).await?;
                Some(Arc::new(home))
            }
        };
        Ok(Self {
            holds: home
                .as_ref()
                .map_or(Ok(Holds::Nothing), |home| home.holds())?,
            options,
            account,
            home,
        })
    }

    /// Starts a server from the source that was chosen.
    pub(crate) async fn server(&self) -> Result<Server, Error> {
        match &self.options.source {
            Source::Docker { image } => self.docker(image.as_deref()).await,
            Source::Binaries { dir } => self.installed(dir.as_deref()).await,
            Source::Npm { major } => self.npm(*major).await,
            Source::Auto | Source::Url(_) => self.first_that_works().await,
        }
    }

    /// Tries the sources in turn. Data that is kept is served by its own kind of source.
    async fn first_that_works(&self) -> Result<Server, Error> {
        let mut reasons = Vec::new();
        if !matches!(self.holds, Holds::Cluster { .. }) {
            match self.docker(None).await {
                Err(error) if may_go_on(&error) => reasons.push(self.pass("docker", &error)),
                decided => return decided,
            }
        }
        if !matches!(self.holds, Holds::Volume { .. }) {
            match self.installed(None).await {
                Err(error) if may_go_on(&error) => {
                    reasons.push(self.pass("local", &error));
                }
                decided => return decided,
            }
        }
        if match self.holds {
            Holds::Nothing => true,
            Holds::Cluster { major } => Release::of(major).is_some(),
            Holds::Volume { .. } => false,
        } {
            match self.npm(None).await {
                Err(error) if may_go_on(&error) => reasons.push(self.pass("npm", &error)),
                decided => return decided,
            }
        }
        Err(Error::new(
            ErrorKind::Missing,
            format!(
                "could not find a Postgres server to run:\n  {}\n\
                 one of these will do, or the URL of a server that runs elsewhere",
                reasons.join("\n  ")
            ),
        ))
    }

    /// Remembers why a source did not work.
    fn pass(&self, source: &str, error: &Error) -> String {
        let cause = std::error::Error::source(error)
            .map(ToString::to_string)
            .and_then(|cause| Some(format!(" ({})", cause.lines().last()?)))
            .unwrap_or_default();
        let reason = format!("{source}: {error}{cause}");
        self.options.progress.tell(&reason);
        reason
    }

    async fn docker(&self, image: Option<&str>) -> Result<Server, Error> {
        let image = match (&self.holds, image) {
            (Holds::Cluster { major }, _) => {
                return Err(self.mismatch(&format!("server binaries of version {major}")));
            }
            (Holds::Volume { image: kept, .. }, Some(image)) if kept != image => {
                return Err(self.mismatch(&format!("Docker with the image {kept}")));
            }
            (Holds::Volume { image, .. }, _) => image,
            (Holds::Nothing, image) => image.unwrap_or(DEFAULT_IMAGE),
        };
        let progress = &self.options.progress;
        let docker = Docker::find().await?;
        docker.provide(image, progress).await?;
        progress.tell(format!("starting {image} in Docker"));
        let (container, port, access) =
            Container::start(docker, image, self.home.clone(), self.options.port).await?;
        let backend = Backend::Container(container);
        let server = Server::new(backend, port, access, self.home.clone()).await?;
        Ok(server.with_origin(&format!("in Docker ({image})")))
    }

    async fn installed(&self, directory: Option<&Path>) -> Result<Server, Error> {
        let account = self.account.clone();
        let directory = directory.map(Path::to_owned);
        let major = match self.holds {
            Holds::Cluster { major } => Some(major),
            _ => None,
        };
        let binaries = blocking(move || match directory {
            Some(directory) => Binaries::in_directory(&directory, &account),
            None => Binaries::find(&account, major),
        })
        .await?;
        self.local(binaries).await
    }

    async fn npm(&self, major: Option<u32>) -> Result<Server, Error> {
        // Told before anything is fetched in vain.
        let release = match (&self.holds, major) {
            (Holds::Cluster { major: kept }, _) => Release::of(*kept)
                .filter(|release| major.is_none_or(|major| major == release.major))
                .ok_or_else(|| self.mismatch(&format!("server binaries of version {kept}")))?,
            (_, Some(major)) => Release::of(major).ok_or_else(|| {
                Error::new(
                    ErrorKind::Input,
                    format!("npm is not asked for PostgreSQL {major}, only for 17 and 18"),
                )
            })?,
            (_, None) => Release::newest(),
        };
        let cache = Cache::new(self.options.cache.as_deref(), &self.account)?;
        let (account, progress) = (self.account.clone(), self.options.progress.clone());
        let binaries = blocking(move || npm::fetch(release, &cache, &account, &progress)).await?;
        self.local(binaries).await
    }

    async fn local(&self, binaries: Binaries) -> Result<Server, Error> {
        match &self.holds {
            Holds::Volume { image, .. } => {
                return Err(self.mismatch(&format!("Docker with the image {image}")));
            }
            Holds::Cluster { major } if *major != binaries.major() => {
                return Err(self.mismatch(&format!("server binaries of version {major}")));
            }
            _ => {}
        }
        let origin = binaries.origin().to_owned();
        self.options
            .progress
            .tell(format!("starting {}", binaries.description()));
        let builder = Builder {
            binaries,
            account: self.account.clone(),
            // Without a cache folder a start takes longer, and that is all.
            cache: Cache::new(self.options.cache.as_deref(), &self.account).ok(),
            progress: self.options.progress.clone(),
        };
        let (local, port, access) =
            Local::start(builder, self.home.clone(), self.options.port).await?;
        let backend = Backend::Local(local);
        let server = Server::new(backend, port, access, self.home.clone()).await?;
        Ok(server.with_origin(&origin))
    }

    fn mismatch(&self, served_by: &str) -> Error {
        let directory = self
            .home
            .as_ref()
            .map_or_else(String::new, |home| home.path().display().to_string());
        Error::new(
            ErrorKind::Input,
            format!(
                "could not use the databases in {directory}: they were made by {served_by}; \
                 use that or choose another directory"
            ),
        )
    }
}

/// Whether another source may do better. A port stays taken, and a kept
/// directory stays unusable, whoever wants it.
fn may_go_on(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Missing | ErrorKind::Process)
}

/// Does file work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::System, "could not prepare a Postgres server").because(error)
    })?
}
