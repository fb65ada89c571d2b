//! Responses for a handler that returned an error, panicked or took too long, and their log lines.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;

use http::{Response, StatusCode};
use lambda_http::{Body, IntoResponse};

use crate::error::Error;
use crate::log_line::with_causes;
use crate::problem::Problem;

impl IntoResponse for Problem {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(std::future::ready(response(&self)))
    }
}

/// Makes a problem's response with Lambda's type of a body.
pub(super) fn response(problem: &Problem) -> Response<Body> {
    problem.to_response().map(Body::from)
}

/// Returns the response for a handler that did not answer in time. Without it the platform would
/// end the process with its connections, and its own response says less.
pub(super) fn took_too_long() -> Response<Body> {
    tracing::error!("the handler was given up: it took as long as this invocation may last");
    response(&Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "The function took too long to answer.",
    ))
}

/// Returns the response for a handler's error, and logs the error unless the client caused it.
pub(super) fn respond(error: &(dyn StdError + 'static)) -> Response<Body> {
    if let Some(problem) = beneath::<Problem>(error) {
        problem.log(error);
        return response(problem);
    }
    tracing::error!(reason = %with_causes(error), "the request failed");
    response(&match beneath::<Error>(error) {
        Some(own) => Problem::from(own.clone()),
        None => failed(),
    })
}

/// Returns the problem for an error of a foreign type, whose text may be secret.
pub(super) fn failed() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "The function failed. Its operator finds the reason in the function's log.",
    )
}

/// Returns the first error of that type among an error and its causes.
pub(super) fn beneath<'a, T: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
