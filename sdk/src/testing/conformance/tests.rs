//! Providers with one fault each, which the check has to find.

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
