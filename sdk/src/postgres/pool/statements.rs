//! The prepared statements of a session: kept by their text, and prepared again when the
//! database has changed under them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use deadpool_postgres::ClientWrapper;
use futures_util::future::join;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, Statement};

use crate::postgres::protocol::Tap;

/// A parameter and its type.
pub(in crate::postgres) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The statements of one session, by their text.
#[derive(Default)]
pub(in crate::postgres) struct Statements(Mutex<BTreeMap<String, Known>>);

/// A statement with parameters of these types.
struct Known {
    types: Vec<Type>,
    /// There from the second time on that it came.
    prepared: Option<Statement>,
}

/// The way to run a statement.
enum Next {
    /// Send its text, with the types of its parameters.
    Send,
    /// Send its text, and prepare it beside that.
    SendAndPrepare(Vec<Type>),
    Execute(Statement),
}

impl Statements {
    fn next(&self, text: &str, parameters: &[Parameter<'_>]) -> Next {
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

    /// Forgets all: what has made one of them useless has most often done so to others.
    fn forget(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session that statements run on.
#[derive(Clone, Copy)]
pub(in crate::postgres) struct StatementRunner<'a> {
    pub(in crate::postgres) statements: &'a Statements,
    /// Behind a pooler a statement is gone with the transaction that prepared it.
    pub(in crate::postgres) can_prepare: bool,
    pub(in crate::postgres) client: &'a ClientWrapper,
    pub(in crate::postgres) tap: &'a Tap,
}

impl StatementRunner<'_> {
    /// Runs a statement and returns its rows, in one round trip.
    pub(in crate::postgres) async fn query(
        self,
        text: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Error> {
        let client = self.client;
        let send = || client.query_typed(text, parameters);
        let execute = async |statement| client.query(&statement, &values(parameters)).await;
        self.run(text, parameters, send, execute).await
    }

    /// Runs a statement and returns the number of its rows, in one round trip.
    pub(in crate::postgres) async fn execute(
        self,
        text: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, Error> {
        let client = self.client;
        let send = || client.execute_typed(text, parameters);
        let execute = async |statement| client.execute(&statement, &values(parameters)).await;
        self.run(text, parameters, send, execute).await
    }

    /// Sends a statement, or executes it where it is prepared.
    ///
    /// Only the most frequent step is not in a box of its own: the futures of handlers are as
    /// large as all that they may wait for, and are moved about.
    async fn run<T, F: Future<Output = Result<T, Error>>>(
        self,
        text: &str,
        parameters: &[Parameter<'_>],
        send: impl Fn() -> F,
        execute: impl AsyncFnOnce(Statement) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let next = if self.can_prepare {
            self.statements.next(text, parameters)
        } else {
            Next::Send
        };
        match next {
            Next::Send => Box::pin(send()).await,
            Next::SendAndPrepare(types) => {
                self.run_and_prepare(Box::pin(send()), text, types).await
            }
            Next::Execute(statement) => match execute(statement).await {
                Err(error) if is_outdated(&error) && self.recover() => Box::pin(send()).await,
                done => done,
            },
        }
    }

    /// Prepares a statement beside running it.
    async fn run_and_prepare<T>(
        self,
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

    /// Forgets the prepared statements, one of which is outdated and has not begun. Returns
    /// whether its text may be sent instead; inside a transaction that takes a new one.
    fn recover(self) -> bool {
        self.statements.forget();
        let may_go_on = !self.tap.is_in_transaction();
        if !may_go_on {
            self.tap.record_lost_plan();
        }
        may_go_on
    }
}

/// Returns whether the database has changed under a prepared statement, so that its rows would
/// have other columns than were described ("cached plan must not change result type", plancache.c of
/// Postgres 18, which has no code of its own), or has forgotten it (DEALLOCATE, DISCARD ALL).
fn is_outdated(error: &Error) -> bool {
    error.as_db_error().is_some_and(|answer| {
        *answer.code() == SqlState::INVALID_SQL_STATEMENT_NAME
            || *answer.code() == SqlState::FEATURE_NOT_SUPPORTED
                && answer.routine() == Some("RevalidateCachedQuery")
    })
}

fn values<'a>(parameters: &[Parameter<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters.iter().map(|(value, _)| *value).collect()
}

/// More than a function has, and not so many that a text which is put together anew each time
/// fills the memory of the function and the server.
const MOST: usize = 100;
