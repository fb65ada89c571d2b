//! What the data API does through the owner of the databases.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::{Access, DatabaseOwner, Heroku, LiveFacts, OwnerFuture};
use super::{Answer, CONFIG_VARS, URL, get, guestbook, send};
use crate::{Error, ErrorKind};

/// An owner who knows the connections alone, and whose rotations wait for a permit.
struct Owner {
    url: Mutex<String>,
    rotations: AtomicU32,
    begun: Semaphore,
    permits: Semaphore,
}

impl Owner {
    /// Gives the account an owner who permits this many rotations.
    fn of(heroku: &Heroku, permits: usize) -> Arc<Self> {
        let owner = Arc::new(Self {
            url: Mutex::new(URL.to_owned()),
            rotations: AtomicU32::new(0),
            begun: Semaphore::new(0),
            permits: Semaphore::new(permits),
        });
        heroku.set_database_owner(owner.clone());
        owner
    }

    fn url(&self) -> String {
        self.url.lock().unwrap().clone()
    }
}

impl DatabaseOwner for Owner {
    fn facts<'a>(&'a self, url: &'a str) -> OwnerFuture<'a, LiveFacts> {
        assert_eq!(url, URL);
        Box::pin(async {
            LiveFacts {
                connections: Some((3, 20)),
                ..LiveFacts::default()
            }
        })
    }

    fn rotate<'a>(&'a self, url: &'a str) -> OwnerFuture<'a, Result<String, Error>> {
        Box::pin(async move {
            assert_eq!(url, self.url(), "the url that the last rotation told");
            self.begun.add_permits(1);
            self.permits.acquire().await.expect("it is open").forget();
            let number = self.rotations.fetch_add(1, Ordering::Relaxed) + 1;
            let rotated = URL.replace("canary", &format!("canary{number}"));
            *self.url.lock().unwrap() = rotated.clone();
            Ok(rotated)
        })
    }
}

struct Failing;

impl DatabaseOwner for Failing {
    fn facts<'a>(&'a self, _: &'a str) -> OwnerFuture<'a, LiveFacts> {
        Box::pin(async { LiveFacts::default() })
    }

    fn rotate<'a>(&'a self, _: &'a str) -> OwnerFuture<'a, Result<String, Error>> {
        let error = Error::new(ErrorKind::Process, "could not reach the server");
        Box::pin(async { Err(error.because("canary")) })
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

async fn post(heroku: &Heroku, path: &str, body: &str) -> Answer {
    let json = [("content-type", "application/json")];
    send(heroku, "POST", path, &json, body)
        .await
        .expect("an answer")
}

async fn releases(heroku: &Heroku) -> usize {
    let releases = get(heroku, "/apps/guestbook-staging/releases").await;
    releases.json().as_array().expect("a list").len()
}

#[tokio::test]
async fn database_info_has_lines_only_for_what_is_known() {
    let heroku = guestbook().await;
    let path = format!("/client/v11/databases/{}", addon(&heroku).await);
    let line = |info: &Value, name: &str| {
        let lines = info["info"].as_array().expect("lines").clone();
        lines.into_iter().find(|line| line["name"] == name)
    };
    let info = get(&heroku, &path).await.json();
    assert!(line(&info, "Plan").is_some());
    assert_eq!(line(&info, "Connections"), None);
    Owner::of(&heroku, 0);
    let info = get(&heroku, &path).await.json();
    let connections = line(&info, "Connections").expect("a line");
    assert_eq!(connections["values"], json!(["3/20"]));
    assert_eq!(line(&info, "PG Version"), None);
}

#[tokio::test]
async fn rotation_changes_config_var_and_credential_with_a_release() {
    let heroku = guestbook().await;
    let owner = Owner::of(&heroku, 3);
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
        let answer = post(&heroku, path, body).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})), "{path}");
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
async fn rotation_that_is_refused_changes_nothing() {
    let heroku = guestbook().await;
    let good = default_rotation(&heroku).await;
    let before = releases(&heroku).await;
    let answer = post(&heroku, &good, "{}").await;
    assert_eq!(answer.error(), (501, "not_implemented".to_owned()));

    let owner = Owner::of(&heroku, 9);
    let named = good.replace("default", "analyst");
    let nowhere = good.replace(&addon(&heroku).await, "nope");
    for (path, body, error) in [
        (&named, "{}", (404, "not_found")),
        (&nowhere, "{}", (404, "not_found")),
        (&good, "", (400, "bad_request")),
        (&good, r#"{"forced":"yes"}"#, (400, "bad_request")),
    ] {
        let answer = post(&heroku, path, body).await;
        assert_eq!(
            answer.error(),
            (error.0, error.1.to_owned()),
            "{path} {body}"
        );
    }
    let other = Access::Apps(vec!["guestbook-production".to_owned()]);
    let token = format!("Bearer {}", heroku.create_token(&other).expect("a token"));
    for path in [&good, &named] {
        let answer = send(&heroku, "POST", path, &[("authorization", &token)], "{}").await;
        assert_eq!(answer.expect("an answer").error().0, 403, "{path}");
    }
    assert_eq!(owner.rotations.load(Ordering::Relaxed), 0);
    assert_eq!(releases(&heroku).await, before);
}

#[tokio::test]
async fn rotation_that_fails_says_why_without_the_cause_and_leaves_the_url() {
    let heroku = guestbook().await;
    heroku.set_database_owner(Arc::new(Failing));
    let path = default_rotation(&heroku).await;
    let answer = post(&heroku, &path, "{}").await;
    assert_eq!(answer.error(), (500, "internal_server_error".to_owned()));
    assert_eq!(answer.json()["message"], "could not reach the server");
    assert_eq!(get(&heroku, CONFIG_VARS).await.json()["DATABASE_URL"], URL);
}

#[tokio::test]
async fn rotations_at_the_same_time_follow_one_another() {
    let heroku = guestbook().await;
    let owner = Owner::of(&heroku, 0);
    let path = default_rotation(&heroku).await;
    let permit = async {
        let begun = owner.begun.acquire().await;
        begun.expect("it is open").forget();
        assert_eq!(owner.begun.available_permits(), 0, "one at a time");
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
async fn rotation_goes_on_when_nobody_waits_for_its_answer() {
    let heroku = guestbook().await;
    let owner = Owner::of(&heroku, 0);
    let path = default_rotation(&heroku).await;
    let begun = async {
        let begun = owner.begun.acquire().await;
        begun.expect("it is open").forget();
    };
    tokio::select! {
        answer = post(&heroku, &path, "{}") => panic!("an answer: {answer:?}"),
        () = begun => {}
    }
    // What is asked ends with the server, at the latest.
    let shared = heroku.shared.clone();
    heroku.stop().await;
    owner.permits.add_permits(1);
    drop(shared.rotation().await);
    let cloud = shared.cloud();
    assert_eq!(cloud.addons[0].url.secret(), owner.url());
    assert!(owner.url().contains("canary1"));
}
