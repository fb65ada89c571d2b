//! A stage at a provider other than Heroku.

use serde_json::Value;
use stagelink::{Neon, Provider as _, ProviderSettings, ResolveRequest, Settings, Stage};
use stagelink_local::api::{Failure, Fault};
use stagelink_tests::{HerokuFixture, ProviderFixture};

#[tokio::test]
async fn provider_returns_the_database_in_one_call() {
    for fixture in ProviderFixture::all().await {
        let answer = fixture.get("health").await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
        assert_eq!(answer.json()["stage"], "staging");
        assert_eq!(fixture.cloud.control().requests().len(), 1);
    }
}

#[tokio::test]
async fn neon_is_reached_through_its_pooler_unless_disabled() {
    let mut fixture = ProviderFixture::neon().await;
    for (pooler, pooled) in [("auto", true), ("never", false)] {
        fixture.set("STAGELINK_POOLER", pooler);
        let settings = Settings::from_vars(&fixture.variables).expect("they are good");
        let Some(ProviderSettings::Neon(settings)) = settings.provider else {
            panic!("not neon")
        };
        let neon = Neon::new(settings).expect("its settings are good");
        let credentials = neon
            .resolve(&ResolveRequest::new(Stage::STAGING))
            .await
            .expect("credentials");
        assert_eq!(credentials.url().host().ends_with("-pooler"), pooled);
    }
}

#[tokio::test]
async fn warm_function_survives_a_rotation_with_one_call() {
    for fixture in ProviderFixture::all().await {
        let function = fixture.function("health").await;
        let ask = async || fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(ask().await.status, 200, "{}", fixture.log());
        fixture.cloud.control().clear_requests();
        fixture.rotate().await;
        // Only the request that finds the connection cut may fail.
        if ask().await.status != 200 {
            assert_eq!(ask().await.status, 200, "{}", fixture.log());
        }
        for _ in 0..3 {
            assert_eq!(ask().await.status, 200, "{}", fixture.log());
        }
        assert_eq!(fixture.cloud.control().requests().len(), 1);
        assert_eq!(function.started_count(), 1, "the same process");
        function.shutdown().await;
    }
}

#[tokio::test]
async fn stale_deploy_time_credentials_are_resolved_by_the_provider() {
    for mut fixture in ProviderFixture::all().await {
        let credentials = format!("staging={}", fixture.database.url());
        fixture.set("STAGELINK_CREDENTIALS", &credentials);
        let provider = fixture.cloud.name().to_lowercase();
        fixture.set("STAGELINK_PROVIDER", &provider);
        let answer = fixture.get("health").await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
        assert_eq!(answer.json()["phases"]["opened"]["resolve_ms"], Value::Null);
        assert!(fixture.cloud.control().requests().is_empty());
        fixture.rotate().await;
        let answer = fixture.get("health").await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
        assert_eq!(fixture.cloud.control().requests().len(), 1);
    }
}

#[tokio::test]
async fn function_recovers_as_soon_as_its_provider_does() {
    for fixture in ProviderFixture::all().await {
        fixture
            .cloud
            .control()
            .inject(Fault::new(Failure::BadGateway));
        let function = fixture.function("health").await;
        let ask = async || fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(ask().await.status, 503, "{}", fixture.log());
        fixture.cloud.control().clear_faults();
        assert_eq!(ask().await.status, 200, "{}", fixture.log());
        function.shutdown().await;
    }
}

#[tokio::test]
async fn stage_moves_to_another_provider_by_its_settings_alone() {
    let mut heroku = HerokuFixture::new().await;
    assert_eq!(heroku.get("health").await.status, 200, "{}", heroku.log());
    for fixture in ProviderFixture::all().await {
        heroku.heroku.clear_requests();
        heroku.variables.extend(fixture.variables.clone());
        let answer = heroku.get("health").await;
        assert_eq!(answer.status, 500, "two providers and no choice");
        assert!(heroku.log().contains("choose with STAGELINK_PROVIDER"));
        let name = fixture.cloud.name().to_lowercase();
        heroku.set("STAGELINK_PROVIDER", &name);
        assert_eq!(heroku.get("health").await.status, 200, "{}", heroku.log());
        assert!(heroku.heroku.requests().is_empty());
        assert_eq!(fixture.cloud.control().requests().len(), 1);
        heroku.variables.remove("STAGELINK_PROVIDER");
        for name in fixture
            .variables
            .keys()
            .filter(|name| *name != "STAGELINK_STAGE")
        {
            heroku.variables.remove(name);
        }
    }
}
