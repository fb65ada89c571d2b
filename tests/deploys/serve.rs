//! `netlify functions:serve` with a function that is Rust source, and the same function deployed:
//! which requests reach the function unchanged, and which responses reach the client unchanged.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use serde_json::json;
use stagelink_tests::{Answer, send};

use crate::artifacts;
use crate::loopback::only;
use crate::project::link;
use crate::server::Server;
use crate::source::Source;
use crate::stages::Stages;
use crate::tools::{self, netlify};

/// Bytes that are no valid UTF-8: the first of a PNG.
const BYTES: &[u8] = &[0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0xff];

/// One test, since its three parts share the CLI's build.
#[test]
fn function_of_source_answers_offline_linked_and_deployed() {
    let test = async {
        let (stages, source) = (Stages::new().await, Source::new().await);

        // `--offline`: the CLI sends a null in the event's headers where the account's id should
        // be, which lambda_http alone rejects.
        let mut command = tools::command(source.path(), None);
        command.args(["functions:serve", "--offline"]);
        let served = serve(&stages, &source, command, false).await;
        served.stop().await;

        link(source.path(), &stages.site);
        let mut command = tools::command(source.path(), Some(&stages.netlify));
        command.arg("functions:serve");
        let served = serve(&stages, &source, command, true).await;
        served.stop().await;

        deployed(&stages, &source).await;
    };
    only(
        "serve::function_of_source_answers_offline_linked_and_deployed",
        test,
    );
}

/// Checks how the CLI's own functions server passes on requests and responses.
async fn serve(
    stages: &Stages,
    source: &Source,
    mut command: std::process::Command,
    is_linked: bool,
) -> Server {
    source.prepare(&mut command);
    command.envs(stages.variables("staging"));
    let server = Server::start(command, "server ready").await;
    let url = "http://localhost:9999/.netlify/functions/served";

    // The first response waits until the function is built.
    let report = answers(url, "staging").await;
    let account = report["account"].as_str().expect("the header");
    assert_eq!(!account.is_empty(), is_linked, "{report}");

    // The body arrives unchanged. The CLI passes on four members of the response, and
    // isBase64Encoded is none of them (runtimes/rust/index.js of 27.10.2), so the client
    // gets the base64 text that the function rightly wrote. A deployed function's client gets
    // bytes.
    let answer = send_bytes(url, BYTES).await;
    assert_eq!(answer.text(), BASE64_STANDARD.encode(BYTES));

    // The CLI passes the event as one argument of a command, which Linux limits to 128 KiB. So
    // bodies near the 6 MB of Netlify cannot be tested with it.
    let report = send("POST", url, &TEXT, "x".repeat(100_000)).await;
    assert_eq!(report.json()["bytes"], 100_000, "{}", report.status);
    let answer = send("POST", url, &TEXT, "x".repeat(200_000)).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.text().contains("E2BIG"), "{}", answer.text());
    // The CLI's own limit is lower.
    let answer = send("POST", url, &TEXT, "x".repeat(LIMIT + 1)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    server
}

/// Checks the program that the CLI has built and deployed.
async fn deployed(stages: &Stages, source: &Source) {
    std::fs::create_dir_all(source.at("dist")).expect("a folder");
    // With its debug information it would exceed Netlify's limit.
    let kept = ["rust_eh_personality"];
    artifacts::strip(&source.program(), &source.at("dist/served"), &kept);
    let arguments = [
        "deploy",
        "--no-build",
        "--dir",
        "public",
        "--functions",
        "dist",
        "--alias",
        "staging",
    ];
    let output = netlify(source.path(), Some(&stages.netlify), &arguments).await;
    stages.newest(&output);

    let hosting = stages.host().await;
    let site = hosting.url("staging--shop.localhost");
    let url = format!("{site}/.netlify/functions/served");
    answers(&url, "staging").await;
    let answer = send_bytes(&url, BYTES).await;
    assert_eq!(answer.body, BYTES);
    // The limit applies to the whole event and the whole response, not to the body alone.
    let report = send("POST", &url, &TEXT, "x".repeat(LIMIT - 10_000)).await;
    assert_eq!(report.status, StatusCode::OK, "{}", report.text());
    let answer = send("POST", &url, &TEXT, "x".repeat(LIMIT + 1)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    hosting.stop().await;
}

/// Checks the behaviour that every way of serving the function has in common.
async fn answers(url: &str, stage: &str) -> serde_json::Value {
    let answer = send("GET", &format!("{url}/names"), &[], "").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let expected = json!({ "stage": stage, "names": [stage] });
    assert_eq!(answer.json(), expected);

    let headers = [TEXT[0], ("cookie", "a=1; b=2")];
    let url = format!("{url}?tag=one&q=x%20y&tag=two");
    let answer = send("POST", &url, &headers, "naïve ☕").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["one=1; Path=/", "two=2; Path=/"]);
    let report = answer.json();
    assert_eq!(report["method"], "POST");
    assert_eq!(report["path"], "/.netlify/functions/served");
    assert_eq!(report["cookie"], "a=1; b=2");
    assert_eq!(report["body"], "naïve ☕");
    let mut query: Vec<_> = report["query"].as_array().expect("a list").clone();
    // The order of different names is arbitrary; the order of one name's values is kept.
    query.sort_by_key(|pair| pair[0].to_string());
    assert_eq!(
        json!(query),
        json!([["q", "x y"], ["tag", "one"], ["tag", "two"]])
    );
    report
}

/// Sends bytes that the function returns.
async fn send_bytes(url: &str, bytes: &[u8]) -> Answer {
    let headers = [("content-type", "application/octet-stream")];
    let answer = send("POST", &format!("{url}/bytes"), &headers, bytes).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let kind = answer.header("content-type");
    assert_eq!(kind, "application/octet-stream");
    answer
}

const TEXT: [(&str, &str); 1] = [("content-type", "text/plain; charset=utf-8")];

/// Netlify's limit in bytes.
const LIMIT: usize = 6 * 1024 * 1024;
