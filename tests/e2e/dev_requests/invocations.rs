//! Schedules and `stagelink invoke` in `stagelink dev`, and requests as objects for machines.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use stagelink_tests::SmallProject;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::{ECHO, NETLIFY, command, project, start};

#[tokio::test]
async fn schedule_of_each_minute_runs_by_the_clock_in_production_alone() {
    let project = project();
    project.write("netlify.toml", &NETLIFY.replace("@monthly", "* * * * *"));
    let (mut dev, _) = start(&project, &["--json"], false).await;
    let mut runs = Vec::new();
    // Two minutes have begun at the latest after 120 s.
    while runs.len() < 2 {
        let line = timeout(Duration::from_secs(130), dev.lines.next_line()).await;
        let line = line.expect("a line in time").expect("output");
        let object: Value = serde_json::from_str(&line.expect("more output")).expect("JSON");
        if object["type"] == "request" {
            runs.push(object);
        }
    }
    for run in &runs {
        assert_eq!(
            (&run["trigger"], &run["stage"], &run["status"]),
            (&json!("schedule"), &json!("production"), &json!(201)),
            "{run}"
        );
    }
    let minute = |run: &Value| run["time"].as_str().expect("a time")[..16].to_owned();
    assert_ne!(minute(&runs[0]), minute(&runs[1]), "{runs:?}");
}

#[tokio::test]
async fn scheduled_function_is_invoked_and_requests_are_objects_for_machines() {
    let project = project();
    let (mut dev, up) = start(&project, &["--json"], false).await;
    let up: Value = serde_json::from_str(&up).expect("an object");
    assert_eq!(up["type"], "started");
    assert_eq!(
        (
            &up["schedules"][1]["function"],
            &up["schedules"][1]["stage"]
        ),
        (&json!("hello"), &json!("production"))
    );
    let staging = &up["stages"][0];
    let at_port = staging["port_url"].as_str().expect("a URL");
    assert!(at_port.starts_with("http://localhost:") && staging["url"] != *at_port);
    let production = &up["stages"][1];
    assert_eq!(production["url"], production["port_url"]);

    let invoke = async |arguments: &[&str]| {
        let arguments = [&["invoke"], arguments].concat();
        let output = command(&project, &arguments).await.output().await;
        let output = output.expect("the command runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    // Its schedule's own request, as Netlify sends it.
    let (code, event, errors) = invoke(&["hello"]).await;
    assert_eq!(code, Some(0), "{errors}");
    let event: Value = serde_json::from_str(&event).expect("the event");
    assert_eq!(event["httpMethod"], "POST");
    assert_eq!(event["headers"]["x-nf-event"], "schedule");
    assert_eq!(event["headers"]["user-agent"], "Netlify Clockwork");
    let body = event["body"].as_str().expect("a body");
    assert!(
        body.starts_with("{\"next_run\":\"20") && body.ends_with("Z\"}"),
        "{body}"
    );
    let run = dev.object("request").await;
    assert_eq!(
        (
            &run["trigger"],
            &run["stage"],
            &run["status"],
            &run["start"]
        ),
        (
            &json!("invoke"),
            &json!("production"),
            &json!(201),
            &json!("cold")
        )
    );
    assert!(run["database"].is_null() && run["duration_ms"].is_f64());
    let lines = run["lines"].as_array().expect("lines");
    // Machines get the lines as they are.
    assert_eq!(lines[0]["line"], "starting");
    assert_eq!(lines.len(), 4, "{lines:?}");

    // An event of one's own, in another stage.
    project.write("event.json", r#"{"Records": [1]}"#);
    let arguments = [
        "hello",
        "--stage",
        "staging",
        "--data",
        "@event.json",
        "--json",
    ];
    let (code, reply, errors) = invoke(&arguments).await;
    assert_eq!(code, Some(0), "{errors}");
    let reply: Value = serde_json::from_str(&reply).expect("JSON");
    assert_eq!(reply["response"], json!({"Records": [1]}));
    assert_eq!(dev.object("request").await["id"], reply["id"]);
    let (code, _, errors) = invoke(&["hello", "--data", "{\"break\": 1}"]).await;
    assert!(code == Some(1) && errors.contains("Broken"), "{errors}");
    assert_eq!(dev.object("request").await["error"], "Broken");

    // Lambda would refuse it, too.
    project.write("large.json", &format!("\"{}\"", "a".repeat(20_000_000)));
    let (code, _, errors) = invoke(&["hello", "--data", "@large.json"]).await;
    let words = "the event is too large: it has 20000002 bytes, and Lambda accepts 6291556";
    assert!(code == Some(2) && errors.contains(words), "{errors}");

    for (arguments, words) in [
        (
            &["hallo"][..],
            "there is no function \"hallo\": there are hello",
        ),
        (
            &["hello", "--stage", "qa"],
            "there is no local stage \"qa\"",
        ),
        (&["hello", "--data", "{"], "the event of --data is no JSON"),
        (
            &["hello", "--data", "@none.json"],
            "could not read none.json",
        ),
        (
            &["hello", "--port", "1"],
            "no `stagelink dev` runs at port 1",
        ),
    ] {
        let (code, _, errors) = invoke(arguments).await;
        assert!(
            code == Some(2) && errors.contains(words),
            "{arguments:?}: {errors}"
        );
    }
}

#[tokio::test]
async fn function_without_a_schedule_is_invoked_with_a_sample_request_that_is_told() {
    let project = SmallProject::with(&[
        (
            "netlify.toml",
            "[build]\npublish = \"public\"\n[functions]\ndirectory = \"functions\"\n\
             [[redirects]]\nfrom = \"/api/*\"\nto = \"/.netlify/functions/:splat\"\nstatus = 200\n",
        ),
        ("public/index.html", "home\n"),
        ("functions/hello/src/main.rs", ECHO),
    ]);
    let (mut dev, _) = start(&project, &["--json"], false).await;
    let invoke = async |arguments: &[&str]| {
        let arguments = [&["invoke", "hello"], arguments].concat();
        let output = command(&project, &arguments).await.output().await;
        output.expect("the command runs")
    };
    let output = invoke(&[]).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let words = "without --data it got a sample request: GET /api/hello\n";
    assert!(errors.contains(words), "{errors}");
    let event: Value = serde_json::from_slice(&output.stdout).expect("the event");
    assert_eq!(event["httpMethod"], "GET");
    assert_eq!(event["path"], "/api/hello");
    let run = dev.object("request").await;
    let told = [&run["trigger"], &run["method"], &run["path"]];
    assert_eq!(told, ["invoke", "GET", "/api/hello"]);

    let output = invoke(&["--json"]).await;
    let reply: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(reply["sample"], "GET /api/hello");
    // An event of one's own, by standard input.
    let mut piped = command(&project, &["invoke", "hello", "--json", "--data", "-"]).await;
    piped.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut piped = piped.spawn().expect("the command starts");
    let mut stdin = piped.stdin.take().expect("its input");
    stdin
        .write_all(b"{\"Records\": [2]}")
        .await
        .expect("an event");
    drop(stdin);
    let output = piped.wait_with_output().await.expect("it ends");
    let reply: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(reply["response"], json!({ "Records": [2] }));
    assert_eq!(reply["sample"], Value::Null);
}
