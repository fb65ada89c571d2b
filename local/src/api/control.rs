//! The way to disturb a stand-in, and to see what it was asked.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{Method, StatusCode};
use axum::response::Response;
#[cfg(any(feature = "netlify-api", feature = "testing"))]
use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
};

use super::faults::{Fault, Faults};
use super::journal::{Journal, Recorded};
use super::server::Disconnected;

/// Makes a stand-in fail, and tells which requests came in. Clones are of the same one.
#[derive(Clone, Default)]
pub struct Control(Arc<Inner>);

#[derive(Default)]
struct Inner {
    faults: Mutex<Faults>,
    journal: Mutex<Journal>,
}

impl Control {
    /// Makes requests fail from now on.
    pub fn inject(&self, fault: Fault) {
        lock(&self.0.faults).inject(fault);
    }

    /// Ends all faults. A request that hangs already goes on hanging.
    pub fn clear_faults(&self) {
        lock(&self.0.faults).clear();
    }

    /// The requests so far, in the order in which they came in: the last 10 000.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.0.journal).entries()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        lock(&self.0.journal).forget();
    }

    /// Wraps the routes of an API, so that each request goes through [`respond`](Self::respond).
    #[cfg(any(feature = "netlify-api", feature = "testing"))]
    pub(crate) fn wrap(&self, routes: Router, refusal: fn(StatusCode) -> Response) -> Router {
        let control = self.clone();
        routes.layer(from_fn(move |request: Request, next: Next| {
            let control = control.clone();
            async move {
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                let genuine = next.run(request);
                control.respond((&method, &path), refusal, genuine).await
            }
        }))
    }

    /// The response to a request: what `genuine` gives, or what becomes of that by
    /// a fault. `refusal` is the API's own answer with a status of failure.
    pub(crate) async fn respond(
        &self,
        (method, path): (&Method, &str),
        refusal: fn(StatusCode) -> Response,
        genuine: impl Future<Output = Response>,
    ) -> Response {
        let number = lock(&self.0.journal).arrived(method, path);
        let failure = lock(&self.0.faults).take(method, path);
        let response = match failure {
            None => genuine.await,
            Some(failure) => failure.spoil(genuine, refusal).await,
        };
        if !is_disconnected(&response) {
            let status = response.status().as_u16();
            lock(&self.0.journal).answered(number, status);
            tracing::debug!(%method, path, status, "a local api");
        }
        response
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// Whether a response is never sent, since its connection is closed in its place.
fn is_disconnected(response: &Response) -> bool {
    response.extensions().get::<Disconnected>().is_some()
}

/// A request that panicked leaves nothing half done that matters to a stand-in.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
