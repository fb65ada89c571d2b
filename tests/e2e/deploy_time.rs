//! Credentials that were resolved at deploy time.

use std::process::{Output, Stdio};

use serde_json::Value;
use stagelink_local::heroku::{Failure, Fault};
use stagelink_tests::{CANARY, HerokuFixture, as_superuser, database, stagelink_command};
use tokio::process::Command;

/// Creates a fixture whose function starts from deploy-time credentials of its own database.
async fn with_credentials() -> HerokuFixture {
    let mut fixture = HerokuFixture::new().await;
    let url = fixture.database.url();
    fixture.set("STAGELINK_CREDENTIALS", &format!("staging={url}"));
    fixture
}

/// Creates a fixture whose deploy-time credentials have a password from before a rotation.
async fn with_stale_credentials() -> HerokuFixture {
    let mut fixture = with_credentials().await;
    let url = fixture.database.url();
    let stale = url.replace(CANARY, &format!("{CANARY}-old"));
    fixture.set("STAGELINK_CREDENTIALS", &format!("staging={stale}"));
    fixture
}

/// Runs `stagelink credentials` with the variables of a fixture.
async fn credentials(fixture: &HerokuFixture, stage: &str) -> Output {
    Command::new(stagelink_command().await)
        .args(["credentials", "--stage", stage])
        .env_clear()
        .envs(&fixture.variables)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the command runs")
}

/// Creates a fixture with the credentials that the command prints, including SCRAM keys.
async fn with_scram_keys() -> (HerokuFixture, String) {
    let mut fixture = HerokuFixture::new().await;
    let output = credentials(&fixture, "staging").await;
    assert!(output.status.success(), "{output:?}");
    let credentials = String::from_utf8(output.stdout).expect("text");
    let credentials = credentials.trim_end().to_owned();
    let (url, keys) = credentials.split_once("#scram=").expect("keys");
    let mut json = Command::new(stagelink_command().await);
    json.args(["credentials", "--stage", "staging", "--json"]);
    json.env_clear().envs(&fixture.variables);
    let json = json.output().await.expect("the command runs");
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["stage"], "staging");
    assert_eq!(json["variable"], "STAGELINK_CREDENTIALS");
    assert_eq!(json["value"].as_str(), Some(&*credentials));
    assert!(url == format!("staging={}", fixture.database.url()));
    fixture.record.forbid(keys);
    fixture.set("STAGELINK_CREDENTIALS", &credentials);
    (fixture, credentials)
}

#[tokio::test]
async fn deploy_time_scram_keys_log_in_without_the_password() {
    let (mut fixture, credentials) = with_scram_keys().await;
    let asked = fixture.heroku.requests().len();
    let another = credentials.replace(CANARY, &format!("{CANARY}-unused"));
    for credentials in [credentials, another] {
        fixture.set("STAGELINK_CREDENTIALS", &credentials);
        assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    }
    assert_eq!(
        fixture.heroku.requests().len(),
        asked,
        "the command's own alone"
    );
}

#[tokio::test]
async fn scram_keys_are_derived_again_after_a_password_reset() {
    let (fixture, _) = with_scram_keys().await;
    let asked = fixture.heroku.requests().len();
    let set = async |password: &str| {
        let role = fixture.database.role();
        as_superuser(&format!("ALTER ROLE {role} PASSWORD '{password}'")).await;
    };
    // Setting the same password again generates another salt.
    let password = format!("{CANARY}-{}", fixture.database.name());
    set(&password).await;
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    assert_eq!(
        fixture.heroku.requests().len(),
        asked,
        "no provider request is needed"
    );

    set(&format!("new-{password}")).await;
    let url = fixture.database.url();
    fixture.set_url(&url.replace(CANARY, &format!("new-{CANARY}")));
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    assert_eq!(fixture.heroku.requests().len(), asked + 3, "one resolution");
}

#[tokio::test]
async fn truncated_scram_keys_are_reported_and_not_printed() {
    let (mut fixture, credentials) = with_scram_keys().await;
    fixture.set(
        "STAGELINK_CREDENTIALS",
        &credentials[..credentials.len() - 3],
    );
    assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());
    let log = fixture.log();
    assert!(log.contains("malformed SCRAM keys"), "{log}");
}

#[tokio::test]
async fn credentials_command_asks_the_provider_and_not_older_credentials() {
    let mut fixture = HerokuFixture::new().await;
    let older = database().await;
    fixture.set("STAGELINK_CREDENTIALS", &format!("staging={}", older.url()));
    let output = credentials(&fixture, "staging").await;
    let credentials = String::from_utf8(output.stdout).expect("text");
    let begins = format!("staging={}#scram=", fixture.database.url());
    assert!(credentials.starts_with(&begins), "another database");
}

#[tokio::test]
async fn credentials_command_refuses_the_database_of_another_stage() {
    let fixture = HerokuFixture::new().await;
    let name = fixture.database.name();
    let mark = "application_name = 'stagelink:production'";
    as_superuser(&format!("ALTER DATABASE {name} SET {mark}")).await;
    let output = credentials(&fixture, "staging").await;
    assert!(!output.status.success() && output.stdout.is_empty());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("marked as stage production's"), "{stderr}");
    assert!(!stderr.contains(CANARY), "{stderr}");
}

#[tokio::test]
async fn start_with_deploy_time_credentials_makes_no_provider_request() {
    let fixture = with_credentials().await;
    let answer = fixture.get("health").await;
    assert_eq!(answer.status, 200, "{}", fixture.log());
    assert_eq!(answer.json()["phases"]["opened"]["resolve_ms"], Value::Null);
    assert!(fixture.heroku.requests().is_empty());
}

#[tokio::test]
async fn function_needs_no_provider_while_its_deploy_time_credentials_work() {
    let mut fixture = with_credentials().await;
    fixture.heroku.inject(Fault::new(Failure::Hang));
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    fixture.variables.remove("STAGELINK_HEROKU_PIPELINE");
    fixture.variables.remove("HEROKU_API_KEY");
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
}

#[tokio::test]
async fn stale_deploy_time_credentials_cost_one_resolution_and_no_failed_request() {
    let fixture = with_stale_credentials().await;
    let function = fixture.function("health").await;
    for _ in 0..3 {
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
    }
    assert_eq!(fixture.heroku.requests().len(), 3, "one resolution");
    function.shutdown().await;
}

#[tokio::test]
async fn stale_deploy_time_credentials_without_a_provider_say_what_to_do() {
    let mut fixture = with_stale_credentials().await;
    fixture.variables.remove("STAGELINK_HEROKU_PIPELINE");
    assert_eq!(fixture.get("health").await.status, 503, "{}", fixture.log());
    assert!(fixture.log().contains("refused role"), "{}", fixture.log());
    assert!(
        fixture.log().contains("no provider is configured to ask"),
        "{}",
        fixture.log()
    );
}

#[tokio::test]
async fn deploy_time_credentials_of_another_stage_are_refused() {
    let mut fixture = with_credentials().await;
    let production = database().await;
    fixture.set(
        "STAGELINK_CREDENTIALS",
        &format!("production={}", production.url()),
    );
    assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());
    assert!(
        fixture
            .log()
            .contains("holds the credentials of stage production"),
        "{}",
        fixture.log()
    );
    assert!(fixture.heroku.requests().is_empty());
}
