//! A minimal Lambda Runtime API for one process.
//!
//! `stagelink_local::lambda` is the complete one; its threads would compete with the measured
//! process. Here each connection is a blocking thread, which hands out the next event as soon as
//! it has read the answer to the one before.

use std::io::{self, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::event::{RequestKind, UnexpectedAnswer, check, event};

/// The endpoint of one process. Drop closes all of its connections.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// The correct answers to a series of events.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Time from each event to its answer.
    pub(super) latencies: Vec<Duration>,
    /// The moment when the first event was sent.
    pub(super) began: Instant,
    /// The moment when the last answer had arrived.
    pub(super) ended: Instant,
}

/// The answer to one event.
#[derive(Clone, Debug)]
pub(super) struct TimedAnswer {
    pub(super) at: Instant,
    /// Time from the event to its answer.
    pub(super) took: Duration,
    /// `Ok` for the row that was asked for, else the answer that came instead.
    pub(super) answer: Result<(), UnexpectedAnswer>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Number of events that are still to be sent.
    waiting: usize,
    kind: RequestKind,
    /// Number of all events sent so far, which is the id of the last one.
    given: usize,
    running_since: Option<Instant>,
    began: Option<Instant>,
    ended: Option<Instant>,
    answers: Vec<TimedAnswer>,
    is_closed: bool,
    connections: Vec<Arc<TcpStream>>,
}

impl RuntimeApi {
    /// Opens the endpoint on a free port of 127.0.0.1.
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

    /// The address for `AWS_LAMBDA_RUNTIME_API`, as `host:port`.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes this many events ready. The process gets each as soon as it has answered the one
    /// before.
    pub(super) fn offer(&self, kind: RequestKind, events: usize) {
        let mut state = self.shared.state();
        state.kind = kind;
        state.waiting = events;
        state.began = None;
        state.ended = None;
        state.answers = Vec::with_capacity(events);
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Waits for the answers to the offered events, and fails on any answer but the row. Calls
    /// `is_alive` from time to time, and stops waiting when the process has ended.
    pub(super) fn wait_for_rows(
        &self,
        limit: Duration,
        is_alive: impl FnMut() -> bool,
    ) -> anyhow::Result<Batch> {
        let (mut state, end) = self.wait(limit, is_alive, |state| {
            state.ended.is_some() || state.first_unexpected().is_some()
        });
        if let Some(unlike) = state.first_unexpected() {
            bail!("it answered with {unlike}");
        }
        match (end, state.began, state.ended) {
            (_, Some(began), Some(ended)) => {
                let answers = std::mem::take(&mut state.answers);
                Ok(Batch {
                    latencies: answers.iter().map(|one| one.took).collect(),
                    began,
                    ended,
                })
            }
            (WaitEnd::Gone, ..) => bail!("it ended by itself"),
            _ => bail!("it did not answer within {} s", limit.as_secs()),
        }
    }

    /// Waits for answers of any kind to the offered events. There are fewer answers than events
    /// where the process ended, or did not answer in time.
    pub(super) fn wait_for_answers(
        &self,
        limit: Duration,
        is_alive: impl FnMut() -> bool,
    ) -> Vec<TimedAnswer> {
        let (mut state, _) = self.wait(limit, is_alive, |state| state.ended.is_some());
        std::mem::take(&mut state.answers)
    }

    fn wait(
        &self,
        limit: Duration,
        mut is_alive: impl FnMut() -> bool,
        is_over: impl Fn(&State) -> bool,
    ) -> (MutexGuard<'_, State>, WaitEnd) {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.state();
        loop {
            if is_over(&state) {
                return (state, WaitEnd::Over);
            }
            if !is_alive() {
                return (state, WaitEnd::Gone);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return (state, WaitEnd::Late);
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, POLL.min(left))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// The reason why a wait for answers ended.
enum WaitEnd {
    Over,
    Gone,
    Late,
}

impl State {
    /// The first answer that is not the row.
    fn first_unexpected(&self) -> Option<&UnexpectedAnswer> {
        let mut answers = self.answers.iter();
        answers.find_map(|one| one.answer.as_ref().err())
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

    /// Waits for an event and returns its number and kind. `None` when the endpoint is closed.
    fn next(&self) -> Option<(usize, RequestKind)> {
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
        Some((state.given, state.kind))
    }

    /// Records the moment when an event is sent.
    fn record_event_sent(&self, at: Instant) {
        let mut state = self.state();
        state.running_since = Some(at);
        state.began.get_or_insert(at);
    }

    /// Records the answer to the event that was sent last.
    fn record_answer(&self, at: Instant, answer: Result<(), UnexpectedAnswer>) {
        let mut state = self.state();
        let Some(since) = state.running_since.take() else {
            return;
        };
        let is_worth_a_look = state.waiting == 0 || answer.is_err();
        state.answers.push(TimedAnswer {
            at,
            took: at - since,
            answer,
        });
        if state.waiting == 0 {
            state.ended = Some(at);
        }
        if is_worth_a_look {
            drop(state);
            self.changed.notify_all();
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Shared and not cloned: with many processes there are not too many open files.
    let stream = Arc::new(stream);
    shared.state().connections.push(Arc::clone(&stream));
    let mut writer = &*stream;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, &*stream);
    while let Some(call) = Call::read(&mut reader)? {
        let at = Instant::now();
        match call.kind() {
            CallKind::Next => {
                let Some((number, kind)) = shared.next() else {
                    break;
                };
                let event = event(number, kind);
                shared.record_event_sent(Instant::now());
                writer.write_all(event.as_bytes())?;
            }
            CallKind::Answer(number) => {
                shared.record_answer(at, check(number, &call.body));
                writer.write_all(ACCEPTED)?;
            }
            CallKind::Failure => {
                let body = String::from_utf8_lossy(&call.body).into_owned();
                shared.record_answer(at, Err(UnexpectedAnswer::Error(body)));
                writer.write_all(ACCEPTED)?;
            }
            CallKind::Register => writer.write_all(REGISTERED)?,
            // An extension that wants to know of the end is told by SIGTERM alone.
            CallKind::ExtensionNext => {}
        }
    }
    Ok(())
}

/// A request of the process to the Runtime API.
struct Call {
    path: String,
    body: Vec<u8>,
}

enum CallKind {
    Next,
    Answer(usize),
    Failure,
    Register,
    ExtensionNext,
}

impl Call {
    /// Reads the next request; `None` at the end of the connection.
    fn read(reader: &mut impl io::BufRead) -> io::Result<Option<Self>> {
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

    fn kind(&self) -> CallKind {
        let parts: Vec<&str> = self.path.trim_start_matches('/').split('/').collect();
        match parts[..] {
            [_, "runtime", "invocation", "next"] => CallKind::Next,
            [_, "runtime", "invocation", id, "response"] => {
                CallKind::Answer(id.parse().unwrap_or_default())
            }
            [_, "extension", "register"] => CallKind::Register,
            [_, "extension", "event", "next"] => CallKind::ExtensionNext,
            _ => CallKind::Failure,
        }
    }
}

const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\n\
    content-type: application/json\r\ncontent-length: 15\r\n\r\n{\"status\":\"OK\"}";

const REGISTERED: &[u8] = b"HTTP/1.1 200 OK\r\nlambda-extension-identifier: \
    00000000-0000-0000-0000-000000000000\r\ncontent-length: 2\r\n\r\n{}";

const BUFFER_BYTES: usize = 16 * 1024;
const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Read as _};

    use serde_json::{Value, json};

    use super::super::item_database::name_of;
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
        api.offer(RequestKind::Item, 2);
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
        let batch = api.wait_for_rows(POLL, || true).unwrap();
        assert_eq!(batch.latencies.len(), 2);
        assert!(batch.ended - batch.began >= batch.latencies[0]);
    }

    #[test]
    fn answer_that_is_wrong_is_a_failure() {
        let api = RuntimeApi::open().unwrap();
        api.offer(RequestKind::Item, 1);
        let mut connection = BufReader::new(TcpStream::connect(api.address()).unwrap());
        call(&mut connection, NEXT, "");
        answer(&mut connection, 1, &json!({ "id": 1, "name": "another" }));
        let error = api.wait_for_rows(POLL, || true).unwrap_err().to_string();
        assert!(error.contains("another"), "{error}");
    }

    #[test]
    fn answers_of_any_kind_are_kept_where_they_are_asked_for() {
        let api = RuntimeApi::open().unwrap();
        api.offer(RequestKind::SlowItem, 2);
        let mut connection = BufReader::new(TcpStream::connect(api.address()).unwrap());
        let event: Value = serde_json::from_str(&call(&mut connection, NEXT, "")).unwrap();
        assert_eq!(event["queryStringParameters"]["slow"], "1");
        let path = "POST /2018-06-01/runtime/invocation/1/error";
        call(&mut connection, path, "no");
        call(&mut connection, NEXT, "");
        // The process ends before it answers the second.
        let answers = api.wait_for_answers(POLL, || false);
        let [answered] = &answers[..] else {
            panic!("{answers:?}");
        };
        assert_eq!(
            answered.answer,
            Err(UnexpectedAnswer::Error("no".to_owned()))
        );
    }

    #[test]
    fn process_that_ends_or_is_silent_is_noticed() {
        let api = RuntimeApi::open().unwrap();
        api.offer(RequestKind::Item, 1);
        let error = api.wait_for_rows(POLL, || false).unwrap_err().to_string();
        assert_eq!(error, "it ended by itself");
        let error = api.wait_for_rows(Duration::ZERO, || true).unwrap_err();
        assert!(error.to_string().contains("did not answer"), "{error}");
    }
}
