//! Refusals caused by the response of Neon or Render, or by a missing response.

use std::time::Duration;

use stagelink_local::api::{Failure, Fault};
use stagelink_tests::{Answer, CANARY, FakeProvider, ProviderFixture};

use super::refused;

/// Makes both providers fail in a way, and checks the refusal.
async fn refused_for(failure: Failure, status: u16, reasons: &[&str]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for place in ProviderFixture::all().await {
        place.cloud.control().inject(Fault::new(failure));
        let answer = refused(&place, status, reasons).await;
        assert!(place.log().contains(place.cloud.name()), "{}", place.log());
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
async fn refused_token_is_told_401() {
    for mut place in ProviderFixture::all().await {
        let variable = place.cloud.token_variable();
        place.set(variable, &format!("key-{CANARY}"));
        let reasons = ["refused the token", "401", variable, "make an API key"];
        refused(&place, 500, &reasons).await;
    }
}

#[tokio::test]
async fn token_that_expired_is_told_while_the_connection_goes_on() {
    for place in ProviderFixture::all().await {
        let function = place.function("health").await;
        let answer = place.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", place.log());
        place.revoke_token();
        let answer = place.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", place.log());
        function.shutdown().await;
        refused(&place, 500, &["refused the token", "expired or revoked"]).await;
    }
}

#[tokio::test]
async fn forbidden_database_is_told_403() {
    let reasons = ["forbids the token", "403"];
    refused_for(status(403), 500, &reasons).await;
}

#[tokio::test]
async fn key_of_another_project_is_told_403() {
    let mut place = ProviderFixture::neon().await;
    let FakeProvider::Neon(neon) = &place.cloud else {
        panic!("not neon")
    };
    let token = neon.create_token(Some("other"));
    place.set("NEON_API_KEY", &token);
    refused(&place, 500, &["forbids the token", "of this project"]).await;
}

#[tokio::test]
async fn unknown_database_is_told_404() {
    for mut place in ProviderFixture::all().await {
        let variable = place.cloud.stage_variable();
        place.set(variable, "none-such");
        refused(&place, 500, &["none-such", "404", variable]).await;
    }
}

#[tokio::test]
async fn name_that_could_be_another_path_stays_a_name() {
    for mut place in ProviderFixture::all().await {
        let variable = place.cloud.stage_variable();
        place.set(variable, "../../x?y&branch_id=br-main#z");
        refused(&place, 500, &["404", variable]).await;
        // Another path would have been answered with 501.
        let requests = place.cloud.control().requests();
        assert!(requests.iter().all(|request| request.status == Some(404)));
    }
}

#[tokio::test]
async fn no_branch_is_refused_before_neon_takes_the_default_one() {
    let mut place = ProviderFixture::neon().await;
    place.variables.remove("STAGELINK_NEON_BRANCH");
    let reasons = [
        "STAGELINK_NEON_BRANCH is not set",
        "default branch is never",
    ];
    refused(&place, 500, &reasons).await;
    assert!(place.cloud.control().requests().is_empty());
}

#[tokio::test]
async fn rate_limit_is_told_with_the_time_to_come_back() {
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
async fn failing_api_is_told() {
    refused_for(status(500), 503, &["answered 500"]).await;
    refused_for(status(503), 503, &["answered 503"]).await;
}

#[tokio::test]
async fn page_of_a_proxy_is_told_without_its_text() {
    refused_for(Failure::BadGateway, 503, &["answered 502"]).await;
    refused_for(Failure::HtmlPage, 503, &["not what it documents"]).await;
}

#[tokio::test]
async fn answer_without_the_url_is_told() {
    for failure in [
        Failure::EmptyObject,
        Failure::EmptyBody,
        Failure::InvalidJson,
    ] {
        refused_for(failure, 503, &["not what it documents"]).await;
    }
}

#[tokio::test]
async fn api_that_breaks_off_is_told() {
    let reasons = ["could not read the whole answer"];
    refused_for(Failure::HalfBody, 503, &reasons).await;
}

#[tokio::test]
async fn api_that_hangs_is_given_up() {
    for mut place in ProviderFixture::all().await {
        place.set("STAGELINK_RESOLVE_TIMEOUT_MS", "200");
        place.cloud.control().inject(Fault::new(Failure::Hang));
        refused(&place, 503, &["more than 200 ms", "(resolve)"]).await;
    }
}

#[tokio::test]
async fn api_that_is_down_is_told() {
    refused_for(Failure::Disconnect, 503, &["could not ask"]).await;
}

#[tokio::test]
async fn url_that_does_not_parse_is_refused() {
    for place in ProviderFixture::all().await {
        let url = place.database.url();
        place.cloud.set_url(&format!("{url}?sslmode=disable"));
        let reasons = ["not a usable database URL", "without encryption"];
        refused(&place, 500, &reasons).await;
    }
}

#[tokio::test]
async fn good_answer_of_another_content_type_is_taken() {
    for place in ProviderFixture::all().await {
        let fault = Fault::new(Failure::WrongContentType);
        place.cloud.control().inject(fault);
        let answer = place.get("health").await;
        assert_eq!(answer.status, 200, "{}", place.log());
    }
}
