//! What the stand-ins for HTTP APIs share: a listener, failures on demand, and a
//! journal of the requests.

#[cfg(any(feature = "netlify-api", feature = "testing"))]
mod bearer;
mod control;
mod database_url;
mod faults;
mod journal;
mod server;
#[cfg(test)]
pub(crate) mod test_client;

pub use control::Control;
pub use faults::{Failure, Fault};
pub use journal::Recorded;

#[cfg(any(feature = "netlify-api", feature = "testing"))]
pub(crate) use bearer::bearer;
pub(crate) use database_url::DatabaseUrl;
pub(crate) use server::Server;
