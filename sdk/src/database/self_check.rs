//! The part of a self-check that asks the database of the stage.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::SimpleQueryMessage;

use crate::database::{Database, State};
use crate::error::{Error, ErrorKind};
use crate::postgres::{StageMark, version_and_settings_query};
use crate::stage::Stage;

/// The answer of a stage's database to a query.
#[derive(Debug)]
pub(crate) struct DatabaseAnswer {
    /// As Postgres numbers its versions, such as `170004`.
    pub(crate) server_version: Option<u32>,
    /// The mark as it is now. The pool may have opened its connection under another one.
    pub(crate) mark: StageMark,
}

impl Database {
    /// Returns the database as a new process of the function would find it: by the variables alone,
    /// whatever credentials and connections this process has got since its start.
    pub(crate) fn of_cold_start(&self) -> Self {
        let state = match &*self.state {
            State::Ready { stage, pool } => match pool.of_cold_start() {
                Ok(pool) => State::Ready {
                    stage: *stage,
                    pool,
                },
                Err(error) => State::Refused(error),
            },
            State::Refused(error) => State::Refused(error.clone()),
        };
        Self {
            deadline: self.deadline,
            ..Self::with_state(state)
        }
    }

    /// Asks the database for its version and mark, by a connection of the pool and within a time
    /// limit. It tries again as a [`read`](Self::read) does.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) async fn ask_version_and_mark(
        &self,
        limit: Duration,
    ) -> Result<DatabaseAnswer, Error> {
        let mut database = self.clone();
        let end = Instant::now() + limit;
        database.deadline = Some(database.deadline.map_or(end, |deadline| deadline.min(end)));
        let query = version_and_settings_query();
        let answered = database.read(|client| {
            let query = query.clone();
            async move {
                let messages = client.simple_query(&query).await?;
                Ok::<_, Error>(messages.iter().find_map(answer_of))
            }
        });
        answered.await?.ok_or_else(|| {
            let message = "the server answered the query of a self-check without a row";
            Error::new(ErrorKind::Query, message)
        })
    }
}

impl DatabaseAnswer {
    /// Returns the stage that the mark names, if it names one.
    pub(crate) fn marked_stage(&self) -> Option<Stage> {
        match self.mark {
            StageMark::Of(stage) => Some(stage),
            StageMark::None | StageMark::Unknown(_) => None,
        }
    }

    /// Returns whether the mark is another stage's.
    pub(crate) fn is_of_another_stage(&self, stage: Stage) -> bool {
        match self.mark {
            StageMark::None => false,
            StageMark::Of(marked) => marked != stage,
            StageMark::Unknown(_) => true,
        }
    }
}

fn answer_of(message: &SimpleQueryMessage) -> Option<DatabaseAnswer> {
    let SimpleQueryMessage::Row(row) = message else {
        return None;
    };
    let version = row.try_get(0).ok()?;
    Some(DatabaseAnswer {
        server_version: version.and_then(|version: &str| version.parse().ok()),
        mark: StageMark::of_settings(row.try_get(1).ok()?),
    })
}
