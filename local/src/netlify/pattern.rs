//! Which paths a rule of netlify.toml means: literal segments, `:placeholders` and a last `*`.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// The path pattern of a redirect (`from`) or of a header rule (`for`).
///
/// A trailing slash makes no difference, as on Netlify, where a rule can neither
/// ask for one nor refuse one.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
    splat: bool,
}

#[derive(Clone, Debug)]
enum Segment {
    /// Percent-decoded, so that `/caf%C3%A9` and `/café` are one path.
    Literal(Vec<u8>),
    Placeholder(String),
}

/// What the placeholders and the splat of a pattern stood for, still percent-encoded.
#[derive(Debug, Default)]
pub(super) struct Captures(Vec<(String, String)>);

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("{text:?} is not a path that starts with /"));
        };
        if rest.contains(['?', '#']) {
            return Err(format!("{text:?} has more than a path"));
        }
        let (rest, splat) = match rest.strip_suffix('*') {
            Some(rest) if rest.is_empty() || rest.ends_with('/') => (rest, true),
            _ => (rest, false),
        };
        if rest.contains('*') {
            return Err(format!(
                "{text:?} has a * that is not its whole last segment"
            ));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let segments = match rest {
            "" => Vec::new(),
            _ => rest.split('/').map(Segment::parse).collect(),
        };
        Ok(Self { segments, splat })
    }

    /// Compares with a request's path, which is still percent-encoded.
    pub(super) fn captures(&self, path: &str) -> Option<Captures> {
        let mut captures = Captures::default();
        let mut rest = path.strip_prefix('/')?;
        for segment in &self.segments {
            let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                Segment::Literal(literal) if decoded(head) == *literal => {}
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
            Some(name) if !name.is_empty() && name.chars().all(is_name) => {
                Self::Placeholder(name.to_owned())
            }
            _ => Self::Literal(decoded(text)),
        }
    }
}

impl Captures {
    /// Puts the captured text in the place of `:name` and `:splat`.
    ///
    /// A name that nothing was captured for stays as it is, so that the port of
    /// `https://example.test:8443/` is left alone.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut filled = String::with_capacity(template.len());
        let mut in_query = false;
        let mut rest = template;
        while let Some(at) = rest.find([':', '?']) {
            filled.push_str(&rest[..at]);
            in_query |= rest.as_bytes()[at] == b'?';
            let after = &rest[at + 1..];
            let length = after.find(|c| !is_name(c)).unwrap_or(after.len());
            let captured = self.0.iter().find(|(name, _)| *name == after[..length]);
            match captured.filter(|_| rest.as_bytes()[at] == b':') {
                // In a query, captured text is one value and must not become more parameters.
                Some((_, value)) if in_query => filled.extend(utf8_percent_encode(value, VALUE)),
                Some((_, value)) => filled.push_str(value),
                None => filled.push_str(&rest[at..at + 1 + length]),
            }
            rest = &after[length..];
        }
        filled + rest
    }
}

fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

const VALUE: &AsciiSet = &CONTROLS.add(b'&').add(b'=').add(b'+').add(b'#');

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, path: &str, template: &str) -> Option<String> {
        let captures = Pattern::parse(pattern).unwrap().captures(path)?;
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
    fn pattern_with_placeholders_takes_one_segment_each() {
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
    fn literal_pattern_ignores_a_trailing_slash_and_the_way_of_encoding() {
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
    fn pattern_that_netlify_would_not_take_is_refused() {
        for text in ["api", "/a/*/b", "/a*", "/a?b=1", "https://example.test/*"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
