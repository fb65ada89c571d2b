//! The refusal of requests that are not the board's own page's or its user's.
//!
//! Any page that a browser of this machine shows can send requests to its ports, and so can the
//! processes of its other users. The first are told by the browser's own headers, the second lack the
//! token. A name that leads to this machine only for an attack (DNS rebinding) is not in `Host`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use stagelink_local_postgres::random_password;

/// The checks of the board's requests. Clones have the same token.
#[derive(Clone)]
pub(super) struct Guard(Arc<str>);

impl Guard {
    /// Makes a guard with a new random token.
    pub(super) fn new() -> Self {
        // 128 bits: an address that a terminal still shows on one line.
        let random = Sha256::digest(random_password());
        Self(hex::encode(&random[..16]).into())
    }

    /// The token, a secret.
    pub(super) fn token(&self) -> &str {
        &self.0
    }

    /// Returns the reason to refuse a request of any kind.
    fn refusal_of_any(
        &self,
        method: &Method,
        target: &Uri,
        headers: &HeaderMap,
    ) -> Option<&'static str> {
        if !is_for_this_machine(headers) || !is_for_own_host(target, headers) {
            return Some("this page is only served at 127.0.0.1 and localhost");
        }
        let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        // A link on another page may lead here; the page can be in no frame, and knows no token.
        let is_navigation =
            method == Method::GET && text("sec-fetch-mode") == Some(b"navigate".as_slice());
        let site = text("sec-fetch-site");
        let is_own = site.is_none_or(|site| [b"same-origin".as_slice(), b"none"].contains(&site));
        if !(is_own || is_navigation) || !has_own_origin(headers) {
            return Some("a page of another site asks");
        }
        None
    }

    /// Compares digests, so that the time says nothing about the token.
    fn has_token(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(self.0.as_bytes()))
    }
}

/// Checks a request for a file of the page, and adds the headers of each response.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let refusal = guard.refusal_of_any(request.method(), request.uri(), request.headers());
    let mut response = match refusal {
        Some(reason) => (StatusCode::FORBIDDEN, reason).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in RESPONSE_HEADERS {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    response
}

/// Checks that a request has the token.
pub(super) async fn check_token(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Response {
    match guard.has_token(request.headers()) {
        true => next.run(request).await,
        false => (StatusCode::UNAUTHORIZED, "the token is missing or wrong").into_response(),
    }
}

/// Returns whether the one `Host` is a name of this machine. Another one leads here where a page's own
/// name does.
fn is_for_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let (name, port) = match host.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    matches!(name, "127.0.0.1" | "localhost") && port.is_none_or(is_port)
}

/// Returns whether a target that names a host, as one for a proxy does, names that of `Host`.
fn is_for_own_host(target: &Uri, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let named = target.authority();
    named.is_none_or(|named| Some(named.as_str().as_bytes()) == host)
}

/// Returns whether the request has no `Origin`, or that of the board.
fn has_own_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    host.is_some() && origin.as_bytes().strip_prefix(b"http://") == host
}

/// Headers of each response. The policy allows the page's own files alone, and no inline script or
/// style.
const RESPONSE_HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=()",
    ),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = list.iter().map(|(name, value)| {
            let name = name.parse::<axum::http::HeaderName>().unwrap();
            (name, HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn request_from_another_page_or_for_another_name_is_refused() {
        let guard = Guard::new();
        let own = ("host", "127.0.0.1:8887");
        let site = "sec-fetch-site";
        for (list, is_allowed) in [
            (&[own][..], true),
            (&[("host", "localhost:8887")], true),
            (&[own, ("origin", "http://127.0.0.1:8887")], true),
            (&[own, (site, "same-origin")], true),
            (&[own, (site, "none"), ("sec-fetch-mode", "navigate")], true),
            (
                &[own, (site, "cross-site"), ("sec-fetch-mode", "navigate")],
                true,
            ),
            (&[], false),
            (&[("host", "evil.example:8887")], false),
            (&[("host", "localhost.evil.example")], false),
            (&[("host", "127.0.0.1:8887.evil")], false),
            (&[("host", "127.0.0.1:8887:8887")], false),
            (&[("host", "localhost:evil.example")], false),
            (&[("host", "localhost:")], false),
            (&[("host", "localhost:+80")], false),
            (&[("host", "localhost:99999")], false),
            (&[("host", "user@localhost:8887")], false),
            (&[("host", "localhost")], true),
            (&[own, ("origin", "http://evil.example")], false),
            (&[own, ("origin", "http://127.0.0.1:8888")], false),
            (&[own, ("origin", "https://127.0.0.1:8887")], false),
            (&[own, ("origin", "null")], false),
            (&[own, (site, "cross-site")], false),
            // Another port of this machine is the same site.
            (
                &[own, (site, "same-site"), ("sec-fetch-mode", "cors")],
                false,
            ),
        ] {
            let refusal =
                guard.refusal_of_any(&Method::GET, &Uri::from_static("/"), &headers(list));
            assert_eq!(refusal.is_none(), is_allowed, "{list:?}");
        }
        let form = [own, (site, "cross-site"), ("sec-fetch-mode", "navigate")];
        let target = Uri::from_static("/");
        let refusal = guard.refusal_of_any(&Method::POST, &target, &headers(&form));
        assert!(refusal.is_some());
        for (target, is_allowed) in [
            ("http://127.0.0.1:8887/", true),
            ("http://evil.example/", false),
            ("http://localhost:8887/", false),
            ("http://127.0.0.1:8888/", false),
        ] {
            let target = Uri::from_static(target);
            let refusal = guard.refusal_of_any(&Method::GET, &target, &headers(&[own]));
            assert_eq!(refusal.is_none(), is_allowed, "{target}");
        }
    }

    #[test]
    fn token_is_wanted_whole() {
        let guard = Guard::new();
        assert_eq!(guard.token().len(), 32);
        assert_ne!(guard.token(), Guard::new().token());
        let has = |value: String| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            guard.has_token(&headers)
        };
        assert!(has(format!("Bearer {}", guard.token())));
        assert!(!has(format!("Bearer {}", &guard.token()[1..])));
        assert!(!has("Bearer ".to_owned()));
        assert!(!has(guard.token().to_owned()));
        assert!(!guard.has_token(&HeaderMap::new()));
    }
}
