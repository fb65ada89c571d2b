//! Chooses the source of a server and starts the server from it.

use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::binaries::{NpmRelease, ServerBinaries, npm};
use crate::cache::Cache;
use crate::cluster::ClusterBuilder;
use crate::data_directory::{Contents, DataDirectory};
use crate::docker::{Container, DEFAULT_IMAGE, DockerEngine};
use crate::installed_server::InstalledServer;
use crate::server_process::ServerProcess;
use crate::server_settings::{ClusterAccess, DEFAULT_MAX_CONNECTIONS};
use crate::server_user::ServerUser;
use crate::{Error, ErrorKind, ServerOptions, ServerSource};

/// A server that was just started and is ready for its first login.
pub(crate) struct LaunchedServer {
    pub(crate) process: ServerProcess,
    pub(crate) port: u16,
    pub(crate) access: ClusterAccess,
    pub(crate) data_directory: Option<Arc<DataDirectory>>,
    /// The origin of the server, as in `in Docker (postgres:17)`.
    pub(crate) origin: String,
}

/// Starts a server from the source that the options name.
///
/// # Errors
///
/// As [`Server::start`](crate::Server::start).
pub(crate) async fn launch(options: ServerOptions) -> Result<LaunchedServer, Error> {
    let launcher = Launcher::new(options).await?;
    match &launcher.options.source {
        ServerSource::Docker { image } => launcher.docker(image.as_deref()).await,
        ServerSource::Binaries { dir } => launcher.installed(dir.as_deref()).await,
        ServerSource::Npm { major } => launcher.npm(*major).await,
        ServerSource::Auto | ServerSource::Url(_) => launcher.first_available().await,
    }
}

/// State that all sources share.
struct Launcher {
    options: ServerOptions,
    user: ServerUser,
    data_directory: Option<Arc<DataDirectory>>,
    contents: Contents,
}

impl Launcher {
    /// Opens the data directory, if the options have one.
    async fn new(options: ServerOptions) -> Result<Self, Error> {
        let user = ServerUser::detect();
        let data_directory = match &options.data_directory {
            None => None,
            Some(path) => {
                let (path, user) = (path.clone(), user.clone());
                let opened = blocking(move || DataDirectory::open(&path, &user)).await?;
                Some(Arc::new(opened))
            }
        };
        let contents = match &data_directory {
            Some(directory) => directory.contents()?,
            None => Contents::Empty,
        };
        Ok(Self {
            options,
            user,
            data_directory,
            contents,
        })
    }

    /// Tries one source after the other. Skips the sources that cannot serve the data directory.
    async fn first_available(&self) -> Result<LaunchedServer, Error> {
        let mut reasons = Vec::new();
        if !matches!(self.contents, Contents::Cluster { .. }) {
            match self.docker(None).await {
                Err(error) if allows_another_source(&error) => {
                    reasons.push(self.report_unavailable("docker", &error));
                }
                result => return result,
            }
        }
        if !matches!(self.contents, Contents::Volume { .. }) {
            match self.installed(None).await {
                Err(error) if allows_another_source(&error) => {
                    reasons.push(self.report_unavailable("local", &error));
                }
                result => return result,
            }
        }
        if match self.contents {
            Contents::Empty => true,
            Contents::Cluster { major } => NpmRelease::for_major(major).is_some(),
            Contents::Volume { .. } => false,
        } {
            match self.npm(None).await {
                Err(error) if allows_another_source(&error) => {
                    reasons.push(self.report_unavailable("npm", &error));
                }
                result => return result,
            }
        }
        Err(Error::new(
            ErrorKind::Missing,
            format!(
                "could not find a Postgres server to start:\n  {}\n\
                 install one of these, or give the URL of a running server",
                reasons.join("\n  ")
            ),
        ))
    }

    /// Reports that a source is not available. Returns the reason as one line.
    fn report_unavailable(&self, source: &str, error: &Error) -> String {
        let cause = std::error::Error::source(error)
            .map(ToString::to_string)
            .and_then(|cause| Some(format!(" ({})", cause.lines().last()?)))
            .unwrap_or_default();
        let reason = format!("{source}: {error}{cause}");
        self.options.progress.report(&reason);
        reason
    }

    async fn docker(&self, image: Option<&str>) -> Result<LaunchedServer, Error> {
        let image = match (&self.contents, image) {
            (Contents::Cluster { major }, _) => return Err(self.cluster_mismatch(*major)),
            (Contents::Volume { image: kept, .. }, Some(image)) if kept != image => {
                return Err(self.volume_mismatch(kept));
            }
            (Contents::Volume { image, .. }, _) => image,
            (Contents::Empty, image) => image.unwrap_or(DEFAULT_IMAGE),
        };
        let progress = &self.options.progress;
        let engine = DockerEngine::find().await?;
        engine.pull_if_missing(image, progress).await?;
        progress.report(format!("starting {image} in Docker"));
        let data_directory = self.data_directory.clone();
        let port = self.options.port;
        let max_connections = self.max_connections();
        let (container, port, access) =
            Container::start(engine, image, data_directory, port, max_connections).await?;
        Ok(LaunchedServer {
            process: ServerProcess::Container(container),
            port,
            access,
            data_directory: self.data_directory.clone(),
            origin: format!("in Docker ({image})"),
        })
    }

    async fn installed(&self, directory: Option<&Path>) -> Result<LaunchedServer, Error> {
        let user = self.user.clone();
        let directory = directory.map(Path::to_owned);
        let major = match self.contents {
            Contents::Cluster { major } => Some(major),
            _ => None,
        };
        let binaries = blocking(move || match directory {
            Some(directory) => ServerBinaries::in_directory(&directory, &user),
            None => ServerBinaries::find(&user, major),
        })
        .await?;
        self.serve(binaries).await
    }

    async fn npm(&self, major: Option<u32>) -> Result<LaunchedServer, Error> {
        // Versions are checked before the download, which would be useless with a wrong one.
        let release = match (&self.contents, major) {
            (Contents::Cluster { major: kept }, _) => NpmRelease::for_major(*kept)
                .filter(|release| major.is_none_or(|major| major == release.major))
                .ok_or_else(|| self.cluster_mismatch(*kept))?,
            (_, Some(major)) => NpmRelease::for_major(major).ok_or_else(|| {
                let message = format!(
                    "could not fetch PostgreSQL {major} from npm: only 17 and 18 are supported"
                );
                Error::new(ErrorKind::Input, message)
            })?,
            (_, None) => NpmRelease::newest(),
        };
        let cache = Cache::open(self.options.cache_directory.as_deref(), &self.user)?;
        let (user, progress) = (self.user.clone(), self.options.progress.clone());
        let binaries = blocking(move || npm::fetch(release, &cache, &user, &progress)).await?;
        self.serve(binaries).await
    }

    /// Starts a server of binaries that are on this machine.
    async fn serve(&self, binaries: ServerBinaries) -> Result<LaunchedServer, Error> {
        match &self.contents {
            Contents::Volume { image, .. } => return Err(self.volume_mismatch(image)),
            Contents::Cluster { major } if *major != binaries.major() => {
                return Err(self.cluster_mismatch(*major));
            }
            _ => {}
        }
        let origin = binaries.origin().to_owned();
        self.options
            .progress
            .report(format!("starting {}", binaries.description()));
        let builder = ClusterBuilder {
            binaries,
            user: self.user.clone(),
            // Without a cache directory the start takes longer, but works.
            cache: Cache::open(self.options.cache_directory.as_deref(), &self.user).ok(),
            progress: self.options.progress.clone(),
        };
        let data_directory = self.data_directory.clone();
        let port = self.options.port;
        let max_connections = self.max_connections();
        let (server, port, access) =
            InstalledServer::start(builder, data_directory, port, max_connections).await?;
        Ok(LaunchedServer {
            process: ServerProcess::Installed(server),
            port,
            access,
            data_directory: self.data_directory.clone(),
            origin,
        })
    }

    fn max_connections(&self) -> u32 {
        self.options
            .max_connections
            .unwrap_or(DEFAULT_MAX_CONNECTIONS)
    }

    fn cluster_mismatch(&self, major: u32) -> Error {
        self.mismatch(&format!("server binaries of version {major}"))
    }

    fn volume_mismatch(&self, image: &str) -> Error {
        self.mismatch(&format!("Docker with the image {image}"))
    }

    /// Returns the error of a data directory that belongs to another source or version.
    fn mismatch(&self, creator: &str) -> Error {
        let directory = self
            .data_directory
            .as_ref()
            .map_or_else(String::new, |opened| opened.path().display().to_string());
        Error::new(
            ErrorKind::Input,
            format!(
                "could not use the databases in {directory}: {creator} created them; use that \
                 source or choose another directory"
            ),
        )
    }
}

/// Returns whether another source may work after this error. A port in use or an
/// unusable data directory fails with every source.
fn allows_another_source(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Missing | ErrorKind::Process)
}

/// Runs file operations outside of the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::System, "could not prepare a Postgres server").with_source(error)
    })?
}
