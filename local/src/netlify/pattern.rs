//! The path patterns of netlify.toml: literal segments, `:placeholders` and a final `*`.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// The path pattern of a redirect (`from`) or of a header rule (`for`).
///
/// A trailing slash makes no difference: on Netlify, too, a rule can neither require nor exclude
/// one.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
    splat: bool,
}

#[derive(Clone, Debug)]
enum Segment {
    /// Percent-decoded text, so that `/caf%C3%A9` and `/café` are the same path.
    Literal(Vec<u8>),
    Placeholder(String),
}

/// The percent-encoded text that a pattern's placeholders and splat matched.
#[derive(Debug, Default)]
pub(super) struct Captures(Vec<(String, String)>);

impl Pattern {
    /// Parses a pattern. The error is the reason why it is invalid.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("{text:?} does not start with /"));
        };
        if rest.contains(['?', '#']) {
            return Err(format!("{text:?} has a query or a fragment"));
        }
        let (rest, splat) = match rest.strip_suffix('*') {
            Some(rest) if rest.is_empty() || rest.ends_with('/') => (rest, true),
            _ => (rest, false),
        };
        if rest.contains('*') {
            return Err(format!(
                "{text:?} has a * that is not the whole last segment"
            ));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let segments = match rest {
            "" => Vec::new(),
            _ => rest.split('/').map(Segment::parse).collect(),
        };
        Ok(Self { segments, splat })
    }

    /// Matches a percent-encoded path. Returns the captured text, or `None` if it does not match.
    pub(super) fn match_path(&self, path: &str) -> Option<Captures> {
        let mut captures = Captures::default();
        let mut rest = path.strip_prefix('/')?;
        for segment in &self.segments {
            let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                Segment::Literal(literal) if percent_decode(head) == *literal => {}
                Segment::Placeholder(name) if !head.is_empty() => {
                    captures.0.push((name.clone(), head.to_owned()));
                }
                _ => return None,
            }
            rest = tail;
        }
        if self.splat {
            captures.0.push(("splat".to_owned(), rest.to_owned()));
        } else if !rest.is_empty() {
            return None;
        }
        Some(captures)
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text.strip_prefix(':') {
            Some(name) if !name.is_empty() && name.chars().all(is_name_char) => {
                Self::Placeholder(name.to_owned())
            }
            _ => Self::Literal(percent_decode(text)),
        }
    }
}

impl Captures {
    /// Replaces `:name` and `:splat` in a template by the captured text.
    ///
    /// A name without captured text is kept, so that the port in `https://example.test:8443/` does
    /// not change.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut filled = String::with_capacity(template.len());
        let mut in_query = false;
        let mut rest = template;
        while let Some(at) = rest.find([':', '?']) {
            filled.push_str(&rest[..at]);
            in_query |= rest.as_bytes()[at] == b'?';
            let after = &rest[at + 1..];
            let length = after.find(|c| !is_name_char(c)).unwrap_or(after.len());
            let captured = self.0.iter().find(|(name, _)| *name == after[..length]);
            match captured.filter(|_| rest.as_bytes()[at] == b':') {
                // In a query, captured text is one value and must not add parameters.
                Some((_, value)) if in_query => filled.extend(utf8_percent_encode(value, VALUE)),
                Some((_, value)) => filled.push_str(value),
                None => filled.push_str(&rest[at..at + 1 + length]),
            }
            rest = &after[length..];
        }
        filled + rest
    }
}

fn percent_decode(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

const VALUE: &AsciiSet = &CONTROLS.add(b'&').add(b'=').add(b'+').add(b'#');

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, path: &str, template: &str) -> Option<String> {
        let captures = Pattern::parse(pattern).unwrap().match_path(path)?;
        Some(captures.fill(template))
    }

    #[test]
    fn pattern_with_splat_captures_the_rest_of_the_path() {
        let to = "/.netlify/functions/:splat";
        assert_eq!(
            filled("/api/*", "/api/a/b%20c/", to).unwrap(),
            "/.netlify/functions/a/b%20c/"
        );
        assert_eq!(
            filled("/api/*", "/api", to).unwrap(),
            "/.netlify/functions/"
        );
        assert_eq!(filled("/*", "/", to).unwrap(), "/.netlify/functions/");
        assert!(filled("/api/*", "/apis", to).is_none());
    }

    #[test]
    fn pattern_with_placeholders_captures_one_segment_each() {
        let to = "/blog-:year-:month.html";
        assert_eq!(
            filled("/news/:year/:month", "/news/2026/05/", to).unwrap(),
            "/blog-2026-05.html"
        );
        assert!(filled("/news/:year/:month", "/news/2026", to).is_none());
        assert!(filled("/news/:year/:month", "/news//05", to).is_none());
        assert!(filled("/news/:year/:month", "/news/2026/05/01", to).is_none());
    }

    #[test]
    fn literal_pattern_ignores_trailing_slash_and_encoding() {
        assert!(filled("/café", "/caf%C3%A9/", "").is_some());
        assert!(filled("/cafe/", "/cafe", "").is_some());
        assert!(filled("/cafe", "/cafe//", "").is_none());
        assert!(filled("/cafe", "/Cafe", "").is_none());
    }

    #[test]
    fn captured_text_in_a_query_stays_one_value() {
        assert_eq!(
            filled("/p/:id", "/p/1&admin=1", "/x?id=:id").unwrap(),
            "/x?id=1%26admin%3D1"
        );
    }

    #[test]
    fn template_keeps_ports_and_unknown_names() {
        let to = "https://example.test:8443/:other/:id";
        assert_eq!(
            filled("/p/:id", "/p/7", to).unwrap(),
            "https://example.test:8443/:other/7"
        );
    }

    #[test]
    fn invalid_pattern_is_refused() {
        for text in ["api", "/a/*/b", "/a*", "/a?b=1", "https://example.test/*"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
