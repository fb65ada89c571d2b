//! The code that runs, by the functions' own word: `status` and `doctor` ask the deploy that is live.

use serde_json::{Value, json};
use stagelink_tests::server;

use super::{SITE, Shop};
use crate::status::Run;

/// The answers of a stage's functions in the JSON of `status`, by name.
fn answer<'a>(board: &'a Value, stage: &str, function: &str) -> &'a Value {
    let stages = board["stages"].as_array().expect("the stages");
    let stage = stages.iter().find(|of| of["stage"] == stage);
    let running = &stage.expect("the stage")["running"]["value"];
    let functions = running["functions"].as_array();
    let functions = functions.unwrap_or_else(|| panic!("{board}"));
    let function = functions.iter().find(|of| of["name"] == function);
    &function.expect("the function")["answer"]
}

/// The checks of production's running code by `doctor`.
async fn examine(shop: &Shop) -> Vec<Value> {
    let run = shop.run(&["doctor", "production", "--json"]).await;
    let checks = run.json()["stages"][0]["checks"].clone();
    let checks = checks.as_array().expect("the checks").clone();
    let of_code = checks.into_iter().filter(|of| of["id"] == "running-code");
    of_code.collect()
}

/// The messages of a check's findings, with their levels.
fn messages(check: &Value) -> Vec<String> {
    let findings = check["findings"].as_array();
    let findings = findings.unwrap_or_else(|| panic!("{check}")).iter();
    let messages = findings.map(|of| {
        let text = |member: &str| of[member].as_str().expect("a text").to_owned();
        format!("{}: {}", text("level"), text("message"))
    });
    messages.collect()
}

async fn status(shop: &Shop) -> Run {
    shop.run(&["status", "--json"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn running_functions_say_what_they_run_and_agree_with_their_records() {
    let shop = Shop::new().await;
    let run = status(&shop).await;
    run.succeeds();
    let board = run.json();
    for stage in ["staging", "production"] {
        for function in ["guestbook", "health"] {
            let expected = json!({"state": "known", "value": {
                "differs": [], "database": "ok", "is_retryable": false,
                "needs": {"state": "known", "value": {"verdict": "runs", "reasons": []}},
            }});
            assert_eq!(answer(&board, stage, function), &expected, "{stage}");
        }
    }
    let text = shop.run(&["status"]).await.output;
    let words = "✓ runs as recorded: guestbook,";
    assert_eq!(text.matches(words).count(), 2, "{text}");
    let checks = examine(&shop).await;
    assert_eq!(checks.len(), 1, "{checks:?}");
    assert_eq!(checks[0]["seen"], "as the record says: guestbook, health");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_code_than_the_record_says_is_found() {
    let shop = Shop::new().await;
    let migration = ("V2__mail.sql", "ALTER TABLE guestbook ADD mail text;\n");
    shop.deploy_next("two", Some(migration)).await;
    // The record of production is that of another artifact, as if Netlify served other programs.
    let staging = server().await.connect(&shop.project.staging).await;
    let newest = "SELECT artifact, manifest::text FROM stagelink_deploys ORDER BY id DESC LIMIT 1";
    let row = staging.expect("a session").query_one(newest, &[]).await;
    let row = row.expect("a row");
    let (artifact, manifest): (String, String) = (row.get(0), row.get(1));
    let change = format!(
        "UPDATE stagelink_deploys SET artifact = '{artifact}', manifest = $json${manifest}$json$"
    );
    shop.production_sql(&change).await;

    let board = status(&shop).await.json();
    let answer = answer(&board, "production", "guestbook");
    let differs = answer["value"]["differs"].as_array().expect("a list");
    assert_eq!(differs.len(), 1, "{answer}");
    let difference = differs[0].as_str().expect("a text");
    assert!(difference.contains("of the record"), "{difference}");
    // What runs needs no more than it lists itself.
    assert_eq!(answer["value"]["needs"]["value"]["verdict"], "runs");
    let text = shop.run(&["status"]).await.output;
    assert!(text.contains("✗ guestbook runs the program"), "{text}");

    let checks = examine(&shop).await;
    let messages = messages(&checks[0]);
    let words = "error: the running function guestbook is not what the record of its deploy says: it \
                 runs the program";
    assert!(messages[0].starts_with(words), "{messages:?}");
    shop.deploy_to("production").await;
    assert_eq!(examine(&shop).await[0]["result"], "sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn migration_that_the_running_code_needs_and_is_not_applied_is_found() {
    let shop = Shop::new().await;
    let forget = "DELETE FROM refinery_schema_history; ALTER TABLE guestbook RENAME TO other";
    shop.production_sql(forget).await;
    let board = status(&shop).await.json();
    let needs = &answer(&board, "production", "guestbook")["value"]["needs"]["value"];
    let expected = json!({
        "verdict": "needs-first", "reasons": ["V1__guestbook is not applied"],
    });
    assert_eq!(needs, &expected);
    let checks = examine(&shop).await;
    let messages = messages(&checks[0]);
    let words = "error: the running function guestbook needs more: V1__guestbook is not applied";
    assert!(messages.contains(&words.to_owned()), "{messages:?}");
    let advice = checks[0]["findings"][0]["advice"].as_str().expect("advice");
    assert_eq!(advice, "run `stagelink migrate production`");
    shop.run(&["migrate", "production", "--yes"])
        .await
        .succeeds();
    assert_eq!(examine(&shop).await[0]["result"], "sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_cannot_be_asked_are_not_taken_for_sound() {
    let shop = Shop::new().await;
    let netlify = &shop.project.netlify;
    netlify.set_site_protection(SITE, true).expect("a site");
    let run = status(&shop).await;
    assert_eq!(run.code, Some(1), "{}", run.output);
    let reason = answer(&run.json(), "production", "health")["reason"].to_string();
    assert!(reason.contains("is not reachable (401)"), "{reason}");
    let checks = examine(&shop).await;
    let found = messages(&checks[0]);
    let words =
        "warning: the running function guestbook could not be asked: it is not reachable (401)";
    assert!(found[0].starts_with(words), "{found:?}");

    // A key of another deploy: the function's handler answers, without a signature.
    netlify.set_site_protection(SITE, false).expect("a site");
    let other_key = format!(
        "UPDATE stagelink_deploys SET self_check_key = '{}'",
        "0c".repeat(32)
    );
    shop.production_sql(&other_key).await;
    let run = status(&shop).await;
    assert_eq!(run.code, Some(1), "{}", run.output);
    let reason = answer(&run.json(), "production", "health")["reason"].to_string();
    assert!(reason.contains("does not prove what it is"), "{reason}");
    let found = messages(&examine(&shop).await[0]);
    assert!(found[0].starts_with("warning: "), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_without_a_record_or_a_key_is_not_asked() {
    let shop = Shop::new().await;
    for (change, reason) in [
        (
            "UPDATE stagelink_deploys SET self_check_key = NULL",
            "the record of the deploy has no key for a self-check",
        ),
        (
            "DELETE FROM stagelink_deploys",
            "the stage's database has no record of the deploy",
        ),
    ] {
        shop.production_sql(change).await;
        let run = status(&shop).await;
        run.succeeds();
        let board = run.json();
        let stages = board["stages"].as_array().expect("the stages");
        let production = stages.iter().find(|of| of["stage"] == "production");
        let running = &production.expect("the stage")["running"];
        assert_eq!(running, &json!({"state": "absent", "reason": reason}));
        assert_eq!(examine(&shop).await, Vec::<Value>::new());
    }
}
