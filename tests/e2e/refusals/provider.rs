//! Refusals caused by the response of Neon or Render, or by a missing response.

use std::time::Duration;

use stagelink_local::api::{Failure, Fault};
use stagelink_tests::{Answer, CANARY, FakeProvider, ProviderFixture};

use super::refused;

/// Makes both providers fail in a way, and checks the refusal.
async fn refused_for(failure: Failure, status: u16, reasons: &[&str]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for fixture in ProviderFixture::all().await {
        fixture.cloud.control().inject(Fault::new(failure));
        let answer = refused(&fixture, status, reasons).await;
        assert!(
            fixture.log().contains(fixture.cloud.name()),
            "{}",
            fixture.log()
        );
        answers.push(answer);
    }
    answers
}

fn status(status: u16) -> Failure {
    Failure::Status {
        status,
        retry_after: None,
    }
}

#[tokio::test]
async fn refused_token_is_reported_401() {
    for mut fixture in ProviderFixture::all().await {
        let variable = fixture.cloud.token_variable();
        fixture.set(variable, &format!("key-{CANARY}"));
        let reasons = ["refused the token", "401", variable, "make an API key"];
        refused(&fixture, 500, &reasons).await;
    }
}

#[tokio::test]
async fn expired_token_is_reported_while_the_connection_stays() {
    for fixture in ProviderFixture::all().await {
        let function = fixture.function("health").await;
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
        fixture.revoke_token();
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
        function.shutdown().await;
        refused(&fixture, 500, &["refused the token", "expired or revoked"]).await;
    }
}

#[tokio::test]
async fn forbidden_database_is_reported_403() {
    let reasons = ["forbids the token", "403"];
    refused_for(status(403), 500, &reasons).await;
}

#[tokio::test]
async fn key_of_another_project_is_reported_403() {
    let mut fixture = ProviderFixture::neon().await;
    let FakeProvider::Neon(neon) = &fixture.cloud else {
        panic!("not neon")
    };
    let token = neon.create_token(Some("other"));
    fixture.set("NEON_API_KEY", &token);
    refused(&fixture, 500, &["forbids the token", "of this project"]).await;
}

#[tokio::test]
async fn unknown_database_is_reported_404() {
    for mut fixture in ProviderFixture::all().await {
        let variable = fixture.cloud.stage_variable();
        fixture.set(variable, "none-such");
        refused(&fixture, 500, &["none-such", "404", variable]).await;
    }
}

#[tokio::test]
async fn name_with_path_characters_is_escaped() {
    for mut fixture in ProviderFixture::all().await {
        let variable = fixture.cloud.stage_variable();
        fixture.set(variable, "../../x?y&branch_id=br-main#z");
        refused(&fixture, 500, &["404", variable]).await;
        // Another path would have been answered with 501.
        let requests = fixture.cloud.control().requests();
        assert!(requests.iter().all(|request| request.status == Some(404)));
    }
}

#[tokio::test]
async fn missing_branch_is_refused_in_place_of_neons_default() {
    let mut fixture = ProviderFixture::neon().await;
    fixture.variables.remove("STAGELINK_NEON_BRANCH");
    let reasons = [
        "STAGELINK_NEON_BRANCH is not set",
        "default branch is never",
    ];
    refused(&fixture, 500, &reasons).await;
    assert!(fixture.cloud.control().requests().is_empty());
}

#[tokio::test]
async fn rate_limit_is_reported_with_retry_after() {
    let failure = Failure::Status {
        status: 429,
        retry_after: Some(Duration::from_secs(17)),
    };
    for answer in refused_for(failure, 503, &["rate limit", "429"]).await {
        assert_eq!(answer.header("retry-after"), "17");
    }
    refused_for(status(429), 503, &["rate limit", "429"]).await;
}

#[tokio::test]
async fn failing_api_is_reported() {
    refused_for(status(500), 503, &["answered 500"]).await;
    refused_for(status(503), 503, &["answered 503"]).await;
}

#[tokio::test]
async fn page_of_a_proxy_is_reported_without_its_text() {
    refused_for(Failure::BadGateway, 503, &["answered 502"]).await;
    refused_for(
        Failure::HtmlPage,
        503,
        &["its documentation does not describe"],
    )
    .await;
}

#[tokio::test]
async fn answer_without_the_url_is_reported() {
    for failure in [
        Failure::EmptyObject,
        Failure::EmptyBody,
        Failure::InvalidJson,
    ] {
        refused_for(failure, 503, &["its documentation does not describe"]).await;
    }
}

#[tokio::test]
async fn truncated_api_response_is_reported() {
    let reasons = ["could not read the response"];
    refused_for(Failure::HalfBody, 503, &reasons).await;
}

#[tokio::test]
async fn hanging_api_times_out() {
    for mut fixture in ProviderFixture::all().await {
        fixture.set("STAGELINK_RESOLVE_TIMEOUT_MS", "200");
        fixture.cloud.control().inject(Fault::new(Failure::Hang));
        refused(&fixture, 503, &["more than 200 ms", "(resolve)"]).await;
    }
}

#[tokio::test]
async fn unreachable_api_is_reported() {
    refused_for(Failure::Disconnect, 503, &["could not reach"]).await;
}

#[tokio::test]
async fn url_that_does_not_parse_is_refused() {
    for fixture in ProviderFixture::all().await {
        let url = fixture.database.url();
        fixture.cloud.set_url(&format!("{url}?sslmode=disable"));
        let reasons = ["not a usable database URL", "without encryption"];
        refused(&fixture, 500, &reasons).await;
    }
}

#[tokio::test]
async fn good_answer_of_another_content_type_is_accepted() {
    for fixture in ProviderFixture::all().await {
        let fault = Fault::new(Failure::WrongContentType);
        fixture.cloud.control().inject(fault);
        let answer = fixture.get("health").await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
    }
}
