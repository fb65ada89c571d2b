//! Extractors and responses for axum: the cargo feature `axum`.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::database::{Database, IdempotencyKey, fingerprint};
use crate::error::Error;
use crate::postgres::Client;
use crate::problem::Problem;

/// Takes the database that `stagelink::run`, or a layer of `axum::Extension`, put into the request.
impl<S: Sync> FromRequestParts<S> for Database {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::from_extensions(&parts.extensions)?)
    }
}

/// Takes a connection from the request's [`Database`] before the handler runs.
impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let database = Database::from_extensions(&parts.extensions)?;
        Ok(database.client().await?)
    }
}

/// Takes the key of a request whose body the handler does not read. A request without a key is
/// answered 400. [`Idempotent`] is for handlers that read the body.
impl<S: Send + Sync> FromRequest<S> for IdempotencyKey {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let Idempotent(key, _) = Idempotent::<Bytes>::from_request(request, state).await?;
        Ok(key)
    }
}

/// An extractor of an [`IdempotencyKey`] together with the body that the key stands for.
///
/// The key covers the request's method, path and body, so this reads the whole body and passes it
/// on to the extractor `T`. A request without a key is answered 400.
///
/// ```
/// use axum::Json;
/// use stagelink::{Database, Idempotent, Problem, params};
///
/// async fn order(
///     database: Database,
///     Idempotent(key, Json(article)): Idempotent<Json<String>>,
/// ) -> Result<Json<i64>, Problem> {
///     let number = database
///         .write_once(&key, |db| {
///             let article = article.clone();
///             async move {
///                 let sql = "INSERT INTO orders (article) VALUES ($1) RETURNING id";
///                 let row = db.query_typed_one(sql, &params![article]).await?;
///                 Ok::<i64, Problem>(row.get(0))
///             }
///         })
///         .await?;
///     Ok(Json(number))
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::post(order));
/// ```
#[derive(Clone, Debug)]
pub struct Idempotent<T>(pub IdempotencyKey, pub T);

impl<S, T> FromRequest<S> for Idempotent<T>
where
    S: Send + Sync,
    T: FromRequest<S>,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let key = IdempotencyKey::in_header(request.headers())
            .and_then(|key| key.ok_or_else(missing_key))
            .map_err(IntoResponse::into_response)?;
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let body = Bytes::from_request(whole, state)
            .await
            .map_err(IntoResponse::into_response)?;
        let request = Request::from_parts(parts, Body::from(body.clone()));
        let fingerprint = fingerprint(&request, &body);
        let inner = T::from_request(request, state)
            .await
            .map_err(IntoResponse::into_response)?;
        Ok(Self(IdempotencyKey::new(key, fingerprint), inner))
    }
}

/// Logs the problem if the function failed, and makes its response.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.log(&self);
        let mut response = self.to_response().map(Body::from);
        if let Some(error) = self.cause() {
            response.extensions_mut().insert(error.clone());
        }
        response
    }
}

/// Logs the error, and makes the response of the [`Problem`] that it is to a client.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

fn missing_key() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "Send an Idempotency-Key, such as a UUID.",
    )
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use axum::{Extension, Json, Router};
    use http_body_util::BodyExt as _;
    use tower_service::Service as _;

    use super::*;
    use crate::error::ErrorKind;

    fn router() -> Router {
        let database = Database::new(Err(Error::new(ErrorKind::Stage, "no stage, c4n4ry")));
        Router::new()
            .route("/client", get(|_: Client| async { "unreachable" }))
            .route(
                "/stage",
                get(|database: Database| async move {
                    let stage = database.stage()?;
                    Ok::<_, Error>(Json(stage.to_string()))
                }),
            )
            .nest(
                "/orders",
                Router::new().route("/", post(fingerprint_of)).route(
                    "/all",
                    post(|key: IdempotencyKey| async move { format!("{key:?}") }),
                ),
            )
            .nest("/offers", Router::new().route("/", post(fingerprint_of)))
            .layer(Extension(database))
    }

    async fn fingerprint_of(
        Idempotent(key, Json(number)): Idempotent<Json<i64>>,
    ) -> Result<String, Problem> {
        if number < 0 {
            return Err(Problem::new(StatusCode::CONFLICT, "Below zero."));
        }
        Ok(format!("{key:?}"))
    }

    async fn send(
        request: http::request::Builder,
        body: &'static str,
    ) -> (http::response::Parts, String) {
        let request = request.body(Body::from(body)).unwrap();
        let Ok(response) = router().call(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts, String::from_utf8(body.to_vec()).unwrap())
    }

    fn to(path: &str, key: &str) -> http::request::Builder {
        Request::post(path)
            .header("idempotency-key", key)
            .header("content-type", "application/json")
    }

    #[tokio::test]
    async fn error_and_failed_extractor_answer_with_the_public_message_and_carry_the_error() {
        for path in ["/client", "/stage"] {
            let (parts, body) = send(Request::get(path), "").await;
            assert_eq!(parts.status, 500);
            assert!(body.contains("not set up for a stage") && !body.contains("c4n4ry"));
            let error = parts.extensions.get::<Error>().unwrap();
            assert_eq!(error.kind(), ErrorKind::Stage);
        }
    }

    #[tokio::test]
    async fn idempotency_key_covers_the_body_and_the_whole_path() {
        let (parts, first) = send(to("/orders", "a"), "1").await;
        assert_eq!(parts.status, 200, "{first}");
        assert_eq!(send(to("/orders", "a"), "1").await.1, first);
        assert_ne!(send(to("/orders", "a"), "2").await.1, first);
        assert_ne!(send(to("/offers", "a"), "1").await.1, first);
        let (parts, _) = send(to("/orders/all", "a"), "").await;
        assert_eq!(parts.status, 200);
    }

    /// API Gateway's path with and without its stage, to a handler at the root of a router, in a
    /// nested one, and without axum.
    #[cfg(feature = "lambda")]
    #[tokio::test]
    async fn idempotency_key_covers_the_path_that_the_client_sent_in_each_router() {
        use lambda_http::RequestExt as _;

        async fn plain(request: http::Request<Bytes>) -> String {
            format!(
                "{:?}",
                IdempotencyKey::from_request(&request).unwrap().unwrap()
            )
        }
        async fn extracted(Idempotent(key, _): Idempotent<Bytes>) -> String {
            format!("{key:?}")
        }
        async fn own(request: Request) -> String {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            plain(Request::from_parts(parts, body)).await
        }
        let routes = Router::new()
            .route("/own", post(own))
            .route("/extracted", post(extracted));
        let mut router = Router::new()
            .nest("/live", routes.clone())
            .nest("/live/deeper", routes);
        for prefix in ["", "/deeper"] {
            for raw in [None, Some("/orders"), Some("/live/orders")] {
                let request = |name: &str| {
                    let request = to(&format!("/live{prefix}/{name}"), "a");
                    let request = request.body(Bytes::from("1")).unwrap();
                    match raw {
                        Some(raw) => request.with_raw_http_path(raw),
                        None => request,
                    }
                };
                for name in ["own", "extracted"] {
                    let expected = plain(request(name)).await;
                    let Ok(answer) = router.call(request(name).map(Body::from)).await;
                    let answer = answer.into_body().collect().await.unwrap().to_bytes();
                    assert_eq!(answer, expected, "{name} at {prefix}, {raw:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn request_without_a_key_or_with_a_bad_body_is_the_clients_mistake() {
        let (parts, body) = send(Request::post("/orders"), "1").await;
        assert!(parts.status == 400 && body.contains("Send an Idempotency-Key"));
        assert_eq!(send(to("/orders", "a b"), "1").await.0.status, 400);
        assert_eq!(send(to("/orders", "a"), "none").await.0.status, 400);
        assert_eq!(send(to("/orders", "a"), "-1").await.0.status, 409);
    }
}
