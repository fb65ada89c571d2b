//! The Lambda Runtime API of one process, with as little in it as can be measured through.
//!
//! `stagelink_local::lambda` is the whole of it and does its work on threads that would
//! compete with the process that is measured. Here each connection is a thread that blocks,
//! and hands out the next event itself when the answer to the one before has come.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

use super::items::{ITEMS, name_of};

/// The endpoint of one process. Dropping it closes all of its connections.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// The answers to some events, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// From an event to its answer.
    pub(super) latencies: Vec<Duration>,
    /// When the first event was given.
    pub(super) began: Instant,
    /// When the last answer was there.
    pub(super) ended: Instant,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Events that are still to be given.
    waiting: usize,
    /// Events that were ever given. It is the id of the last one.
    given: usize,
    running_since: Option<Instant>,
    began: Option<Instant>,
    ended: Option<Instant>,
    latencies: Vec<Duration>,
    failure: Option<String>,
    is_closed: bool,
    connections: Vec<TcpStream>,
}

impl RuntimeApi {
    /// Opens it on a free port of 127.0.0.1.
    pub(super) fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .context("could not open a port for the Runtime API")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let for_all = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if for_all.state().is_closed {
                    break;
                }
                let shared = Arc::clone(&for_all);
                // A connection that breaks is noticed as an answer that does not come.
                thread::spawn(move || drop(serve(connection, &shared)));
            }
        });
        Ok(Self { address, shared })
    }

    /// What the process is told, as `host:port`.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets so many events be had, each when the one before is answered. They are there at
    /// once for a process that asks.
    pub(super) fn offer(&self, events: usize) {
        let mut state = self.shared.state();
        state.waiting = events;
        state.began = None;
        state.ended = None;
        state.latencies = Vec::with_capacity(events);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Waits for the answers to what was offered. `is_alive` is asked now and then whether
    /// there is a point in waiting.
    pub(super) fn answers(
        &self,
        limit: Duration,
        mut is_alive: impl FnMut() -> bool,
    ) -> anyhow::Result<Batch> {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.state();
        loop {
            if let Some(failure) = &state.failure {
                bail!("it answered with {failure}");
            }
            if let (Some(began), Some(ended)) = (state.began, state.ended) {
                let latencies = std::mem::take(&mut state.latencies);
                return Ok(Batch {
                    latencies,
                    began,
                    ended,
                });
            }
            if !is_alive() {
                bail!("it ended by itself");
            }
            if Instant::now() > deadline {
                bail!("it did not answer within {} s", limit.as_secs());
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, POLL)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_closed = true;
        for connection in state.connections.drain(..) {
            // Refused only where the connection is gone already.
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the thread that accepts, so that it ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked with the lock left a failure or a time-out behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an event. `None` when all is over.
    fn next(&self) -> Option<usize> {
        let mut state = self.state();
        while state.waiting == 0 && !state.is_closed {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed {
            return None;
        }
        state.waiting -= 1;
        state.given += 1;
        Some(state.given)
    }

    /// Marks that an event is given.
    fn giving(&self, at: Instant) {
        let mut state = self.state();
        state.running_since = Some(at);
        state.began.get_or_insert(at);
    }

    /// Marks that an event is answered.
    fn answered(&self, at: Instant, answer: Result<(), String>) {
        let mut state = self.state();
        if let Some(since) = state.running_since.take() {
            state.latencies.push(at - since);
        }
        if let Err(failure) = answer {
            state.failure.get_or_insert(failure);
        }
        if state.waiting == 0 || state.failure.is_some() {
            state.ended = Some(at);
            drop(state);
            self.changed.notify_all();
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    shared.state().connections.push(stream.try_clone()?);
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, stream);
    while let Some(call) = Call::read(&mut reader)? {
        let at = Instant::now();
        match call.what() {
            What::Next => {
                let Some(number) = shared.next() else { break };
                let event = event(number);
                shared.giving(Instant::now());
                writer.write_all(event.as_bytes())?;
            }
            What::Answer(number) => {
                shared.answered(at, check(number, &call.body));
                writer.write_all(ACCEPTED)?;
            }
            What::Failure => {
                let body = String::from_utf8_lossy(&call.body);
                shared.answered(at, Err(format!("an error: {body}")));
                writer.write_all(ACCEPTED)?;
            }
            What::Register => writer.write_all(REGISTERED)?,
            // An extension that wants to know of the end is told by SIGTERM alone.
            What::ExtensionNext => {}
        }
    }
    Ok(())
}

/// A request of the process.
struct Call {
    path: String,
    body: Vec<u8>,
}

enum What {
    Next,
    Answer(usize),
    Failure,
    Register,
    ExtensionNext,
}

impl Call {
    /// Reads the next one; `None` at the end of the connection.
    fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(io::Error::other)?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(io::Error::other("a body in chunks is not read here"));
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Some(Self { path, body }))
    }

    fn what(&self) -> What {
        let parts: Vec<&str> = self.path.trim_start_matches('/').split('/').collect();
        match parts[..] {
            [_, "runtime", "invocation", "next"] => What::Next,
            [_, "runtime", "invocation", id, "response"] => {
                What::Answer(id.parse().unwrap_or_default())
            }
            [_, "extension", "register"] => What::Register,
            [_, "extension", "event", "next"] => What::ExtensionNext,
            _ => What::Failure,
        }
    }
}

/// An event as API Gateway writes it, with the headers of the Runtime API.
fn event(number: usize) -> String {
    let id = item_of(number);
    let deadline = SystemTime::now() + LIMIT_OF_AN_EVENT;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline_ms = deadline.as_millis();
    let body = format!(
        r#"{{"resource":"","path":"/api/item","httpMethod":"GET","queryStringParameters":{{"id":"{id}"}},"multiValueQueryStringParameters":{{"id":["{id}"]}},"headers":{{"host":"localhost","accept":"application/json"}},"multiValueHeaders":{{"host":["localhost"],"accept":["application/json"]}},"body":null,"isBase64Encoded":false,"requestContext":{{"httpMethod":"GET"}}}}"#
    );
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\n\
         content-type: application/json\r\n\
         content-length: {length}\r\n\
         lambda-runtime-aws-request-id: {number}\r\n\
         lambda-runtime-deadline-ms: {deadline_ms}\r\n\
         lambda-runtime-invoked-function-arn: \
         arn:aws:lambda:us-east-1:123456789012:function:item\r\n\
         lambda-runtime-trace-id: Root=1-00000000-000000000000000000000000\r\n\r\n\
         {body}"
    )
}

/// Whether the answer to an event is the row that was asked for. A search costs the
/// process that is measured less than a parser would, which runs beside it.
fn check(number: usize, answer: &[u8]) -> Result<(), String> {
    let id = item_of(number);
    let row = format!(r#"{{\"id\":{id},\"name\":\"{}\"}}"#, name_of(id));
    let answer = String::from_utf8_lossy(answer);
    if answer.contains(r#""statusCode":200"#) && answer.contains(&row) {
        Ok(())
    } else {
        Err(answer.into_owned())
    }
}

/// The item that an event asks for: each another than the one before.
fn item_of(number: usize) -> usize {
    number % ITEMS + 1
}

const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\n\
    content-type: application/json\r\ncontent-length: 15\r\n\r\n{\"status\":\"OK\"}";

const REGISTERED: &[u8] = b"HTTP/1.1 200 OK\r\nlambda-extension-identifier: \
    00000000-0000-0000-0000-000000000000\r\ncontent-length: 2\r\n\r\n{}";

/// As on Netlify.
const LIMIT_OF_AN_EVENT: Duration = Duration::from_secs(60);

const BUFFER_BYTES: usize = 16 * 1024;
const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn call(connection: &mut BufReader<TcpStream>, head: &str, body: &str) -> String {
        let length = body.len();
        let request = format!("{head} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}");
        connection.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            connection.read_line(&mut head).unwrap();
        }
        let length = head.split("content-length: ").nth(1).unwrap();
        let length = length.lines().next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        connection.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    fn answer(connection: &mut BufReader<TcpStream>, number: usize, body: &Value) {
        let answer = json!({ "statusCode": 200, "body": body.to_string() }).to_string();
        let path = format!("POST /2018-06-01/runtime/invocation/{number}/response");
        call(connection, &path, &answer);
    }

    const NEXT: &str = "GET /2018-06-01/runtime/invocation/next";

    #[test]
    fn events_are_given_and_their_answers_timed() {
        let api = RuntimeApi::open().unwrap();
        api.offer(2);
        let mut connection = BufReader::new(TcpStream::connect(api.address()).unwrap());
        for number in [1, 2] {
            let event: Value = serde_json::from_str(&call(&mut connection, NEXT, "")).unwrap();
            let id: usize = event["queryStringParameters"]["id"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            answer(
                &mut connection,
                number,
                &json!({ "id": id, "name": name_of(id) }),
            );
        }
        let batch = api.answers(POLL, || true).unwrap();
        assert_eq!(batch.latencies.len(), 2);
        assert!(batch.ended - batch.began >= batch.latencies[0]);
    }

    #[test]
    fn answer_that_is_wrong_is_a_failure() {
        let api = RuntimeApi::open().unwrap();
        api.offer(1);
        let mut connection = BufReader::new(TcpStream::connect(api.address()).unwrap());
        call(&mut connection, NEXT, "");
        answer(&mut connection, 1, &json!({ "id": 1, "name": "another" }));
        let error = api.answers(POLL, || true).unwrap_err().to_string();
        assert!(error.contains("another"), "{error}");
    }

    #[test]
    fn process_that_ends_or_is_silent_is_noticed() {
        let api = RuntimeApi::open().unwrap();
        api.offer(1);
        let error = api.answers(POLL, || false).unwrap_err().to_string();
        assert_eq!(error, "it ended by itself");
        let error = api.answers(Duration::ZERO, || true).unwrap_err();
        assert!(error.to_string().contains("did not answer"), "{error}");
    }
}
