//! The HTTPS client for the providers' APIs.

mod api;
mod client;
mod response;
mod tcp_connector;

pub(super) use self::api::ProviderApi;
pub(super) use self::client::{ApiClient, path_segment};
