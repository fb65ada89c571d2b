//! Tests of bodies to and from functions, and of functions that fail.

use std::time::Duration;

use lambda_http::{Body, Response};

use super::{SiteFolder, echo, fake, get, handler, send, send_raw};
use crate::lambda::InvokeError;
use crate::netlify::Site;

#[tokio::test]
async fn binary_bodies_are_unchanged_in_both_directions() {
    let folder = SiteFolder::new(&[("index.html", "")]);
    let mirror = handler(|request| {
        assert!(matches!(request.body(), Body::Binary(_)));
        let png = Response::builder().header("content-type", "image/png");
        png.body(request.into_body()).unwrap()
    });
    let deploy = folder
        .deploy("localhost", "")
        .with_function("mirror", mirror);
    let site = Site::start(0, vec![deploy]).await.unwrap();
    let body: Vec<u8> = (0..=255).collect();
    let png = [("content-type", "image/png")];
    let response = send(&site, "POST", "/.netlify/functions/mirror", &png, &body).await;
    assert_eq!((response.status, response.body), (200, body));
}

#[tokio::test]
async fn failed_function_is_a_gateway_error() {
    let folder = SiteFolder::new(&[("index.html", "")]);
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
    let panicking = fake(|_| async { panic!("a bug of the stand-in") });
    let deploy = folder
        .deploy("localhost", "")
        .with_function("failing", failing)
        .with_function("late", late)
        .with_function("panicking", panicking);
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
        let response = get(&site, &format!("/.netlify/functions/{name}")).await;
        assert_eq!(response.status, status);
        assert!(response.text().contains(text), "{}", response.text());
        assert_eq!(response.header("content-type"), ["application/json"]);
    }
}

#[tokio::test]
async fn body_over_the_limit_is_refused() {
    let folder = SiteFolder::new(&[("index.html", "")]);
    let deploy = folder.deploy("localhost", "").with_function("echo", echo());
    let site = Site::start(0, vec![deploy]).await.unwrap();
    let path = "/.netlify/functions/echo";
    let text = [("content-type", "text/plain")];
    let body = vec![b'x'; 7 * 1024 * 1024];
    assert_eq!(send(&site, "POST", path, &text, &body).await.status, 413);
    let body = &body[..5 * 1024 * 1024];
    assert_eq!(send(&site, "POST", path, &text, body).await.status, 200);
    // In base64 the same body is over the limit.
    let binary = [("content-type", "application/octet-stream")];
    assert_eq!(send(&site, "POST", path, &binary, body).await.status, 413);
    // A body that is far over the limit is not read.
    let head = "host: localhost\r\ncontent-length: 99999999999\r\n\r\n";
    let huge = format!("POST {path} HTTP/1.1\r\n{head}");
    assert_eq!(send_raw(&site, huge.as_bytes()).await, 413);
}
