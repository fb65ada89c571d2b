//! How a server is to be started.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Source;

/// How a server is to be started. The default is a throwaway server from
/// whichever source works, on a free port, without a word.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the server comes from.
    pub source: Source,
    /// The port on 127.0.0.1; 0, the default, takes a free one. Not used with
    /// [`Source::Url`].
    pub port: u16,
    /// Keep the databases in this directory from run to run; `None`, the
    /// default, throws them away at the end.
    ///
    /// Binaries keep the cluster itself there. Docker keeps it in a named
    /// volume, because a directory of this machine cannot be mounted by an
    /// engine elsewhere, and the directory holds the volume's name: `docker
    /// volume rm` it when the directory is deleted. The same directory is
    /// always served from the same kind of source and the same major version.
    /// With [`Source::Url`] nothing is written to the directory; that it is
    /// given means that the databases stay.
    pub data: Option<PathBuf>,
    /// Where prepared clusters and fetched binaries are kept; `None`, the
    /// default, is the user's cache folder, or for root, whose own folders the
    /// server's user cannot enter, `/var/cache/stagelink`.
    pub cache: Option<PathBuf>,
    /// Is told what goes on.
    pub progress: Progress,
}

/// Someone who is told, in a few words at a time, what goes on while a server starts.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Listener>>);

type Listener = dyn Fn(&str) + Send + Sync;

impl Progress {
    pub(crate) fn tell(&self, what: impl AsRef<str>) {
        if let Some(listener) = &self.0 {
            listener(what.as_ref());
        }
    }
}

impl<F: Fn(&str) + Send + Sync + 'static> From<F> for Progress {
    fn from(listener: F) -> Self {
        Self(Some(Arc::new(listener)))
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "told" } else { "silent" })
    }
}
