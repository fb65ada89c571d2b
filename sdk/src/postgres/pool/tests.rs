//! Requests to providers that behave badly.

use std::future::pending;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpSocket;

use super::*;
use crate::credentials::DatabaseUrl;
use crate::provider::{Provider, ResolveRequest};

/// A provider of a database on a port where no server listens. Counts the requests.
#[derive(Clone)]
struct Fake {
    /// Holds the port, so that no other process listens there meanwhile.
    _held: Arc<TcpSocket>,
    asked: Arc<AtomicUsize>,
    url: String,
    behaviour: Behaviour,
}

#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    /// Always the same URL.
    Same,
    /// Another URL each time, none of which works.
    Another,
    /// No answer.
    Hangs,
    /// An error, with the time to come back.
    Busy,
    /// An error, with a time to come back that is longer than any process lives.
    BusyForADay,
    /// An error of the provider, which says nothing about the time.
    Fails,
}

impl Fake {
    fn new(behaviour: Behaviour) -> Self {
        let held = TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = held.local_addr().unwrap().port();
        Self {
            _held: Arc::new(held),
            asked: Arc::default(),
            url: format!("postgres://u:p@127.0.0.1:{port}/d"),
            behaviour,
        }
    }

    fn pool(&self) -> Arc<Pool> {
        let limits = Limits {
            pool_size: NonZeroUsize::new(20).unwrap(),
            resolve: Duration::from_millis(50),
            ..Limits::default()
        };
        let provider = AnyProvider::new(self.clone());
        let server = ServerSettings::default();
        Arc::new(Pool::new(Stage::STAGING, provider, None, limits, server).unwrap())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Provider for Fake {
    async fn resolve(&self, _: &ResolveRequest) -> Result<Credentials, Error> {
        let time = self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let url = match self.behaviour {
            Behaviour::Same => self.url.clone(),
            Behaviour::Another => format!("{}{time}", self.url),
            Behaviour::Hangs => pending().await,
            Behaviour::Busy => {
                return Err(Error::rate_limited("busy", Some(Duration::from_secs(60))));
            }
            Behaviour::BusyForADay => {
                return Err(Error::rate_limited(
                    "busy",
                    Some(Duration::from_secs(86_400)),
                ));
            }
            Behaviour::Fails => {
                return Err(Error::new(ErrorKind::ProviderUnavailable, "down"));
            }
        };
        Ok(Credentials::new(
            DatabaseUrl::parse(&url, "a fake")?,
            "a fake",
        ))
    }
}

/// The errors of twenty requests at the same time.
async fn storm(pool: &Arc<Pool>) -> Vec<Error> {
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let pool = Arc::clone(pool);
            tokio::spawn(async move { pool.lend(None).await.unwrap_err() })
        })
        .collect();
    let mut errors = Vec::new();
    for request in requests {
        errors.push(request.await.unwrap());
    }
    errors
}

#[cfg(feature = "lambda")]
#[tokio::test]
async fn pool_of_a_cold_start_bounds_statements_by_the_same_invocations() {
    let pool = Fake::new(Behaviour::Same).pool();
    assert_eq!(pool.longest_invocation(), None, "no limit of nothing");
    assert_eq!(pool.of_cold_start().unwrap().longest_invocation(), None);
    pool.record_invocation(Duration::from_secs(10));
    let cold = pool.of_cold_start().unwrap();
    assert_eq!(cold.longest_invocation(), Some(Duration::from_secs(10)));
}

#[tokio::test]
async fn same_stale_url_is_asked_for_a_few_times_however_many_want_it() {
    let fake = Fake::new(Behaviour::Same);
    let pool = fake.pool();
    for error in [storm(&pool).await, storm(&pool).await].concat() {
        assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable);
    }
    // Once to begin with; then two at once and one more before the first wait.
    assert!(fake.asked() <= 4, "{}", fake.asked());
}

#[tokio::test]
async fn same_stale_url_makes_no_new_generation_and_the_error_says_so() {
    let fake = Fake::new(Behaviour::Same);
    let pool = fake.pool();
    let error = pool.lend(None).await.unwrap_err();
    assert_eq!(fake.asked(), 2);
    assert_eq!(pool.current().unwrap().manager().generation, 1);
    let text = error.to_string();
    assert!(text.contains("a fake still holds the same URL"), "{text}");
}

#[tokio::test]
async fn busy_provider_is_left_alone_for_as_long_as_it_says() {
    let fake = Fake::new(Behaviour::Busy);
    let pool = fake.pool();
    for error in storm(&pool).await {
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    }
    assert_eq!(fake.asked(), 1);
}

#[tokio::test]
async fn provider_that_asks_for_a_day_is_left_alone_for_a_minute() {
    let fake = Fake::new(Behaviour::BusyForADay);
    let pool = fake.pool();
    for error in storm(&pool).await {
        assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    let _ = pool.lend(None).await;
    assert_eq!(fake.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn failure_says_how_long_the_provider_is_left_alone() {
    let fake = Fake::new(Behaviour::Fails);
    let pool = fake.pool();
    for _ in 0..2 {
        let error = pool.lend(None).await.unwrap_err();
        assert_eq!(error.retry_after(), None);
    }
    // The third fruitless request in a row is followed by a pause of about a second.
    for _ in 0..2 {
        let error = pool.lend(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
        let seconds = error.retry_after().map(|wait| wait.as_secs());
        assert!(matches!(seconds, Some(1 | 2)), "{seconds:?}");
    }
    assert_eq!(fake.asked(), 3);
}

#[tokio::test]
async fn hanging_provider_is_a_time_out_of_the_phase() {
    let fake = Fake::new(Behaviour::Hangs);
    let error = fake.pool().lend(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Resolve));
}

#[tokio::test]
async fn new_urls_that_never_work_are_asked_for_a_few_times() {
    let fake = Fake::new(Behaviour::Another);
    let pool = fake.pool();
    storm(&pool).await;
    storm(&pool).await;
    assert!(fake.asked() <= 4, "{}", fake.asked());
}

#[tokio::test(start_paused = true)]
async fn server_that_is_silent_for_long_may_have_moved_and_one_that_times_out_has_not() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let fake = Fake {
        url: format!("postgres://u:p@127.0.0.1:{port}/d"),
        ..Fake::new(Behaviour::Same)
    };
    let pool = fake.pool();
    let started = Instant::now();
    while fake.asked() < 2 {
        let error = pool.lend(None).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout(_)), "{error}");
    }
    assert!(started.elapsed() >= Duration::from_secs(30));
}

#[test]
fn pool_that_no_database_would_fill_is_refused_before_its_places_are_allocated() {
    let limits = Limits {
        pool_size: NonZeroUsize::MAX,
        ..Limits::default()
    };
    let provider = AnyProvider::new(Fake::new(Behaviour::Same));
    let server = ServerSettings::default();
    let refused = Pool::new(Stage::STAGING, provider, None, limits, server);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Settings);
}

#[tokio::test]
async fn new_url_makes_a_new_generation() {
    let fake = Fake::new(Behaviour::Another);
    let pool = fake.pool();
    let error = pool.lend(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable);
    assert_eq!(fake.asked(), 2);
    let current = pool.current().unwrap();
    assert_eq!(current.manager().generation, 2);
    let credentials = current.manager().connector.credentials();
    assert_eq!(credentials.url().database(), "d1");
}
