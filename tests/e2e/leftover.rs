//! Variables that were left over, or set for all contexts, and lead to another stage's database.

use stagelink_local::heroku::Stage;
use stagelink_local::network::Proxy;
use stagelink_tests::{
    Answer, CANARY, FunctionHarness, HerokuFixture, ProviderFixture, as_superuser, database,
    end_sessions, proxy, through,
};

const IGNORED: &str = "is set, but ignored beside STAGELINK_CREDENTIALS";

/// Starts a proxy in front of production's database, which counts the connections to it. Returns
/// it with the URL that leads through it.
async fn production() -> (Proxy, String) {
    let proxy = proxy().await;
    let url = through(&proxy, &database().await.url());
    (proxy, url)
}

/// Gives a fixture's functions the credentials of their own database, and no provider.
async fn with_credentials_alone() -> HerokuFixture {
    let mut fixture = HerokuFixture::new().await;
    let url = fixture.database.url();
    fixture.set("STAGELINK_CREDENTIALS", &format!("staging={url}"));
    for name in ["STAGELINK_HEROKU_PIPELINE", "HEROKU_API_KEY"] {
        fixture.variables.remove(name);
    }
    fixture
}

/// Rotates the password of a fixture's own database and ends its sessions. Returns the new URL.
async fn rotate(harness: &FunctionHarness) -> String {
    let role = harness.database.role();
    as_superuser(&format!(
        "ALTER ROLE {role} PASSWORD '{CANARY}x-{role}'; {}",
        end_sessions(role)
    ))
    .await;
    harness
        .database
        .url()
        .replace(CANARY, &format!("{CANARY}x"))
}

fn assert_failed(answer: &Answer, harness: &FunctionHarness, reasons: &[&str]) {
    let log = harness.log();
    assert_eq!(answer.status, 503, "{}\n{log}", answer.text());
    for reason in reasons {
        assert!(log.contains(reason), "{reason:?} is not in the log:\n{log}");
        assert!(!answer.text().contains(reason), "{}", answer.text());
    }
}

#[tokio::test]
async fn leftover_url_is_never_read_after_a_rotation() {
    let mut fixture = with_credentials_alone().await;
    let (proxy, url) = production().await;
    fixture.set("DATABASE_URL", &url);
    let warm = fixture.function("health").await;
    let answer = fixture.ask(&warm, "GET", "/api/health", None).await;
    assert_eq!(answer.status, 200, "{}", fixture.log());
    let warning = "DATABASE_URL is set, and ignored beside STAGELINK_CREDENTIALS";
    assert_eq!(
        fixture.log().matches(warning).count(),
        1,
        "{}",
        fixture.log()
    );

    let own = rotate(&fixture).await;
    let says = ["DATABASE_URL", IGNORED, "set STAGELINK_PROVIDER=url"];
    for _ in 0..3 {
        let answer = fixture.ask(&warm, "GET", "/api/health", None).await;
        assert_failed(&answer, &fixture, &says);
    }
    warm.shutdown().await;
    assert_failed(&fixture.get("health").await, &fixture, &says);
    assert_eq!(proxy.connections(), 0, "production was reached");

    fixture.set("STAGELINK_PROVIDER", "url");
    fixture.set("DATABASE_URL", &own);
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
}

#[tokio::test]
async fn leftover_app_is_never_asked_after_a_rotation() {
    let mut fixture = with_credentials_alone().await;
    fixture.add_app("shop-production", Stage::Production);
    let (proxy, url) = production().await;
    fixture
        .heroku
        .set_config_var("shop-production", "DATABASE_URL", &url)
        .expect("a config var");
    fixture.set("STAGELINK_HEROKU_APP", "shop-production");
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    rotate(&fixture).await;
    let says = [
        "STAGELINK_HEROKU_APP",
        IGNORED,
        "set STAGELINK_PROVIDER=heroku",
    ];
    assert_failed(&fixture.get("health").await, &fixture, &says);
    assert!(fixture.heroku.requests().is_empty());
    assert_eq!(proxy.connections(), 0, "production was reached");
}

#[tokio::test]
async fn leftover_database_at_another_provider_is_never_asked_after_a_rotation() {
    for mut fixture in ProviderFixture::all().await {
        let own = database().await;
        fixture.set("STAGELINK_CREDENTIALS", &format!("staging={}", own.url()));
        assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
        let role = own.role();
        as_superuser(&format!("ALTER ROLE {role} PASSWORD '{CANARY}x-{role}'")).await;
        let says = [fixture.cloud.stage_variable(), IGNORED];
        assert_failed(&fixture.get("health").await, &fixture, &says);
        assert!(fixture.cloud.control().requests().is_empty());
    }
}

#[tokio::test]
async fn preview_ignores_a_url_unless_the_provider_is_named() {
    let mut fixture = with_credentials_alone().await;
    fixture.variables.remove("STAGELINK_CREDENTIALS");
    let (proxy, url) = production().await;
    fixture.set("STAGELINK_STAGE", "review");
    fixture.set("DATABASE_URL", &url);
    let answer = fixture.get("health").await;
    assert_failed(
        &answer,
        &fixture,
        &[
            "DATABASE_URL is set, but ignored in stage review",
            "set STAGELINK_PROVIDER=url",
        ],
    );
    assert_eq!(answer.json()["detail"], "This preview has no database.");
    assert_eq!(proxy.connections(), 0, "production was reached");
    fixture.set("STAGELINK_PROVIDER", "url");
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
}

#[tokio::test]
async fn preview_ignores_a_database_at_another_provider_unless_it_is_named() {
    for mut fixture in ProviderFixture::all().await {
        fixture.set("STAGELINK_STAGE", "review");
        let variable = fixture.cloud.stage_variable();
        let says = format!("{variable} is set, but ignored in stage review");
        assert_failed(&fixture.get("health").await, &fixture, &[&says]);
        assert!(fixture.cloud.control().requests().is_empty());
        let name = fixture.cloud.name().to_lowercase();
        fixture.set("STAGELINK_PROVIDER", &name);
        assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    }
}

#[tokio::test]
async fn leftover_url_is_never_read_for_an_alias() {
    let mut fixture = with_credentials_alone().await;
    fixture.variables.remove("STAGELINK_STAGE");
    let (proxy, url) = production().await;
    fixture.set("DATABASE_URL", &url);
    let function = fixture.function("health").await;
    let ask = async |alias| {
        let function = function.with_alias(alias);
        fixture.ask(&function, "GET", "/api/health", None).await
    };
    assert_eq!(ask("staging").await.status, 200, "{}", fixture.log());
    let answer = ask("production").await;
    assert_eq!(answer.status, 500, "{}", fixture.log());
    assert!(fixture.log().contains("has no entry for stage production"));
    rotate(&fixture).await;
    assert_failed(&ask("staging").await, &fixture, &["DATABASE_URL", IGNORED]);
    assert_eq!(proxy.connections(), 0, "production was reached");
    function.shutdown().await;
}

#[tokio::test]
async fn url_beside_a_pipeline_is_refused_with_the_names_of_both() {
    let mut fixture = HerokuFixture::new().await;
    let (proxy, url) = production().await;
    fixture.set("DATABASE_URL", &url);
    let credentials = format!("staging={}", fixture.database.url());
    for credentials in [None, Some(credentials)] {
        if let Some(credentials) = credentials {
            fixture.set("STAGELINK_CREDENTIALS", &credentials);
        }
        assert_eq!(fixture.get("health").await.status, 500, "{}", fixture.log());
    }
    let log = fixture.log();
    let says = "2 sources of the database are set (STAGELINK_HEROKU_PIPELINE, DATABASE_URL)";
    assert!(log.contains(says), "{log}");
    assert_eq!(proxy.connections(), 0, "production was reached");
}
