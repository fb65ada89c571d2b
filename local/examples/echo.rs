//! A function for the tests of the local Lambda: it tells what it sees, or
//! fails in the way that the event's path asks for.
//!
//! `PROBE_INIT` makes its INIT fail; `PROBE_RUNTIME` chooses a streamed answer,
//! a runtime for several events at once, or one written by hand. Where a path needs a partner, the query's
//! `gate` is the address of a socket that the test listens on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::{env, future, process};

use lambda_http::{Body, Error, Request, RequestExt, Response, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    match env::var("PROBE_INIT").as_deref() {
        Ok("exit") => {
            // About as much as a pipe holds, so that some of it is still there
            // when the process is gone.
            eprint!("{}no database", "a line before it\n".repeat(3800));
            process::exit(7);
        }
        Ok("hang") => future::pending().await,
        Ok("error") => {
            let error = r#"{"errorType":"Probe.NoDatabase","errorMessage":"canary"}"#;
            http("POST /2018-06-01/runtime/init/error", error)?;
            process::exit(1);
        }
        _ => {}
    }
    match env::var("PROBE_RUNTIME").as_deref() {
        Ok("by hand") => return by_hand(),
        Ok("streamed") => {
            let handler = |_| async {
                let response = Response::builder().status(201).header("x-probe", "yes");
                Ok::<_, Error>(response.body(Body::from("streamed"))?)
            };
            return lambda_http::run_with_streaming_response(service_fn(handler)).await;
        }
        Ok("concurrent") => return lambda_http::run_concurrent(service_fn(answer)).await,
        _ => {}
    }
    lambda_runtime::spawn_graceful_shutdown_handler(|| async { println!("closed its pool") }).await;
    lambda_http::run(service_fn(answer)).await
}

async fn answer(request: Request) -> Result<Value, Error> {
    let query = request.query_string_parameters();
    let gate = || TcpStream::connect(query.first("gate").unwrap_or_default());
    match request.uri().path() {
        "/error" => return Err("canary".into()),
        "/panic" => panic!("canary"),
        "/exit" => process::exit(3),
        "/abort" => process::abort(),
        "/sleep" => future::pending().await,
        "/big" => return Ok("x".repeat(7 * 1024 * 1024).into()),
        // Passes when the test opens the gate.
        "/gate" => {
            tokio::task::block_in_place(|| {
                let mut gate = gate()?;
                gate.write_all(query.first("label").unwrap_or("-").as_bytes())?;
                gate.read_exact(&mut [0])
            })?;
        }
        // Holds the gate as long as the process lives.
        "/hold" => std::mem::forget(gate()?),
        // Leaves a grandchild that holds the gate.
        "/fork" | "/fork/sleep" => {
            Command::new("sleep")
                .arg("600")
                .stdin(Stdio::from(OwnedFd::from(gate()?)))
                .spawn()?;
            if request.uri().path() == "/fork/sleep" {
                future::pending::<()>().await;
            }
        }
        // Ends when it is idle and the gate opens.
        "/exit/later" => {
            let mut gate = gate()?;
            std::thread::spawn(move || {
                let _ = gate.read_exact(&mut [0]);
                process::exit(0);
            });
        }
        _ => {}
    }
    let context = request.lambda_context();
    Ok(json!({
        "pid": process::id(),
        "request_id": context.request_id,
        "deadline_ms": context.deadline,
        "arn": context.invoked_function_arn,
        "trace_id": context.xray_trace_id,
        "env": env::vars().collect::<std::collections::BTreeMap<_, _>>(),
        "cwd": env::current_dir()?,
    }))
}

/// A runtime in a few lines, which does what a good one does not: it answers a
/// request that it never got, asks for an event while it has one, sends a wrong
/// invocation id, and ends between its answer and the next event.
fn by_hand() -> Result<(), Error> {
    let next = "GET /2018-06-01/runtime/invocation/next";
    let event = http(next, "")?;
    let header = |name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let request_id = header("lambda-runtime-aws-request-id:");
    let response = |id: &str| format!("POST /2018-06-01/runtime/invocation/{id}/response");
    let unknown = http(&response("never-sent"), "{}")?;
    let early = http(next, "")?;
    let stale = request(
        &response(&request_id),
        "lambda-runtime-invocation-id: another\r\n",
        "{}",
    )?;
    let answers = json!({
        "pid": process::id(), "unknown": unknown, "early": early, "stale": stale,
    });
    http(&response(&request_id), &answers.to_string())?;
    if let Ok(gate) = env::var("PROBE_GATE") {
        TcpStream::connect(gate)?.read_exact(&mut [0])?;
    }
    Ok(())
}

fn http(line: &str, body: &str) -> Result<String, Error> {
    request(line, "", body)
}

fn request(line: &str, headers: &str, body: &str) -> Result<String, Error> {
    let endpoint = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let mut stream = TcpStream::connect(&endpoint)?;
    let length = body.len();
    write!(
        stream,
        "{line} HTTP/1.1\r\nhost: {endpoint}\r\nconnection: close\r\n{headers}content-length: \
         {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
