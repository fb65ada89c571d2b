//! The custom headers of published files.

use super::header_pattern::HeaderPattern;
use super::rules::HeaderBlock;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// A header rule: headers for the files under some paths.
#[derive(Clone, Debug)]
pub struct HeaderRule {
    path: String,
    pattern: HeaderPattern,
    values: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderRule {
    /// Creates a rule. Adds a warning for each header that is not supported, and omits it.
    ///
    /// # Errors
    ///
    /// The reason why the path pattern is not supported.
    pub fn new(block: &HeaderBlock, warnings: &mut Vec<String>) -> Result<Self, String> {
        let path = &block.path;
        let pattern = HeaderPattern::parse(path)?;
        let mut supported = Vec::new();
        for (name, value) in &block.values {
            match (name.parse::<HeaderName>(), parse_value(value)) {
                // On Netlify this header protects files with the password in its value. It is never
                // sent to a client.
                (Ok(name), _) if name == "basic-auth" => warnings.push(format!(
                    "{name} for {path} is not available locally: the files are not protected"
                )),
                (Ok(name), Some(value)) if !RESERVED.contains(&name.as_str()) => {
                    supported.push((name, value));
                }
                (Ok(_), Some(_)) => warnings.push(format!(
                    "the header {name} for {path} is ignored: Netlify sets it itself"
                )),
                _ => warnings.push(format!(
                    "the header {name:?} for {path} is ignored: it is not a valid header"
                )),
            }
        }
        Ok(Self {
            path: path.clone(),
            pattern,
            values: supported,
        })
    }

    /// Returns whether the rule is for a percent-encoded path.
    pub fn is_match(&self, path: &str) -> bool {
        self.pattern.is_match(path)
    }
}

/// Parses a value, whose lines form one list.
fn parse_value(value: &str) -> Option<HeaderValue> {
    let lines = value.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ").parse().ok()
}

/// Sets the headers of the rules that match a path, and replaces the site's own values.
///
/// As on Netlify, the values of rules with different patterns for one name are joined by a comma,
/// and of rules with one pattern the last counts.
pub(super) fn apply(rules: &[HeaderRule], path: &str, headers: &mut HeaderMap) {
    let matching: Vec<&HeaderRule> = rules.iter().filter(|rule| rule.is_match(path)).collect();
    let mut set = HeaderMap::new();
    for (at, rule) in matching.iter().enumerate() {
        for (index, (name, value)) in rule.values.iter().enumerate() {
            let is_name = |(other, _): &&(HeaderName, HeaderValue)| other == name;
            let in_rule = &rule.values[index + 1..];
            let in_later = matching[at + 1..].iter();
            let is_replaced = in_rule.iter().find(is_name).is_some()
                || in_later
                    .filter(|later| later.path == rule.path)
                    .any(|later| later.values.iter().find(is_name).is_some());
            if is_replaced {
                continue;
            }
            let joined = match set.get(name) {
                Some(earlier) => join_values(earlier, value),
                None => value.clone(),
            };
            set.insert(name, joined);
        }
    }
    headers.extend(set);
}

fn join_values(earlier: &HeaderValue, later: &HeaderValue) -> HeaderValue {
    let joined = [earlier.as_bytes(), b", ", later.as_bytes()].concat();
    HeaderValue::from_bytes(&joined).unwrap_or_else(|_| later.clone())
}

/// The headers that a rule cannot set (docs.netlify.com/routing/headers).
const RESERVED: [&str; 15] = [
    "accept-ranges",
    "age",
    "allow",
    "alt-svc",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "date",
    "location",
    "server",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::super::rules::parse_headers_file;
    use super::*;

    fn rules(text: &str, warnings: &mut Vec<String>) -> Vec<HeaderRule> {
        let (blocks, errors) = parse_headers_file(text);
        assert_eq!(errors, []);
        let blocks = blocks.iter();
        blocks
            .map(|(_, block)| HeaderRule::new(block, warnings).unwrap())
            .collect()
    }

    #[test]
    fn matching_rules_replace_defaults_and_join_their_values() {
        let mut warnings = Vec::new();
        let text = "/*\nCache-Control: public\nX-Frame-Options: DENY\n/a/*\ncache-control: max-age=60\n\
                    /b/*\nx-other: 1\n/*\nX-Frame-Options: SAMEORIGIN\n";
        let rules = rules(text, &mut warnings);
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", HeaderValue::from_static("default"));
        apply(&rules, "/a/x", &mut headers);
        assert_eq!(headers["cache-control"], "public, max-age=60");
        assert_eq!(headers["x-frame-options"], "SAMEORIGIN");
        assert_eq!((headers.len(), warnings.len()), (2, 0));
    }

    #[test]
    fn reserved_header_is_ignored_with_a_warning() {
        let mut warnings = Vec::new();
        let text = "/*\nSet-Cookie: a=1\nbad name: 1\nBasic-Auth: me:s3cret\nx-ok: 1\n";
        let rules = rules(text, &mut warnings);
        assert_eq!((rules[0].values.len(), warnings.len()), (1, 3));
        assert!(!warnings.concat().contains("s3cret"));
    }
}
