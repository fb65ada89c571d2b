//! Notices that a server sends as a session starts.

use stagelink_tests::{HerokuFixture, as_superuser, end_sessions};

#[tokio::test]
async fn notice_at_the_start_of_a_session_is_logged_once_per_process() {
    let fixture = HerokuFixture::new().await;
    let (name, role) = (fixture.database.name(), fixture.database.role());
    // The server warns each session of such a database, between the login and its readiness.
    as_superuser(&format!(
        "UPDATE pg_database SET datcollversion = '0' WHERE datname = '{name}'"
    ))
    .await;
    let function = fixture.function("health").await;
    for _ in 0..3 {
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
        as_superuser(&end_sessions(role)).await;
    }
    function.shutdown().await;
    let log = fixture.log();
    let count = log.matches("collation version").count();
    assert_eq!(count, 1, "{log}");
}
