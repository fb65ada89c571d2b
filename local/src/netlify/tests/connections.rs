//! Clients that are slow or go away, and connections when the site stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Folder, echo, fake, get, reply};
use crate::netlify::site::Patience;
use crate::netlify::{Invoke, Site};

#[tokio::test]
async fn slow_clients_are_sent_away_and_hold_up_nobody() {
    let folder = Folder::new(&[("index.html", "home")]);
    let deploy = folder.deploy("localhost", "").function("echo", echo());
    let short = Duration::from_secs(1);
    let patience = Patience {
        head: short,
        body: short,
        stop: short,
    };
    let site = Site::start_with(0, vec![deploy], patience).await.unwrap();

    let mut slow_head = TcpStream::connect(("127.0.0.1", site.port()))
        .await
        .unwrap();
    slow_head.write_all(b"GET / HT").await.unwrap();
    let mut slow_body = TcpStream::connect(("127.0.0.1", site.port()))
        .await
        .unwrap();
    let request =
        "POST /.netlify/functions/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nx";
    slow_body.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(get(&site, "/").await.text(), "home");
    assert_eq!(reply(&mut slow_body).await.status, 408);
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_secs(10), slow_head.read_to_end(&mut rest)).await;
    closed.expect("the connection was kept").unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

/// A function that says when it starts, waits to be let go, and says when it ends.
struct Gate {
    started: Semaphore,
    go: Semaphore,
    ended: Semaphore,
}

fn gated() -> (Arc<Gate>, Arc<dyn Invoke>) {
    let closed = || Semaphore::new(0);
    let gate = Arc::new(Gate {
        started: closed(),
        go: closed(),
        ended: closed(),
    });
    let held = Arc::clone(&gate);
    let function = fake(move |_| {
        let gate = Arc::clone(&held);
        async move {
            gate.started.add_permits(1);
            gate.go.acquire().await.unwrap().forget();
            gate.ended.add_permits(1);
            Ok(r#"{"statusCode": 200, "body": "done"}"#.into())
        }
    });
    (gate, function)
}

const GATED: &[u8] = b"GET /.netlify/functions/gated HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test]
async fn invocation_goes_on_when_the_client_goes_away() {
    let folder = Folder::new(&[("index.html", "home")]);
    let (gate, function) = gated();
    let deploy = folder.deploy("localhost", "").function("gated", function);
    let site = Site::start(0, vec![deploy]).await.unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", site.port()))
        .await
        .unwrap();
    stream.write_all(GATED).await.unwrap();
    gate.started.acquire().await.unwrap().forget();
    drop(stream);
    // Stopping waits for connections: once it is done, the abandoned one is gone as well.
    site.stop().await;
    gate.go.add_permits(1);
    let ended = timeout(Duration::from_secs(10), gate.ended.acquire()).await;
    ended
        .expect("the invocation was dropped with its client")
        .unwrap()
        .forget();
}

#[tokio::test]
async fn stop_lets_a_request_end_and_then_closes_its_connection() {
    let folder = Folder::new(&[("index.html", "home")]);
    let (gate, function) = gated();
    let deploy = folder.deploy("localhost", "").function("gated", function);
    let site = Site::start(0, vec![deploy]).await.unwrap();
    let port = site.port();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(GATED).await.unwrap();
    gate.started.acquire().await.unwrap().forget();
    let mut stopping = Box::pin(site.stop());
    // Polled once, it has told the site to stop; the request is what it waits for.
    tokio::select! {
        biased;
        () = &mut stopping => panic!("stopped with a request under way"),
        () = std::future::ready(()) => {}
    }
    gate.go.add_permits(1);
    assert_eq!(reply(&mut stream).await.text(), "done");
    stopping.await;
}

#[tokio::test]
async fn stop_does_not_wait_for_ever() {
    let folder = Folder::new(&[("index.html", "home")]);
    let (gate, function) = gated();
    let deploy = folder.deploy("localhost", "").function("gated", function);
    let short = Duration::from_millis(50);
    let patience = Patience {
        stop: short,
        ..Patience::default()
    };
    let site = Site::start_with(0, vec![deploy], patience).await.unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", site.port()))
        .await
        .unwrap();
    stream.write_all(GATED).await.unwrap();
    gate.started.acquire().await.unwrap().forget();
    site.stop().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}
