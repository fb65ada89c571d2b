//! Tests of version, tokens, pagination, `ETag`, rate limit, missing routes and the port.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::super::{Access, Heroku, Stage};
use super::{CONFIG_VARS, get, guestbook, send};
use crate::ErrorKind;

#[tokio::test]
async fn request_without_version_or_valid_token_is_refused() {
    let heroku = guestbook().await;
    for (header, status, id) in [
        (("accept", ""), 406, "not_acceptable"),
        (("accept", "application/json"), 406, "not_acceptable"),
        (("authorization", ""), 401, "unauthorized"),
        (("authorization", "Bearer HRKU-0"), 401, "unauthorized"),
    ] {
        let response = send(&heroku, "GET", "/apps", &[header], "")
            .await
            .expect("a response");
        assert_eq!(response.error(), (status, id.to_owned()), "{header:?}");
        assert!(response.headers.contains_key("request-id"));
    }
    let statuses: Vec<_> = heroku
        .requests()
        .iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(statuses, [Some(406), Some(406), Some(401), Some(401)]);
}

#[tokio::test]
async fn token_as_basic_password_works_until_it_is_revoked() {
    let heroku = guestbook().await;
    let basic = format!(
        "Basic {}",
        STANDARD.encode(format!(":{}", heroku.api_key()))
    );
    let basic = [("authorization", basic.as_str())];
    let response = send(&heroku, "GET", "/account", &basic, "")
        .await
        .expect("a response");
    assert_eq!(response.status, 200);
    assert!(heroku.revoke_token(heroku.api_key()));
    assert!(!heroku.revoke_token(heroku.api_key()));
    assert_eq!(get(&heroku, "/account").await.error().0, 401);
}

#[tokio::test]
async fn token_for_one_app_gives_access_to_no_other() {
    let heroku = guestbook().await;
    let access = Access::Apps(vec!["guestbook-production".to_owned()]);
    let token = heroku.create_token(&access).expect("a token");
    let bearer = format!("Bearer {token}");
    let bearer = [("authorization", bearer.as_str())];
    let addon = get(&heroku, "/addons").await.json()[0]["id"].clone();
    let database = format!("/client/v11/databases/{}", addon.as_str().expect("an id"));
    for path in [CONFIG_VARS, "/apps/guestbook-staging", &database] {
        let response = send(&heroku, "GET", path, &bearer, "")
            .await
            .expect("a response");
        assert_eq!(response.error(), (403, "forbidden".to_owned()), "{path}");
    }
    let apps = send(&heroku, "GET", "/apps", &bearer, "")
        .await
        .expect("a response")
        .json();
    assert_eq!(apps.as_array().map(Vec::len), Some(1));
    assert_eq!(apps[0]["name"], "guestbook-production");
    for path in ["/addons", "/addon-attachments"] {
        let response = send(&heroku, "GET", path, &bearer, "")
            .await
            .expect("a response");
        assert_eq!(response.json(), json!([]), "{path}");
    }
}

#[tokio::test]
async fn small_page_size_splits_a_list_and_not_a_filter() {
    let heroku = guestbook().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let app = format!("guestbook-review-{number}");
        ids.push(heroku.create_app(&app).expect("an app"));
        heroku
            .couple("guestbook", &app, Stage::Review)
            .expect("a coupling");
    }
    heroku.set_page_size(3);
    let pipeline = get(&heroku, "/pipelines/guestbook").await.json()["id"].clone();
    let path = format!(
        "/pipelines/{}/pipeline-couplings",
        pipeline.as_str().expect("an id")
    );
    let (mut range, mut sizes, mut seen) = (String::new(), Vec::new(), Vec::new());
    loop {
        let range_header = [("range", range.as_str())];
        let response = send(&heroku, "GET", &path, &range_header, "")
            .await
            .expect("a response");
        let items = response.json().as_array().expect("a list").clone();
        sizes.push((response.status, items.len()));
        seen.extend(items.into_iter().map(|item| item["id"].to_string()));
        match response.headers.get("next-range") {
            Some(next) => range = next.clone(),
            None => break,
        }
    }
    assert_eq!(sizes, [(206, 3), (206, 3), (200, 1)]);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 7);

    let body = json!({"in": {"id": ids}}).to_string();
    let range_header = [("range", "id ..; max=1000;")];
    let response = send(&heroku, "POST", "/filters/apps", &range_header, &body)
        .await
        .expect("a response");
    assert_eq!(response.json().as_array().map(Vec::len), Some(5));

    let range_header = [("range", "secret ..")];
    let response = send(&heroku, "GET", &path, &range_header, "")
        .await
        .expect("a response");
    assert_eq!(response.error().0, 416);
}

#[tokio::test]
async fn unchanged_resource_with_known_etag_is_304() {
    let heroku = guestbook().await;
    let tag = get(&heroku, CONFIG_VARS).await.headers["etag"].clone();
    let known = [("if-none-match", tag.as_str())];
    let response = send(&heroku, "GET", CONFIG_VARS, &known, "")
        .await
        .expect("a response");
    assert_eq!((response.status, response.body.as_str()), (304, ""));
    assert_eq!(response.headers["etag"], tag);
    heroku
        .set_config_var("guestbook-staging", "COLOR", "blue")
        .expect("a change");
    let response = send(&heroku, "GET", CONFIG_VARS, &known, "")
        .await
        .expect("a response");
    assert_eq!(response.status, 200);
    assert_ne!(response.headers["etag"], tag);
}

#[tokio::test]
async fn exhausted_rate_limit_is_429_with_the_remaining_count() {
    let heroku = guestbook().await;
    let full = get(&heroku, "/account").await;
    assert_eq!(full.headers["ratelimit-remaining"], "4499");
    // One is added within a second, so a slow request may find one.
    let mut response = full;
    for _ in 0..10 {
        heroku.set_rate_limit_remaining(0);
        response = get(&heroku, "/account").await;
        if response.status == 429 {
            break;
        }
    }
    assert_eq!(response.error(), (429, "rate_limit".to_owned()));
    assert_eq!(response.headers["ratelimit-remaining"], "0");
    assert_eq!(get(&heroku, "/account/rate-limits").await.status, 200);
    heroku.set_rate_limit_remaining(10);
    assert_eq!(get(&heroku, "/account").await.status, 200);
}

#[tokio::test]
async fn missing_route_or_method_is_501() {
    let heroku = guestbook().await;
    for (method, path) in [
        ("GET", "/spaces"),
        ("POST", "/apps"),
        ("DELETE", "/apps/guestbook-staging"),
        ("GET", "/pipelines?eq[owner]=me"),
        ("PUT", "/client/v11/databases/x/reset"),
    ] {
        let response = send(&heroku, method, path, &[], "")
            .await
            .expect("a response");
        assert_eq!(
            response.error(),
            (501, "not_implemented".to_owned()),
            "{path}"
        );
        let named = path.trim_end_matches("=me");
        assert!(response.body.contains(&format!("{method} {named}")));
    }
}

#[tokio::test]
async fn taken_port_is_named_and_free_after_stop() {
    let first = Heroku::start(0).await.expect("a free port");
    let (_, port) = first.url().rsplit_once(':').expect("a port");
    let port: u16 = port.parse().expect("a number");
    let error = Heroku::start(port).await.expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::PortInUse);
    assert!(error.to_string().contains(&port.to_string()));

    let mut idle = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("a connection");
    assert_eq!(get(&first, "/account").await.status, 200);
    first.stop().await;
    let mut rest = Vec::new();
    // The connection is closed or reset; either way it does not outlive its server.
    let _ = idle.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}
