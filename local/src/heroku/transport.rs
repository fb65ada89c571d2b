//! What happens to every request before and after its route: the version, the token,
//! the rate limit, `Request-Id`, `ETag`.

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
use super::shared::Shared;

/// The middleware around all routes.
pub(super) async fn transport(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let refusal = |status| ApiError::of_status(status).into_response();
    let genuine = answer(&shared, request, next);
    let mut response = shared
        .control()
        .respond((&method, &path), refusal, genuine)
        .await;
    if let Ok(id) = HeaderValue::try_from(Uuid::new_v4().to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The answer of a service that works.
async fn answer(shared: &Shared, mut request: Request, next: Next) -> Response {
    let is_data_api = is_data_api(request.uri().path());
    if !is_data_api && !names_version_3(request.headers()) {
        return ApiError::not_acceptable().into_response();
    }
    let reach = match shared.tokens().check(request.headers()) {
        Ok(reach) => reach,
        Err(error) => return error.into_response(),
    };
    let free = is_data_api || request.uri().path() == "/account/rate-limits";
    let now = Instant::now();
    let remaining = if free {
        Some(shared.rate_limit().remaining(now))
    } else {
        shared.rate_limit().take(now)
    };
    let mut response = match remaining {
        None => ApiError::rate_limit().into_response(),
        Some(_) => {
            request.extensions_mut().insert(reach);
            let is_get = request.method() == Method::GET;
            let known = request.headers().get(header::IF_NONE_MATCH).cloned();
            let response = next.run(request).await;
            if is_get && response.status().is_success() {
                tagged(response, known).await
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

/// The response with an `ETag`, or 304 without a body when the client has it already.
async fn tagged(response: Response, known: Option<HeaderValue>) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR).into_response();
    };
    let mut hasher = DefaultHasher::new();
    hasher.write(&body);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let unchanged = known
        .as_ref()
        .and_then(|known| known.to_str().ok())
        .is_some_and(|known| {
            known
                .split(',')
                .map(|one| one.trim().trim_start_matches("W/"))
                .any(|one| one == "*" || one == tag)
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

/// Whether a path belongs to api.data.heroku.com, which one server plays together with
/// api.heroku.com because the CLI takes scheme and port of both from `HEROKU_HOST`. It
/// has no version in `Accept` and no share in the rate limit.
fn is_data_api(path: &str) -> bool {
    ["/client/", "/postgres/", "/data/"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
}

/// Whether `Accept` asks for version 3 or one of its variants, such as `3.sdk`.
fn names_version_3(headers: &HeaderMap) -> bool {
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
    fn accept_names_version_3_in_all_its_variants() {
        let asks = |accept: &'static str| {
            let value = HeaderValue::from_static(accept);
            names_version_3(&HeaderMap::from_iter([(header::ACCEPT, value)]))
        };
        assert!(asks("application/vnd.heroku+json; version=3"));
        assert!(asks("application/vnd.heroku+json;version=3.pipelines"));
        assert!(asks(
            "text/html, application/vnd.heroku+json; version=3.sdk"
        ));
        assert!(!asks("application/vnd.heroku+json; version=2"));
        assert!(!asks("application/vnd.heroku+json; version=30"));
        assert!(!asks("application/vnd.heroku+json"));
        assert!(!asks("application/json; version=3"));
        assert!(!asks("*/*"));
    }
}
