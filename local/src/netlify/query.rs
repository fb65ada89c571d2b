//! The query of a request, for rules that want parameters.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Parses a query. Of equal names the last counts, and a name without `=` does not count.
pub(super) fn parse_query(query: &str) -> BTreeMap<&str, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name, decode(value))).collect()
}

fn decode(value: &str) -> String {
    let value = value.replace('+', " ");
    percent_decode_str(&value).decode_utf8_lossy().into_owned()
}

/// Encodes a value for a path or a query, with `+` for a space, as Netlify does.
pub(super) fn encode_value(value: &str) -> String {
    utf8_percent_encode(value, ENCODED)
        .to_string()
        .replace("%20", "+")
}

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_decoded_and_encoded() {
        let query = parse_query("a=1&&b&c=x+y%26=&a=2");
        assert_eq!(query.len(), 2);
        assert_eq!((query["a"].as_str(), query["c"].as_str()), ("2", "x y&="));
        assert_eq!(encode_value("x y&é~"), "x+y%26%C3%A9~");
    }
}
