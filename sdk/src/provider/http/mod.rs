//! One question to a provider's API over HTTPS, and its answer.

pub(super) mod client;
pub(super) mod receive;
pub(super) mod response;
