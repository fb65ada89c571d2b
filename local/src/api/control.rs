//! The handle for tests to make a stand-in fail and to see its requests.

use std::fmt;
use std::sync::{Arc, Mutex};

use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::faults::{Fault, FaultId, Faults};
use super::request_log::{RecordedRequest, RequestLog};
use super::server::CloseConnection;
use crate::lock::lock;

/// Makes a stand-in fail, and lists the requests that it received. Clones control the same
/// stand-in.
#[derive(Clone, Default)]
pub struct Control(Arc<Inner>);

#[derive(Default)]
struct Inner {
    faults: Mutex<Faults>,
    log: Mutex<RequestLog>,
}

impl Control {
    /// Makes matching requests fail from now on.
    pub fn inject(&self, fault: Fault) {
        self.inject_until_removed(fault);
    }

    /// Makes matching requests fail as [`inject`](Self::inject) does, until the fault is removed.
    pub(crate) fn inject_until_removed(&self, fault: Fault) -> FaultId {
        lock(&self.0.faults).inject(fault)
    }

    /// Removes one fault. A request that already hangs keeps hanging.
    pub(crate) fn remove(&self, fault: FaultId) {
        lock(&self.0.faults).remove(fault);
    }

    /// Removes all faults. A request that already hangs keeps hanging.
    pub fn clear_faults(&self) {
        lock(&self.0.faults).clear();
    }

    /// Received requests in their order, the last 10 000.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.0.log).entries()
    }

    /// Clears the list of received requests.
    pub fn clear_requests(&self) {
        lock(&self.0.log).clear();
    }

    /// Returns the response to a request: `response`, or the result of a fault that matches.
    /// `error_response` creates the API's own response with an error status.
    pub(crate) async fn respond(
        &self,
        (method, path): (&Method, &str),
        error_response: fn(StatusCode) -> Response,
        response: impl Future<Output = Response>,
    ) -> Response {
        let number = lock(&self.0.log).record_request(method, path);
        let failure = lock(&self.0.faults).next_failure(method, path);
        let response = match failure {
            None => response.await,
            Some(failure) => failure.apply(response, error_response).await,
        };
        if !closes_connection(&response) {
            let status = response.status().as_u16();
            lock(&self.0.log).record_status(number, status);
            tracing::debug!(%method, path, status, "request to a local api");
        }
        response
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// Returns whether the connection is closed instead of sending the response.
fn closes_connection(response: &Response) -> bool {
    response.extensions().get::<CloseConnection>().is_some()
}
