//! Responses of a provider that have no end, or lead elsewhere: each ends in time, with a reason.
//!
//! A scripted server sends them, since no HTTP library does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use stagelink_tests::HerokuFixture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::refused;

/// A server that answers each request with some bytes, and then with others without end.
struct OddServer {
    url: String,
    requests: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// The part of a response that follows its first bytes.
#[derive(Clone, Copy)]
enum Rest {
    /// The bytes, over and over, with this pause between.
    Endless(&'static str, Duration),
    /// Nothing, and the connection stays open.
    Nothing,
}

impl OddServer {
    async fn start(first: &'static str, rest: Rest) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, first, rest, Arc::clone(&count)));
            }
        });
        Self {
            url,
            requests,
            task,
        }
    }
}

impl Drop for OddServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, first: &str, rest: Rest, requests: Arc<AtomicUsize>) {
    let mut head = [0; 4096];
    while stream.read(&mut head).await.is_ok_and(|length| length > 0) {
        requests.fetch_add(1, Ordering::SeqCst);
        let _ = stream.write_all(first.as_bytes()).await;
        if let Rest::Endless(text, pause) = rest {
            while stream.write_all(text.as_bytes()).await.is_ok() {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn response_without_end_is_given_up_with_its_reason() {
    let flood = Duration::ZERO;
    let drip = Duration::from_millis(20);
    let early_hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n";
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (first, rest, reason) in [
        (
            "",
            Rest::Endless(early_hints, flood),
            "informational responses (1xx)",
        ),
        (
            "",
            Rest::Endless(early_hints, drip),
            "informational responses (1xx)",
        ),
        (
            "",
            Rest::Endless("HTTP/1.1 100 Continue\r\n\r\n", flood),
            "informational responses (1xx)",
        ),
        (
            ok,
            Rest::Endless("x-header: a value\r\n", flood),
            "could not reach",
        ),
        (ok, Rest::Endless("x", flood), "could not reach"),
        (
            ok,
            Rest::Endless("x-header: a value\r\n", drip),
            "(resolve)",
        ),
        (chunked, Rest::Endless("1\r\n \r\n", drip), "(resolve)"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            Rest::Endless("                                                  ", flood),
            "length limit exceeded",
        ),
        (chunked, Rest::Endless("1\r\n \r\n", flood), "(resolve)"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
            Rest::Nothing,
            "(resolve)",
        ),
        ("SSH-2.0-OpenSSH\r\n", Rest::Nothing, "could not reach"),
    ] {
        let server = OddServer::start(first, rest).await;
        let mut fixture = HerokuFixture::new().await;
        fixture.set("STAGELINK_HEROKU_API_URL", &server.url);
        fixture.set("STAGELINK_RESOLVE_TIMEOUT_MS", "1000");
        fixture.set("STAGELINK_RETRY_TIMEOUT_MS", "1");
        let started = Instant::now();
        refused(&fixture, 503, &[reason]).await;
        assert!(started.elapsed() < Duration::from_secs(30), "{reason}");
    }
}

#[tokio::test]
async fn redirect_is_not_followed_and_named() {
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
    ] {
        let response =
            format!("HTTP/1.1 {status}\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n");
        let server = OddServer::start(response.leak(), Rest::Nothing).await;
        let mut fixture = HerokuFixture::new().await;
        fixture.set("STAGELINK_HEROKU_API_URL", &server.url);
        fixture.set("STAGELINK_RETRY_TIMEOUT_MS", "1");
        let reasons = [
            "redirects are not followed",
            "check STAGELINK_HEROKU_API_URL",
        ];
        refused(&fixture, 503, &reasons).await;
        // Once before the first event, and once for the request.
        assert!(server.requests.load(Ordering::SeqCst) <= 2);
    }
}
