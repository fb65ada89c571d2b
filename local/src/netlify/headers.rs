//! The custom headers of netlify.toml, which go with published files.

use super::pattern::Pattern;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// One `[[headers]]` rule: what to send with the files under certain paths.
#[derive(Clone, Debug)]
pub struct HeaderRule {
    pattern: Pattern,
    values: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderRule {
    /// Reads one rule. What cannot be kept is left out, and said in `warnings`.
    pub(super) fn parse<'a>(
        path: &str,
        values: impl IntoIterator<Item = (&'a String, &'a String)>,
        warnings: &mut Vec<String>,
    ) -> Option<Self> {
        let pattern = match Pattern::parse(path) {
            Ok(pattern) => pattern,
            Err(reason) => {
                warnings.push(format!("a headers rule is left out: {reason}"));
                return None;
            }
        };
        let mut kept = Vec::new();
        for (name, value) in values {
            // A value may be written over several lines, which make one list.
            let lines: Vec<&str> = value
                .lines()
                .map(str::trim)
                .filter(|l| !l.is_empty())
                .collect();
            match (name.parse::<HeaderName>(), lines.join(" ").parse()) {
                // On Netlify this one asks for a password and holds it; it never goes to a client.
                (Ok(name), _) if name == "basic-auth" => warnings.push(format!(
                    "{name} for {path} is not available locally: the files ask for no password"
                )),
                (Ok(name), Ok(value)) if !RESERVED.contains(&name.as_str()) => {
                    kept.push((name, value));
                }
                (Ok(_), Ok(_)) => warnings.push(format!(
                    "the header {name} for {path} is left out: Netlify sets it itself"
                )),
                _ => warnings.push(format!(
                    "the header {name:?} for {path} is left out: it is not a valid header"
                )),
            }
        }
        Some(Self {
            pattern,
            values: kept,
        })
    }
}

/// Sets what the rules say for a path, in the place of the site's own values.
///
/// Values that several rules give for one name are joined by a comma, as Netlify does.
pub(super) fn apply(rules: &[HeaderRule], path: &str, headers: &mut HeaderMap) {
    let mut set = HeaderMap::new();
    for rule in rules
        .iter()
        .filter(|rule| rule.pattern.captures(path).is_some())
    {
        for (name, value) in &rule.values {
            let joined = match set.get(name) {
                Some(earlier) => join(earlier, value),
                None => value.clone(),
            };
            set.insert(name, joined);
        }
    }
    headers.extend(set);
}

fn join(earlier: &HeaderValue, later: &HeaderValue) -> HeaderValue {
    let joined = [earlier.as_bytes(), b", ", later.as_bytes()].concat();
    HeaderValue::from_bytes(&joined).unwrap_or_else(|_| later.clone())
}

/// The names that custom headers cannot set (docs.netlify.com/routing/headers).
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
    fn header_that_netlify_keeps_for_itself_is_left_out_with_a_warning() {
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
