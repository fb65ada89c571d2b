//! The conformance check for implementations of [`Provider`].

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use crate::credentials::Credentials;
use crate::credentials::DatabaseUrl;
use crate::error::{Error, ErrorKind};
use crate::provider::{Provider, ResolveRequest};
use crate::stage::Stage;

/// A check that an implementation keeps the promises of [`Provider`].
///
/// It checks that the provider returns the stage's URL, and the same one until it changes, to
/// concurrent callers too; that it caches nothing; that a call may be dropped at any point; that a
/// stage without a database is refused with a fitting kind; and that neither its `Debug` nor its
/// errors hold a secret. The password of each URL is a secret, so it must occur nowhere else.
///
/// ```
/// use std::sync::Mutex;
///
/// use stagelink::testing::Conformance;
/// use stagelink::{Credentials, DatabaseUrl, Error, ErrorKind, Provider, ResolveRequest, Stage};
///
/// /// A provider that knows the database of staging alone.
/// #[derive(Debug)]
/// struct Notebook(Mutex<DatabaseUrl>);
///
/// impl Provider for Notebook {
///     async fn resolve(&self, request: &ResolveRequest) -> Result<Credentials, Error> {
///         if request.stage != Stage::STAGING {
///             let stage = request.stage;
///             let message = format!("the notebook has no page for stage {stage}: write one");
///             return Err(Error::new(ErrorKind::App, message));
///         }
///         let url = self.0.lock().expect("no holder panics").clone();
///         Ok(Credentials::new(url, "the notebook"))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let first = "postgres://shop:first-one@db.example/shop";
/// let next = "postgres://shop:next-one@db.example/shop";
/// let notebook = Notebook(Mutex::new(DatabaseUrl::parse(first, "the test")?));
/// let written = DatabaseUrl::parse(next, "the test")?;
///
/// Conformance::of(&notebook, Stage::STAGING)
///     .without_database(Stage::PRODUCTION)
///     .check(first, async || {
///         *notebook.0.lock().expect("no holder panics") = written;
///         next.to_owned()
///     })
///     .await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Conformance<'a, P> {
    provider: &'a P,
    stage: Stage,
    strangers: Vec<Stage>,
    secrets: Secrets,
}

impl<'a, P: Provider + fmt::Debug> Conformance<'a, P> {
    /// Starts a check of a provider that knows a database of that stage.
    pub fn of(provider: &'a P, stage: Stage) -> Self {
        Self {
            provider,
            stage,
            strangers: Vec::new(),
            secrets: Secrets(Vec::new()),
        }
    }

    /// Adds a text that must not be logged, such as the token.
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.0.push(secret.into());
        self
    }

    /// Adds a stage of which the provider knows no database.
    #[must_use]
    pub fn without_database(mut self, stage: Stage) -> Self {
        self.strangers.push(stage);
        self
    }

    /// Runs the check. `url` is the stage's database at first; `rotate` gives the stage another
    /// URL and returns it, or returns `url` where the URL never changes.
    ///
    /// # Panics
    ///
    /// When a promise is broken; the message names it and holds no secret.
    pub async fn check(mut self, url: &str, rotate: impl AsyncFnOnce() -> String) {
        let first = self.expected(url);
        self.secrets
            .hold_nothing("the provider's Debug", &debug(self.provider));
        for stage in &self.strangers {
            self.refuses(*stage).await;
        }
        self.gives(&first, "at first").await;
        self.gives(&first, "when asked once more").await;
        self.may_be_given_up(&first).await;
        join_all((0..AT_A_TIME).map(|_| self.gives(&first, "to many at a time"))).await;
        let next = self.expected(&rotate().await);
        self.gives(&next, "after the rotation").await;
        self.secrets
            .hold_nothing("the provider's Debug", &debug(self.provider));
    }

    /// Parses a URL of the test, whose password is a secret from now on.
    fn expected(&mut self, url: &str) -> DatabaseUrl {
        let url = DatabaseUrl::parse(url, "the URL of the test")
            .unwrap_or_else(|error| panic!("{error}"));
        let password = String::from_utf8_lossy(url.password.expose_secret()).into_owned();
        if !password.is_empty() {
            self.secrets.0.push(password);
        }
        url
    }

    async fn gives(&self, expected: &DatabaseUrl, when: &str) {
        let credentials = self.ask(self.stage).await.unwrap_or_else(|error| {
            self.secrets.hold_nothing("an error", &texts(&error));
            panic!(
                "{when}, the provider gave no credentials: {}",
                error.report()
            )
        });
        assert!(
            credentials.url().is_same_as(expected),
            "{when}, the provider gave another URL than the one of the stage"
        );
        assert!(
            !credentials.origin().trim().is_empty(),
            "the credentials' origin says nothing"
        );
        self.secrets
            .hold_nothing("the credentials' origin", credentials.origin());
        self.secrets
            .hold_nothing("the credentials' Debug", &debug(&credentials));
    }

    async fn refuses(&self, stage: Stage) {
        let Err(error) = self.ask(stage).await else {
            panic!("the provider gave credentials for stage {stage}, of which it knows no database")
        };
        self.secrets.hold_nothing("an error", &texts(&error));
        let kind = error.kind();
        assert!(
            matches!(
                kind,
                ErrorKind::App
                    | ErrorKind::DatabaseUrl
                    | ErrorKind::NoDatabase
                    | ErrorKind::ProviderRefused
            ),
            "a stage without a database is refused with the kind {kind:?}, which is not one \
             that says so: use App, DatabaseUrl, NoDatabase or ProviderRefused"
        );
    }

    /// Drops a call at its first wait, then a call at its second, and so on.
    async fn may_be_given_up(&self, expected: &DatabaseUrl) {
        let request = ResolveRequest::new(self.stage);
        for polls in 1..=WAITS_AT_MOST {
            if was_answered_within(polls, self.provider.resolve(&request)).await {
                return;
            }
            self.gives(expected, "after a question that was given up")
                .await;
        }
    }

    async fn ask(&self, stage: Stage) -> Result<Credentials, Error> {
        timeout(PATIENCE, self.provider.resolve(&ResolveRequest::new(stage)))
            .await
            .unwrap_or_else(|_| panic!("the provider did not answer within {PATIENCE:?}"))
    }
}

/// Texts that must occur in no other.
struct Secrets(Vec<String>);

impl Secrets {
    fn hold_nothing(&self, what: &str, text: &str) {
        assert!(
            !self.0.iter().any(|secret| text.contains(secret)),
            "{what} holds a secret"
        );
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secrets").field(&self.0.len()).finish()
    }
}

/// Polls a future at most `polls` times, each when it is woken, and drops it. Returns whether it
/// was ready by then.
async fn was_answered_within(polls: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if future.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        left -= 1;
        if left == 0 {
            Poll::Ready(false)
        } else {
            Poll::Pending
        }
    })
    .await
}

fn texts(error: &Error) -> String {
    format!("{} {error:?}", error.report())
}

fn debug(value: &impl fmt::Debug) -> String {
    format!("{value:?}")
}

/// The number of concurrent calls: more than an instance of a function makes.
const AT_A_TIME: usize = 8;

/// The number of waits to drop a call at: more than a request over HTTP has.
const WAITS_AT_MOST: usize = 16;

/// The time limit of a call: longer than a provider takes in a test.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
