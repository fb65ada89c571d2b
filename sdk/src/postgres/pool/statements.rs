//! Statements that a session has prepared: kept by their text, and made anew when the
//! database has changed under them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, Statement};

use crate::postgres::pool::manager::PooledConnection;

/// A parameter and its type.
pub(in crate::postgres) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The statements of one session, by their text.
pub(in crate::postgres) struct Statements {
    /// Behind a pooler a statement is gone with the transaction that prepared it.
    are_kept: bool,
    known: Mutex<BTreeMap<String, Known>>,
}

/// A statement with parameters of these types.
struct Known {
    types: Vec<Type>,
    /// From the second time on that it came.
    prepared: Option<Statement>,
}

/// What is to be done with a statement.
enum Next {
    /// Send it as it is, with its types.
    Send,
    /// The same, and have it prepared beside that.
    SendAndPrepare(Vec<Type>),
    Execute(Statement),
}

impl Statements {
    pub(in crate::postgres) fn new(are_kept: bool) -> Self {
        Self {
            are_kept,
            known: Mutex::default(),
        }
    }

    fn next(&self, text: &str, parameters: &[Parameter<'_>]) -> Next {
        if !self.are_kept {
            return Next::Send;
        }
        let types = || parameters.iter().map(|(_, ty)| ty);
        let mut known = self.known();
        match known
            .get(text)
            .filter(|known| known.types.iter().eq(types()))
        {
            Some(Known {
                prepared: Some(statement),
                ..
            }) => return Next::Execute(statement.clone()),
            Some(Known { types, .. }) => return Next::SendAndPrepare(types.clone()),
            None => {}
        }
        if known.len() >= MOST {
            known.clear();
        }
        let types = types().cloned().collect();
        let prepared = None;
        known.insert(text.to_owned(), Known { types, prepared });
        Next::Send
    }

    fn keep(&self, text: &str, types: Vec<Type>, statement: Statement) {
        let prepared = Some(statement);
        self.known()
            .insert(text.to_owned(), Known { types, prepared });
    }

    /// What has made one of them useless has most often done so to others.
    fn forget(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PooledConnection {
    /// The rows of a statement, in one round trip: see [`Client::query_cached`](super::Client::query_cached).
    pub(in crate::postgres) async fn rows(
        &self,
        text: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Error> {
        let client = &self.client;
        let send = || client.query_typed(text, parameters);
        let execute = async |statement| client.query(&statement, &values(parameters)).await;
        self.run(text, parameters, send, execute).await
    }

    /// The same for a statement whose rows nobody wants: how many there were.
    pub(in crate::postgres) async fn count(
        &self,
        text: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, Error> {
        let client = &self.client;
        let send = || client.execute_typed(text, parameters);
        let execute = async |statement| client.execute(&statement, &values(parameters)).await;
        self.run(text, parameters, send, execute).await
    }

    /// Sends a statement, or executes it where it is prepared.
    ///
    /// What happens most often is the only thing that is not in a box of its own: the futures
    /// of handlers are as large as all that they may wait for, and are moved about.
    async fn run<T, F: Future<Output = Result<T, Error>>>(
        &self,
        text: &str,
        parameters: &[Parameter<'_>],
        send: impl Fn() -> F,
        execute: impl AsyncFnOnce(Statement) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match self.statements.next(text, parameters) {
            Next::Send => Box::pin(send()).await,
            Next::SendAndPrepare(types) => self.beside(Box::pin(send()), text, types).await,
            Next::Execute(statement) => match execute(statement).await {
                Err(error) if self.gives_up(&error) => Box::pin(send()).await,
                done => done,
            },
        }
    }

    /// Has a statement prepared beside it being run.
    async fn beside<T>(
        &self,
        run: impl Future<Output = Result<T, Error>>,
        text: &str,
        types: Vec<Type>,
    ) -> Result<T, Error> {
        let prepare = Box::pin(self.client.prepare_typed(text, &types));
        let (done, prepared) = Box::pin(join(run, prepare)).await;
        if let Ok(statement) = prepared {
            self.statements.keep(text, types, statement);
        }
        done
    }

    /// Whether a prepared statement failed for what it is, and may be sent as it stands
    /// instead: it has not begun. Inside of a transaction that takes a new one.
    fn gives_up(&self, error: &Error) -> bool {
        if !is_outdated(error) {
            return false;
        }
        self.statements.forget();
        let may_go_on = !self.tap.is_in_transaction();
        if !may_go_on {
            self.tap.record_lost_plan();
        }
        may_go_on
    }
}

/// Whether the database has changed under a prepared statement, so that its rows would have
/// other columns than were told ("cached plan must not change result type", plancache.c of
/// Postgres 18, which has no code of its own), or has forgotten it (DEALLOCATE, DISCARD ALL).
fn is_outdated(error: &Error) -> bool {
    error.as_db_error().is_some_and(|health| {
        *health.code() == SqlState::INVALID_SQL_STATEMENT_NAME
            || *health.code() == SqlState::FEATURE_NOT_SUPPORTED
                && health.routine() == Some("RevalidateCachedQuery")
    })
}

fn values<'a>(parameters: &[Parameter<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters.iter().map(|(value, _)| *value).collect()
}

/// More than a function has, and not so many that a text which is put together anew each time
/// fills the memory of the function and the server.
const MOST: usize = 100;
