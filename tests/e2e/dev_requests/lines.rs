//! The line of a request in `stagelink dev`, for people, and the port of each stage.

use stagelink_tests::{SmallProject, send};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{project, start};

#[tokio::test]
async fn request_is_one_line_with_its_log_lines_and_no_noise() {
    let project = project();
    let (mut dev, table) = start(&project, &[], true).await;
    assert!(
        table.contains("schedule of hello in stage production (UTC): @monthly, next 20"),
        "{table}"
    );
    dev.line_with("the schedule of gone runs nothing").await;
    // The port of staging alone, by a name that each program resolves.
    let at = table.split("http://localhost:").nth(1).expect("a port");
    let port: String = at.chars().take_while(char::is_ascii_digit).collect();
    let url = format!("http://127.0.0.1:{port}/.netlify/functions/hello");
    let answer = send("POST", &format!("{url}/a%1b?key=s3cret"), &[], "x").await;
    assert_eq!(answer.status, 201);
    let id = answer.header("x-nf-request-id");
    let id = &id[id.len() - 6..];

    let line = dev.line_with("POST").await;
    assert!(
        !line.contains("s3cret") && !line.contains('\u{1b}'),
        "{line:?}"
    );
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[1..3], ["staging", "POST"], "{line}");
    assert_eq!(
        words[3..5],
        ["/.netlify/functions/hello/a%1b", "201"],
        "{line}"
    );
    assert!(line.contains("  cold ") && line.ends_with(id), "{line}");
    // Not reported is not zero.
    assert!(!line.contains("database"), "{line}");
    let starting = dev.line_with("").await;
    assert_eq!(starting.trim(), format!("{id} starting"));
    let own = dev.line_with("").await;
    assert_eq!(own.trim(), format!("{id} INFO hello: own\\u{{1b}}[2Jline"));

    // The noise in between is left out.
    send("POST", &url, &[], "break").await;
    let lines = dev.lines_to(" 502 ").await;
    let is_noise = |line: &String| line.contains("noise") || line.contains("END RequestId");
    assert!(!lines.iter().any(is_noise), "{lines:?}");
    let failed = lines.last().expect("a line");
    assert!(words_of(failed).contains(" warm Broken "), "{lines:?}");
    dev.line_with("Error: Broken").await;
    // The page of a file has no function.
    send("GET", &format!("http://localhost:{port}/"), &[], "").await;
    let file = dev.line_with("GET").await;
    assert!(!file.contains("warm") && file.contains(" 200 "), "{file}");
    // Other names lead nowhere at this port.
    let other = send("GET", &format!("http://other.localhost:{port}/"), &[], "").await;
    assert_eq!(other.status, 404);
}

/// A project whose function reports phases, and is slow when it is told to be.
fn project_with_phases() -> SmallProject {
    SmallProject::with(&[
        ("netlify.toml", "[build]\npublish = \"public\"\n"),
        ("public/index.html", "home\n"),
        (
            "functions/hello/src/main.rs",
            include_str!("../board/notes/main.rs"),
        ),
    ])
}

/// Returns the address of the function at staging's own port.
fn function_at(table: &str) -> String {
    let at = table.split("http://localhost:").nth(1).expect("a port");
    let port: String = at.chars().take_while(char::is_ascii_digit).collect();
    format!("http://127.0.0.1:{port}/.netlify/functions/hello")
}

#[tokio::test]
async fn line_of_a_request_has_its_time_with_the_database_and_its_connection() {
    let project = project_with_phases();
    let (mut dev, table) = start(&project, &[], true).await;
    let url = function_at(&table);
    send("GET", &url, &[], "").await;
    let line = dev.line_with(" 200 ").await;
    assert!(
        words_of(&line).contains(" database 21 ms in 1 round trip "),
        "{line}"
    );
    let line = dev.line_with("a connection").await;
    let phases = "credentials 6.3 ms, tcp 0.2 ms, tls 9.7 ms, login 9.4 ms";
    assert!(
        line.ends_with(&format!("opened a connection: {phases}")),
        "{line}"
    );
    send("GET", &format!("{url}/stall"), &[], "").await;
    let line = dev.line_with("opened no connection").await;
    assert!(
        line.ends_with("tcp 0.2 ms, tls 40 ms without an end"),
        "{line}"
    );

    // A stream is noted once, since Netlify is not known to do it.
    for _ in 0..2 {
        let streamed = send("GET", &format!("{url}/stream"), &[], "").await;
        assert_eq!(streamed.text(), "streamed");
    }
    let line = dev.line_with("streams its response").await;
    assert!(
        line.starts_with("  ! hello streams its response") && line.contains("netlify.md"),
        "{line}"
    );

    // One that takes more than a second has a line before its end, and so has its log.
    let slow = tokio::spawn({
        let url = format!("{url}/slow");
        async move { send("GET", &url, &[], "").await }
    });
    let line = dev.line_with("… it runs").await;
    assert!(line.contains("/.netlify/functions/hello/slow"), "{line}");
    dev.line_with("INFO notes: a line of the function").await;
    let line = dev.line_with("/slow").await;
    assert!(line.contains(" 200 "), "{line}");
    slow.await.expect("an answer");

    // A client that does not wait.
    let mut stream = TcpStream::connect(url.split('/').nth(2).expect("an address"))
        .await
        .expect("a stream");
    let head = "GET /.netlify/functions/hello/slow HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("a request");
    dev.line_with("… it runs").await;
    drop(stream);
    let line = dev.line_with("/slow").await;
    assert!(words_of(&line).contains(" gone "), "{line}");
}

#[tokio::test]
async fn verbose_log_has_the_lines_of_the_runtime() {
    for (arguments, shows) in [(&["-v"][..], true), (&[], false)] {
        let project = project_with_phases();
        let (mut dev, table) = start(&project, arguments, true).await;
        send("GET", &function_at(&table), &[], "").await;
        dev.line_with(" 200 ").await;
        let mut lines = Vec::new();
        loop {
            let line = dev
                .lines
                .next_line()
                .await
                .expect("output")
                .expect("a line");
            let is_last = line.contains("a line of the function");
            lines.push(line);
            if is_last {
                break;
            }
        }
        let has_start = lines.iter().any(|line| line.contains("START RequestId: "));
        assert_eq!(has_start, shows, "{lines:?}");
        // The whole line, with the spans that repeat the request's id.
        let own = lines.last().expect("a line");
        assert_eq!(own.contains("requestId="), shows, "{own}");
    }
}

/// Returns a line with one space between its words, without the widths of its columns.
fn words_of(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
