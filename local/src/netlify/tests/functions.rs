//! Bodies to and from functions, and functions that fail.

use std::time::Duration;

use lambda_http::{Body, Response};

use super::{Folder, echo, fake, get, handler, raw, send};
use crate::lambda::InvokeError;
use crate::netlify::Site;

#[tokio::test]
async fn binary_bodies_pass_both_ways_unchanged() {
    let folder = Folder::new(&[("index.html", "")]);
    let mirror = handler(|request| {
        assert!(matches!(request.body(), Body::Binary(_)));
        let png = Response::builder().header("content-type", "image/png");
        png.body(request.into_body()).unwrap()
    });
    let deploy = folder.deploy("localhost", "").function("mirror", mirror);
    let site = Site::start(0, vec![deploy]).await.unwrap();
    let body: Vec<u8> = (0..=255).collect();
    let png = "content-type: image/png\r\n";
    let reply = send(&site, "POST /.netlify/functions/mirror", png, &body).await;
    assert_eq!((reply.status, reply.body), (200, body));
}

#[tokio::test]
async fn function_that_fails_is_a_gateway_error() {
    let folder = Folder::new(&[("index.html", "")]);
    let failing = fake(|_| async {
        Err(InvokeError::Function {
            error_type: "Boom".into(),
            error_message: "broke".into(),
        })
    });
    let late = fake(|_| async {
        Err(InvokeError::TimedOut {
            limit: Duration::from_secs(1),
        })
    });
    let panicking = fake(|_| async { panic!("a fault of the stand-in itself") });
    let deploy = folder
        .deploy("localhost", "")
        .function("failing", failing)
        .function("late", late)
        .function("panicking", panicking);
    let site = Site::start(0, vec![deploy]).await.unwrap();
    for (name, status, text) in [
        (
            "failing",
            502,
            r#"{"errorMessage":"broke","errorType":"Boom"}"#,
        ),
        ("late", 504, "timed out after 1.00 seconds"),
        ("panicking", 502, "Platform.Error"),
    ] {
        let reply = get(&site, &format!("/.netlify/functions/{name}")).await;
        assert_eq!(reply.status, status);
        assert!(reply.text().contains(text), "{}", reply.text());
        assert_eq!(reply.header("content-type"), ["application/json"]);
    }
}

#[tokio::test]
async fn body_over_the_limit_is_refused_and_one_under_it_is_not() {
    let folder = Folder::new(&[("index.html", "")]);
    let deploy = folder.deploy("localhost", "").function("echo", echo());
    let site = Site::start(0, vec![deploy]).await.unwrap();
    let line = "POST /.netlify/functions/echo";
    let text = "content-type: text/plain\r\n";
    let body = vec![b'x'; 7 * 1024 * 1024];
    assert_eq!(send(&site, line, text, &body).await.status, 413);
    let body = &body[..5 * 1024 * 1024];
    assert_eq!(send(&site, line, text, body).await.status, 200);
    // In base64 it is over the limit.
    let binary = "content-type: application/octet-stream\r\n";
    assert_eq!(send(&site, line, binary, body).await.status, 413);
    // So far over it that nothing is read.
    let huge = format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n");
    assert_eq!(raw(site.port(), huge.as_bytes()).await.status, 413);
}
