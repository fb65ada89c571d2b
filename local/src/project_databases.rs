//! The owner of a project's databases, which the local Heroku asks for facts and rotations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::heroku::{DatabaseFacts, DatabaseOwner, OwnerFuture};
use crate::{Error, ErrorKind};
use stagelink_local_postgres::{Database, DatabaseAdmin};

/// The databases of a project's stages, with the access to their server.
#[derive(Debug)]
pub(crate) struct ProjectDatabases {
    server: DatabaseAdmin,
    databases: Vec<CurrentDatabase>,
}

/// A database with its current credentials, which a rotation or a failover changes. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct CurrentDatabase(Arc<Mutex<Current>>);

#[derive(Debug)]
struct Current {
    database: Database,
    /// Number of the credentials: 1 at the start, and one more with each change.
    generation: u64,
    since: Timestamp,
}

impl ProjectDatabases {
    pub(crate) fn new(server: DatabaseAdmin, databases: Vec<CurrentDatabase>) -> Self {
        Self { server, databases }
    }

    fn find(&self, url: &str) -> Option<&CurrentDatabase> {
        self.databases
            .iter()
            .find(|current| current.database().url() == url)
    }
}

impl CurrentDatabase {
    pub(crate) fn new(database: Database) -> Self {
        Self(Arc::new(Mutex::new(Current {
            database,
            generation: 1,
            since: Timestamp::now(),
        })))
    }

    pub(crate) fn database(&self) -> Database {
        self.current().database.clone()
    }

    /// Changes the database, such as its address.
    pub(crate) fn update(&self, change: impl FnOnce(&Database) -> Database) {
        let mut current = self.current();
        current.database = change(&current.database);
        current.generation += 1;
        current.since = Timestamp::now();
    }

    /// The number of the credentials, and the time from which on they are valid.
    pub(crate) fn generation(&self) -> (u64, Timestamp) {
        let current = self.current();
        (current.generation, current.since)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // No step under this lock leaves the database half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DatabaseOwner for ProjectDatabases {
    fn facts<'a>(&'a self, url: &'a str) -> OwnerFuture<'a, DatabaseFacts> {
        Box::pin(async move {
            let Some(current) = self.find(url) else {
                return DatabaseFacts::default();
            };
            match self.server.stats(&current.database()).await {
                Ok(facts) => DatabaseFacts {
                    status: Some("Available".to_owned()),
                    connections: facts
                        .connection_limit
                        .map(|limit| (facts.connections, limit)),
                    version: Some(facts.version),
                    size_bytes: Some(facts.size_bytes),
                    tables: Some(facts.tables),
                },
                Err(error) => {
                    tracing::warn!(error = ?error, "could not read the facts about a database");
                    DatabaseFacts {
                        status: Some("Unavailable".to_owned()),
                        ..DatabaseFacts::default()
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
                    "could not rotate the credentials: the add-on's database is not one of this \
                     project's stages",
                )
            })?;
            let rotated = self.server.rotate_password(&current.database()).await;
            let rotated = rotated.map_err(|cause| {
                Error::new(
                    ErrorKind::Process,
                    "could not rotate the credentials of the add-on's database",
                )
                .with_source(cause)
            })?;
            let url = rotated.url();
            current.update(|_| rotated);
            Ok(url)
        })
    }
}
