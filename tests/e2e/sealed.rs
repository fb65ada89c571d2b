//! Credentials that were resolved at deploy time.

use std::process::{Output, Stdio};

use serde_json::Value;
use stagelink_local::heroku::{Failure, Fault};
use stagelink_tests::{CANARY, Scene, as_superuser, database, stagelink_command};
use tokio::process::Command;

/// A scene whose function starts from the sealed URL of its own database.
async fn sealed() -> Scene {
    let mut scene = Scene::new().await;
    let url = scene.database.url();
    scene.set("STAGELINK_SEALED", &format!("staging={url}"));
    scene
}

/// The same after a rotation: the sealed password is an old one.
async fn sealed_and_stale() -> Scene {
    let mut scene = sealed().await;
    let url = scene.database.url();
    let stale = url.replace(CANARY, &format!("{CANARY}-old"));
    scene.set("STAGELINK_SEALED", &format!("staging={stale}"));
    scene
}

/// `stagelink seal` with the variables of a scene.
async fn seal(scene: &Scene, stage: &str) -> Output {
    Command::new(stagelink_command().await)
        .args(["seal", "--stage", stage])
        .env_clear()
        .envs(&scene.variables)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the command runs")
}

/// A scene sealed by the command, with what SCRAM makes of the password.
async fn sealed_with_keys() -> (Scene, String) {
    let mut scene = Scene::new().await;
    let output = seal(&scene, "staging").await;
    assert!(output.status.success(), "{output:?}");
    let sealed = String::from_utf8(output.stdout).expect("text");
    let sealed = sealed.trim_end().to_owned();
    let (url, keys) = sealed.split_once("#scram=").expect("keys");
    assert!(url == format!("staging={}", scene.database.url()));
    scene.record.forbid(keys);
    scene.set("STAGELINK_SEALED", &sealed);
    (scene, sealed)
}

#[tokio::test]
async fn keys_that_were_sealed_log_in_without_the_password() {
    let (mut scene, sealed) = sealed_with_keys().await;
    let another = sealed.replace(CANARY, &format!("{CANARY}-unused"));
    for sealed in [sealed, another] {
        scene.set("STAGELINK_SEALED", &sealed);
        assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
    }
    assert_eq!(scene.heroku.requests().len(), 3, "the command's own alone");
}

#[tokio::test]
async fn keys_of_a_password_that_was_set_anew_are_made_again() {
    let (scene, _) = sealed_with_keys().await;
    let asked = scene.heroku.requests().len();
    let set = async |password: &str| {
        let role = scene.database.role();
        as_superuser(&format!("ALTER ROLE {role} PASSWORD '{password}'")).await;
    };
    // The same again has another salt.
    let password = format!("{CANARY}-{}", scene.database.name());
    set(&password).await;
    assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
    assert_eq!(
        scene.heroku.requests().len(),
        asked,
        "nobody has to be asked"
    );

    set(&format!("new-{password}")).await;
    let url = scene.database.url();
    scene.set_url(&url.replace(CANARY, &format!("new-{CANARY}")));
    assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
    assert_eq!(scene.heroku.requests().len(), asked + 3, "one resolution");
}

#[tokio::test]
async fn keys_that_were_cut_off_are_told_and_not_shown() {
    let (mut scene, sealed) = sealed_with_keys().await;
    scene.set("STAGELINK_SEALED", &sealed[..sealed.len() - 3]);
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
    let log = scene.log();
    assert!(log.contains("part of it was lost"), "{log}");
}

#[tokio::test]
async fn seal_is_of_what_the_provider_says_and_not_of_an_older_seal() {
    let mut scene = Scene::new().await;
    let older = database().await;
    scene.set("STAGELINK_SEALED", &format!("staging={}", older.url()));
    let output = seal(&scene, "staging").await;
    let sealed = String::from_utf8(output.stdout).expect("text");
    let begins = format!("staging={}#scram=", scene.database.url());
    assert!(sealed.starts_with(&begins), "another database");
}

#[tokio::test]
async fn database_of_another_stage_is_not_sealed() {
    let scene = Scene::new().await;
    let name = scene.database.name();
    let mark = "application_name = 'stagelink:production'";
    as_superuser(&format!("ALTER DATABASE {name} SET {mark}")).await;
    let output = seal(&scene, "staging").await;
    assert!(!output.status.success() && output.stdout.is_empty());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("marked as stage production's"), "{said}");
    assert!(!said.contains(CANARY), "{said}");
}

#[tokio::test]
async fn sealed_function_asks_nobody_at_its_start() {
    let scene = sealed().await;
    let answer = scene.get("health").await;
    assert_eq!(answer.status, 200, "{}", scene.log());
    assert_eq!(answer.json()["phases"]["opened"]["resolve_ms"], Value::Null);
    assert!(scene.heroku.requests().is_empty());
}

#[tokio::test]
async fn sealed_function_needs_no_provider_while_its_credentials_work() {
    let mut scene = sealed().await;
    scene.heroku.inject(Fault::new(Failure::Hang));
    assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
    scene.variables.remove("STAGELINK_HEROKU_PIPELINE");
    scene.variables.remove("HEROKU_API_KEY");
    assert_eq!(scene.get("health").await.status, 200, "{}", scene.log());
}

#[tokio::test]
async fn stale_seal_costs_one_resolution_and_no_failed_request() {
    let scene = sealed_and_stale().await;
    let function = scene.function("health").await;
    for _ in 0..3 {
        let answer = scene.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", scene.log());
    }
    assert_eq!(scene.heroku.requests().len(), 3, "one resolution");
    function.shutdown().await;
}

#[tokio::test]
async fn stale_seal_without_a_provider_says_what_to_do() {
    let mut scene = sealed_and_stale().await;
    scene.variables.remove("STAGELINK_HEROKU_PIPELINE");
    assert_eq!(scene.get("health").await.status, 503, "{}", scene.log());
    assert!(scene.log().contains("refused role"), "{}", scene.log());
    assert!(
        scene.log().contains("nobody to ask for new credentials"),
        "{}",
        scene.log()
    );
}

#[tokio::test]
async fn seal_of_another_stage_is_refused() {
    let mut scene = sealed().await;
    let production = database().await;
    scene.set(
        "STAGELINK_SEALED",
        &format!("production={}", production.url()),
    );
    assert_eq!(scene.get("health").await.status, 500, "{}", scene.log());
    assert!(
        scene
            .log()
            .contains("holds the credentials of stage production"),
        "{}",
        scene.log()
    );
    assert!(scene.heroku.requests().is_empty());
}
