//! The requests that the board refuses, and the options of its port.

use std::net::TcpListener;

use stagelink_tests::send;

use super::{key, project};
use crate::dev::Dev;

#[tokio::test(flavor = "multi_thread")]
async fn board_answers_its_own_page_with_its_key_alone() {
    let project = project();
    let dev = Dev::start(&["--project", project.path()]).await;
    let (base, _) = dev.board().split_once("/#").expect("an address");
    let bearer = format!("Bearer {}", key(&dev));
    let own = ("authorization", bearer.as_str());
    let json = ("content-type", "application/json");
    let clear = "/api/faults/clear";

    // The files of the page are for all of this machine, and hold nothing of the project.
    let page = send("GET", &format!("{base}/"), &[], "").await;
    assert_eq!(page.status.as_u16(), 200);
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"));
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
    assert!(!page.text().contains("shop") && !page.text().contains("<script>"));

    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let body = if method == "POST" { "{}" } else { "" };
        send(method, &format!("{base}{path}"), headers, body)
            .await
            .status
            .as_u16()
    };
    assert_eq!(ask("POST", clear, &[own, json]).await, 200);
    for wrong in ["", "Bearer ", "Bearer x", key(&dev)] {
        let headers = [("authorization", wrong), json];
        assert_eq!(ask("POST", clear, &headers).await, 401, "{wrong}");
        assert_eq!(ask("GET", "/api/events", &headers).await, 401, "{wrong}");
    }
    for path in ["/api/events", "/api/requests/x", "/api/plans", "/api/none"] {
        assert!(
            [401, 404, 405].contains(&ask("GET", path, &[]).await),
            "{path}"
        );
    }
    // With the key, as from another page, another port of this machine, and another name for it.
    let site = dev.stage("production")["url"].as_str().expect("a URL");
    for foreign in [
        ("origin", "https://evil.example"),
        ("origin", site),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("host", "evil.example"),
    ] {
        for (method, path) in [("POST", clear), ("GET", "/api/events"), ("GET", "/main.js")] {
            let status = ask(method, path, &[own, json, foreign]).await;
            assert_eq!(status, 403, "{path} {foreign:?}");
        }
    }
    let port = base.rsplit(':').next().expect("a port");
    let renamed = format!("http://evil.localhost:{port}/main.js");
    assert_eq!(send("GET", &renamed, &[own], "").await.status.as_u16(), 403);
    // A form of another page can send no JSON.
    let plain = [own, ("content-type", "text/plain")];
    assert_eq!(ask("POST", clear, &plain).await, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn port_of_the_board_is_chosen_and_there_may_be_none() {
    let project = project();
    // Another program may take the port meanwhile.
    let mut tries = 0..5;
    let (dev, port) = loop {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("an address").port().to_string();
        drop(taken);
        let arguments = ["--project", project.path(), "--board-port", &port];
        match Dev::try_start(&arguments).await {
            Ok(dev) => break (dev, port),
            Err(errors) => {
                let is_taken = errors.contains(&format!("another program has port {port}"));
                assert!(is_taken && tries.next().is_some(), "{errors}");
            }
        }
    };
    let start = format!("http://127.0.0.1:{port}/#");
    assert!(dev.board().starts_with(&start), "{}", dev.board());
    drop(dev);
    let dev = Dev::start(&["--project", project.path(), "--no-board"]).await;
    assert!(dev.summary()["board"].is_null());
}
