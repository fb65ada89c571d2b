//! Tests of the control and its server, without a stage.

use std::time::Duration;

use bytes::Bytes;
use http::Request;

use super::{Fault, FaultClient, FaultControl, FaultServer};
use crate::heroku::Heroku;
use crate::{ErrorKind, http_client};

async fn control() -> (Heroku, FaultControl) {
    let heroku = Heroku::start(0).await.unwrap();
    let control = FaultControl::new(Vec::new(), heroku.fault_access());
    (heroku, control)
}

async fn status(url: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = Request::builder().uri("/faults");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::new()).unwrap();
    let response = http_client::send(url, request).await.unwrap();
    response.status().as_u16()
}

#[tokio::test]
async fn server_answers_the_holder_of_its_token_and_no_page() {
    let (_heroku, control) = control().await;
    let server = FaultServer::start(control).await.unwrap();
    let token = format!("Bearer {}", server.token());
    let token = ("authorization", token.as_str());
    let url = server.url();
    assert_eq!(status(url, &[token]).await, 200);
    assert_eq!(status(url, &[]).await, 401);
    assert_eq!(status(url, &[("authorization", "Bearer x")]).await, 401);
    for of_a_page in [
        ("origin", url),
        ("origin", "null"),
        ("sec-fetch-site", "same-origin"),
        ("host", "attacker.example"),
        ("host", "localhost.attacker.example:80"),
    ] {
        assert_eq!(status(url, &[token, of_a_page]).await, 403, "{of_a_page:?}");
    }
    assert!(!format!("{server:?}").contains(server.token()));
    server.stop().await;
}

#[tokio::test]
async fn refusal_of_the_control_reaches_the_client() {
    let (_heroku, control) = control().await;
    let server = FaultServer::start(control).await.unwrap();
    let client = FaultClient::new(server.url(), server.token());
    let refused = client.inject("qa", &Fault::Stall, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Input);
    assert!(refused.to_string().contains("no stage qa"), "{refused}");
    let refused = client.clear(Some("a&b")).await.unwrap_err();
    assert!(refused.to_string().contains("no stage a&b"), "{refused}");
    assert_eq!(client.clear(None).await.unwrap(), []);
    assert_eq!(client.active().await.unwrap(), []);
    server.stop().await;
}

#[test]
fn fault_that_happens_once_has_no_duration() {
    let second = Some(Duration::from_secs(1));
    for (fault, is_allowed) in [
        (Fault::FailOver, false),
        (Fault::RotateCredentials, false),
        (Fault::ResetPeer, true),
        (Fault::Stall, true),
    ] {
        let checked = super::control::ensure_duration(&fault, second);
        assert_eq!(checked.is_ok(), is_allowed, "{fault}");
    }
    let days = Some(Duration::from_hours(48));
    assert!(super::control::ensure_duration(&Fault::Stall, days).is_err());
}
