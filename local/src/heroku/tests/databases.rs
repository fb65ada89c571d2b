//! Tests of the data API with an owner of the databases.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::{Access, DatabaseFacts, DatabaseOwner, Heroku, OwnerFuture};
use super::{CONFIG_VARS, TestResponse, URL, get, guestbook, send};
use crate::{Error, ErrorKind};

/// An owner that knows only the connections, and whose rotations wait for a permit.
struct GatedOwner {
    url: Mutex<String>,
    rotations: AtomicU32,
    started: Semaphore,
    permits: Semaphore,
}

impl GatedOwner {
    /// Sets an owner that permits this many rotations.
    fn set(heroku: &Heroku, permits: usize) -> Arc<Self> {
        let owner = Arc::new(Self {
            url: Mutex::new(URL.to_owned()),
            rotations: AtomicU32::new(0),
            started: Semaphore::new(0),
            permits: Semaphore::new(permits),
        });
        heroku.set_database_owner(owner.clone());
        owner
    }

    fn url(&self) -> String {
        self.url.lock().unwrap().clone()
    }
}

impl DatabaseOwner for GatedOwner {
    fn facts<'a>(&'a self, url: &'a str) -> OwnerFuture<'a, DatabaseFacts> {
        assert_eq!(url, URL);
        Box::pin(async {
            DatabaseFacts {
                connections: Some((3, 20)),
                ..DatabaseFacts::default()
            }
        })
    }

    fn rotate<'a>(&'a self, url: &'a str) -> OwnerFuture<'a, Result<String, Error>> {
        Box::pin(async move {
            assert_eq!(url, self.url(), "the url of the last rotation");
            self.started.add_permits(1);
            self.permits.acquire().await.expect("it is open").forget();
            let number = self.rotations.fetch_add(1, Ordering::Relaxed) + 1;
            let rotated = URL.replace("canary", &format!("canary{number}"));
            *self.url.lock().unwrap() = rotated.clone();
            Ok(rotated)
        })
    }
}

struct FailingOwner;

impl DatabaseOwner for FailingOwner {
    fn facts<'a>(&'a self, _: &'a str) -> OwnerFuture<'a, DatabaseFacts> {
        Box::pin(async { DatabaseFacts::default() })
    }

    fn rotate<'a>(&'a self, _: &'a str) -> OwnerFuture<'a, Result<String, Error>> {
        let error = Error::new(ErrorKind::Process, "could not reach the server");
        Box::pin(async { Err(error.with_source("canary")) })
    }
}

async fn addon(heroku: &Heroku) -> String {
    let name = get(heroku, "/addons").await.json()[0]["name"].clone();
    name.as_str().expect("a name").to_owned()
}

async fn default_rotation(heroku: &Heroku) -> String {
    let addon = addon(heroku).await;
    format!("/postgres/v0/databases/{addon}/credentials/default/credentials_rotation")
}

async fn post(heroku: &Heroku, path: &str, body: &str) -> TestResponse {
    let json = [("content-type", "application/json")];
    send(heroku, "POST", path, &json, body)
        .await
        .expect("a response")
}

async fn releases(heroku: &Heroku) -> usize {
    let releases = get(heroku, "/apps/guestbook-staging/releases").await;
    releases.json().as_array().expect("a list").len()
}

#[tokio::test]
async fn database_info_has_lines_for_known_facts_only() {
    let heroku = guestbook().await;
    let path = format!("/client/v11/databases/{}", addon(&heroku).await);
    let line = |info: &Value, name: &str| {
        let lines = info["info"].as_array().expect("lines").clone();
        lines.into_iter().find(|line| line["name"] == name)
    };
    let info = get(&heroku, &path).await.json();
    assert!(line(&info, "Plan").is_some());
    assert_eq!(line(&info, "Connections"), None);
    GatedOwner::set(&heroku, 0);
    let info = get(&heroku, &path).await.json();
    let connections = line(&info, "Connections").expect("a line");
    assert_eq!(connections["values"], json!(["3/20"]));
    assert_eq!(line(&info, "PG Version"), None);
}

#[tokio::test]
async fn rotation_changes_config_var_and_credential_with_a_release() {
    let heroku = guestbook().await;
    let owner = GatedOwner::set(&heroku, 3);
    let one = default_rotation(&heroku).await;
    let all = format!(
        "/postgres/v0/databases/{}/credentials_rotation",
        addon(&heroku).await
    );
    let before = releases(&heroku).await;
    for (number, (path, body)) in [
        (&one, "{}"),
        (&one, r#"{"forced":true}"#),
        (&all, r#"{"forced":false}"#),
    ]
    .into_iter()
    .enumerate()
    {
        let response = post(&heroku, path, body).await;
        assert_eq!(
            (response.status, response.json()),
            (200, json!({})),
            "{path}"
        );
        let vars = get(&heroku, CONFIG_VARS).await.json();
        assert_eq!(vars["DATABASE_URL"], owner.url());
        assert!(owner.url().contains(&format!("canary{}", number + 1)));
        assert_eq!(releases(&heroku).await, before + number + 1);
    }
    let path = one.trim_end_matches("/credentials_rotation");
    let credential = get(&heroku, path).await.json();
    assert_eq!(credential["credentials"][0]["password"], "canary3");
}

#[tokio::test]
async fn refused_rotation_changes_nothing() {
    let heroku = guestbook().await;
    let good = default_rotation(&heroku).await;
    let before = releases(&heroku).await;
    let response = post(&heroku, &good, "{}").await;
    assert_eq!(response.error(), (501, "not_implemented".to_owned()));

    let owner = GatedOwner::set(&heroku, 9);
    let named = good.replace("default", "analyst");
    let nowhere = good.replace(&addon(&heroku).await, "nope");
    for (path, body, error) in [
        (&named, "{}", (404, "not_found")),
        (&nowhere, "{}", (404, "not_found")),
        (&good, "", (400, "bad_request")),
        (&good, r#"{"forced":"yes"}"#, (400, "bad_request")),
    ] {
        let response = post(&heroku, path, body).await;
        assert_eq!(
            response.error(),
            (error.0, error.1.to_owned()),
            "{path} {body}"
        );
    }
    let other = Access::Apps(vec!["guestbook-production".to_owned()]);
    let token = format!("Bearer {}", heroku.create_token(&other).expect("a token"));
    for path in [&good, &named] {
        let response = send(&heroku, "POST", path, &[("authorization", &token)], "{}").await;
        assert_eq!(response.expect("a response").error().0, 403, "{path}");
    }
    assert_eq!(owner.rotations.load(Ordering::Relaxed), 0);
    assert_eq!(releases(&heroku).await, before);
}

#[tokio::test]
async fn failed_rotation_reports_its_error_without_the_cause_and_keeps_the_url() {
    let heroku = guestbook().await;
    heroku.set_database_owner(Arc::new(FailingOwner));
    let path = default_rotation(&heroku).await;
    let response = post(&heroku, &path, "{}").await;
    assert_eq!(response.error(), (500, "internal_server_error".to_owned()));
    assert_eq!(response.json()["message"], "could not reach the server");
    assert_eq!(get(&heroku, CONFIG_VARS).await.json()["DATABASE_URL"], URL);
}

#[tokio::test]
async fn concurrent_rotations_run_one_after_the_other() {
    let heroku = guestbook().await;
    let owner = GatedOwner::set(&heroku, 0);
    let path = default_rotation(&heroku).await;
    let permit = async {
        let started = owner.started.acquire().await;
        started.expect("it is open").forget();
        assert_eq!(owner.started.available_permits(), 0, "one at a time");
        owner.permits.add_permits(2);
    };
    let (one, two, ()) = tokio::join!(
        post(&heroku, &path, "{}"),
        post(&heroku, &path, "{}"),
        permit
    );
    assert_eq!((one.status, two.status), (200, 200));
    let vars = get(&heroku, CONFIG_VARS).await.json();
    assert_eq!(vars["DATABASE_URL"], owner.url());
    assert!(owner.url().contains("canary2"));
}

#[tokio::test]
async fn rotation_goes_on_after_the_client_disconnects() {
    let heroku = guestbook().await;
    let owner = GatedOwner::set(&heroku, 0);
    let path = default_rotation(&heroku).await;
    let started = async {
        let started = owner.started.acquire().await;
        started.expect("it is open").forget();
    };
    tokio::select! {
        response = post(&heroku, &path, "{}") => panic!("an response: {response:?}"),
        () = started => {}
    }
    // Stopping the server ends the request at the latest.
    let state = heroku.state.clone();
    heroku.stop().await;
    owner.permits.add_permits(1);
    drop(state.lock_rotations().await);
    let account = state.account();
    assert_eq!(account.addons[0].url.expose_secret(), owner.url());
    assert!(owner.url().contains("canary1"));
}
