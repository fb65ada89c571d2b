//! The custom headers of netlify.toml for published files.

use super::pattern::Pattern;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// A `[[headers]]` rule: headers for the files under some paths.
#[derive(Clone, Debug)]
pub struct HeaderRule {
    pattern: Pattern,
    values: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderRule {
    /// Parses a rule. Adds a warning for each header that is not supported, and omits it.
    pub(super) fn parse<'a>(
        path: &str,
        values: impl IntoIterator<Item = (&'a String, &'a String)>,
        warnings: &mut Vec<String>,
    ) -> Option<Self> {
        let pattern = match Pattern::parse(path) {
            Ok(pattern) => pattern,
            Err(reason) => {
                warnings.push(format!("a headers rule is ignored: {reason}"));
                return None;
            }
        };
        let mut supported = Vec::new();
        for (name, value) in values {
            // A value may have several lines, which form one list.
            let lines: Vec<&str> = value
                .lines()
                .map(str::trim)
                .filter(|l| !l.is_empty())
                .collect();
            match (name.parse::<HeaderName>(), lines.join(" ").parse()) {
                // On Netlify this header protects files with the password in its value. It is never
                // sent to a client.
                (Ok(name), _) if name == "basic-auth" => warnings.push(format!(
                    "{name} for {path} is not available locally: the files are not protected"
                )),
                (Ok(name), Ok(value)) if !RESERVED.contains(&name.as_str()) => {
                    supported.push((name, value));
                }
                (Ok(_), Ok(_)) => warnings.push(format!(
                    "the header {name} for {path} is ignored: Netlify sets it itself"
                )),
                _ => warnings.push(format!(
                    "the header {name:?} for {path} is ignored: it is not a valid header"
                )),
            }
        }
        Some(Self {
            pattern,
            values: supported,
        })
    }
}

/// Sets the headers of the rules that match a path, and replaces the site's own values.
///
/// As on Netlify, the values of several rules for one name are joined by a comma.
pub(super) fn apply(rules: &[HeaderRule], path: &str, headers: &mut HeaderMap) {
    let mut set = HeaderMap::new();
    for rule in rules
        .iter()
        .filter(|rule| rule.pattern.match_path(path).is_some())
    {
        for (name, value) in &rule.values {
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
    use super::*;
    use std::collections::BTreeMap;

    fn rule(path: &str, values: &[(&str, &str)], warnings: &mut Vec<String>) -> HeaderRule {
        let values: BTreeMap<String, String> = values
            .iter()
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .collect();
        HeaderRule::parse(path, &values, warnings).unwrap()
    }

    #[test]
    fn matching_rules_replace_defaults_and_join_their_values() {
        let mut warnings = Vec::new();
        let rules = [
            rule(
                "/*",
                &[("Cache-Control", "public"), ("X-Frame-Options", "DENY")],
                &mut warnings,
            ),
            rule("/a/*", &[("cache-control", "max-age=60")], &mut warnings),
            rule("/b/*", &[("x-other", "1")], &mut warnings),
        ];
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", HeaderValue::from_static("default"));
        apply(&rules, "/a/x", &mut headers);
        assert_eq!(headers["cache-control"], "public, max-age=60");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!((headers.len(), warnings.len()), (2, 0));
    }

    #[test]
    fn reserved_header_is_ignored_with_a_warning() {
        let mut warnings = Vec::new();
        let values = [
            ("Set-Cookie", "a=1"),
            ("bad name", "1"),
            ("Basic-Auth", "me:s3cret"),
            ("x-ok", "1"),
        ];
        let rule = rule("/*", &values, &mut warnings);
        assert_eq!((rule.values.len(), warnings.len()), (1, 3));
        assert!(!warnings.concat().contains("s3cret"));
    }
}
