//! Deploys that were interrupted, and two at a time.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stagelink_local::api::{Failure, Fault};
use stagelink_local::netlify_api::DeployState;
use stagelink_tests::{assert_all_end, descendants_with, server};
use tokio::process::Child;
use tokio::time::sleep;

use super::{Scene, leases, outcomes};

#[tokio::test]
async fn killed_deploy_is_gone_on_with_by_the_next_run() {
    let scene = Scene::new().await;
    let mut child = start_hanging(&scene).await;
    let first = scene.deploys().pop().expect("a deploy");
    // Another command waits for the end of the lease.
    let run = scene.deploy(&["staging", "--yes"]).await;
    assert_eq!(run.code, Some(1));
    assert!(
        run.errors
            .contains("is being changed by `stagelink deploy`"),
        "{}",
        run.errors
    );
    child.kill().await.expect("it is killed");
    let staging = &scene.project.staging;
    assert_eq!(outcomes(staging).await, ["deploy  {}"]);
    expire(&scene).await;

    scene.project.netlify.control().clear_faults();
    scene.deploy(&["staging", "--yes"]).await.succeeds();
    let deploys = scene.deploys();
    assert_eq!(deploys.len(), 1, "{deploys:?}");
    assert_eq!(
        (&deploys[0].id, deploys[0].state),
        (&first.id, DeployState::Ready)
    );
    assert_eq!(outcomes(staging).await, ["deploy succeeded {1}"]);
    assert_eq!(leases(staging).await, 0);
    assert!(scene.key_of(&first.id).is_some());
}

#[tokio::test]
async fn deploy_of_another_artifact_cancels_the_one_that_was_interrupted() {
    let scene = Scene::new().await;
    let mut child = start_hanging(&scene).await;
    child.kill().await.expect("it is killed");
    expire(&scene).await;
    scene.project.netlify.control().clear_faults();
    scene.write("public/index.html", "another page");
    // One that cannot be cancelled might become public after the new one. It asks for more time than is waited for.
    let busy = Failure::Status {
        status: 503,
        retry_after: Some(Duration::from_secs(600)),
    };
    let busy = Fault::new(busy).on("POST", "/api/v1/deploys/*/cancel");
    scene.project.netlify.control().inject(busy);
    let run = scene.deploy(&["staging", "--yes"]).await;
    assert_eq!(run.code, Some(1));
    assert!(
        run.errors.contains("may become public after that"),
        "{}",
        run.errors
    );
    assert_eq!(scene.deploys().len(), 1);
    expire(&scene).await;
    scene.project.netlify.control().clear_faults();
    scene.deploy(&["staging", "--yes"]).await.succeeds();
    let deploys = scene.deploys();
    let states: Vec<_> = deploys.iter().map(|deploy| deploy.state).collect();
    assert_eq!(states, [DeployState::Cancelled, DeployState::Ready]);
    assert_eq!(deploys[1].files["index.html"], "another page");
    let outcomes = outcomes(&scene.project.staging).await;
    assert_eq!(outcomes, ["deploy aborted {}", "deploy succeeded {}"]);
}

#[tokio::test]
async fn deploy_that_a_signal_stops_as_it_builds_says_that_nothing_was_changed() {
    let scene = Scene::new().await;
    let slow = "fn main() { std::thread::sleep(std::time::Duration::from_secs(600)); }\n";
    scene.write("functions/hello/build.rs", slow);
    let mut command = scene.project.command(&["deploy", "staging", "--yes"]).await;
    let own = scene.project.folder.path().join("own-target");
    let child = command
        .env("CARGO_TARGET_DIR", own)
        .spawn()
        .expect("it starts");
    let id = i32::try_from(child.id().expect("it runs")).expect("a process id");
    let family = descendants_with(id, "build-script-build").await;
    kill(Pid::from_raw(id), Signal::SIGTERM).expect("a signal");
    let output = child.wait_with_output().await.expect("it ends");
    assert_all_end(&family).await;
    assert_eq!(output.status.code(), Some(143));
    let told = String::from_utf8_lossy(&output.stderr);
    let stopped = "the deploy was stopped by SIGTERM: it had changed nothing yet";
    assert!(
        told.contains(stopped) && !told.contains("--abort"),
        "{told}"
    );
    assert!(scene.deploys().is_empty());
}

#[tokio::test]
async fn deploy_is_taken_back_also_while_it_runs() {
    let scene = Scene::new().await;
    let run = scene.deploy(&["staging", "--abort"]).await;
    run.succeeds();
    assert!(
        run.output.contains("no deploy to staging is unfinished"),
        "{}",
        run.output
    );
    let mut child = start_hanging(&scene).await;
    let run = scene.deploy(&["staging", "--abort", "--json"]).await;
    run.succeeds();
    let done = run.json()["done"].to_string();
    for part in ["is cancelled", "V1__notes stays applied", "is given back"] {
        assert!(done.contains(part), "{part}: {done}");
    }
    assert_eq!(scene.deploys()[0].state, DeployState::Cancelled);
    let staging = &scene.project.staging;
    assert_eq!(outcomes(staging).await, ["deploy aborted {1}"]);
    assert_eq!(leases(staging).await, 0);
    child.kill().await.expect("it is killed");
    scene.project.netlify.control().clear_faults();
    scene.deploy(&["staging", "--yes"]).await.succeeds();
}

#[tokio::test]
async fn signal_ends_the_command() {
    let scene = Scene::new().await;
    let child = start_hanging(&scene).await;
    let id = i32::try_from(child.id().expect("it runs")).expect("an id");
    // The first one waits a moment for the answer to the upload.
    for _ in 0..2 {
        kill(Pid::from_raw(id), Signal::SIGTERM).expect("it gets the signal");
        sleep(Duration::from_millis(200)).await;
    }
    let output = child.wait_with_output().await.expect("it ends");
    assert_eq!(output.status.code(), Some(143));
    let told = String::from_utf8_lossy(&output.stderr);
    for part in [
        "the deploy was stopped by SIGTERM: run the same command again",
        "  the lease on stage staging holds until ",
        "since a call that changes something was under way, whose result is not known",
        "  no deploy is live",
        "in the step `deploy`: it runs, or was killed a moment ago",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(leases(&scene.project.staging).await, 1);
    assert_eq!(scene.deploys()[0].state, DeployState::Prepared);
}

/// Starts a deploy whose upload of the function has no answer, and waits until it hangs.
async fn start_hanging(scene: &Scene) -> Child {
    let hang = Fault::new(Failure::Hang).on("PUT", "/api/v1/deploys/*/functions/hello");
    scene.project.netlify.control().inject(hang);
    let words = ["deploy", "--no-build", "--no-test", "staging", "--yes"];
    let mut command = scene.project.command(&words).await;
    let mut child = command.spawn().expect("it starts");
    while scene.requests("PUT", "/functions/hello") == 0 {
        assert_eq!(child.try_wait().expect("it is known"), None, "it ended");
        sleep(Duration::from_millis(50)).await;
    }
    child
}

/// Lets the lease end by the server's clock.
async fn expire(scene: &Scene) {
    let sql = "UPDATE stagelink_leases SET expires_at = clock_timestamp() - interval '1 s'";
    let staging = &scene.project.staging;
    let client = server().await.connect_as_superuser_to(staging).await;
    let expired = client.expect("a superuser").execute(sql, &[]).await;
    assert_eq!(expired.expect("it is written"), 1);
}
