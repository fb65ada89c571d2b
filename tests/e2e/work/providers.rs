//! Providers that fail and recover.

use std::time::Duration;

use stagelink::{Client, Database, Error, ErrorKind, Settings};
use stagelink_local::heroku::{Failure, Fault};
use stagelink_tests::HerokuFixture;

async fn select(db: Client) -> Result<(), Error> {
    db.query_typed("SELECT 1", &[]).await?;
    Ok(())
}

#[tokio::test]
async fn failed_provider_request_is_retried() {
    let unavailable = Failure::Status {
        status: 503,
        retry_after: None,
    };
    for failure in [
        unavailable,
        Failure::BadGateway,
        Failure::Disconnect,
        Failure::HalfBody,
        Failure::InvalidJson,
    ] {
        let fixture = HerokuFixture::new().await;
        fixture.heroku.inject(Fault::new(failure).times(2));
        let link = Database::new(Settings::from_vars(&fixture.variables));
        link.read(select).await.expect("it is read");
    }
}

#[tokio::test]
async fn rate_limited_api_is_not_called_before_its_retry_after() {
    let fixture = HerokuFixture::new().await;
    fixture.heroku.inject(Fault::new(Failure::Status {
        status: 429,
        retry_after: Some(Duration::from_secs(60)),
    }));
    let link = Database::new(Settings::from_vars(&fixture.variables));
    for _ in 0..3 {
        let error = link.read(select).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{}", error.report());
    }
    assert_eq!(fixture.heroku.requests().len(), 1);
}
