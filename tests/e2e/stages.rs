//! Selection of the database by stage.

use std::time::Duration;

use serde_json::json;
use stagelink_local::heroku::Stage;
use stagelink_local::{Cloud, Error, StageSite};
use stagelink_tests::{HerokuFixture, cloud_config, database, migrate, send, site};
use tokio::time::timeout;

#[tokio::test]
async fn entries_of_one_stage_are_invisible_in_the_other() {
    let (cloud, _record) = site().await;
    let [staging, production] = cloud.stages() else {
        panic!("two stages")
    };
    assert!(production.url().starts_with("http://localhost:"));
    assert!(staging.url().starts_with("http://staging.localhost:"));
    for stage in [staging, production] {
        let entry = json!({ "name": stage.stage().as_str(), "message": "here" }).to_string();
        let url = format!("{}/api/guestbook", stage.url());
        let answer = send(
            "POST",
            &url,
            &[("content-type", "application/json")],
            &entry,
        )
        .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    for stage in [staging, production] {
        let answer = send("GET", &format!("{}/api/guestbook", stage.url()), &[], "").await;
        let body = answer.json();
        assert_eq!(body["stage"], stage.stage().as_str());
        assert_eq!(body["entries"].as_array().map(Vec::len), Some(1));
        assert_eq!(body["entries"][0]["name"], stage.stage().as_str());
    }
    cloud.stop().await;
}

#[tokio::test]
async fn header_of_a_client_does_not_choose_the_stage() {
    let (cloud, _record) = site().await;
    let url = format!("{}/api/health", cloud.stages()[0].url());
    let headers = [
        ("x-nf-deploy-context", "production"),
        ("x-stagelink-stage", "production"),
        ("stagelink_stage", "production"),
    ];
    let answer = send("GET", &url, &headers, "").await;
    assert_eq!(answer.json()["stage"], "staging");
    cloud.stop().await;
}

#[tokio::test]
async fn page_of_the_site_is_served_beside_the_functions() {
    let (cloud, _record) = site().await;
    for stage in cloud.stages() {
        let answer = send("GET", &format!("{}/", stage.url()), &[], "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").starts_with("text/html"));
        assert!(answer.text().contains("guestbook.js"));
    }
    cloud.stop().await;
}

/// `netlify dev` sends requests once the port takes connections.
#[tokio::test]
async fn request_waits_until_the_stages_are_prepared() {
    let mut early = None;
    let prepare = async |stages: &[StageSite]| {
        let url = format!("{}/api/guestbook", stages[0].url());
        let mut request = tokio::spawn(async move { send("GET", &url, &[], "").await });
        let answer = timeout(Duration::from_secs(1), &mut request).await;
        assert!(answer.is_err(), "answered by a stage without tables");
        for stage in stages {
            migrate(stage.variables()).await;
        }
        early = Some(request);
        Ok::<_, Error>(())
    };
    let cloud = Cloud::start_with(cloud_config().await, |_, _| (), prepare).await;
    let cloud = cloud.expect("the site comes up");
    let answer = early.expect("a request").await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    cloud.stop().await;
}

#[tokio::test]
async fn stages_that_cannot_be_prepared_leave_no_site() {
    let mut url = None;
    let prepare = async |stages: &[StageSite]| {
        url = Some(stages[0].url().to_owned());
        Err(anyhow::anyhow!("a migration has a mistake"))
    };
    let cloud = Cloud::start_with(cloud_config().await, |_, _| (), prepare).await;
    let error = cloud.expect_err("no cloud");
    assert_eq!(error.to_string(), "a migration has a mistake");
    let address = url.expect("a stage").replace("http://staging.", "");
    let connected = tokio::net::TcpStream::connect(&*address).await;
    assert!(connected.is_err(), "{address} still listens");
}

#[tokio::test]
async fn app_is_found_on_a_later_page_of_couplings() {
    let mut fixture = HerokuFixture::new().await;
    for number in 0..4 {
        fixture.add_app(&format!("shop-review-{number}"), Stage::Review);
    }
    fixture.heroku.set_page_size(2);
    let answer = fixture.get("health").await;
    assert_eq!(answer.status, 200, "{}", fixture.log());
    let pages = fixture
        .heroku
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("/pipeline-couplings"))
        .count();
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn named_app_costs_one_call() {
    let mut fixture = HerokuFixture::new().await;
    fixture.variables.remove("STAGELINK_HEROKU_PIPELINE");
    fixture.set("STAGELINK_HEROKU_APP", "shop-staging");
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    assert_eq!(fixture.heroku.requests().len(), 1);
}

#[tokio::test]
async fn named_app_picks_one_of_two_in_a_stage() {
    let mut fixture = HerokuFixture::new().await;
    fixture.add_app("shop-second", Stage::Staging);
    fixture.set("STAGELINK_HEROKU_APP", "shop-staging");
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
}

#[tokio::test]
async fn url_in_the_environment_needs_no_provider() {
    let mut fixture = HerokuFixture::new().await;
    let other = database().await;
    fixture.variables.remove("STAGELINK_HEROKU_PIPELINE");
    fixture.variables.remove("HEROKU_API_KEY");
    fixture.set("DATABASE_URL", &other.url());
    assert_eq!(fixture.get("health").await.status, 200, "{}", fixture.log());
    assert!(fixture.heroku.requests().is_empty());
}
