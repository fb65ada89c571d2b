//! Functions of stages with names of their own, beside those that are called after the kind.

use serde_json::json;
use stagelink_local::heroku::Stage as HerokuStage;
use stagelink_local_postgres::Database;
use stagelink_tests::{HerokuFixture, as_superuser, database, migrate};

use crate::refusals::refused;

/// Fixture with the apps `shop-staging` and `shop-qa` in one stage of the pipeline, each with a
/// database of its own. Its functions are those of `staging/qa`.
struct TwoOfOneKind {
    fixture: HerokuFixture,
    qa: Database,
}

impl TwoOfOneKind {
    async fn new() -> Self {
        let mut fixture = HerokuFixture::new().await;
        fixture.add_app("shop-qa", HerokuStage::Staging);
        let qa = database().await;
        fixture
            .heroku
            .set_config_var("shop-qa", "DATABASE_URL", &qa.url())
            .expect("a config var");
        let mut both = Self { fixture, qa };
        for (stage, app) in [("staging", "shop-staging"), ("staging/qa", "shop-qa")] {
            both.serve(stage, app);
            migrate(&both.fixture.variables).await;
        }
        both
    }

    fn serve(&mut self, stage: &str, app: &str) {
        self.fixture.set("STAGELINK_STAGE", stage);
        self.fixture.set("STAGELINK_HEROKU_APP", app);
    }

    async fn mark(&self, staging: &str, qa: &str) {
        let of = [
            (self.fixture.database.name(), staging),
            (self.qa.name(), qa),
        ];
        for (name, stage) in of {
            let mark = format!("ALTER DATABASE {name} SET application_name = 'stagelink:{stage}'");
            as_superuser(&mark).await;
        }
    }
}

#[tokio::test]
async fn two_stages_of_a_kind_have_a_database_each() {
    let mut both = TwoOfOneKind::new().await;
    both.mark("staging", "staging/qa").await;
    both.fixture.set("STAGELINK_REQUIRE_MARK", "true");
    for (stage, app) in [("staging", "shop-staging"), ("staging/qa", "shop-qa")] {
        both.serve(stage, app);
        let function = both.fixture.function("guestbook").await;
        let entry = json!({ "name": stage, "message": "here" });
        let ask = |method, body| {
            let (fixture, function) = (&both.fixture, &function);
            async move { fixture.ask(function, method, "/api/guestbook", body).await }
        };
        let signed = ask("POST", Some(&entry)).await;
        assert_eq!(signed.status, 201, "{}", both.fixture.log());
        let read = ask("GET", None).await.json();
        assert_eq!(read["stage"], stage);
        assert_eq!(read["entries"].as_array().map(Vec::len), Some(1), "{read}");
        assert_eq!(read["entries"][0]["name"], stage);
        function.shutdown().await;
    }
}

#[tokio::test]
async fn database_of_another_stage_of_the_kind_is_refused_by_its_mark() {
    let mut both = TwoOfOneKind::new().await;
    both.mark("staging", "staging/qa").await;
    for (stage, app, other) in [
        ("staging/qa", "shop-staging", "staging"),
        ("staging", "shop-qa", "staging/qa"),
        ("staging/qa-2", "shop-qa", "staging/qa"),
    ] {
        both.serve(stage, app);
        let reason =
            format!("is marked as stage {other}'s, and this function serves stage {stage}");
        refused(&both.fixture, 500, &[&reason]).await;
    }
}

#[tokio::test]
async fn stage_of_the_kind_without_an_app_gets_none_of_two() {
    let mut both = TwoOfOneKind::new().await;
    both.fixture.variables.remove("STAGELINK_HEROKU_APP");
    let reasons = [
        "stage staging/qa has a name of its own",
        "set STAGELINK_HEROKU_APP",
    ];
    refused(&both.fixture, 500, &reasons).await;
    both.fixture.set("STAGELINK_STAGE", "staging");
    let reasons = ["stage staging has 2 apps", "STAGELINK_HEROKU_APP"];
    refused(&both.fixture, 500, &reasons).await;
}

#[tokio::test]
async fn only_app_of_a_kind_is_not_taken_for_that_of_a_stage_with_its_own_name() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_STAGE", "staging/qa");
    refused(&fixture, 500, &["set STAGELINK_HEROKU_APP"]).await;
    assert!(fixture.heroku.requests().is_empty());
    fixture.add_app("shop-production", HerokuStage::Production);
    fixture.set("STAGELINK_HEROKU_APP", "shop-production");
    refused(
        &fixture,
        500,
        &["app shop-production is not in stage staging"],
    )
    .await;
}

#[tokio::test]
async fn deploy_time_credentials_of_the_kind_are_not_those_of_the_stage() {
    let mut both = TwoOfOneKind::new().await;
    for (owner, url) in [
        ("staging", both.fixture.database.url()),
        ("staging/qa", both.qa.url()),
    ] {
        both.fixture
            .set("STAGELINK_CREDENTIALS", &format!("{owner}={url}"));
        for (stage, app) in [("staging", "shop-staging"), ("staging/qa", "shop-qa")] {
            both.serve(stage, app);
            if owner == stage {
                let answer = both.fixture.get("health").await;
                assert_eq!(answer.status, 200, "{}", both.fixture.log());
                assert_eq!(answer.json()["stage"], stage);
                continue;
            }
            let reason =
                format!("credentials of stage {owner}, but this function serves stage {stage}");
            refused(&both.fixture, 500, &[&reason]).await;
        }
    }
}

#[tokio::test]
async fn alias_of_a_stage_with_its_own_name_serves_that_stage_alone() {
    let both = TwoOfOneKind::new().await;
    let function = both.fixture.function("health").await;
    let ask = |alias: &str| {
        let function = function.with_alias(alias);
        let fixture = &both.fixture;
        async move { fixture.ask(&function, "GET", "/api/health", None).await }
    };
    let answer = ask("qa").await;
    assert_eq!(
        answer.json()["stage"],
        "staging/qa",
        "{}",
        both.fixture.log()
    );
    for alias in ["staging", "production", "live"] {
        let answer = ask(alias).await;
        assert_eq!(answer.status, 500, "{alias}: {}", both.fixture.log());
        let reason = format!("was invoked by the alias {alias}");
        assert!(
            both.fixture.log().contains(&reason),
            "{}",
            both.fixture.log()
        );
    }
    function.shutdown().await;
}

#[tokio::test]
async fn production_by_another_name_has_the_guards_of_production() {
    let mut fixture = HerokuFixture::new().await;
    fixture.add_app("shop-live", HerokuStage::Production);
    fixture
        .heroku
        .set_config_var("shop-live", "DATABASE_URL", &fixture.database.url())
        .expect("a config var");
    fixture.set("STAGELINK_STAGE", "production/live");
    fixture.set("STAGELINK_HEROKU_APP", "shop-live");
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    fixture.set("STAGELINK_DANGER_UNAUTHENTICATED", "true");
    refused(&fixture, 500, &["which production does not take"]).await;
}

#[tokio::test]
async fn preview_by_another_name_has_the_guards_of_previews() {
    let mut fixture = HerokuFixture::new().await;
    fixture.add_app("shop-production", HerokuStage::Production);
    fixture.set("STAGELINK_STAGE", "review/demo");
    // A URL that was set for all contexts is another stage's.
    let url = fixture.database.url();
    fixture.variables.remove("STAGELINK_HEROKU_PIPELINE");
    fixture.set("DATABASE_URL", &url);
    refused(&fixture, 503, &["stage review/demo has no database here"]).await;
    fixture.variables.remove("DATABASE_URL");
    fixture.set("STAGELINK_HEROKU_PIPELINE", "shop");
    fixture.set("STAGELINK_HEROKU_APP", "shop-production");
    refused(
        &fixture,
        500,
        &["app shop-production is not in stage review or development"],
    )
    .await;
}
