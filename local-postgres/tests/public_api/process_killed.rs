//! Processes that are killed while they run a server.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use stagelink_local_postgres::{ErrorKind, Server, ServerOptions};
use tokio::time::sleep;

use super::docker::{container, docker, image};
use super::{directory_and_pid, eventually, has_ended, installed, open_directory};

/// Variables of [`child_process`]: the source, and the data directory or an empty text.
const CHILD: [&str; 2] = ["STAGELINK_TEST_CHILD_SOURCE", "STAGELINK_TEST_CHILD_DATA"];

/// Not a test: the process that other tests start and kill.
#[tokio::test]
async fn child_process() {
    let [Ok(source), Ok(data)] = CHILD.map(std::env::var) else {
        return;
    };
    let mut options = ServerOptions::new()
        .source(source.parse().unwrap())
        .on_progress(|message| println!("\nprogress: {message}"));
    if !data.is_empty() {
        options = options.data_directory(data);
    }
    let server = Server::start(options).await.unwrap();
    if source.starts_with("docker") {
        println!("\nready: {}", server.port());
    } else {
        let (data, pid) = directory_and_pid(&server).await;
        println!("\nready: {pid} {}", data.display());
    }
    std::future::pending::<()>().await;
}

/// Starts the child. Returns it with the rest of its first line that starts with `word`.
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
    let line = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix(word).map(str::to_owned));
    (child, line.expect("a line with the word"))
}

#[tokio::test]
async fn process_killed_leaves_no_server_and_no_directory() {
    let temporary = open_directory();
    let (mut child, line) = child("local", "", temporary.path(), "ready: ");
    let (pid, data) = line.split_once(' ').unwrap();
    let pid = Pid::from_raw(pid.parse().unwrap());
    assert!(Path::new(data).starts_with(temporary.path()), "{data}");
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("server and directory are gone", || {
        has_ended(pid) && temporary.path().read_dir().unwrap().count() == 0
    })
    .await;
}

#[tokio::test]
async fn process_killed_while_it_starts_leaves_no_directory() {
    for delay_ms in [0, 20, 60, 100, 140] {
        let temporary = open_directory();
        let (mut child, _) = child("local", "", temporary.path(), "progress: starting");
        // Not to wait for a condition, but to kill the child at different steps of the start.
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
async fn process_killed_leaves_the_kept_data() {
    let (temporary, home) = (open_directory(), open_directory());
    let kept = home.path().to_str().unwrap();
    let (mut child, line) = child("local", kept, temporary.path(), "ready: ");
    child.kill().unwrap();
    child.wait().unwrap();

    // The killed process's server writes its data first, which may take longer than a start waits for it.
    let deadline = Instant::now() + Duration::from_secs(60);
    let next = loop {
        match Server::start(installed().data_directory(kept)).await {
            Err(error) if error.kind() == ErrorKind::Input && Instant::now() < deadline => {}
            started => break started.unwrap(),
        }
    };
    let (data, _) = directory_and_pid(&next).await;
    assert!(line.ends_with(data.to_str().unwrap()), "{line}");
    next.stop().await.unwrap();
}

#[tokio::test]
async fn process_killed_leaves_no_container() {
    if docker(&["image", "inspect", &image()]).is_none() {
        // The tests of servers in Docker check that this is reported.
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
