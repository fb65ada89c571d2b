//! For tests, with the cargo feature `testing`: a conformance check for implementations of [`Provider`],
//! and functions in the process of their test.

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
#[cfg(feature = "testing")]
use crate::credentials::parse_deploy_time;
#[cfg(all(feature = "testing", feature = "lambda"))]
use crate::database::Database;
use crate::error::{Error, ErrorKind};
use crate::provider::{Provider, ResolveRequest};
use crate::stage::Stage;

#[cfg(all(feature = "testing", feature = "lambda"))]
pub use crate::lambda::{InProcessFunction, InProcessResponse, InProcessStreamingFunction};

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

/// Lets time pass for the idle connections of a database, as for those of an instance that AWS Lambda
/// freezes between two invocations.
///
/// The time passes in this process alone. A server ends a session that sent no statement for 60 s; a
/// test that freezes a database for longer ends its sessions too.
#[cfg(all(feature = "testing", feature = "lambda"))]
pub fn freeze(database: &Database, duration: Duration) {
    database.freeze(duration);
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

/// Starts a session with a server that sends these bytes, for this crate's fuzzer.
///
/// # Panics
///
/// When an untrusted server starts a session or receives the password.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub async fn rehearse_session(says: &[u8], is_early: bool, is_trusted: bool) {
    use crate::postgres::{PASSWORD, run_script};

    let result = run_script(says, is_early, is_trusted).await;
    assert!(is_trusted || !result.has_started, "a session has started");
    let is_told = |part: &[u8]| {
        let mut parts = result.to_server.windows(part.len());
        parts.any(|window| window == part)
    };
    assert!(is_trusted || !is_told(PASSWORD), "the password was sent");
    // A cleartext request for the password is no answer to an early SCRAM message.
    assert!(
        !is_early || !is_told(PASSWORD),
        "the password is told early"
    );
    // The driver receives AuthenticationOk and the server's own messages, and no others.
    assert!(
        result.to_driver.len() <= says.len() + 9,
        "something is made up"
    );
}

/// Runs a conversation of the driver with a pooler's server, for this crate's fuzzer. The input is
/// a list of pieces: a byte whose highest bit says that the server sends and whose others are the
/// length, and the bytes.
///
/// # Panics
///
/// When a statement has a name at the server.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub fn rehearse_client_statements(input: &[u8]) {
    crate::postgres::rehearse_client_statements(input);
}

/// Runs arbitrary bytes in both directions past a connection's tap, for this crate's fuzzer. The
/// input is a list of pieces, as for [`rehearse_client_statements`].
///
/// # Panics
///
/// When the outcome of a write depends on how the bytes are split, or changes after it took effect.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub fn rehearse_tap(input: &[u8]) {
    crate::postgres::rehearse_tap(input);
}

/// Reads a value of `STAGELINK_CREDENTIALS` for stage staging, for this crate's fuzzer, and returns
/// all that is shown of it.
///
/// # Panics
///
/// When credentials that were read are others after they were written.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub fn rehearse_credentials(variable: &str) -> String {
    let credentials = match parse_deploy_time(&variable.into(), Stage::STAGING) {
        Err(error) => return texts(&error),
        Ok(credentials) => credentials,
    };
    let written = credentials.to_variable(Stage::STAGING);
    let again = parse_deploy_time(&written, Stage::STAGING).expect("what was read can be written");
    assert!(
        again.url.is_same_as(&credentials.url),
        "the URL is another one"
    );
    let keys = |credentials: &Credentials| {
        let keys = credentials.scram_keys.as_ref();
        keys.map(|keys| keys.text().expose_secret().to_owned())
    };
    assert_eq!(keys(&again), keys(&credentials));
    format!("{credentials:?}")
}

/// Judges a certificate by one root, for this crate's fuzzer, and reads what SCRAM binds to.
///
/// # Panics
///
/// When the judge does, or trusts without a root, or by a name alone.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub fn rehearse_certificate(own: &[u8], root: &[u8]) {
    crate::tls::rehearse(own, root);
}

/// Converts an event into a request, for this crate's fuzzer, and returns whether it was one. The
/// text before the first NUL is the client context.
///
/// # Panics
///
/// When the conversion does, or its request has another path or query than the event.
#[cfg(all(feature = "testing", feature = "lambda"))]
#[doc(hidden)]
pub fn rehearse_event(input: &[u8]) -> bool {
    crate::lambda::rehearse_event(input)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const FIRST: &str = "postgres://shop:c4n4ry-1@db.example/shop";
    const NEXT: &str = "postgres://shop:c4n4ry-2@db.example/shop";

    /// A provider with one fault, or none.
    struct Fake {
        fault: Fault,
        url: Mutex<&'static str>,
        kept: Mutex<Option<&'static str>>,
        asking: AtomicBool,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        KeepsItsAnswer,
        TellsInItsOrigin,
        TellsInItsDebug,
        TellsInItsError,
        KnowsEveryStage,
        SaysUnavailable,
        ServesOneAtATime,
        StaysBusyWhenGivenUp,
    }

    impl fmt::Debug for Fake {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.fault {
                Fault::TellsInItsDebug => f.write_str(FIRST),
                _ => f.write_str("Fake"),
            }
        }
    }

    impl Provider for Fake {
        async fn resolve(&self, request: &ResolveRequest) -> Result<Credentials, Error> {
            match self.fault {
                Fault::KnowsEveryStage => {}
                _ if request.stage == Stage::STAGING => {}
                Fault::SaysUnavailable => {
                    return Err(Error::new(ErrorKind::ProviderUnavailable, "down"));
                }
                Fault::TellsInItsError => return Err(Error::new(ErrorKind::App, "t0k3n")),
                _ => return Err(Error::new(ErrorKind::App, "none")),
            }
            let busy = self.asking.swap(true, Ordering::Relaxed);
            let done = Done(&self.asking);
            let one_at_a_time = [Fault::ServesOneAtATime, Fault::StaysBusyWhenGivenUp];
            if busy && one_at_a_time.contains(&self.fault) {
                return Err(Error::rate_limited("asked by another", None));
            }
            if self.fault == Fault::StaysBusyWhenGivenUp {
                std::mem::forget(done);
            }
            tokio::task::yield_now().await;
            self.asking.store(false, Ordering::Relaxed);
            let now = *self.url.lock().unwrap();
            let kept = *self.kept.lock().unwrap().get_or_insert(now);
            let url = match self.fault {
                Fault::KeepsItsAnswer => kept,
                _ => now,
            };
            let origin = match self.fault {
                Fault::TellsInItsOrigin => url,
                _ => "a fake",
            };
            Ok(Credentials::new(DatabaseUrl::parse(url, "a fake")?, origin))
        }
    }

    /// Marks a call as ended when it is dropped.
    struct Done<'a>(&'a AtomicBool);

    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(false, Ordering::Relaxed);
        }
    }

    async fn check(fault: Fault) {
        let fake = Fake {
            fault,
            url: Mutex::new(FIRST),
            kept: Mutex::default(),
            asking: AtomicBool::new(false),
        };
        Conformance::of(&fake, Stage::STAGING)
            .secret("t0k3n")
            .without_database(Stage::PRODUCTION)
            .check(FIRST, async || {
                *fake.url.lock().unwrap() = NEXT;
                NEXT.to_owned()
            })
            .await;
    }

    #[tokio::test]
    async fn good_provider_passes() {
        check(Fault::None).await;
    }

    #[tokio::test]
    #[should_panic(expected = "after the rotation, the provider gave another URL")]
    async fn kept_answer_is_found() {
        check(Fault::KeepsItsAnswer).await;
    }

    #[tokio::test]
    #[should_panic(expected = "the credentials' origin holds a secret")]
    async fn password_in_the_origin_is_found() {
        check(Fault::TellsInItsOrigin).await;
    }

    #[tokio::test]
    #[should_panic(expected = "the provider's Debug holds a secret")]
    async fn password_in_the_debug_is_found() {
        check(Fault::TellsInItsDebug).await;
    }

    #[tokio::test]
    #[should_panic(expected = "an error holds a secret")]
    async fn token_in_an_error_is_found() {
        check(Fault::TellsInItsError).await;
    }

    #[tokio::test]
    #[should_panic(expected = "gave credentials for stage production")]
    async fn guessed_stage_is_found() {
        check(Fault::KnowsEveryStage).await;
    }

    #[tokio::test]
    #[should_panic(expected = "refused with the kind ProviderUnavailable")]
    async fn refusal_that_looks_like_a_failure_is_found() {
        check(Fault::SaysUnavailable).await;
    }

    #[tokio::test]
    #[should_panic(expected = "to many at a time, the provider gave no credentials")]
    async fn provider_for_one_caller_is_found() {
        check(Fault::ServesOneAtATime).await;
    }

    #[tokio::test]
    #[should_panic(expected = "after a question that was given up, the provider gave no")]
    async fn question_that_is_never_over_is_found() {
        check(Fault::StaysBusyWhenGivenUp).await;
    }
}
