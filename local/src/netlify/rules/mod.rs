//! The rules of `_redirects`, `_headers` and netlify.toml as Netlify's two parsers read them.
//!
//! A file has lines, and netlify.toml has tables. Both become the same [`RedirectRule`] or
//! [`HeaderBlock`]. A wrong rule becomes a [`RuleError`], and the other rules stay.

mod header_block;
mod headers_file;
mod headers_table;
mod redirect_rule;
mod redirects_file;
mod redirects_table;
mod text;

pub use header_block::HeaderBlock;
pub use headers_file::parse_headers_file;
pub(super) use headers_table::parse_header_table;
pub use redirect_rule::RedirectRule;
pub use redirects_file::parse_redirects_file;
pub(super) use redirects_table::parse_redirect_table;
pub(super) use redirects_table::unknown_keys;

/// A rule that Netlify does not accept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleError {
    /// Line of the rule in its file, from 1.
    pub line: usize,
    /// The reason, without the file's name and the line.
    pub reason: String,
}

impl RuleError {
    fn new(line: usize, reason: impl Into<String>) -> Self {
        Self {
            line,
            reason: reason.into(),
        }
    }
}

/// Removes each rule that is repeated later, as Netlify does: the last of equal rules stays.
pub(super) fn remove_duplicates<T: PartialEq>(rules: Vec<T>) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(rules.len());
    for rule in rules.into_iter().rev() {
        if !kept.contains(&rule) {
            kept.push(rule);
        }
    }
    kept.reverse();
    kept
}
