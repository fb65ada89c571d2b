//! Credentials that change while functions are warm.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use stagelink::{Database, Error, Settings};
use stagelink_local::heroku::{Failure, Fault, Heroku};
use stagelink_local::lambda::Function;
use stagelink_tests::{
    Answer, CANARY, HerokuFixture, as_superuser, database, end_sessions, send, server, site,
};

/// Changes the password in the database and terminates its connections, as a rotation of Heroku's
/// default credential does. Returns the new URL.
async fn rotate(fixture: &HerokuFixture) -> String {
    let role = fixture.database.role();
    let changed = format!("{CANARY}x");
    as_superuser(&format!(
        "ALTER ROLE {role} PASSWORD '{changed}-{role}'; {}",
        end_sessions(role)
    ))
    .await;
    fixture.database.url().replace(CANARY, &changed)
}

/// Sends requests until one succeeds. Only the request that finds the connection cut may fail.
async fn succeeds_after_the_cut(fixture: &HerokuFixture, function: &Function) {
    let first = fixture.ask(function, "GET", "/api/health", None).await;
    if first.status != 200 {
        let second = fixture.ask(function, "GET", "/api/health", None).await;
        assert_eq!(second.status, 200, "{}", fixture.log());
    }
}

async fn warm(fixture: &HerokuFixture) -> Function {
    let function = fixture.function("health").await;
    let answer = fixture.ask(&function, "GET", "/api/health", None).await;
    assert_eq!(answer.status, 200, "{}", fixture.log());
    fixture.heroku.clear_requests();
    function
}

#[tokio::test]
async fn warm_function_survives_a_rotation_with_one_resolution() {
    let fixture = HerokuFixture::new().await;
    let function = warm(&fixture).await;
    fixture.set_url(&rotate(&fixture).await);
    succeeds_after_the_cut(&fixture, &function).await;
    assert_eq!(fixture.heroku.requests().len(), 3, "one resolution");
    assert_eq!(function.started_count(), 1, "the same process");
    assert!(fixture.log().contains("have been renewed"));
    for _ in 0..3 {
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 200, "{}", fixture.log());
    }
    assert_eq!(fixture.heroku.requests().len(), 3);
    function.shutdown().await;
}

#[tokio::test]
async fn warm_function_follows_its_app_to_another_database() {
    let fixture = HerokuFixture::new().await;
    let function = warm(&fixture).await;
    let other = database().await;
    fixture.set_url(&other.url());
    // The old database is dropped, as after a re-created add-on.
    server()
        .await
        .drop_database(fixture.database.name())
        .await
        .expect("it is dropped");
    succeeds_after_the_cut(&fixture, &function).await;
    function.shutdown().await;
}

#[tokio::test]
async fn provider_that_repeats_a_stale_url_is_not_flooded() {
    let fixture = HerokuFixture::new().await;
    let function = warm(&fixture).await;
    rotate(&fixture).await;
    // No longer than the calls below are due.
    let began = Instant::now();
    let mut number = 0;
    while number == 0 || (number < 20 && began.elapsed() < Duration::from_secs(2)) {
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 503, "{}", fixture.log());
        number += 1;
    }
    assert!(
        fixture.log().contains("still holds the same URL"),
        "{}",
        fixture.log()
    );
    let (asked, took) = (fixture.heroku.requests().len(), began.elapsed());
    // Three calls each: two at once, one after a second, one after two more. A machine that stands
    // still in the last request may let a further one become due.
    let is_late = took >= Duration::from_millis(2250);
    assert!(asked <= 12 || is_late, "{asked} calls in {took:?}");
    function.shutdown().await;
}

#[tokio::test]
async fn refused_password_is_reported_when_the_provider_is_unavailable() {
    let fixture = HerokuFixture::new().await;
    let function = warm(&fixture).await;
    let url = rotate(&fixture).await;
    fixture.set_url(&url);
    fixture
        .heroku
        .inject(Fault::new(Failure::BadGateway).times(1));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        statuses.push(answer.status.as_u16());
    }
    assert!(
        fixture.log().contains("could not ask for new credentials"),
        "{}",
        fixture.log()
    );
    assert_eq!(
        statuses.last(),
        Some(&200),
        "{statuses:?} {}",
        fixture.log()
    );
    function.shutdown().await;
}

#[tokio::test]
async fn expired_token_is_reported_when_the_password_changes() {
    let fixture = HerokuFixture::new().await;
    let function = warm(&fixture).await;
    fixture.set_url(&rotate(&fixture).await);
    let token = &fixture.variables["HEROKU_API_KEY"];
    assert!(fixture.heroku.revoke_token(token));
    for _ in 0..2 {
        let answer = fixture.ask(&function, "GET", "/api/health", None).await;
        assert_eq!(answer.status, 503, "{}", fixture.log());
    }
    let log = fixture.log();
    assert!(log.contains("Heroku refused the token"), "{log}");
    assert!(log.contains("refused role"), "{log}");
    function.shutdown().await;
}

/// Rotates credentials on the local Heroku as `heroku pg:credentials:rotate DATABASE -a APP` does.
async fn rotate_over_http(heroku: &Heroku, app: &str) -> Answer {
    let token = format!("Bearer {}", heroku.api_key());
    let headers = [
        ("accept", "application/vnd.heroku+json; version=3"),
        ("content-type", "application/json"),
        ("authorization", &token),
    ];
    let url = heroku.url();
    let resolve = format!("{url}/actions/addon-attachments/resolve");
    let asked = json!({ "addon_attachment": "DATABASE", "app": app }).to_string();
    let found = send("POST", &resolve, &headers, &asked).await.json();
    let addon = found[0]["addon"]["name"].as_str().expect("an add-on");
    let rotation = format!("{url}/postgres/v0/databases/{addon}/credentials/default");
    send(
        "POST",
        &format!("{rotation}/credentials_rotation"),
        &headers,
        "{}",
    )
    .await
}

async fn sign(site: &str, name: &str) -> Answer {
    let entry = json!({ "name": name, "message": "m" }).to_string();
    let json = [("content-type", "application/json")];
    send("POST", &format!("{site}/api/guestbook"), &json, &entry).await
}

async fn read(site: &str) -> Answer {
    send("GET", &format!("{site}/api/guestbook"), &[], "").await
}

#[tokio::test]
async fn site_survives_a_rotation_by_heroku() {
    let (cloud, record) = site().await;
    let [staging, production] = cloud.stages() else {
        panic!("two stages")
    };
    for stage in [staging, production] {
        let answer = sign(stage.url(), "before").await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    cloud.heroku().clear_requests();
    let (old, others) = (staging.database().url(), production.database().url());

    let answer = rotate_over_http(cloud.heroku(), staging.app()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let new = staging.database().url();
    assert_ne!(new, old);
    assert_eq!(production.database().url(), others);
    let password = new.split([':', '@']).nth(2).expect("a password");
    record.forbid(password);

    // Only the request that finds the connection cut may fail.
    if read(staging.url()).await.status != 200 {
        let second = read(staging.url()).await;
        assert_eq!(second.status, 200, "{}", record.text());
    }
    for stage in [staging, production] {
        let answer = sign(stage.url(), "after").await;
        assert_eq!(answer.status, 201, "{}", record.text());
        let entries = read(stage.url()).await.json()["entries"].take();
        let names: Vec<&Value> = entries
            .as_array()
            .expect("entries")
            .iter()
            .map(|entry| &entry["name"])
            .collect();
        assert_eq!(names, ["after", "before"], "{}", stage.stage());
        let function = stage.function("guestbook").expect("it is there");
        assert_eq!(function.started_count(), 1, "the same process");
    }
    let asked = cloud.heroku().requests();
    let resolutions = asked
        .iter()
        .filter(|request| request.path.ends_with("/config-vars"))
        .count();
    assert_eq!(resolutions, 1, "only the one stage: {asked:?}");
    cloud.stop().await;
}

/// Terminates the sessions of the fixture's role, and waits until they are gone.
async fn end_all_sessions(fixture: &HerokuFixture) {
    let admin = server()
        .await
        .connect_as_superuser()
        .await
        .expect("a superuser");
    let role = fixture.database.role();
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'"
    );
    loop {
        let left = admin.query_one(&sql, &[]).await.expect("a count");
        if left.get::<_, i64>(0) == 0 {
            return;
        }
    }
}

/// Reads through all links, with as many concurrent reads as the role may have connections.
async fn all_read(fixture: &HerokuFixture, links: &[Database]) {
    for some in links.chunks(15) {
        let reads = some.iter().map(|link| {
            link.read(|db| async move {
                db.query_typed("SELECT 1", &[]).await?;
                Ok::<_, Error>(())
            })
        });
        for read in join_all(reads).await {
            read.unwrap_or_else(|error| panic!("{}", error.report()));
        }
        end_all_sessions(fixture).await;
    }
}

#[tokio::test]
async fn thousand_instances_resolve_once_each_after_a_rotation_and_never_at_start() {
    let mut fixture = HerokuFixture::new().await;
    let credentials = format!("staging={}", fixture.database.url());
    fixture.set("STAGELINK_CREDENTIALS", &credentials);
    let links: Vec<Database> = (0..1000)
        .map(|_| Database::new(Settings::from_vars(&fixture.variables)))
        .collect();
    all_read(&fixture, &links).await;
    assert!(fixture.heroku.requests().is_empty(), "healthy starts");

    // Terminated connections, as in a restart, while the password is valid.
    let (few, _) = links.split_at(15);
    all_read(&fixture, few).await;
    assert!(fixture.heroku.requests().is_empty(), "a restart");

    fixture.set_url(&rotate(&fixture).await);
    all_read(&fixture, &links).await;
    all_read(&fixture, few).await;
    let requests = fixture.heroku.requests();
    let resolutions = requests
        .iter()
        .filter(|request| request.path.ends_with("/config-vars"))
        .count();
    println!(
        "1,000 warm instances: {resolutions} resolutions, {} calls for a rotation",
        requests.len()
    );
    assert_eq!(resolutions, 1000);
    assert_eq!(requests.len(), 3000);
}
