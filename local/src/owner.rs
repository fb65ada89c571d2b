//! Who owns the databases of a site: what the local Heroku asks of them is done on the server.

use std::sync::{Arc, Mutex, PoisonError};

use crate::heroku::{DatabaseOwner, LiveFacts, OwnerFuture};
use crate::{Error, ErrorKind};
use stagelink_local_postgres::{Database, DatabaseAdmin};

/// The databases of a site's stages, and the way to their server.
#[derive(Debug)]
pub(crate) struct Owner {
    server: DatabaseAdmin,
    databases: Vec<Current>,
}

/// A database as it is reached now: a rotation changes its password.
#[derive(Clone, Debug)]
pub(crate) struct Current(Arc<Mutex<Database>>);

impl Owner {
    pub(crate) fn new(server: DatabaseAdmin, databases: Vec<Current>) -> Self {
        Self { server, databases }
    }

    fn find(&self, url: &str) -> Option<&Current> {
        self.databases.iter().find(|of| of.database().url() == url)
    }
}

impl Current {
    pub(crate) fn new(database: Database) -> Self {
        Self(Arc::new(Mutex::new(database)))
    }

    pub(crate) fn database(&self) -> Database {
        // Whoever held the lock had no way to leave half a database behind.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, database: Database) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = database;
    }
}

impl DatabaseOwner for Owner {
    fn facts<'a>(&'a self, url: &'a str) -> OwnerFuture<'a, LiveFacts> {
        Box::pin(async move {
            let Some(current) = self.find(url) else {
                return LiveFacts::default();
            };
            match self.server.stats(&current.database()).await {
                Ok(facts) => LiveFacts {
                    status: Some("Available".to_owned()),
                    connections: facts
                        .connection_limit
                        .map(|limit| (facts.connections, limit)),
                    version: Some(facts.version),
                    size_bytes: Some(facts.size_bytes),
                    tables: Some(facts.tables),
                },
                Err(error) => {
                    tracing::warn!(error = ?error, "a database does not answer");
                    LiveFacts {
                        status: Some("Unavailable".to_owned()),
                        ..LiveFacts::default()
                    }
                }
            }
        })
    }

    fn rotate<'a>(&'a self, url: &'a str) -> OwnerFuture<'a, Result<String, Error>> {
        Box::pin(async move {
            let current = self.find(url).ok_or_else(|| {
                Error::new(
                    ErrorKind::Input,
                    "could not rotate the credentials: the add-on has a url of another \
                     database than those of this site's stages",
                )
            })?;
            let rotated = self.server.rotate_password(&current.database()).await;
            let rotated = rotated.map_err(|cause| {
                Error::new(
                    ErrorKind::Process,
                    "could not rotate the credentials of the add-on's database",
                )
                .because(cause)
            })?;
            let url = rotated.url();
            current.set(rotated);
            Ok(url)
        })
    }
}
