//! Tests of streamed bodies with a Runtime API that reads them late, in part, or not at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, stream};
use http::Response;
use http_body_util::StreamBody;
use lambda_http::lambda_runtime::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::*;
use crate::lambda::runtime_api::RuntimeApi;
use crate::lambda::streamed_reply::{body_of, headers};

/// The ends of an invocation that a test observes.
#[derive(Clone, Default)]
struct Ends {
    body: Arc<AtomicBool>,
    work: Arc<AtomicBool>,
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct PanicOnDrop;

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

impl Ends {
    fn has_dropped_body(&self) -> bool {
        self.body.load(Ordering::SeqCst)
    }

    fn has_finished_work(&self) -> bool {
        self.work.load(Ordering::SeqCst)
    }

    async fn wait_for_body(&self) {
        let dropped = async {
            while !self.has_dropped_body() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LONG, dropped).await.expect("the body is dropped");
    }
}

/// The parts that a body produces.
#[derive(Clone, Copy, Debug)]
enum Parts {
    /// One, and then no more for ever.
    One,
    /// As many as the HTTP client takes.
    Endless,
}

/// An invocation of this length, which sends its response to a Runtime API. The API has read the
/// first bytes.
struct Invocation {
    begun: Instant,
    ends: Ends,
    /// Returns whether the API has taken the response; `None` if the request was given up.
    task: JoinHandle<Option<bool>>,
    api: TcpStream,
}

impl Invocation {
    async fn start(parts: Parts, length: Duration) -> Self {
        let ends = Ends::default();
        let guard = SetOnDrop(Arc::clone(&ends.body));
        let body = stream::iter(0..).then(move |number| {
            let _held = &guard;
            async move {
                if matches!(parts, Parts::One) && number > 0 {
                    std::future::pending::<()>().await;
                }
                Ok::<_, BoxError>(Frame::data(Bytes::from_static(&[b'x'; 10_000])))
            }
        });
        let (begun, now) = (Instant::now(), SystemTime::now());
        let deadline = Deadline::of_invocation(now + length, now, begun);
        let ended = ends.clone();
        let finishing = async move {
            assert!(ended.has_dropped_body(), "the body comes first");
            sleep(Duration::from_millis(20)).await;
            ended.work.store(true, Ordering::SeqCst);
        };
        let streamed = Streamed::new(StreamBody::new(body), Some(deadline), finishing);
        let (body, supervisor) = streamed.split();
        let body = body_of(Response::new(body)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = listener.local_addr().unwrap().to_string();
        let api = RuntimeApi::with_config(&api, Config::default());
        let task = tokio::spawn(async move {
            let reply = api.reply("1", None, headers(), body);
            let replied = supervisor.unwrap().supervise(reply).await;
            replied.map(|replied| replied.is_ok())
        });
        let (mut api, _) = listener.accept().await.unwrap();
        api.read_exact(&mut [0; 4096]).await.unwrap();
        Self {
            begun,
            ends,
            task,
            api,
        }
    }

    async fn accept_response(&mut self) {
        let accepted = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
        self.api.write_all(accepted).await.unwrap();
    }

    /// Waits for the end of the request.
    async fn end(self) -> Option<bool> {
        let ended = timeout(LONG, self.task).await;
        assert!(self.ends.has_dropped_body() && self.ends.has_finished_work());
        ended.expect("it ends").unwrap()
    }
}

const LENGTH: Duration = Duration::from_millis(1_600);
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn body_ends_at_the_deadline_while_the_api_does_not_read() {
    for parts in [Parts::Endless, Parts::One] {
        let invocation = Invocation::start(parts, LENGTH).await;
        let Invocation { begun, ends, .. } = &invocation;
        ends.wait_for_body().await;
        let took = begun.elapsed();
        assert!(took >= LENGTH - Duration::from_millis(210), "{took:?}");
        let begun = *begun;
        // An API that never reads holds the invocation up to its end, and no longer.
        assert_eq!(invocation.end().await, None, "{parts:?}");
        assert!(begun.elapsed() >= LENGTH - Duration::from_millis(10));
    }
}

#[tokio::test]
async fn api_that_reads_after_the_deadline_is_told_that_the_response_is_not_whole() {
    // A machine that stands still for the last tenth of a second reads after the end, too.
    for _ in 0..3 {
        let mut invocation = Invocation::start(Parts::Endless, LENGTH).await;
        let end = invocation.begun + LENGTH;
        invocation.ends.wait_for_body().await;
        let mut sent = Vec::new();
        while !sent.ends_with(b"\r\n\r\n") && Instant::now() < end {
            let read = timeout_at(end, invocation.api.read_buf(&mut sent)).await;
            assert!(matches!(read, Ok(Ok(1..)) | Err(_)) || Instant::now() >= end);
        }
        if Instant::now() >= end {
            continue;
        }
        let tail = String::from_utf8_lossy(&sent[sent.len() - 400..]).into_owned();
        assert!(tail.contains("Runtime.StreamError"), "{tail}");
        invocation.accept_response().await;
        let ended = invocation.end().await;
        if Instant::now() < end {
            assert_eq!(ended, Some(true));
            return;
        }
    }
    panic!("three invocations ended before the API had read their responses");
}

#[tokio::test]
async fn work_is_finished_when_the_connection_to_the_api_breaks() {
    for parts in [Parts::Endless, Parts::One] {
        let invocation = Invocation::start(parts, LONG).await;
        let Invocation {
            ends, task, api, ..
        } = invocation;
        drop(api);
        let replied = timeout(LONG, task).await.expect("it ends").unwrap();
        assert_eq!(replied, Some(false), "{parts:?}");
        assert!(ends.has_dropped_body() && ends.has_finished_work());
    }
}

#[tokio::test]
async fn work_is_finished_when_the_api_answers_early() {
    for parts in [Parts::Endless, Parts::One] {
        let mut invocation = Invocation::start(parts, LONG).await;
        invocation.accept_response().await;
        assert_eq!(invocation.end().await, Some(true), "{parts:?}");
    }
}

#[tokio::test]
async fn invocation_that_is_dropped_drops_its_body_at_once() {
    for parts in [Parts::Endless, Parts::One] {
        let invocation = Invocation::start(parts, LONG).await;
        invocation.task.abort();
        assert!(invocation.task.await.unwrap_err().is_cancelled());
        assert!(invocation.ends.has_dropped_body(), "{parts:?}");
        assert!(!invocation.ends.has_finished_work());
    }
}

#[tokio::test]
async fn panic_in_the_drop_of_a_body_ends_nothing_else() {
    for is_polled_to_its_end in [true, false] {
        let held = PanicOnDrop;
        let body = stream::iter(0..1).map(move |_| {
            let _held = &held;
            Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"x")))
        });
        let work = Arc::new(AtomicBool::new(false));
        let finished = SetOnDrop(Arc::clone(&work));
        let finishing = async move { drop(finished) };
        let (mut body, supervisor) = Streamed::new(StreamBody::new(body), None, finishing).split();
        let reply = async move {
            if is_polled_to_its_end {
                while http_body_util::BodyExt::frame(&mut body).await.is_some() {}
            }
        };
        let replied = supervisor.unwrap().supervise(reply);
        let replied = timeout(LONG, replied).await.expect("it ends");
        assert_eq!(replied, Some(()));
        assert!(work.load(Ordering::SeqCst));
    }
}
