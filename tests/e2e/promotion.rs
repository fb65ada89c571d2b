//! A promotion at the local Heroku: production runs what staging runs, on its own database, and loses
//! no request meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use stagelink_local::heroku::Heroku;
use stagelink_local::{Cloud, StagePromotion, StageSite};
use stagelink_tests::{Answer, Load, Plan, Target, functions, send, server, site};

/// Sends a request to the local Heroku and returns the response's JSON.
pub(crate) async fn ask_heroku(
    (url, key): (&str, &str),
    method: &str,
    path: &str,
    body: &str,
) -> Value {
    let token = format!("Bearer {key}");
    let headers = [
        ("accept", "application/vnd.heroku+json; version=3"),
        ("content-type", "application/json"),
        ("authorization", &token),
    ];
    let answer = send(method, &format!("{url}{path}"), &headers, body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json()
}

/// Promotes an app to another one as `heroku pipelines:promote` does, and returns the target when the
/// promotion is completed.
pub(crate) async fn promote(heroku: (&str, &str), source: &str, target: &str) -> Value {
    let get = async |path: String| ask_heroku(heroku, "GET", &path, "").await;
    let coupling = get(format!("/apps/{source}/pipeline-couplings")).await;
    let target = get(format!("/apps/{target}")).await["id"].clone();
    let body = json!({
        "pipeline": {"id": coupling["pipeline"]["id"]},
        "source": {"app": {"id": coupling["app"]["id"]}},
        "targets": [{"app": {"id": target}}],
    });
    let promotion = ask_heroku(heroku, "POST", "/pipeline-promotions", &body.to_string()).await;
    let id = promotion["id"].as_str().expect("an id");
    loop {
        let promotion = get(format!("/pipeline-promotions/{id}")).await;
        if promotion["status"] == "completed" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let targets = get(format!("/pipeline-promotions/{id}/promotion-targets")).await;
    targets[0].clone()
}

fn account(heroku: &Heroku) -> (&str, &str) {
    (heroku.url(), heroku.api_key())
}

fn stages(cloud: &Cloud) -> (&StageSite, &StageSite) {
    let [staging, production] = cloud.stages() else {
        panic!("two stages");
    };
    (staging, production)
}

/// Writes a program that runs another one, after a line of shell.
fn script(folder: &Path, name: &str, line: &str, program: &Path) -> PathBuf {
    let file = folder.join(name);
    let text = format!("#!/bin/sh\n{line}\nexec '{}'\n", program.display());
    fs::write(&file, text).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("permissions");
    file
}

async fn visitors(stage: &StageSite) -> Answer {
    // The program answers for paths that end in its own name.
    let path = "/.netlify/functions/visitors/guestbook";
    send("GET", &format!("{}{path}", stage.url()), &[], "").await
}

fn names(answer: &Answer) -> Vec<String> {
    let entries = answer.json()["entries"].take();
    let entries = entries.as_array().expect("entries").iter();
    let mut names: Vec<_> = entries
        .map(|entry| entry["name"].as_str().expect("a name").to_owned())
        .collect();
    names.dedup();
    names
}

fn executable(stage: &StageSite, function: &str) -> PathBuf {
    let function = stage.function(function).expect("the function");
    function.config().executable.clone()
}

#[tokio::test]
async fn promoted_functions_answer_on_their_own_database_and_no_request_is_lost() {
    let (cloud, record) = site().await;
    let (staging, production) = stages(&cloud);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&seen);
    cloud.on_promotion(move |promotion| events.lock().unwrap().push(promotion.clone()));
    let entry = json!({"name": "of staging", "message": "m"}).to_string();
    let url = format!("{}/api/guestbook", staging.url());
    let json = [("content-type", "application/json")];
    assert_eq!(send("POST", &url, &json, &entry).await.status, 201);

    // Other programs run in staging alone: the guestbook in another build, and a second function.
    let folder = tempfile::tempdir().expect("a folder");
    let built = functions().await;
    let guestbook = script(folder.path(), "guestbook", ":", &built["guestbook"]);
    let programs = BTreeMap::from([
        ("guestbook".to_owned(), guestbook),
        ("visitors".to_owned(), built["guestbook"].clone()),
    ]);
    let before = executable(production, "guestbook");
    assert_eq!(executable(staging, "guestbook"), before);
    cloud.deploy("staging", &programs).await.expect("a deploy");
    assert_eq!(names(&visitors(staging).await), ["of staging"]);
    assert_eq!(visitors(production).await.status, 404);
    assert_eq!(executable(production, "guestbook"), before);

    let target = Target::Site(production.url().to_owned());
    let load = Load::start(target, Plan::default());
    load.wait_for_answers(100).await;
    let old = production.function("guestbook").expect("the function");
    assert!(old.instance_count() > 0);
    let heroku = account(cloud.heroku());
    let promoted = promote(heroku, staging.app(), production.app()).await;
    assert_eq!(promoted["status"], "succeeded", "{}", record.text());
    load.wait_for_answers(100).await;
    let report = load.stop().await;
    println!("{report}");
    let database = server()
        .await
        .connect_as_superuser_to(&production.database())
        .await
        .expect("a connection");
    report.check(&database).await;
    assert!(report.failures().next().is_none(), "{report}");

    assert_eq!(
        executable(production, "guestbook"),
        executable(staging, "guestbook")
    );
    let of_production = visitors(production).await;
    assert_eq!(of_production.status, 200, "{}", record.text());
    assert!(
        names(&of_production)
            .iter()
            .all(|name| name.starts_with("load-"))
    );
    assert_eq!(names(&visitors(staging).await), ["of staging"]);
    assert!(production.function("health").is_none());
    // The old processes end after their last request.
    while old.instance_count() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let event = seen.lock().unwrap().pop().expect("an event");
    assert_eq!((&*event.from, &*event.to), ("staging", "production"));
    assert_eq!(event.functions, ["guestbook", "visitors"]);
    assert_eq!(event.error, None);
    cloud.stop().await;
}

#[tokio::test]
async fn promotion_of_functions_that_do_not_start_leaves_what_runs() {
    let (cloud, _record) = site().await;
    let (staging, production) = stages(&cloud);
    let seen = Arc::new(Mutex::new(Vec::<StagePromotion>::new()));
    let events = Arc::clone(&seen);
    cloud.on_promotion(move |promotion| events.lock().unwrap().push(promotion.clone()));
    let folder = tempfile::tempdir().expect("a folder");
    let line = "[ \"$STAGELINK_STAGE\" = staging ] || exit 7";
    let built = functions().await;
    let picky = script(folder.path(), "guestbook", line, &built["guestbook"]);
    let programs = BTreeMap::from([("guestbook".to_owned(), picky)]);
    cloud.deploy("staging", &programs).await.expect("a deploy");
    let heroku = account(cloud.heroku());
    let failed = promote(heroku, staging.app(), production.app()).await;
    assert_eq!(failed["status"], "failed");
    let error = "could not start the function guestbook: see its log";
    assert_eq!(failed["error_message"], error);
    let event = seen.lock().unwrap().pop().expect("an event");
    assert_eq!(event.error.as_deref(), Some(error));
    for path in ["guestbook", "health"] {
        let url = format!("{}/api/{path}", production.url());
        assert_eq!(send("GET", &url, &[], "").await.status, 200, "{path}");
    }
    // A deploy of such a program leaves what runs, too.
    let broken = script(folder.path(), "broken", "exit 7", &built["guestbook"]);
    let programs = BTreeMap::from([("guestbook".to_owned(), broken)]);
    let error = cloud
        .deploy("production", &programs)
        .await
        .expect_err("it does not start");
    assert_eq!(error.kind(), stagelink_local::ErrorKind::Process);
    let missing = cloud
        .deploy("qa", &programs)
        .await
        .expect_err("no such stage");
    assert_eq!(missing.kind(), stagelink_local::ErrorKind::Input);
    let url = format!("{}/api/guestbook", production.url());
    assert_eq!(send("GET", &url, &[], "").await.status, 200);
    cloud.stop().await;
}
