//! Request headers with a list of names.

use axum::http::HeaderMap;

/// Returns whether a header with comma-separated names has this name.
pub(super) fn header_lists(headers: &HeaderMap, header: &str, name: &str) -> bool {
    headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|listed| listed.trim() == name)
}
