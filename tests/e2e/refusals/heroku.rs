//! Refusals caused by the response of Heroku, or by a missing response.

use std::time::Duration;

use stagelink_local::heroku::{Access, Failure, Fault, Stage};
use stagelink_tests::{CANARY, HerokuFixture};

use super::refused;

#[tokio::test]
async fn stage_without_an_app_is_refused() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_STAGE", "production");
    let reasons = [
        "stage production has no app in pipeline shop",
        "pipelines:add",
    ];
    refused(&fixture, 500, &reasons).await;
}

#[tokio::test]
async fn two_apps_in_one_stage_are_refused() {
    let mut fixture = HerokuFixture::new().await;
    fixture.add_app("shop-second", Stage::Staging);
    let reasons = [
        "has 2 apps",
        "shop-staging",
        "shop-second",
        "STAGELINK_HEROKU_APP",
    ];
    refused(&fixture, 500, &reasons).await;
}

#[tokio::test]
async fn app_of_another_stage_is_refused() {
    let mut fixture = HerokuFixture::new().await;
    fixture.add_app("shop-production", Stage::Production);
    fixture.set("STAGELINK_HEROKU_APP", "shop-production");
    refused(
        &fixture,
        500,
        &["app shop-production is not in stage staging"],
    )
    .await;
}

#[tokio::test]
async fn app_without_a_database_url_is_refused() {
    let fixture = HerokuFixture::new().await;
    fixture
        .heroku
        .unset_config_var("shop-staging", "DATABASE_URL")
        .expect("a config var");
    let reasons = [
        "app shop-staging on Heroku has no config var DATABASE_URL",
        "addons:create",
    ];
    refused(&fixture, 500, &reasons).await;
}

#[tokio::test]
async fn app_with_an_attachment_alone_is_told_to_promote_it() {
    let fixture = HerokuFixture::new().await;
    let (heroku, url) = (&fixture.heroku, fixture.database.url());
    for (name, value) in [
        ("HEROKU_POSTGRESQL_GREEN_URL", url.as_str()),
        ("REDIS_URL", "redis://u:p@h"),
    ] {
        heroku
            .set_config_var("shop-staging", name, value)
            .expect("a config var");
    }
    heroku
        .unset_config_var("shop-staging", "DATABASE_URL")
        .expect("a config var");
    let reasons = [
        "app shop-staging on Heroku has no config var DATABASE_URL, but HEROKU_POSTGRESQL_GREEN_URL:",
        "`heroku pg:promote HEROKU_POSTGRESQL_GREEN --app shop-staging`",
        "STAGELINK_CONFIG_VAR",
    ];
    refused(&fixture, 500, &reasons).await;
    assert!(!fixture.log().contains("addons:create"));
}

#[tokio::test]
async fn url_as_people_paste_it_is_understood() {
    let fixture = HerokuFixture::new().await;
    let url = fixture.database.url();
    for pasted in [
        format!("psql '{url}'"),
        format!("\"{url}?ssl=true\"\n"),
        format!("export DATABASE_URL={url}"),
        url.replace("postgres://", "postgresql+asyncpg://"),
    ] {
        fixture.set_url(&pasted);
        let answer = fixture.get("health").await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
    }
}

#[tokio::test]
async fn url_that_cannot_be_understood_is_refused_in_words_that_help() {
    for (url, reason) in [
        (
            format!("host=h user=u password={CANARY} dbname=d"),
            "keywords and values",
        ),
        (
            format!("postgres://u:{CANARY}@2001:db8::1:5432/d"),
            "IPv6 address without brackets",
        ),
        (
            format!("psql -h h -U u -W {CANARY}"),
            "psql command without a URL",
        ),
        ("postgres://u:[YOUR-PASSWORD]@h/d".to_owned(), "placeholder"),
        (
            format!("postgres://u:{CANARY}@h/d?ssl=false"),
            "sslmode=require",
        ),
    ] {
        let fixture = HerokuFixture::with_url(&url).await;
        refused(&fixture, 500, &["not a usable database URL", reason]).await;
    }
}

#[tokio::test]
async fn refusal_of_the_account_says_what_it_is() {
    for (status, id, reason) in [
        (422, "verification_required", "it is not verified"),
        (403, "two_factor", "second factor"),
        (402, "delinquent", "owes a payment"),
        (403, "suspended", "is suspended"),
        (401, "password_expired", "password has expired"),
        (403, "sso_required", "single sign-on"),
        (451, "legal", "legal reasons"),
    ] {
        let fixture = HerokuFixture::new().await;
        let refusal = Failure::HerokuError { status, id };
        fixture.heroku.inject(Fault::new(refusal));
        refused(&fixture, 500, &[reason]).await;
        assert!(!fixture.log().contains("check the name"), "{id}");
    }
}

#[tokio::test]
async fn url_that_does_not_parse_is_refused() {
    let fixture = HerokuFixture::with_url(&format!("mysql://shop:{CANARY}@localhost/shop")).await;
    let reasons = [
        "DATABASE_URL of app",
        "not a usable database URL",
        "postgres://",
    ];
    refused(&fixture, 500, &reasons).await;
}

#[tokio::test]
async fn url_with_unsupported_parameters_is_refused() {
    for (query, reason) in [
        ("sslmode=disable", "allows a connection without encryption"),
        ("sslkey=/key.pem", "\"sslkey\" is not supported"),
    ] {
        let fixture = HerokuFixture::new().await;
        fixture.set_url(&format!("{}?{query}", fixture.database.url()));
        refused(&fixture, 500, &[reason]).await;
    }
}

#[tokio::test]
async fn refused_token_is_reported_401() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("HEROKU_API_KEY", &format!("HRKU-{CANARY}"));
    refused(
        &fixture,
        500,
        &["refused the token", "401", "read-protected"],
    )
    .await;
}

#[tokio::test]
async fn forbidden_app_is_reported_403() {
    let mut fixture = HerokuFixture::new().await;
    let token = fixture
        .heroku
        .create_token(&Access::Apps(Vec::new()))
        .expect("a token");
    fixture.set("HEROKU_API_KEY", &token);
    refused(
        &fixture,
        500,
        &["forbids the token", "403", "read-protected"],
    )
    .await;
}

#[tokio::test]
async fn missing_pipeline_is_reported_404() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_HEROKU_PIPELINE", "none-such");
    let reasons = [
        "does not know pipeline none-such",
        "404",
        "STAGELINK_HEROKU_PIPELINE",
    ];
    refused(&fixture, 500, &reasons).await;
}

#[tokio::test]
async fn missing_app_is_reported_404() {
    let mut fixture = HerokuFixture::new().await;
    fixture.variables.remove("STAGELINK_HEROKU_PIPELINE");
    fixture.set("STAGELINK_HEROKU_APP", "none-such");
    refused(&fixture, 500, &["does not know app none-such", "404"]).await;
}

#[tokio::test]
async fn rate_limit_is_reported_with_retry_after() {
    let fixture = HerokuFixture::new().await;
    fixture.heroku.inject(Fault::new(Failure::Status {
        status: 429,
        retry_after: Some(Duration::from_secs(17)),
    }));
    let answer = refused(&fixture, 503, &["rate limit", "429"]).await;
    assert_eq!(answer.header("retry-after"), "17");
}

#[tokio::test]
async fn retry_after_of_a_day_keeps_the_client_away_for_a_minute() {
    let fixture = HerokuFixture::new().await;
    fixture.heroku.inject(Fault::new(Failure::Status {
        status: 429,
        retry_after: Some(Duration::from_secs(86_400)),
    }));
    let answer = refused(&fixture, 503, &["rate limit", "429"]).await;
    let seconds: u64 = answer.header("retry-after").parse().expect("a number");
    assert!((50..=60).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn client_is_told_how_long_a_failing_provider_is_left_alone() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_RETRY_TIMEOUT_MS", "1");
    fixture.heroku.inject(Fault::new(Failure::BadGateway));
    let function = fixture.function("health").await;
    let mut waits = Vec::new();
    for _ in 0..8 {
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 503, "{}", fixture.log());
        waits.push(answer.header("retry-after").parse::<u64>().ok());
    }
    // Once as it starts, twice at once and once more; then it is left alone for a second.
    let asked = fixture.heroku.requests().len();
    assert!(asked <= 4, "{asked}");
    let last = waits.last().copied().flatten();
    assert!(matches!(last, Some(1..=60)), "{waits:?}");
    function.shutdown().await;
}

#[tokio::test]
async fn hanging_api_times_out() {
    let mut fixture = HerokuFixture::new().await;
    fixture.set("STAGELINK_RESOLVE_TIMEOUT_MS", "200");
    fixture.heroku.inject(Fault::new(Failure::Hang));
    refused(&fixture, 503, &["more than 200 ms", "(resolve)"]).await;
}

#[tokio::test]
async fn truncated_api_response_is_reported() {
    let fixture = HerokuFixture::new().await;
    fixture.heroku.inject(Fault::new(Failure::HalfBody));
    refused(&fixture, 503, &["could not read the response"]).await;
}

#[tokio::test]
async fn page_of_a_proxy_is_reported_without_its_text() {
    let fixture = HerokuFixture::new().await;
    fixture.heroku.inject(Fault::new(Failure::BadGateway));
    refused(&fixture, 503, &["answered 502"]).await;
    assert!(!fixture.log().contains("<html"));
}

#[tokio::test]
async fn answer_that_is_not_json_is_reported() {
    for failure in [Failure::InvalidJson, Failure::EmptyBody] {
        let fixture = HerokuFixture::new().await;
        fixture
            .heroku
            .inject(Fault::new(failure).on("GET", "/apps/*/config-vars"));
        refused(&fixture, 503, &["its documentation does not describe"]).await;
    }
}

#[tokio::test]
async fn failing_api_is_reported() {
    let fixture = HerokuFixture::new().await;
    fixture.heroku.inject(Fault::new(Failure::Status {
        status: 500,
        retry_after: None,
    }));
    refused(&fixture, 503, &["answered 500"]).await;
}

#[tokio::test]
async fn unreachable_api_is_reported() {
    let fixture = HerokuFixture::new().await;
    fixture.heroku.inject(Fault::new(Failure::Disconnect));
    refused(&fixture, 503, &["could not reach Heroku's API"]).await;
}

#[tokio::test]
async fn function_recovers_as_soon_as_the_api_does() {
    let fixture = HerokuFixture::new().await;
    fixture.heroku.inject(Fault::new(Failure::BadGateway));
    let function = fixture.function("health").await;
    let down = fixture.ask(&function, "GET", "/api/health", None).await;
    assert_eq!(down.status, 503);
    fixture.heroku.clear_faults();
    let up = fixture.ask(&function, "GET", "/api/health", None).await;
    assert_eq!(up.status, 200, "{}", fixture.log());
    function.shutdown().await;
}
