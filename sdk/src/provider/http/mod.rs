//! The HTTPS client for the providers' APIs.

mod api;
mod client;
mod informational;
mod refusal;
mod response;
mod retry_after;
mod tcp_connector;
mod tls;

pub(super) use self::api::ProviderApi;
pub(super) use self::client::{ApiClient, path_segment};
pub(crate) use self::retry_after::LONGEST_RETRY_AFTER;
