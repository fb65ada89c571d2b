//! The function of the local Lambda's tests: it returns its environment, or fails as the event's
//! path says.
//!
//! `PROBE_INIT` makes its INIT fail. `PROBE_RUNTIME` selects a streamed response, a runtime for
//! several events at once, or a hand-written runtime. Some paths connect to the socket of the test
//! whose address is the query's `gate`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, future, process};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lambda_http::{Body, Error, Request, RequestExt, Response, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    match env::var("PROBE_INIT").as_deref() {
        Ok("exit") => {
            // About as much as a pipe holds, so that some of it is unread when the process is
            // gone.
            eprint!("{}no database", "a line before it\n".repeat(3800));
            process::exit(7);
        }
        Ok("hang") => future::pending().await,
        Ok("error") => {
            let error = json!({"errorType": "Probe.NoDatabase", "errorMessage": "canary"});
            post("/2018-06-01/runtime/init/error", None, &error).await?;
            process::exit(1);
        }
        _ => {}
    }
    match env::var("PROBE_RUNTIME").as_deref() {
        Ok("by hand") => return run_by_hand().await,
        Ok("streamed") => {
            let handler = |_| async {
                let response = Response::builder().status(201).header("x-probe", "yes");
                Ok::<_, Error>(response.body(Body::from("streamed"))?)
            };
            return lambda_http::run_with_streaming_response(service_fn(handler)).await;
        }
        Ok("concurrent") => return lambda_http::run_concurrent(service_fn(handle)).await,
        _ => {}
    }
    lambda_runtime::spawn_graceful_shutdown_handler(|| async { println!("closed its pool") }).await;
    lambda_http::run(service_fn(handle)).await
}

async fn handle(request: Request) -> Result<Value, Error> {
    let query = request.query_string_parameters();
    let gate = || TcpStream::connect(query.first("gate").unwrap_or_default());
    match request.uri().path() {
        "/error" => return Err("canary".into()),
        "/panic" => panic!("canary"),
        "/exit" => process::exit(3),
        "/abort" => process::abort(),
        "/sleep" => future::pending().await,
        "/big" => return Ok("x".repeat(7 * 1024 * 1024).into()),
        // Logs at its beginning and its end.
        "/log" => {
            let label = query.first("label").unwrap_or("-");
            println!("{label} begins");
            tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(10)));
            println!("{label} ends");
        }
        // Goes on when the test opens the gate.
        "/gate" => {
            tokio::task::block_in_place(|| {
                let mut gate = gate()?;
                gate.write_all(query.first("label").unwrap_or("-").as_bytes())?;
                gate.read_exact(&mut [0])
            })?;
        }
        // Keeps the connection open as long as the process lives.
        "/hold" => std::mem::forget(gate()?),
        // Leaves a grandchild that keeps the connection open.
        "/fork" | "/fork/sleep" => {
            Command::new("sleep")
                .arg("600")
                .stdin(Stdio::from(OwnedFd::from(gate()?)))
                .spawn()?;
            if request.uri().path() == "/fork/sleep" {
                future::pending::<()>().await;
            }
        }
        // Exits while it is idle, when the gate opens.
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
        "env": env::vars().collect::<BTreeMap<_, _>>(),
        "cwd": env::current_dir()?,
    }))
}

/// Runs a minimal runtime that breaks the protocol: it responds to an event that it never got, asks
/// for an event while it has one, sends a wrong invocation id, and exits between its response and
/// the next event. Its response has what the Runtime API replied.
async fn run_by_hand() -> Result<(), Error> {
    let next = "/2018-06-01/runtime/invocation/next";
    let event = send("GET", next, None, "").await?;
    let request_id = event.headers()["lambda-runtime-aws-request-id"].to_str()?;
    let response_path = |id: &str| format!("/2018-06-01/runtime/invocation/{id}/response");
    let unknown = post(&response_path("never-sent"), None, &json!({})).await?;
    let early = to_json(&send("GET", next, None, "").await?)?;
    let stale = post(&response_path(request_id), Some("another"), &json!({})).await?;
    let replies = json!({
        "pid": process::id(), "unknown": unknown, "early": early, "stale": stale,
    });
    post(&response_path(request_id), None, &replies).await?;
    if let Ok(gate) = env::var("PROBE_GATE") {
        TcpStream::connect(gate)?.read_exact(&mut [0])?;
    }
    Ok(())
}

/// Sends JSON to the Runtime API. Returns the status and the JSON of the reply.
async fn post(path: &str, invocation_id: Option<&str>, body: &Value) -> Result<Value, Error> {
    to_json(&send("POST", path, invocation_id, &body.to_string()).await?)
}

fn to_json(response: &Response<Bytes>) -> Result<Value, Error> {
    let body: Value = serde_json::from_slice(response.body())?;
    Ok(json!({"status": response.status().as_u16(), "body": body}))
}

/// Sends a request to the Runtime API and collects the response.
async fn send(
    method: &str,
    path: &str,
    invocation_id: Option<&str>,
    body: &str,
) -> Result<Response<Bytes>, Error> {
    let endpoint = env::var("AWS_LAMBDA_RUNTIME_API")?;
    let stream = tokio::net::TcpStream::connect(&endpoint).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", endpoint);
    if let Some(id) = invocation_id {
        request = request.header("lambda-runtime-invocation-id", id);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned())))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}
