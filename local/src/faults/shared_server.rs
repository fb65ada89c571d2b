//! A Postgres server that a fault may restart while its owner runs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stagelink_local_postgres::Server;
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::{Error, ErrorKind};

/// A running server. Clones share it.
#[derive(Clone)]
pub struct SharedServer(Arc<Mutex<Option<Server>>>);

impl SharedServer {
    /// Shares a server.
    pub fn new(server: Server) -> Self {
        Self(Arc::new(Mutex::new(Some(server))))
    }

    /// Stops the server, as [`Server::stop`] does. A restart that is under way is waited for.
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

    /// Shuts the server down, waits for `down`, and starts it again.
    pub(super) async fn restart(&self, down: Duration) -> Result<(), Error> {
        let mut server = self.0.lock().await;
        let server = server.as_mut().ok_or_else(|| {
            let message = "could not restart the Postgres server: it has been stopped";
            Error::new(ErrorKind::Process, message)
        })?;
        let restarted = async {
            server.shut_down().await?;
            sleep(down).await;
            server.start_again().await
        };
        restarted.await.map_err(|cause| {
            let kind = match cause.kind() {
                // Another program runs it.
                stagelink_local_postgres::ErrorKind::Input => ErrorKind::Unsupported,
                _ => ErrorKind::Process,
            };
            Error::new(kind, "could not restart the Postgres server").with_source(cause)
        })
    }
}

impl fmt::Debug for SharedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedServer").finish_non_exhaustive()
    }
}
