//! Parts that the stand-ins for HTTP APIs share: the server, injected faults, and the log of
//! received requests.

mod bearer;
mod control;
mod database_url;
mod faults;
#[cfg(any(feature = "netlify-api", feature = "testing"))]
mod middleware;
mod request_log;
mod server;
#[cfg(test)]
pub(crate) mod test_client;

pub use control::Control;
pub(crate) use faults::FaultId;
pub use faults::{Failure, Fault};
pub use request_log::RecordedRequest;
pub use server::Server;

pub(crate) use bearer::bearer_token;
pub(crate) use database_url::DatabaseUrl;
