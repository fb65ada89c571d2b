//! A stage at a provider other than Heroku.

use serde_json::Value;
use stagelink::{Neon, Provider as _, ProviderSettings, ResolveRequest, Settings, Stage};
use stagelink_local::api::{Failure, Fault};
use stagelink_tests::{HerokuFixture, ProviderFixture};

#[tokio::test]
async fn function_reaches_the_database_that_its_provider_tells_in_one_call() {
    for place in ProviderFixture::all().await {
        let answer = place.get("health").await;
        assert_eq!(answer.status, 200, "{}", place.log());
        assert_eq!(answer.json()["stage"], "staging");
        assert_eq!(place.cloud.control().requests().len(), 1);
    }
}

#[tokio::test]
async fn neon_is_reached_through_its_pooler_unless_that_is_not_wanted() {
    let mut place = ProviderFixture::neon().await;
    for (pooler, pooled) in [("auto", true), ("never", false)] {
        place.set("STAGELINK_POOLER", pooler);
        let settings = Settings::from_vars(&place.variables).expect("they are good");
        let Some(ProviderSettings::Neon(settings)) = settings.provider else {
            panic!("not neon")
        };
        let neon = Neon::new(settings).expect("its settings are good");
        let credentials = neon
            .resolve(&ResolveRequest::new(Stage::Staging))
            .await
            .expect("credentials");
        assert_eq!(credentials.url().host().ends_with("-pooler"), pooled);
    }
}

#[tokio::test]
async fn warm_function_survives_a_rotation_with_one_call() {
    for place in ProviderFixture::all().await {
        let function = place.function("health").await;
        let ask = async || place.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(ask().await.status, 200, "{}", place.log());
        place.cloud.control().clear_requests();
        place.rotate().await;
        // Only the request that finds the connection cut may fail.
        if ask().await.status != 200 {
            assert_eq!(ask().await.status, 200, "{}", place.log());
        }
        for _ in 0..3 {
            assert_eq!(ask().await.status, 200, "{}", place.log());
        }
        assert_eq!(place.cloud.control().requests().len(), 1);
        assert_eq!(function.started_count(), 1, "the same process");
        function.shutdown().await;
    }
}

#[tokio::test]
async fn function_asks_its_provider_once_its_deploy_time_credentials_are_stale() {
    for mut place in ProviderFixture::all().await {
        let credentials = format!("staging={}", place.database.url());
        place.set("STAGELINK_CREDENTIALS", &credentials);
        let answer = place.get("health").await;
        assert_eq!(answer.status, 200, "{}", place.log());
        assert_eq!(answer.json()["phases"]["opened"]["resolve_ms"], Value::Null);
        assert!(place.cloud.control().requests().is_empty());
        place.rotate().await;
        let answer = place.get("health").await;
        assert_eq!(answer.status, 200, "{}", place.log());
        assert_eq!(place.cloud.control().requests().len(), 1);
    }
}

#[tokio::test]
async fn function_recovers_as_soon_as_its_provider_does() {
    for place in ProviderFixture::all().await {
        place
            .cloud
            .control()
            .inject(Fault::new(Failure::BadGateway));
        let function = place.function("health").await;
        let ask = async || place.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(ask().await.status, 503, "{}", place.log());
        place.cloud.control().clear_faults();
        assert_eq!(ask().await.status, 200, "{}", place.log());
        function.shutdown().await;
    }
}

#[tokio::test]
async fn stage_moves_to_another_provider_by_its_settings_alone() {
    let mut heroku = HerokuFixture::new().await;
    assert_eq!(heroku.get("health").await.status, 200, "{}", heroku.log());
    for place in ProviderFixture::all().await {
        heroku.heroku.clear_requests();
        heroku.variables.extend(place.variables.clone());
        let answer = heroku.get("health").await;
        assert_eq!(answer.status, 500, "two providers and no choice");
        assert!(heroku.log().contains("choose with STAGELINK_PROVIDER"));
        let name = place.cloud.name().to_lowercase();
        heroku.set("STAGELINK_PROVIDER", &name);
        assert_eq!(heroku.get("health").await.status, 200, "{}", heroku.log());
        assert!(heroku.heroku.requests().is_empty());
        assert_eq!(place.cloud.control().requests().len(), 1);
        heroku.variables.remove("STAGELINK_PROVIDER");
        for name in place
            .variables
            .keys()
            .filter(|name| *name != "STAGELINK_STAGE")
        {
            heroku.variables.remove(name);
        }
    }
}
