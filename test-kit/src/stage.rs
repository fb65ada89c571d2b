//! A stage with a database of its own, for one test.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use lambda_http::{IntoResponse, Request};
use serde::Serialize;
use stagelink::testing::{InProcessFunction, InProcessStreamingFunction, freeze};
use stagelink::{Database, Event, IntoService, Settings};

use crate::error::Error;
use crate::function::{BoxError, TestFunction};
use crate::options::TestOptions;
use crate::server::{TestDatabase, TestServer};

/// A stage for one test: a fresh database of a real Postgres with the project's migrations, and the
/// functions that use it.
///
/// `#[stagelink_test::test]` passes it to a test. A test without the macro makes it with
/// [`start`](Self::start), and ends it with [`finish`](Self::finish). Clones are the same stage.
#[derive(Clone)]
pub struct TestStage(Arc<Inner>);

struct Inner {
    server: Arc<TestServer>,
    own: Mutex<Option<TestDatabase>>,
    variables: Vec<(String, String)>,
    database: Database,
    /// Databases of further instances.
    others: Mutex<Vec<Database>>,
}

impl TestStage {
    /// Makes a stage with a database of its own.
    ///
    /// The first test on a machine starts the server, and the first one with these migrations applies
    /// them to a template. Any other gets a copy that was made before.
    ///
    /// # Errors
    ///
    /// When there is no Postgres, a migration fails, or the settings are unusable.
    pub async fn start(options: TestOptions) -> Result<Self, Error> {
        let migrations = options.read_migrations()?;
        let server = TestServer::of(options.source()?).await?;
        let own = server.database(migrations).await?;
        let mut variables = options.variables();
        variables.push(("DATABASE_URL".to_owned(), own.url()));
        let settings = Settings::from_vars(variables.iter().cloned());
        let database = Database::new(settings);
        if let Err(error) = database.stage() {
            server.take_back(own).await;
            let message = "the settings of the test are unusable";
            return Err(Error::with_source(message, error));
        }
        Ok(Self(Arc::new(Inner {
            server,
            own: Mutex::new(Some(own)),
            variables,
            database,
            others: Mutex::default(),
        })))
    }

    /// Has databases with the migrations of these options made ahead, until that many are ready.
    ///
    /// Tests do that by themselves while they run. A script that prepares a machine may want more.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start).
    pub async fn prepare(options: TestOptions, count: u32) -> Result<(), Error> {
        let migrations = options.read_migrations()?;
        let server = TestServer::of(options.source()?).await?;
        server.make_ahead(migrations, count.into()).await
    }

    /// Drops the database. What is left after a test that did not come here, the next run removes.
    pub async fn finish(self) {
        let others = {
            let mut others = self.0.others.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *others)
        };
        self.0.database.close().await;
        for database in others {
            database.close().await;
        }
        let own = {
            let mut own = self.0.own.lock().unwrap_or_else(PoisonError::into_inner);
            own.take()
        };
        if let Some(own) = own {
            self.0.server.take_back(own).await;
        }
    }

    /// Returns the stage's database, as a handler has it.
    pub fn database(&self) -> Database {
        self.0.database.clone()
    }

    /// Returns the stage's database with connections of its own, as another instance of a function
    /// has it.
    pub fn new_instance(&self) -> Database {
        let database = Database::new(Settings::from_vars(self.0.variables.iter().cloned()));
        let mut others = self.0.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.push(database.clone());
        database
    }

    /// Returns the variables of the stage, for a program that is started by the test. `DATABASE_URL`
    /// has a password.
    pub fn variables(&self) -> &[(String, String)] {
        &self.0.variables
    }

    /// Makes the function that `stagelink::run(handler)` serves: of an `async fn` from a request to a
    /// response, or of a tower service such as axum's `Router`.
    pub fn function<H, M>(&self, handler: H) -> TestFunction
    where
        H: IntoService<M>,
        H::Service: Send + 'static,
        <H::Service as tower_service::Service<Request>>::Response: IntoResponse + 'static,
        <H::Service as tower_service::Service<Request>>::Error: Into<BoxError> + Send + 'static,
        <H::Service as tower_service::Service<Request>>::Future: Send + 'static,
    {
        InProcessFunction::new(handler, &self.0.database).into()
    }

    /// Makes the function that `stagelink::run_with_streaming_response(handler)` serves. Its response is read whole by
    /// `.await`, or part by part by [`TestRequest::stream`](crate::TestRequest::stream).
    pub fn streaming_function<H, M, B>(&self, handler: H) -> TestFunction
    where
        H: IntoService<M>,
        H::Service: tower_service::Service<Request, Response = Response<B>> + Send + 'static,
        <H::Service as tower_service::Service<Request>>::Error: Into<BoxError> + Send + 'static,
        <H::Service as tower_service::Service<Request>>::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Into<Bytes>,
        B::Error: Into<BoxError>,
    {
        InProcessStreamingFunction::new(handler, &self.0.database).into()
    }

    /// Makes the function that `stagelink::run_with_events(handler, on_event)` serves.
    pub fn function_with_events<H, M, F, Fut, R, E>(&self, handler: H, on_event: F) -> TestFunction
    where
        H: IntoService<M>,
        H::Service: Send + 'static,
        <H::Service as tower_service::Service<Request>>::Response: IntoResponse + 'static,
        <H::Service as tower_service::Service<Request>>::Error: Into<BoxError> + Send + 'static,
        <H::Service as tower_service::Service<Request>>::Future: Send + 'static,
        F: Fn(Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: Serialize,
        E: Into<BoxError>,
    {
        let function = InProcessFunction::with_events(handler, on_event, &self.0.database);
        function.into()
    }

    /// Lets time pass as for an instance that AWS Lambda freezes between two requests: the idle
    /// connections are that much older. After a minute or more the server has ended their sessions,
    /// as Postgres does with those of the SDK.
    ///
    /// The test itself does not wait.
    ///
    /// # Panics
    ///
    /// When the server of the tests fails.
    pub async fn freeze(&self, duration: Duration) {
        freeze(&self.0.database, duration);
        if duration >= SESSION_IDLE_LIMIT {
            let ended = self.with_own(TestDatabase::end_sessions).await;
            ended.unwrap_or_else(|error| panic!("{error:?}"));
        }
    }

    /// Cuts all connections to the database, as a network that fails does: they are reset, and their
    /// last responses are lost. New ones can be opened.
    pub fn cut_connections(&self) {
        self.with_own(|own| own.relay().cut());
    }

    /// Cuts the connection that sends the next statement, before the response to it arrives. The
    /// server has got the statement and carries it out, so a write is in doubt. A connection that is still
    /// logging in is left alone.
    pub fn cut_before_next_response(&self) {
        self.with_own(|own| own.relay().cut_before_next_response());
    }

    fn with_own<T>(&self, f: impl FnOnce(&TestDatabase) -> T) -> T {
        let own = self.0.own.lock().unwrap_or_else(PoisonError::into_inner);
        f(own
            .as_ref()
            .expect("a stage that is not finished has a database"))
    }
}

impl fmt::Debug for TestStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestStage")
            .field("database", &self.0.database)
            .field("server", &self.0.server)
            .finish_non_exhaustive()
    }
}

/// A value that a test takes as an argument.
pub trait FromTestStage {
    /// Returns the value for a test of that stage.
    fn from_test_stage(stage: &TestStage) -> Self;
}

impl FromTestStage for TestStage {
    fn from_test_stage(stage: &TestStage) -> Self {
        stage.clone()
    }
}

impl FromTestStage for Database {
    fn from_test_stage(stage: &TestStage) -> Self {
        stage.database()
    }
}

/// The time after which Postgres ends an idle session of the SDK's, unless
/// `STAGELINK_IDLE_TIMEOUT_MS` says otherwise.
const SESSION_IDLE_LIMIT: Duration = Duration::from_secs(60);
