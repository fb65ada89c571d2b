//! One header rule, normalized: the same for a block of `_headers` and a table of netlify.toml.

use std::collections::BTreeMap;

/// The headers for the published files under some paths.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderBlock {
    /// Path pattern, as it is written.
    pub path: String,
    /// Values by name. Several values of a header are one text with commas.
    pub values: BTreeMap<String, String>,
}
