//! What a process leaves behind that is killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::unistd::Pid;
use tokio::time::sleep;

use super::in_docker::{container, docker, image};
use super::{eventually, installed, is_gone, open_directory, traces};
use crate::{Options, Progress, Server};

/// Of [`child_process`]: the source and the directory to keep, if any.
const CHILD: [&str; 2] = ["STAGELINK_TEST_CHILD_SOURCE", "STAGELINK_TEST_CHILD_DATA"];

/// Not a test of its own: the process that other tests start in order to kill it.
#[tokio::test]
async fn child_process() {
    let [Ok(source), Ok(data)] = CHILD.map(std::env::var) else {
        return;
    };
    let server = Server::start(Options {
        source: source.parse().unwrap(),
        data: (!data.is_empty()).then(|| data.into()),
        progress: Progress::from(|what: &str| println!("\ntold: {what}")),
        ..Options::default()
    })
    .await
    .unwrap();
    if source.starts_with("docker") {
        println!("\nready: {}", server.port());
    } else {
        let (data, pid) = traces(&server).await;
        println!("\nready: {pid} {}", data.display());
    }
    std::future::pending::<()>().await;
}

/// Starts the child; returns it with the first line it says that starts with `word`.
fn child(source: &str, data: &str, temporary: &Path, word: &str) -> (Child, String) {
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::child_process");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([&test, "--exact", "--nocapture"])
        .envs([(CHILD[0], source), (CHILD[1], data)])
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix(word).map(str::to_owned));
    (child, said.expect("it says the word"))
}

#[tokio::test]
async fn process_killed_leaves_no_server_and_no_directory() {
    let temporary = open_directory();
    let (mut child, said) = child("local", "", temporary.path(), "ready: ");
    let (pid, data) = said.split_once(' ').unwrap();
    let pid = Pid::from_raw(pid.parse().unwrap());
    assert!(Path::new(data).starts_with(temporary.path()), "{data}");
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("server and directory are gone", || {
        is_gone(pid) && temporary.path().read_dir().unwrap().count() == 0
    })
    .await;
}

#[tokio::test]
async fn process_killed_while_it_starts_leaves_no_directory() {
    for delay_ms in [0, 20, 60, 100, 140] {
        let temporary = open_directory();
        let (mut child, _) = child("local", "", temporary.path(), "told: starting");
        // Not to wait for anything, but to be killed at different steps.
        sleep(Duration::from_millis(delay_ms)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        eventually("the directory is gone", || {
            temporary.path().read_dir().unwrap().count() == 0
        })
        .await;
    }
}

#[tokio::test]
async fn process_killed_keeps_the_data_it_was_to_keep() {
    let (temporary, home) = (open_directory(), open_directory());
    let kept = home.path().to_str().unwrap();
    let (mut child, said) = child("local", kept, temporary.path(), "ready: ");
    child.kill().unwrap();
    child.wait().unwrap();

    let next = Server::start(Options {
        data: Some(kept.into()),
        ..installed()
    })
    .await
    .unwrap();
    let (data, _) = traces(&next).await;
    assert!(said.ends_with(data.to_str().unwrap()), "{said}");
    next.stop().await.unwrap();
}

#[tokio::test]
async fn process_killed_leaves_no_container() {
    if docker(&["image", "inspect", &image()]).is_none() {
        // That this is said is tested where servers in Docker are.
        return;
    }
    let temporary = open_directory();
    let source = format!("docker:{}", image());
    let (mut child, port) = child(&source, "", temporary.path(), "ready: ");
    let (id, _) = container(port.parse().unwrap());
    assert!(!id.is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("container and directory are gone", || {
        docker(&["inspect", &id]).is_none() && temporary.path().read_dir().unwrap().count() == 0
    })
    .await;
}
