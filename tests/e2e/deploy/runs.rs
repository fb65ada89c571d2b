//! Deploys that go well, and those that Netlify does not take.

use std::time::Duration;

use stagelink_local::api::{Failure, Fault};
use stagelink_local::netlify_api::{Context, DeployState};

use super::{Scene, leases, outcomes, rows};
use crate::status::{Run, branch};

#[tokio::test]
async fn project_is_deployed_to_its_stage_after_the_migrations() {
    let scene = Scene::new().await;
    let run = scene.deploy(&["staging", "--yes"]).await;
    run.succeeds();
    for part in [
        "site shop-site, context branch:staging: a deploy of stage staging",
        "functions: hello",
        "V1__notes.sql",
        "https://staging--shop-site.netlify.app",
    ] {
        assert!(run.output.contains(part), "{part}: {}", run.output);
    }
    let deploys = scene.deploys();
    let [deploy] = deploys.as_slice() else {
        panic!("one deploy: {deploys:?}");
    };
    assert_eq!(deploy.context, branch("staging"));
    assert_eq!(deploy.state, DeployState::Ready);
    let files: Vec<_> = deploy.files.keys().map(String::as_str).collect();
    let expected = [
        ".well-known/stagelink.json",
        "_redirects",
        "index.html",
        "netlify.toml",
    ];
    assert_eq!(files, expected);
    let record = serde_json::from_slice(&deploy.files[".well-known/stagelink.json"]);
    let record: serde_json::Value = record.expect("JSON");
    let digest = record["digest"].as_str().expect("a digest");
    let title = format!("stagelink deploy {} to staging", &digest[..12]);
    assert_eq!(deploy.title.as_deref(), Some(&*title));
    assert_eq!(record["commit"].as_str().map(str::len), Some(40));
    assert_eq!(record["dirty"], false);
    let hello = &record["content"]["functions"]["hello"];
    assert_eq!(hello["migrations"][0]["name"], "notes");
    let key = scene.key_of(&deploy.id).expect("a key");
    assert!(key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let staging = &scene.project.staging;
    assert_eq!(outcomes(staging).await, ["deploy succeeded {1}"]);
    assert_eq!(leases(staging).await, 0);
    assert!(rows(staging, "SELECT 'a' FROM notes").await.is_empty());

    // The same artifact again: nothing is uploaded, and nothing migrated.
    let uploads = scene.requests("PUT", "/functions/");
    let run = scene.deploy(&["staging", "--yes", "--json"]).await;
    run.succeeds();
    let report = run.json();
    assert_eq!(report["artifact"], digest);
    assert_eq!(report["previous"], *deploy.id);
    assert_eq!(report["result"]["applied"], serde_json::json!([]));
    assert_eq!(report["result"]["is_published"], true);
    assert_eq!(scene.requests("PUT", "/functions/"), uploads);
    let newest = scene.deploys().pop().expect("a deploy");
    assert_eq!(report["result"]["deploy"], *newest.id);
    assert_ne!(scene.key_of(&newest.id), Some(key));
}

#[tokio::test]
async fn deploy_of_production_is_published_unless_publishing_is_locked() {
    let scene = Scene::new().await;
    let run = scene.deploy(&["production", "--yes"]).await;
    run.succeeds();
    assert!(run.output.contains("`stagelink promote`"), "{}", run.output);
    let first = scene.deploys().pop().expect("a deploy");
    assert_eq!(first.context, Context::Production);
    let published = || scene.project.netlify.published_deploy("shop-site");
    assert_eq!(published().map(|deploy| deploy.id), Some(first.id.clone()));

    assert!(scene.project.netlify.set_lock(&first.id, true));
    let run = scene.deploy(&["production", "--yes"]).await;
    run.succeeds();
    assert!(
        run.output.contains("publishing is locked"),
        "{}",
        run.output
    );
    assert_eq!(published().map(|deploy| deploy.id), Some(first.id));
}

#[tokio::test]
async fn failed_upload_is_tried_again() {
    let scene = Scene::new().await;
    let netlify = scene.project.netlify.control();
    for failure in [
        Failure::Status {
            status: 429,
            retry_after: Some(Duration::from_secs(1)),
        },
        Failure::Disconnect,
    ] {
        let path = "/api/v1/deploys/*/functions/hello";
        netlify.inject(Fault::new(failure).on("PUT", path).times(1));
    }
    let lost = Fault::new(Failure::FailedAfterwards { status: 500 });
    netlify.inject(lost.on("POST", "/api/v1/sites/*/deploys").times(1));
    scene.deploy(&["staging", "--yes"]).await.succeeds();
    assert_eq!(scene.requests("PUT", "/functions/hello"), 3);
    assert_eq!(scene.deploys().len(), 1);
}

#[tokio::test]
async fn deploy_that_fails_is_cancelled_and_recorded() {
    let scene = Scene::new().await;
    let refusal = Failure::Status {
        status: 422,
        retry_after: None,
    };
    let path = "/api/v1/deploys/*/functions/hello";
    let netlify = &scene.project.netlify;
    netlify
        .control()
        .inject(Fault::new(refusal).on("PUT", path).times(1));
    let run = scene.deploy(&["staging", "--yes", "--json"]).await;
    assert_eq!(run.code, Some(1));
    let error = run.json();
    let text = error.to_string();
    for part in [
        "the migration before it stays applied",
        "could not upload the function hello",
        "refused it (422",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(scene.deploys()[0].state, DeployState::Cancelled);

    netlify.fail_next_deploy("Post-processing failed");
    let run = scene.deploy(&["staging", "--yes"]).await;
    assert_eq!(run.code, Some(1));
    let words = "(state error): Netlify says: Post-processing failed";
    assert!(run.errors.contains(words), "{}", run.errors);
    let staging = &scene.project.staging;
    assert_eq!(
        outcomes(staging).await,
        ["deploy failed {1}", "deploy failed {}"]
    );
    assert_eq!(leases(staging).await, 0);
    scene.deploy(&["staging", "--yes"]).await.succeeds();
}

#[tokio::test]
async fn local_clouds_are_deployed_to_without_a_question() {
    let scene = Scene::new().await;
    let project = &scene.project;
    project.name_local_clouds();
    let words = ["deploy", "--no-build", "--no-test", "staging", "--local"];
    project.run(&words).await.succeeds();
    let deploy = scene.deploys().pop().expect("a deploy");
    assert_eq!(deploy.state, DeployState::Ready);
    assert_eq!(outcomes(&project.staging).await, ["deploy succeeded {1}"]);
}

/// The program answers one event as a function does, without any library.
#[tokio::test]
async fn project_is_built_and_checked_first() {
    let scene = Scene::new().await;
    scene.write("functions/hello/src/main.rs", RUNTIME);
    scene.commit();
    let run = scene
        .project
        .run(&["deploy", "staging", "--no-test", "--yes"])
        .await;
    run.succeeds();
    assert!(run.errors.contains("check: hello"), "{}", run.errors);
    let deploy = scene.deploys().pop().expect("a deploy");
    let program = std::fs::read(scene.folder().join("dist/functions/hello"));
    let uploaded = deploy.functions["hello"].unpack().expect("an archive");
    assert!(uploaded["bootstrap"] == program.expect("a program"));
    // On the local clouds the first one says that this is no build of `stagelink dev`.
    let is_told = |run: &Run| {
        run.errors
            .contains("the functions are built anew, for release")
    };
    assert!(!is_told(&run), "{}", run.errors);
    scene.project.name_local_clouds();
    std::fs::remove_dir_all(scene.folder().join("dist")).expect("a folder");
    let words = ["deploy", "staging", "--no-test", "--local"];
    for is_first in [true, false] {
        let run = scene.project.run(&words).await;
        run.succeeds();
        assert_eq!(is_told(&run), is_first, "{}", run.errors);
    }
}

const RUNTIME: &str = r#"
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

fn send(request: String) -> String {
    let host = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let mut connection = TcpStream::connect(&host).unwrap();
    let request = request.replace("HOST", &host);
    connection.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    let _ = connection.read_to_string(&mut response);
    response
}

fn main() {
    loop {
        let next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: HOST\r\n\
                    connection: close\r\n\r\n";
        let event = send(next.to_owned());
        let name = "lambda-runtime-aws-request-id: ";
        let Some(at) = event.to_lowercase().find(name) else { return };
        let id = event[at + name.len()..].lines().next().unwrap();
        let body = "{\"statusCode\":200,\"headers\":{},\"body\":\"hello\"}";
        send(format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: HOST\r\n\
             connection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ));
    }
}
"#;
