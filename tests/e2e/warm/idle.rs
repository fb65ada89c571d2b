//! Idle connections: the process was frozen, or no request came.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stagelink_local::lambda::Function;
use stagelink_tests::{HerokuFixture, proxy, through};
use tokio::time::sleep;

use super::{ANY, link, pid, sessions, until_sessions};

/// Stops the processes of a function as Lambda freezes them, and resumes them.
pub(crate) struct Frozen(Vec<Pid>);

impl Frozen {
    pub(crate) fn new(function: &Function) -> Self {
        let ids = function.process_ids().into_iter();
        let ids = ids.map(|id| Pid::from_raw(i32::try_from(id).expect("the id of a process")));
        let frozen = Self(ids.collect());
        frozen.send(Signal::SIGSTOP);
        frozen
    }

    fn send(&self, signal: Signal) {
        for id in &self.0 {
            kill(*id, signal).expect("the process is there");
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.send(Signal::SIGCONT);
    }
}

/// The freeze of an instance that started and then got no event: longer than Postgres waits for a
/// login (`authentication_timeout`), and than it keeps an idle session of the SDK's.
pub(crate) const LONG_FREEZE: Duration = Duration::from_secs(90);

/// Sends a function a request for its database, and checks that it succeeds.
async fn answers(fixture: &HerokuFixture, function: &Function) {
    let answer = fixture.ask(function, "GET", "/api/health", None).await;
    assert_eq!(answer.status, 200, "{}", fixture.log());
    assert_eq!(function.started_count(), 1, "{}", fixture.log());
}

#[tokio::test]
async fn frozen_function_whose_connections_were_cut_answers_the_next_request() {
    let proxy = proxy().await;
    let fixture = HerokuFixture::new().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    let function = fixture.function("health").await;
    for _ in 0..3 {
        answers(&fixture, &function).await;
        let frozen = Frozen::new(&function);
        proxy.cut();
        drop(frozen);
    }
    answers(&fixture, &function).await;
    function.shutdown().await;
}

#[tokio::test]
async fn frozen_function_whose_connection_was_forgotten_answers_the_next_request() {
    // A NAT gateway does this: it drops the connection without a reply.
    let proxy = proxy().await;
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_IDLE_TIMEOUT_MS", IDLE_TIMEOUT_MS);
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    let function = fixture.function("health").await;
    answers(&fixture, &function).await;
    let frozen = Frozen::new(&function);
    proxy.lose();
    sleep(NOT_FRESH).await;
    drop(frozen);
    answers(&fixture, &function).await;
    function.shutdown().await;
}

#[tokio::test]
async fn idle_connection_is_checked_in_one_round_trip_and_a_fresh_one_is_not() {
    let proxy = proxy().await;
    let mut fixture = HerokuFixture::new().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    let link = link(
        &mut fixture,
        &[("STAGELINK_IDLE_TIMEOUT_MS", IDLE_TIMEOUT_MS)],
    );
    let first = pid(&link.client().await.expect("a connection")).await;
    let before = proxy.round_trips();
    for (pause, expected) in [(Duration::ZERO, 1), (NOT_FRESH, 2), (Duration::ZERO, 1)] {
        sleep(pause).await;
        let before = proxy.round_trips();
        assert_eq!(
            pid(&link.client().await.expect("a connection")).await,
            first
        );
        assert_eq!(proxy.round_trips() - before, expected, "after {pause:?}");
    }
    assert_eq!(proxy.round_trips() - before, 4);
}

#[tokio::test]
async fn frozen_instance_frees_its_connection_slot() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_IDLE_TIMEOUT_MS", IDLE_TIMEOUT_MS);
    let function = fixture.function("health").await;
    answers(&fixture, &function).await;
    assert_eq!(sessions(fixture.database.role(), &ANY).await, 1);
    let frozen = Frozen::new(&function);
    until_sessions(fixture.database.role(), &ANY, 0).await;
    drop(frozen);
    answers(&fixture, &function).await;
    assert!(!fixture.log().contains("broke"), "{}", fixture.log());
    function.shutdown().await;
}

#[tokio::test]
async fn function_that_is_frozen_for_long_between_its_login_and_its_first_event_answers_it() {
    let fixture = HerokuFixture::new().await;
    let role = fixture.database.role();
    let function = fixture.function("health").await;
    function.warm_up().await.expect("the function starts");
    assert_eq!(sessions(role, &ANY).await, 1, "{}", fixture.log());
    let frozen = Frozen::new(&function);
    sleep(LONG_FREEZE).await;
    assert_eq!(sessions(role, &ANY).await, 0, "the server has ended it");
    drop(frozen);
    answers(&fixture, &function).await;
    assert_eq!(sessions(role, &ANY).await, 1);
    function.shutdown().await;
}

#[tokio::test]
async fn frozen_instance_without_a_request_frees_its_connection_slot() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_IDLE_TIMEOUT_MS", IDLE_TIMEOUT_MS);
    let role = fixture.database.role().to_owned();
    let function = fixture.function("health").await;
    function.warm_up().await.expect("the function starts");
    let frozen = Frozen::new(&function);
    assert_eq!(sessions(&role, &ANY).await, 1, "{}", fixture.log());
    until_sessions(&role, &ANY, 0).await;
    drop(frozen);
    answers(&fixture, &function).await;
    assert!(!fixture.log().contains("broke"), "{}", fixture.log());
    function.shutdown().await;
}

#[tokio::test]
async fn connection_that_was_lent_and_not_used_frees_its_slot() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(
        &mut fixture,
        &[("STAGELINK_IDLE_TIMEOUT_MS", IDLE_TIMEOUT_MS)],
    );
    drop(link.client().await.expect("a connection"));
    assert_eq!(sessions(fixture.database.role(), &ANY).await, 1);
    until_sessions(fixture.database.role(), &ANY, 0).await;
    pid(&link.client().await.expect("a connection")).await;
}

#[tokio::test]
async fn function_that_is_terminated_closes_its_connections() {
    let fixture = HerokuFixture::new().await;
    let function = fixture.function("health").await;
    answers(&fixture, &function).await;
    assert_eq!(sessions(fixture.database.role(), &ANY).await, 1);
    for id in function.process_ids() {
        let id = Pid::from_raw(i32::try_from(id).expect("the id of a process"));
        kill(id, Signal::SIGTERM).expect("the process is there");
    }
    until_sessions(fixture.database.role(), &ANY, 0).await;
    function.shutdown().await;
    // A process that the signal had killed would have logged that.
    assert!(!fixture.log().contains("signal"), "{}", fixture.log());
}

#[tokio::test]
async fn connection_past_the_servers_idle_timeout_is_replaced_without_a_check() {
    let proxy = proxy().await;
    let mut fixture = HerokuFixture::new().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    let link = link(&mut fixture, &[("STAGELINK_IDLE_TIMEOUT_MS", "500")]);
    let first = pid(&link.client().await.expect("a connection")).await;
    // The server's FIN does not arrive, and the client's packets are lost.
    proxy.lose();
    sleep(Duration::from_millis(500)).await;
    assert_ne!(
        pid(&link.client().await.expect("a connection")).await,
        first
    );
}

/// Long enough to count the sessions before it is over. With this idle timeout a connection counts
/// as fresh for a tenth of it, instead of 5 s.
const IDLE_TIMEOUT_MS: &str = "5000";
/// Longer than that, and shorter than the server waits.
const NOT_FRESH: Duration = Duration::from_millis(600);
