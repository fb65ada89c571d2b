//! The wait of a test for its place, with one limit for all that it may wait for.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::Error;

/// The wait of a test. It is told once, and ends with what to do.
pub(super) struct Wait {
    since: Instant,
    is_told: bool,
}

/// Next thing that a test waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// The turn of its process, behind others that wait for a place.
    Turn,
    /// A connection to the server.
    Connection,
    /// One of so many places.
    Place(i32),
}

impl Wait {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            is_told: false,
        }
    }

    /// Waits until the work that reaches a goal is done.
    ///
    /// # Errors
    ///
    /// Those of the work; and when the test has waited too long, for this goal and those before.
    pub(super) async fn until<T>(
        &mut self,
        goal: Goal,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut work = pin!(work);
        if !self.is_told {
            if let Ok(done) = timeout_at(self.since + QUIET, &mut work).await {
                return done;
            }
            self.is_told = true;
            eprintln!("stagelink-test: {}", goal.note());
        }
        timeout_at(self.since + LIMIT, work)
            .await
            .unwrap_or_else(|_| Err(goal.error()))
    }
}

impl Goal {
    fn note(self) -> String {
        match self {
            Self::Turn => {
                "a test waits for a place on its server, behind other processes".to_owned()
            }
            Self::Connection => {
                "a test waits for a connection to its server, which has none left".to_owned()
            }
            Self::Place(count) => {
                format!("a test waits for one of the {count} places on its server")
            }
        }
    }

    fn error(self) -> Error {
        let minutes = LIMIT.as_secs() / 60;
        let (places, threads) = match self {
            Self::Connection => {
                return Error::new(format!(
                    "the server of the tests had no connection left for {minutes} minutes: end other \
                     programs that use it, run fewer tests at once (`--test-threads`), or give it a \
                     larger max_connections"
                ));
            }
            Self::Turn => {
                let places = "tests on a fifth of its max_connections, 32 at most,".to_owned();
                (places, String::new())
            }
            Self::Place(count) => (format!("{count} tests"), format!(" {count}")),
        };
        Error::new(format!(
            "no place was free for this test within {minutes} minutes: its server lets {places} run at \
             a time. Run fewer at once (`--test-threads{threads}`), give them a server with a larger \
             max_connections, or finish the stages of tests that go on without them"
        ))
    }
}

/// The time for which a test waits without a word: longer than most others run.
const QUIET: Duration = Duration::from_secs(20);

/// The longest wait. Tests of many minutes at that many places are rare.
const LIMIT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wait_ends_with_what_to_do_after_one_limit_for_all_goals() {
        let began = Instant::now();
        let mut wait = Wait::new();
        let turn = async {
            tokio::time::sleep(Duration::from_secs(21)).await;
            Ok(())
        };
        wait.until(Goal::Turn, turn).await.unwrap();
        assert!(wait.is_told);
        let never = std::future::pending::<Result<(), Error>>();
        let error = wait.until(Goal::Place(4), never).await.unwrap_err();
        assert_eq!(began.elapsed().as_secs(), LIMIT.as_secs());
        let error = error.to_string();
        assert!(error.contains("--test-threads 4"), "{error}");
        assert!(error.contains("max_connections"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn wait_for_what_comes_at_once_is_not_told() {
        let mut wait = Wait::new();
        wait.until(Goal::Connection, async { Ok(()) })
            .await
            .unwrap();
        assert!(!wait.is_told);
        let error = Goal::Connection.error().to_string();
        assert!(error.contains("end other programs"), "{error}");
    }
}
