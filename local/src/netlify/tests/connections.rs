//! Tests of slow and disconnecting clients, and of connections when the site stops.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{SiteFolder, connect, echo, fake, get, read_status};
use crate::http_client;
use crate::netlify::site::Timeouts;
use crate::netlify::{Invoke, Site};

#[tokio::test]
async fn slow_clients_time_out_and_do_not_block_others() {
    let folder = SiteFolder::new(&[("index.html", "home")]);
    let deploy = folder.deploy("localhost", "").with_function("echo", echo());
    let short = Duration::from_secs(5);
    let timeouts = Timeouts {
        head: short,
        body: short,
        stop: short,
    };
    let site = Site::start_with(0, vec![deploy], timeouts).await.unwrap();

    let mut slow_head = connect(&site).await;
    slow_head.write_all(b"GET / HT").await.unwrap();
    let mut slow_body = connect(&site).await;
    let request =
        "POST /.netlify/functions/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nx";
    slow_body.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(get(&site, "/").await.text(), "home");
    assert_eq!(read_status(&mut slow_body).await, 408);
    let mut rest = Vec::new();
    let closed = timeout(Duration::from_secs(60), slow_head.read_to_end(&mut rest)).await;
    closed.expect("the connection stayed open").unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

/// The state of a function that signals its start, waits for a permit, and signals its end.
struct Gate {
    started: Semaphore,
    permits: Semaphore,
    ended: Semaphore,
}

fn gated() -> (Arc<Gate>, Arc<dyn Invoke>) {
    let closed = || Semaphore::new(0);
    let gate = Arc::new(Gate {
        started: closed(),
        permits: closed(),
        ended: closed(),
    });
    let shared = Arc::clone(&gate);
    let function = fake(move |_| {
        let gate = Arc::clone(&shared);
        async move {
            gate.started.add_permits(1);
            gate.permits.acquire().await.unwrap().forget();
            gate.ended.add_permits(1);
            Ok(r#"{"statusCode": 200, "body": "done"}"#.into())
        }
    });
    (gate, function)
}

const GATED: &str = "/.netlify/functions/gated";

#[tokio::test]
async fn invocation_goes_on_after_the_client_disconnects() {
    let folder = SiteFolder::new(&[("index.html", "home")]);
    let (gate, function) = gated();
    let deploy = folder
        .deploy("localhost", "")
        .with_function("gated", function);
    let site = Site::start(0, vec![deploy]).await.unwrap();
    tokio::select! {
        response = get(&site, GATED) => panic!("{response:?}"),
        permit = gate.started.acquire() => permit.unwrap().forget(),
    }
    // Dropping the request has closed its connection. Stopping waits for that.
    site.stop().await;
    gate.permits.add_permits(1);
    let ended = timeout(Duration::from_secs(10), gate.ended.acquire()).await;
    ended
        .expect("the invocation was dropped with its client")
        .unwrap()
        .forget();
}

#[tokio::test]
async fn stop_waits_for_a_running_request() {
    let folder = SiteFolder::new(&[("index.html", "home")]);
    let (gate, function) = gated();
    let deploy = folder
        .deploy("localhost", "")
        .with_function("gated", function);
    let site = Site::start(0, vec![deploy]).await.unwrap();
    let url = site.url("localhost");
    let request = async {
        let request = http::Request::get(GATED).body(Bytes::new()).unwrap();
        let response = http_client::send(&url, request).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    };
    let stop = async {
        gate.started.acquire().await.unwrap().forget();
        let mut stopping = Box::pin(site.stop());
        // Polled once, it has told the site to stop and waits for the request.
        tokio::select! {
            biased;
            () = &mut stopping => panic!("stopped with a running request"),
            () = std::future::ready(()) => {}
        }
        gate.permits.add_permits(1);
        stopping.await;
    };
    let (body, ()) = tokio::join!(request, stop);
    assert_eq!(body, "done");
}

#[tokio::test]
async fn stop_closes_the_connection_of_a_request_over_the_limit() {
    let folder = SiteFolder::new(&[("index.html", "home")]);
    let (gate, function) = gated();
    let deploy = folder
        .deploy("localhost", "")
        .with_function("gated", function);
    let short = Duration::from_millis(50);
    let timeouts = Timeouts {
        stop: short,
        ..Timeouts::default()
    };
    let site = Site::start_with(0, vec![deploy], timeouts).await.unwrap();
    let url = site.url("localhost");
    let request = http::Request::get(GATED).body(Bytes::new()).unwrap();
    let stop = async {
        gate.started.acquire().await.unwrap().forget();
        site.stop().await;
    };
    let (response, ()) = tokio::join!(http_client::send(&url, request), stop);
    assert!(response.is_err(), "{response:?}");
}
