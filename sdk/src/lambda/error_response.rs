//! What a client gets to see where a handler has no response, and what the log gets.

use std::error::Error as StdError;

use http::{Response, StatusCode};
use lambda_http::Body;

use crate::error::Error;
use crate::problem::Problem;

/// The answer where the handler gave none in time: better than what the platform would say,
/// which ends the process and its connections, too.
pub(super) fn took_too_long() -> Response<Body> {
    tracing::error!("the handler was given up: it took as long as this invocation may last");
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "The function took too long to answer.",
    )
    .to_response()
}

/// What a client gets to see of a handler's error. The log gets the rest, if
/// it was not the client's own mistake.
pub(super) fn respond(error: &(dyn StdError + 'static)) -> Response<Body> {
    if let Some(problem) = beneath::<Problem>(error) {
        if problem.status().is_server_error() {
            // Its own text is what the client gets; the cause says more.
            let reason = problem.source().unwrap_or(error);
            tracing::error!(reason = %chain(reason), "the request failed");
        }
        return problem.to_response();
    }
    tracing::error!(reason = %chain(error), "the request failed");
    match beneath::<Error>(error) {
        Some(own) => Problem::from(own.clone()),
        None => failed(),
    }
    .to_response()
}

/// All that a client gets to see of an error that is none of ours.
pub(super) fn failed() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "The function failed. Its operator finds the reason in the function's log.",
    )
}

/// The first error of that type, from an error down through its causes.
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

pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
