//! The HTTPS client for the providers' APIs.

mod api;
mod client;
mod connector;
mod informational;
mod refusal;
mod response;
mod retry_after;
mod tcp_connector;
mod tls;

pub(super) use self::api::ProviderApi;
pub(super) use self::client::{ApiClient, path_segment};
#[cfg(feature = "lambda")]
pub(crate) use self::connector::{Connector, RequestBody};
pub(crate) use self::retry_after::LONGEST_RETRY_AFTER;
