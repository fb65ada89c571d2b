//! A promotion that comes to its end: what goes live, with which variables, and what it leaves.

use serde_json::Value;
use stagelink_local::netlify_api::{Context, DeployState};

use stagelink_tests::CANARY;

use super::Shop;

const MAIL: (&str, &str) = ("V2__mail.sql", "ALTER TABLE guestbook ADD mail text;\n");

#[tokio::test(flavor = "multi_thread")]
async fn staging_goes_live_with_the_variables_and_the_schema_of_production() {
    let shop = Shop::new().await;
    let before = shop.published();
    let artifact = shop.deploy_next("two", Some(MAIL)).await;
    assert_eq!(shop.page().await, "<h1>one</h1>\n");

    let plan = shop.run(&["promote", "--plan", "--json"]).await;
    plan.succeeds();
    let plan = plan.json();
    assert_eq!(plan["artifact"], Value::from(artifact.clone()));
    assert_eq!(plan["migrations"], serde_json::json!(["V2__mail"]));
    assert_eq!(shop.published().id, before.id);

    let run = shop.promote().await;
    run.succeeds();
    let report = run.json();
    assert_eq!(report["artifact"], Value::from(artifact.clone()));
    assert_eq!(report["migrations"], serde_json::json!(["V2__mail"]));
    assert_eq!(shop.page().await, "<h1>two</h1>\n");

    // The deploy repeats the one of staging, and has variables of its own.
    let live = shop.published();
    let deploys = shop.project.netlify.deploys();
    let is_staging = |deploy: &&stagelink_local::netlify_api::UploadedDeploy| {
        deploy.context == Context::Branch("staging".to_owned())
    };
    let staging = deploys.iter().rfind(is_staging).expect("a deploy");
    assert_eq!(Shop::artifact_of(&live), artifact);
    assert_eq!(live.context, Context::Production);
    assert!(!live.draft);
    assert_eq!(live.files, staging.files);
    assert_eq!(live.functions, staging.functions);
    assert_eq!(live.schedules, staging.schedules);

    // The database is production's, with the migration.
    shop.production_sql(
        "INSERT INTO guestbook (name, message, mail) VALUES ('Ada', 'Hello', 'a@b')",
    )
    .await;
    let shown = shop.visit("/api/guestbook").await.text();
    assert!(shown.contains("Ada"), "{shown}");

    // Nothing is left: no lock, no lease, no other deploy of production.
    assert!(!shop.is_locked());
    assert_eq!(
        shop.production_count("SELECT count(*) FROM stagelink_leases")
            .await,
        0
    );
    assert_eq!(shop.production_deploys().len(), 2);
    assert!(
        deploys
            .iter()
            .all(|deploy| deploy.state == DeployState::Ready)
    );

    let status = shop.run(&["status", "--json"]).await;
    for stage in status.json()["stages"].as_array().expect("stages") {
        let digest = &stage["code"]["value"]["digest"]["value"];
        assert_eq!(*digest, Value::from(artifact.clone()), "{stage}");
    }

    let again = shop.promote().await;
    assert_eq!(again.code, Some(1), "{}", again.errors);
    assert!(
        again.errors.contains("runs this artifact already"),
        "{}",
        again.errors
    );

    let history = shop.run(&["history", "production", "--json"]).await;
    history.succeeds();
    assert!(history.output.contains(&artifact), "{}", history.output);
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_that_was_there_stays_and_nothing_of_production_reaches_another_context() {
    let shop = Shop::new().await;
    let before = shop.published();
    assert!(shop.project.netlify.set_lock(&before.id, true));
    let artifact = shop.deploy_next("two", None).await;
    let before = shop.project.netlify_requests.requests().len();
    shop.promote().await.succeeds();
    let live = shop.published();
    assert_eq!(Shop::artifact_of(&live), artifact);
    assert!(shop.is_locked(), "the lock that was set stays set");

    // The production database's password is in no request of the promotion.
    let requests = shop.project.netlify_requests.requests();
    for request in &requests[before..] {
        let body = request.body.to_string();
        assert!(
            !body.contains(CANARY),
            "{} {}",
            request.method,
            request.path
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_works_and_the_other_says_so() {
    let shop = Shop::new().await;
    let artifact = shop.deploy_next("two", None).await;
    let (one, other) = tokio::join!(shop.promote(), shop.promote());
    let mut codes = [one.code, other.code];
    codes.sort_unstable();
    assert_eq!(
        codes,
        [Some(0), Some(1)],
        "{}\n{}",
        one.errors,
        other.errors
    );
    let failed = if one.code == Some(0) { &other } else { &one };
    let says = [
        "is being changed by",
        "has changed since it was shown",
        "runs this artifact already",
    ];
    assert!(
        says.iter().any(|text| failed.errors.contains(text)),
        "{}",
        failed.errors
    );
    assert_eq!(Shop::artifact_of(&shop.published()), artifact);
}
