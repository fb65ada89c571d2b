//! A Postgres server that a fault may restart while its owner runs.

use std::fmt;
use std::sync::Arc;

use stagelink_local_postgres::Server;
use tokio::sync::Mutex;

use crate::{Error, ErrorKind};

/// A running server. Clones share it.
#[derive(Clone)]
pub struct SharedServer(Arc<Mutex<Option<Server>>>);

impl SharedServer {
    /// Shares a server.
    pub fn new(server: Server) -> Self {
        Self(Arc::new(Mutex::new(Some(server))))
    }

    /// Stops the server, as [`Server::stop`] does, also one that a fault has shut down. A change that is
    /// under way is waited for, and no fault starts the server again.
    ///
    /// # Errors
    ///
    /// Those of [`Server::stop`].
    pub async fn stop(&self) -> Result<(), stagelink_local_postgres::Error> {
        match self.0.lock().await.take() {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }

    /// Shuts the server down, and starts it again.
    pub(super) async fn restart(&self) -> Result<(), Error> {
        self.shut_down().await?;
        self.start_again().await
    }

    /// Shuts the server down until [`start_again`](Self::start_again).
    ///
    /// The lock is free while the server is down, so that [`stop`](Self::stop) waits for no fault's end.
    pub(super) async fn shut_down(&self) -> Result<(), Error> {
        let mut server = self.0.lock().await;
        let server = server.as_mut().ok_or_else(|| {
            let message = "could not restart the Postgres server: it has been stopped";
            Error::new(ErrorKind::Process, message)
        })?;
        server.shut_down().await.map_err(restart_error)
    }

    /// Starts the server that was shut down. One that has been stopped stays so, which is no error.
    pub(super) async fn start_again(&self) -> Result<(), Error> {
        match self.0.lock().await.as_mut() {
            Some(server) => server.start_again().await.map_err(restart_error),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for SharedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedServer").finish_non_exhaustive()
    }
}

fn restart_error(cause: stagelink_local_postgres::Error) -> Error {
    let kind = match cause.kind() {
        // Another program runs it.
        stagelink_local_postgres::ErrorKind::Input => ErrorKind::Unsupported,
        _ => ErrorKind::Process,
    };
    Error::new(kind, "could not restart the Postgres server").with_source(cause)
}
