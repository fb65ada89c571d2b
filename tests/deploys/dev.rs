//! `netlify dev` in front of `stagelink dev`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use stagelink_tests::{functions, root, send, stagelink_command};

use crate::loopback::only;
use crate::project::Project;
use crate::server::Server;
use crate::tools;

#[test]
fn netlify_dev_proxies_to_stagelink_dev() {
    let test = async {
        let project = Project::new();
        // The CLI waits two minutes at most for the server behind it.
        functions().await;
        let script = project.at("scripts/dev");
        fs::create_dir_all(project.at("scripts")).expect("a folder");
        let text = format!(
            "#!/bin/sh\ncd '{}'\nexec '{}' dev \"$@\"\n",
            root().display(),
            stagelink_command().await.display()
        );
        fs::write(&script, text).expect("a file");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a file");

        let postgres = std::env::var("STAGELINK_POSTGRES").unwrap_or_default();
        let mut command = tools::command(project.path(), None);
        command
            // Edge functions need Deno, which the CLI would download.
            .args(["dev", "--offline", "--internal-disable-edge-functions"])
            .env("STAGELINK_POSTGRES", postgres);
        let netlify = Server::start(command, "server ready").await;

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

        netlify.stop().await;
    };
    only("dev::netlify_dev_proxies_to_stagelink_dev", test);
}
