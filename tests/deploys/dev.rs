//! `netlify dev`, before `stagelink dev`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use stagelink_tests::{root, send, stagelink_command};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::loopback::only;
use crate::project::Project;
use crate::tools;

#[test]
fn netlify_dev_shows_the_functions_of_stagelink_dev() {
    let test = async {
        let project = Project::new();
        let script = project.at("scripts/dev");
        fs::create_dir_all(project.at("scripts")).expect("a folder");
        let text = format!(
            "#!/bin/sh\ncd '{}'\nexec '{}' dev \"$@\"\n",
            root().display(),
            stagelink_command().await.display()
        );
        fs::write(&script, text).expect("a file");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a file");

        let mut command = Command::from(tools::command(project.path(), None));
        let mut netlify = command
            // Edge functions want Deno, which the CLI would fetch.
            .args(["dev", "--offline", "--internal-disable-edge-functions"])
            .env(
                "STAGELINK_POSTGRES",
                std::env::var("STAGELINK_POSTGRES").unwrap_or_default(),
            )
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("node runs");
        let group = netlify.id().expect("it runs");
        let group = Pid::from_raw(i32::try_from(group).expect("an id"));
        let mut lines = BufReader::new(netlify.stdout.take().expect("its output")).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.expect("its output") {
                println!("{line}");
                if line.contains("Local dev server ready") {
                    return;
                }
            }
            panic!("netlify dev ended");
        };
        timeout(PATIENCE, ready)
            .await
            .expect("netlify dev is ready");
        // Whoever writes more must not wait for a reader.
        let rest = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

        let site = "http://localhost:8888";
        let url = format!("{site}/api/guestbook");
        let json = [("content-type", "application/json")];
        let body = r#"{"name":"Ada","message":"through netlify dev"}"#;
        let made = send("POST", &url, &json, body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let read = send("GET", &format!("{url}?limit=1"), &[], "").await;
        assert_eq!(read.json()["entries"][0]["name"], "Ada", "{}", read.text());
        let health = send("GET", &format!("{site}/api/health"), &[], "").await;
        assert_eq!(
            health.json()["database"]["reachable"],
            true,
            "{}",
            health.text()
        );
        let page = send("GET", site, &[], "").await;
        assert!(page.text().contains("guestbook.js"), "{}", page.text());

        killpg(group, Signal::SIGINT).expect("it runs");
        let ended = timeout(PATIENCE, netlify.wait()).await;
        // What is left of the group, if anything is.
        let _ = killpg(group, Signal::SIGKILL);
        ended.expect("netlify dev ends").expect("its end");
        rest.abort();
    };
    only(
        "dev::netlify_dev_shows_the_functions_of_stagelink_dev",
        test,
    );
}

/// The functions may have to be built first.
const PATIENCE: Duration = Duration::from_secs(600);
