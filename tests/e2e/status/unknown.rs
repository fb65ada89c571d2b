//! `stagelink status`: what cannot be known is said, and hides nothing else.

use std::time::{Duration, Instant};

use serde_json::Value;
use stagelink_local::api::{Failure, Fault};
use stagelink_local::netlify_api::Context;
use stagelink_tests::{at, server};

use super::{Project, branch};

fn stage<'a>(board: &'a Value, name: &str) -> &'a Value {
    let stages = board["stages"].as_array().expect("the stages");
    let found = stages.iter().find(|stage| stage["stage"] == name);
    found.unwrap_or_else(|| panic!("{name}: {board}"))
}

#[tokio::test]
async fn failure_of_one_stage_hides_no_other() {
    let project = Project::new().await;
    project.mark().await;
    project.build(Context::Production, "main", "1234567");
    // No server listens there.
    let url = at(&project.production.url(), 1);
    project.write(
        "stagelink.toml",
        "netlify.site = \"shop-site\"\nheroku.pipeline = \"shop\"\n[stages.staging]\n\
         [stages.production]\nurl.variable = \"PRODUCTION_URL\"\n\
         [stages.development]\nurl.variable = \"DEVELOPMENT_URL\"\n",
    );
    let mut project = project;
    project.set("PRODUCTION_URL", &url);
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let board = run.json();
    let production = stage(&board, "production");
    assert_eq!(production["database"]["state"], "not_known");
    assert_eq!(production["login"]["state"], "not_known");
    assert_eq!(production["migrations"]["state"], "not_known");
    assert_eq!(production["code"]["value"]["commit"], "1234567");
    let development = stage(&board, "development");
    let reason = development["database"]["reason"].to_string();
    assert!(reason.contains("DEVELOPMENT_URL is not set"), "{reason}");
    let staging = stage(&board, "staging");
    assert_eq!(staging["database"]["state"], "known");
    assert_eq!(staging["migrations"]["state"], "known");
}

#[tokio::test]
async fn wrong_password_is_known_not_to_work() {
    let project = Project::new().await;
    project.mark().await;
    let url = project.staging.url();
    let wrong = url.replacen("c4n4ry", "c4n4ry-wrong", 1);
    assert_ne!(url, wrong);
    project.write(
        "stagelink.toml",
        "heroku.pipeline = \"shop\"\n[stages.production]\n\
         [stages.staging]\nurl.variable = \"STAGING_URL\"\n",
    );
    let mut project = project;
    project.set("STAGING_URL", &wrong);
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let board = run.json();
    let staging = stage(&board, "staging");
    assert_eq!(staging["login"]["value"]["works"], false, "{staging}");
    assert_eq!(stage(&board, "production")["login"]["value"]["works"], true);
    let run = project.run(&["status"]).await;
    let words = "✗ no login by the URL's";
    assert!(run.output.contains(words), "{}", run.output);
}

#[tokio::test]
async fn silent_service_costs_the_time_limit_and_its_own_parts_alone() {
    let project = Project::new().await;
    project.mark().await;
    let hang = Fault::new(Failure::Hang).on("GET", "/api/v1/sites/shop-site");
    project.netlify.control().inject(hang);
    let hang = Fault::new(Failure::Hang).on("GET", "/apps/*/addon-attachments");
    project.heroku.inject(hang);
    let begun = Instant::now();
    let run = project.run(&["status", "--json", "--timeout", "15"]).await;
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let board = run.json();
    for name in ["staging", "production"] {
        let found = stage(&board, name);
        assert_eq!(found["code"]["reason"], "no answer within 15 s");
        assert_eq!(found["function_credentials"]["state"], "not_known");
        assert_eq!(found["plan"]["reason"], "no answer within 15 s");
        assert_eq!(found["database"]["state"], "known", "{found}");
        assert_eq!(found["migrations"]["state"], "known", "{found}");
    }
}

#[tokio::test]
async fn services_that_refuse_a_token_are_named_with_the_reason() {
    let mut project = Project::new().await;
    project.set("NETLIFY_AUTH_TOKEN", "nfp_wrong-token");
    project.record.forbid("nfp_wrong-token");
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let reason = run.json()["site"]["reason"].to_string();
    assert!(reason.contains("NETLIFY_AUTH_TOKEN (401)"), "{reason}");
    project.set("NETLIFY_AUTH_TOKEN", "");
    project.set("HEROKU_API_KEY", "HRKU-wrong-token");
    project.record.forbid("HRKU-wrong-token");
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let board = run.json();
    let reason = board["site"]["reason"].to_string();
    assert!(reason.contains("NETLIFY_AUTH_TOKEN is not set"), "{reason}");
    for name in ["staging", "production"] {
        let found = stage(&board, name);
        assert_eq!(found["database"]["state"], "not_known");
        assert_eq!(found["plan"]["state"], "not_known");
    }
}

#[tokio::test]
async fn folder_that_cannot_be_used_leaves_what_is_applied() {
    let project = Project::new().await;
    project.mark().await;
    project.write("migrations/V1__a.sql", "CREATE TABLE a ()");
    let run = project.run(&["migrate", "staging", "--yes"]).await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
    project.write("migrations/5_b.sql", "");
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let board = run.json();
    let migrations = &stage(&board, "staging")["migrations"]["value"];
    assert_eq!(migrations["applied"][0], "V1__a");
    assert_eq!(migrations["pending"]["state"], "not_known");
    std::fs::remove_dir_all(project.folder.path().join("migrations")).expect("the folder");
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
}

#[tokio::test]
async fn history_that_writes_as_it_is_read_writes_nothing() {
    let project = Project::new().await;
    project.mark().await;
    project.write("migrations/V1__a.sql", "CREATE TABLE a ()");
    let client = server().await.connect(&project.staging).await;
    let client = client.expect("a session");
    let view = "CREATE TABLE written (at timestamptz); \
                CREATE FUNCTION f() RETURNS TABLE (version int4, name text, applied_on text, \
                checksum text) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO written VALUES (now()); \
                RETURN; END $$; CREATE VIEW refinery_schema_history AS SELECT * FROM f()";
    client.batch_execute(view).await.expect("a view");
    for words in [
        &["status", "staging", "--json"][..],
        &["doctor", "staging", "--json"],
        &["migrate", "staging", "--plan", "--json"],
        &["migrate", "staging", "--yes", "--json"],
    ] {
        let run = project.run(words).await;
        let text = run.output + &run.errors;
        assert!(text.contains("read-only transaction"), "{words:?}: {text}");
    }
    let count = client.query_one("SELECT count(*) FROM written", &[]).await;
    assert_eq!(count.expect("a row").get::<_, i64>(0), 0);
}

#[tokio::test]
async fn advice_about_a_history_names_the_stage() {
    let project = Project::new().await;
    project.mark().await;
    project.write("migrations/V1__a.sql", "CREATE TABLE a ()");
    project
        .run(&["migrate", "staging", "--yes"])
        .await
        .succeeds();
    project.write("migrations/V1__a.sql", "CREATE TABLE a (b int)");
    let advice = "`stagelink migrate staging --allow edited`";
    for words in [
        &["status", "staging", "--json"][..],
        &["doctor", "staging", "--json"],
        &["migrate", "staging", "--plan"],
    ] {
        let run = project.run(words).await;
        let text = run.output + &run.errors;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(advice), "{words:?}: {text}");
    }
}

#[tokio::test]
async fn preview_of_another_branch_is_not_the_branchs_own_deploy() {
    let project = Project::new().await;
    project.mark().await;
    let own = project.build(branch("staging"), "staging", "1111111");
    project.build(Context::DeployPreview, "staging", "2222222");
    let run = project.run(&["status", "--json"]).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    let board = run.json();
    assert_eq!(
        stage(&board, "staging")["code"]["value"]["id"],
        own.as_str()
    );
}
