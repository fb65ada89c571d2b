//! Connections and SnapStart: the snapshot contains none, and the restored process opens one.

use stagelink_tests::{HerokuFixture, sdk_example};

use tokio::time::sleep;

use crate::warm::idle::{Frozen, LONG_FREEZE};
use crate::warm::{ANY, limit, until_sessions};

async fn function_in_snapshot(fixture: &HerokuFixture) -> stagelink_local::lambda::Function {
    let program = sdk_example("snapstart").await;
    let function = fixture.start_as("snapstart", &program, |config| config.snap_start = true);
    // The INIT phase is over, and the process waits in its snapshot.
    function.warm_up().await.expect("an instance");
    function
}

#[tokio::test]
async fn snapshot_holds_no_connection_and_the_restored_process_makes_one() {
    let fixture = HerokuFixture::new().await;
    let function = function_in_snapshot(&fixture).await;
    assert!(
        !fixture.log().contains("could not connect"),
        "{}",
        fixture.log()
    );
    until_sessions(fixture.database.role(), &ANY, 0).await;
    assert!(
        !fixture.heroku.requests().is_empty(),
        "it did connect before"
    );
    let asked = fixture.heroku.requests().len();
    let first = fixture.ask(&function, "GET", "/", None).await;
    assert_eq!(first.status, 200, "{}", fixture.log());
    let second = fixture.ask(&function, "GET", "/", None).await;
    assert_eq!(first.text(), second.text(), "it is the same session");
    until_sessions(fixture.database.role(), &ANY, 1).await;
    assert_eq!(
        fixture.heroku.requests().len(),
        asked,
        "the credentials stay"
    );
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn process_that_is_restored_from_an_old_snapshot_answers_its_first_event() {
    let fixture = HerokuFixture::new().await;
    let function = function_in_snapshot(&fixture).await;
    let frozen = Frozen::new(&function);
    sleep(LONG_FREEZE).await;
    drop(frozen);
    let answer = fixture.ask(&function, "GET", "/", None).await;
    assert_eq!(answer.status, 200, "{}", fixture.log());
    until_sessions(fixture.database.role(), &ANY, 1).await;
    assert!(!fixture.log().contains("broke"), "{}", fixture.log());
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn failed_connection_after_a_restore_is_reported_and_the_process_survives() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_RETRY_TIMEOUT_MS", "1");
    let function = function_in_snapshot(&fixture).await;
    until_sessions(fixture.database.role(), &ANY, 0).await;
    limit(fixture.database.role(), 0).await;
    let answer = fixture.ask(&function, "GET", "/", None).await;
    assert_eq!(answer.status, 503, "{}", fixture.log());
    let log = fixture.log();
    assert!(log.contains("could not connect after the restore"), "{log}");
    limit(fixture.database.role(), -1).await;
    let answer = fixture.ask(&function, "GET", "/", None).await;
    assert_eq!(answer.status, 200, "{}", fixture.log());
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}
