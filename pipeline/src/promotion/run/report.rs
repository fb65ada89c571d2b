//! The result of a promotion.

use serde::Serialize;

/// The result of a promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PromotionReport {
    /// The digest of the artifact.
    pub artifact: String,
    /// The deploy that is published now.
    pub deploy: String,
    /// Its own address.
    pub address: String,
    /// The address of the site.
    pub live: String,
    /// The deploy that was published before.
    pub previous: String,
    /// The migrations that were applied, as `V5__add_mail`.
    pub migrations: Vec<String>,
    /// The migrations of *after* that are possible now.
    pub possible_after: Vec<String>,
    /// The number of requests to Netlify's API.
    pub api_requests: u64,
    /// The time that it took, in seconds.
    pub seconds: u64,
    /// Remarks, each a sentence.
    pub notes: Vec<String>,
}
