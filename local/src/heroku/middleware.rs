//! The middleware around all routes: version, token, rate limit, faults, `Request-Id`, `ETag`.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::api_error::ApiError;
use super::app_state::AppState;

/// Handles a request before and after its route.
pub(super) async fn middleware(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let error_response = |status| ApiError::from_status(status).into_response();
    let response = respond(&state, request, next);
    let mut response = state
        .control()
        .respond((&method, &path), error_response, response)
        .await;
    if let Ok(id) = HeaderValue::try_from(Uuid::new_v4().to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Returns the response without faults.
async fn respond(state: &AppState, mut request: Request, next: Next) -> Response {
    if is_stream(request.uri().path()) {
        return next.run(request).await;
    }
    let is_data_api = is_data_api(request.uri().path());
    if !is_data_api && !accepts_version_3(request.headers()) {
        return ApiError::not_acceptable().into_response();
    }
    let scope = match state.tokens().authenticate(request.headers()) {
        Ok(scope) => scope,
        Err(error) => return error.into_response(),
    };
    let is_free = is_data_api || request.uri().path() == "/account/rate-limits";
    let now = Instant::now();
    let remaining = if is_free {
        Some(state.rate_limit().remaining(now))
    } else {
        state.rate_limit().try_acquire(now)
    };
    let mut response = match remaining {
        None => ApiError::rate_limit().into_response(),
        Some(_) => {
            request.extensions_mut().insert(scope);
            let is_get = request.method() == Method::GET;
            let if_none_match = request.headers().get(header::IF_NONE_MATCH).cloned();
            let response = next.run(request).await;
            if is_get && response.status().is_success() {
                with_etag(response, if_none_match).await
            } else {
                response
            }
        }
    };
    if !is_data_api {
        let remaining = HeaderValue::from(remaining.unwrap_or(0));
        response
            .headers_mut()
            .insert(RATE_LIMIT_REMAINING, remaining);
    }
    response
}

/// Returns the response with an `ETag`, or 304 without a body if the client has this version.
async fn with_etag(response: Response, if_none_match: Option<HeaderValue>) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return ApiError::from_status(StatusCode::INTERNAL_SERVER_ERROR).into_response();
    };
    let mut hasher = DefaultHasher::new();
    hasher.write(&body);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let unchanged = if_none_match
        .as_ref()
        .and_then(|tags| tags.to_str().ok())
        .is_some_and(|tags| {
            tags.split(',')
                .map(|known| known.trim().trim_start_matches("W/"))
                .any(|known| known == "*" || known == tag)
        });
    if let Ok(tag) = HeaderValue::try_from(tag) {
        parts.headers.insert(header::ETAG, tag);
    }
    if unchanged {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(body))
}

/// Returns whether a path belongs to the data API, api.data.heroku.com.
///
/// One server serves it together with api.heroku.com, because the CLI takes scheme and port of both
/// from `HEROKU_HOST`. The data API has no version in `Accept` and no rate limit.
fn is_data_api(path: &str) -> bool {
    ["/client/", "/postgres/", "/data/"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

/// Returns whether a path belongs to the output of release phases, whose host knows neither versions
/// nor tokens.
fn is_stream(path: &str) -> bool {
    path.starts_with("/streams/")
}

/// Returns whether `Accept` names version 3 or one of its variants, such as `3.sdk`.
fn accepts_version_3(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|media_type| {
            let mut parts = media_type.split(';').map(str::trim);
            parts.next() == Some("application/vnd.heroku+json")
                && parts
                    .filter_map(|parameter| parameter.strip_prefix("version="))
                    .any(|version| version == "3" || version.starts_with("3."))
        })
}

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_3_is_accepted_in_all_its_variants() {
        let accepts = |accept: &'static str| {
            let value = HeaderValue::from_static(accept);
            accepts_version_3(&HeaderMap::from_iter([(header::ACCEPT, value)]))
        };
        assert!(accepts("application/vnd.heroku+json; version=3"));
        assert!(accepts("application/vnd.heroku+json;version=3.pipelines"));
        assert!(accepts(
            "text/html, application/vnd.heroku+json; version=3.sdk"
        ));
        assert!(!accepts("application/vnd.heroku+json; version=2"));
        assert!(!accepts("application/vnd.heroku+json; version=30"));
        assert!(!accepts("application/vnd.heroku+json"));
        assert!(!accepts("application/json; version=3"));
        assert!(!accepts("*/*"));
    }
}
