//! Simulated instances: each has its own link, in the test's own process.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use stagelink::{Database, Error, Problem, Settings};
use stagelink_tests::{CANARY, FunctionHarness};
use tokio_postgres::Client;

use crate::instance::{Instance, Reply, Work};

/// The SDK's state in one instance: a link whose pool has one connection.
#[derive(Debug)]
pub(crate) struct Simulated {
    link: Database,
    reads: Reads,
}

/// Method of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// In one round trip.
    Typed,
    /// By a named prepared statement.
    Prepared,
}

impl Simulated {
    /// Creates this many instances with the variables of this harness.
    pub(crate) fn instances(
        harness: &FunctionHarness,
        count: usize,
        reads: Reads,
    ) -> Vec<Arc<Self>> {
        let one = |_| {
            let link = Database::new(Settings::from_vars(harness.variables.clone()));
            Arc::new(Self { link, reads })
        };
        (0..count).map(one).collect()
    }

    async fn answer(&self, work: Work) -> Result<(), Error> {
        let Self { link, reads } = self;
        match work {
            Work::Read if *reads == Reads::Prepared => {
                let read = |db: stagelink::Client| async move { read_prepared(&db).await };
                link.read(read).await
            }
            Work::Read => link.read(|db| async move { read(&db).await }).await,
            Work::Write => link.write(|db| async move { write(&db).await }).await,
            Work::Transaction => {
                let both = |db: stagelink::Transaction| async move {
                    write(&db).await?;
                    read(&db).await
                };
                link.transaction(both).await
            }
        }
    }
}

impl Instance for Simulated {
    async fn ask(&self, work: Work) -> Reply {
        let started = Instant::now();
        let answer = self.answer(work).await;
        let took = started.elapsed();
        // As `stagelink::run` does at the end of an invocation.
        self.link.finish_invocation().await;
        match answer {
            Ok(()) => Reply {
                work,
                status: StatusCode::OK,
                retry_after: None,
                took,
                text: String::new(),
            },
            Err(error) => {
                let text = error.report().to_string();
                assert!(!text.contains(CANARY), "the password is in an error");
                Reply {
                    work,
                    retry_after: error.retry_after(),
                    // The response of a function that returns this error.
                    status: Problem::from(error).status(),
                    took,
                    text,
                }
            }
        }
    }
}

async fn read(db: &Client) -> Result<(), Error> {
    db.query_typed(PAGE, &[]).await?;
    Ok(())
}

async fn read_prepared(db: &Client) -> Result<(), Error> {
    let page = db.prepare(PAGE).await?;
    db.query(&page, &[]).await?;
    Ok(())
}

async fn write(db: &Client) -> Result<(), Error> {
    let sql = "INSERT INTO guestbook (name, message) VALUES ('burst', 'simulated')";
    db.execute_typed(sql, &[]).await?;
    Ok(())
}

const PAGE: &str = "SELECT id, message FROM guestbook ORDER BY id DESC LIMIT 1";
