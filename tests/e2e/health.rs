//! The health check.

use stagelink_tests::{CANARY, HerokuFixture};

#[tokio::test]
async fn healthy_stage_reports_its_phases_and_no_host() {
    let fixture = HerokuFixture::new().await;
    let answer = fixture.get("health").await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), fixture.log());
    let body = answer.json();
    assert_eq!(body["stage"], "staging");
    assert_eq!(body["database"]["reachable"], true);
    for phase in ["resolve_ms", "connect_ms", "tls_ms", "authenticate_ms"] {
        assert!(body["phases"]["opened"][phase].is_f64(), "{phase}: {body}");
    }
    assert!(body["phases"]["query_ms"].is_f64());
    let text = answer.text();
    for secret in ["localhost", "127.0.0.1", "shop", "postgres://", CANARY] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[tokio::test]
async fn warm_instance_makes_no_heroku_request() {
    let fixture = HerokuFixture::new().await;
    let function = fixture.function("health").await;
    for _ in 0..3 {
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
    }
    // The pipeline, its couplings and the app's config vars, once each.
    assert_eq!(fixture.heroku.requests().len(), 3);
    assert_eq!(function.started_count(), 1);
    function.shutdown().await;
}

#[tokio::test]
async fn most_verbose_log_contains_no_secret() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("AWS_LAMBDA_LOG_LEVEL", "TRACE");
    assert_eq!(fixture.get("health").await.status, 200);
    // The fixture has searched the log for the token and the password; this checks that the log is
    // not empty.
    let log = fixture.log();
    assert!(
        log.contains("TRACE") && log.contains("pooling idle connection"),
        "{log}"
    );
}
