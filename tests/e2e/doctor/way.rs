//! Findings on the way to the database: settings, token, apps, attachments, and the login.

use stagelink_local::heroku::{Failure, Fault, Heroku, Stage};
use stagelink_tests::{as_superuser, database, end_sessions};

use super::{FEW, Patient, bound};

/// A project whose stage staging has its database in a Heroku pipeline.
async fn at_heroku() -> (Patient, Heroku) {
    let heroku = Heroku::start(0).await.expect("Heroku starts");
    heroku.create_pipeline("shop").expect("a pipeline");
    let mut patient = Patient::without_stages();
    patient.write(
        "stagelink.toml",
        "heroku.pipeline = \"shop\"\n[stages.staging]\n",
    );
    patient.set("STAGELINK_HEROKU_API_URL", heroku.url());
    patient.set("HEROKU_API_KEY", heroku.api_key());
    patient.forbid(heroku.api_key());
    (patient, heroku)
}

#[tokio::test]
async fn way_through_heroku_is_mended_step_by_step() {
    let (mut patient, heroku) = at_heroku().await;
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding(
        "apps",
        "error",
        &["stage staging has no app in pipeline shop"],
    );
    assert!(
        advice.contains("give the stage one app in the pipeline"),
        "{advice}"
    );
    examined.assert_sound("token");
    examined.assert_not_checked("attachments", "was not reached");
    examined.assert_not_checked("connect", "was not reached");
    assert_eq!(examined.code, 2);

    heroku.create_app("shop-a").expect("an app");
    heroku
        .couple("shop", "shop-a", Stage::Staging)
        .expect("a coupling");
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_sound("apps");
    let words = ["app shop-a on Heroku has no config var DATABASE_URL"];
    let advice = examined.finding("attachments", "error", &words);
    assert!(advice.contains("heroku addons:create"), "{advice}");

    let own = database().await;
    heroku
        .attach_postgres("shop-a", &own.url())
        .expect("a database");
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_sound("attachments");
    examined.assert_sound("connect");

    heroku.create_app("shop-b").expect("an app");
    heroku
        .couple("shop", "shop-b", Stage::Staging)
        .expect("a coupling");
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("apps", "error", &["has 2 apps in pipeline shop"]);
    assert!(
        advice.contains("`app` in stagelink.toml") || advice.contains("as `app`"),
        "{advice}"
    );
    patient.write(
        "stagelink.toml",
        "heroku.pipeline = \"shop\"\n[stages.staging]\napp = \"shop-a\"\n",
    );
    patient.examine("staging", &FEW).await.assert_sound("apps");

    patient.set("HEROKU_API_KEY", "HRKU-no-token");
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("token", "error", &["refused"]);
    assert!(advice.contains("heroku login"), "{advice}");
    patient.set("HEROKU_API_KEY", heroku.api_key());
    patient.examine("staging", &FEW).await.assert_sound("token");

    heroku.inject(Fault::new(Failure::Status {
        status: 503,
        retry_after: None,
    }));
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("provider", "error", &["Heroku"]);
    assert!(advice.contains("try again"), "{advice}");
    heroku.clear_faults();
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("provider");
}

#[tokio::test]
async fn settings_are_corrected_as_advised() {
    let (mut patient, staging, _) = Patient::new().await;
    patient.unset("STAGING_URL");
    let examined = patient.examine("staging", &FEW).await;
    examined.finding("settings", "error", &["STAGING_URL is not set"]);
    examined.assert_not_checked("mark", "was not reached");
    patient.set("STAGING_URL", &bound(&staging.url()));
    patient.set("STAGELINK_CONNECT_TIMEOUT_MS", "soon");
    let examined = patient.examine("staging", &FEW).await;
    examined.finding("settings", "error", &["STAGELINK_CONNECT_TIMEOUT_MS"]);
    patient.unset("STAGELINK_CONNECT_TIMEOUT_MS");
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("settings");
}

#[tokio::test]
async fn login_that_fails_is_mended_as_advised() {
    let (mut patient, staging, _) = Patient::new().await;
    let wrong = staging.url().replace("c4n4ry", "wrong-c4n4ry");
    patient.set("STAGING_URL", &bound(&wrong));
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("connect", "error", &["refused role"]);
    assert!(advice.contains("take the current password"), "{advice}");
    patient.set("STAGING_URL", &bound("postgres://u:c4n4ry@127.0.0.1:1/d"));
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("connect", "error", &["127.0.0.1:1"]);
    assert!(advice.contains("reachable from this machine"), "{advice}");
    examined.assert_sound("settings");
    examined.assert_not_checked("sslmode", "was not reached");
    // A fixed URL has no provider, no token and no app.
    let of_providers = ["provider", "token", "apps", "attachments"];
    assert!(of_providers.iter().all(|id| examined.of(id).is_empty()));
    patient.set("STAGING_URL", "postgres://u:c4n4ry@127.0.0.1:port/d");
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("settings", "error", &["STAGING_URL"]);
    assert!(advice.contains("correct the variable"), "{advice}");
    examined.assert_not_checked("connect", "was not reached");
    patient.set("STAGING_URL", &bound(&staging.url()));
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("connect");
    as_superuser(&end_sessions(staging.name())).await;
}

#[tokio::test]
async fn version_at_heroku_has_its_own_end_of_life() {
    let (patient, heroku) = at_heroku().await;
    heroku.create_app("shop-a").expect("an app");
    heroku
        .couple("shop", "shop-a", Stage::Staging)
        .expect("a coupling");
    let own = database().await;
    heroku
        .attach_postgres("shop-a", &own.url())
        .expect("a database");
    let examined = patient.examine("staging", &FEW).await;
    let description = stagelink_tests::server().await.description();
    if !description.contains(" 15") {
        return examined.assert_sound("server-version");
    }
    let words = ["the support of Postgres 15 at Heroku ended on 2026-09-30"];
    let advice = examined.finding("server-version", "warning", &words);
    assert!(advice.contains("heroku pg:upgrade"), "{advice}");
    // The same server is supported elsewhere.
    let (elsewhere, ..) = Patient::new().await;
    elsewhere
        .examine("staging", &FEW)
        .await
        .assert_sound("server-version");
}
