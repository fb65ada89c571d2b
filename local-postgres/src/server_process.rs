//! The process behind a server: installed binaries, a container, or a server of another program.

use std::io;
use std::os::fd::OwnedFd;

use crate::connector::Connector;
use crate::docker::Container;
use crate::installed_server::InstalledServer;
use crate::{Error, ErrorKind};

/// The process behind a [`Server`](crate::Server).
#[derive(Debug)]
pub(crate) enum ServerProcess {
    Installed(InstalledServer),
    Container(Container),
    /// A server that another program runs.
    External {
        /// Its host and port, for messages.
        address: String,
        /// Keeps the databases when this process stops using the server.
        keeps_databases: bool,
    },
}

impl ServerProcess {
    /// Returns whether databases must be dropped at the end because the server runs on.
    pub(crate) fn drops_databases(&self) -> bool {
        matches!(
            self,
            Self::External {
                keeps_databases: false,
                ..
            }
        )
    }

    /// Returns the pipe whose end stops the server, so that it outlives this value; `None` for a
    /// server of another program.
    pub(crate) fn into_watchdog_pipe(self) -> Option<io::Result<OwnedFd>> {
        match self {
            Self::Installed(server) => server.into_watchdog().into_pipe(),
            Self::Container(container) => container.into_watchdog().into_pipe(),
            Self::External { .. } => None,
        }
    }

    /// Shuts the server down; its data stays.
    pub(crate) async fn shut_down(&mut self) -> Result<(), Error> {
        match self {
            Self::Installed(server) => server.shut_down().await,
            Self::Container(container) => container.shut_down().await,
            Self::External { address, .. } => Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not shut down the Postgres server at {address}: it was given by its \
                     URL and another program runs it; choose another source"
                ),
            )),
        }
    }

    /// Starts the server again after [`shut_down`](Self::shut_down), and waits until it is ready.
    pub(crate) async fn start_again(&mut self, superuser: &Connector) -> Result<(), Error> {
        match self {
            Self::Installed(server) => server.start_again().await,
            Self::Container(container) => container.start_again(superuser).await,
            Self::External { .. } => Ok(()),
        }
    }

    /// Stops the server and removes its temporary files.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        match self {
            Self::Installed(server) => server.stop().await,
            Self::Container(container) => container.stop().await,
            Self::External { .. } => Ok(()),
        }
    }
}
