//! The middleware that puts a [`Control`] around the routes of an API.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::Response;

use super::control::Control;

impl Control {
    /// Wraps the routes of an API, so that each request goes through [`respond`](Self::respond).
    pub(crate) fn wrap(
        &self,
        routes: Router,
        error_response: fn(StatusCode) -> Response,
    ) -> Router {
        let control = self.clone();
        routes.layer(from_fn(move |request: Request, next: Next| {
            let control = control.clone();
            async move {
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                let response = next.run(request);
                control
                    .respond((&method, &path), error_response, response)
                    .await
            }
        }))
    }
}
