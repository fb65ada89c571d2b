//! The path patterns of redirects: literal segments, `:placeholders` and `*`.
//!
//! A `*` is a splat as a whole segment (`/a/*/b`), or at the end of one (`/pre-*`); elsewhere it is
//! a literal star.

use super::path::{Case, Node, RequestPath, units};

/// The path pattern of a redirect (`from`).
///
/// A trailing slash makes no difference: on Netlify, too, a rule can neither require nor exclude
/// one.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    nodes: Vec<Node>,
    /// Names of the captures, in their order in the pattern.
    names: Vec<String>,
}

/// The percent-encoded text that a pattern's placeholders and splats matched, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Captures(Vec<(String, String)>);

impl Pattern {
    /// Parses a pattern.
    pub(super) fn parse(text: &str) -> Self {
        let mut pattern = Self {
            nodes: Vec::new(),
            names: Vec::new(),
        };
        // On Netlify a pattern ends at its first empty segment.
        let path = text.strip_prefix('/').unwrap_or(text);
        let segments: Vec<&str> = path
            .split('/')
            .take_while(|segment| !segment.is_empty())
            .collect();
        let has_captures = segments
            .iter()
            .any(|segment| is_placeholder(segment) || segment.ends_with('*'));
        for (index, segment) in segments.iter().enumerate() {
            // In such a pattern a slash may be doubled, except beside a star.
            let is_after_text = index > 0 && segments[index - 1] != "*";
            if has_captures && is_after_text && *segment != "*" {
                pattern.nodes.push(Node::OptionalSlash);
            }
            pattern.add_segment(segment);
        }
        if segments.is_empty() {
            // The root may have a second slash, as no other path.
            pattern.nodes.push(Node::OptionalSlash);
        }
        match segments.last() {
            // This has the slash at the end.
            Some(last) if !is_placeholder(last) && last.ends_with('*') => {}
            _ => pattern.nodes.push(Node::OptionalSlash),
        }
        pattern
    }

    fn add_segment(&mut self, segment: &str) {
        if segment == "*" {
            let capture = self.add_name("splat");
            // At the beginning it captures all that it can, elsewhere as little as it can: this
            // decides between two splats.
            match self.nodes.is_empty() {
                true => self
                    .nodes
                    .extend([Node::OptionalSlash, Node::Rest(capture)]),
                false => self.nodes.push(Node::Below(capture)),
            }
            return;
        }
        let (text, node) = if is_placeholder(segment) {
            let capture = self.add_name(&segment[1..]);
            ("/", vec![Node::Segment(capture)])
        } else if let Some(prefix) = segment.strip_suffix('*') {
            let capture = self.add_name("splat");
            (prefix, vec![Node::OptionalSlash, Node::Rest(capture)])
        } else {
            (segment, Vec::new())
        };
        let text = format!("/{}", text.trim_start_matches('/'));
        self.nodes
            .push(Node::Literal(units(&text), Case::Sensitive));
        self.nodes.extend(node);
    }

    fn add_name(&mut self, name: &str) -> usize {
        self.names.push(name.to_owned());
        self.names.len() - 1
    }

    /// Returns whether the pattern has a splat.
    pub(super) fn has_splat(&self) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.any(|node| matches!(node, Node::Below(_) | Node::Rest(_)))
    }

    /// Matches a percent-encoded path. Returns the captured text, or `None` if it does not match.
    pub(super) fn match_path(&self, path: &str) -> Option<Captures> {
        let path = RequestPath::new(path);
        let ranges = path.match_nodes(&self.nodes, self.names.len())?;
        let texts = ranges
            .iter()
            .map(|range| range.as_ref().map_or("", |range| path.text(range)));
        let named = self.names.iter().cloned().zip(texts.map(str::to_owned));
        Some(Captures(named.collect()))
    }
}

/// Returns whether a segment is a placeholder. Its name is all the rest of the segment.
fn is_placeholder(segment: &str) -> bool {
    segment.len() > 1 && segment.starts_with(':')
}

impl Captures {
    /// Adds a captured text after the others.
    pub(super) fn add(&mut self, name: &str, text: String) {
        self.0.push((name.to_owned(), text));
    }

    /// Replaces `:name` and `:splat` in a template by the captured text, one name after the other.
    ///
    /// As on Netlify, a longer name that begins with a captured one is replaced in part, and a name
    /// without captured text is kept.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut filled = template.to_owned();
        for (name, text) in self.0.iter().filter(|(name, _)| !name.is_empty()) {
            filled = filled.replace(&format!(":{name}"), text);
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str, path: &str, template: &str) -> Option<String> {
        Some(Pattern::parse(pattern).match_path(path)?.fill(template))
    }

    #[test]
    fn pattern_with_splat_captures_the_rest_of_the_path() {
        let to = "/.netlify/functions/:splat";
        for (pattern, path, expected) in [
            ("/api/*", "/api/a/b%20c/", "/.netlify/functions/a/b%20c/"),
            ("/api/*", "/api", "/.netlify/functions/"),
            ("/*", "/", "/.netlify/functions/"),
            ("/api/*", "/api/a%2Fb", "/.netlify/functions/a%2Fb"),
        ] {
            assert_eq!(
                filled(pattern, path, to).as_deref(),
                Some(expected),
                "{path}"
            );
        }
        assert!(filled("/api/*", "/apis", to).is_none());
    }

    #[test]
    fn splat_stands_in_the_middle_and_after_a_prefix() {
        for (pattern, path, expected) in [
            ("/a/*/b", "/a/1/2/b/", Some("1/2")),
            ("/a/*/b", "/a/b", Some("")),
            ("/a/*/b", "/a/1/c", None),
            ("/a/*/b/*", "/a/b/b/b", Some("")),
            ("/pre-*", "/pre-1/2", Some("1/2")),
            ("/pre-*", "/pre", None),
            ("/*.html", "/a.html", None),
            ("/*.html", "/*.html", Some(":splat")),
        ] {
            assert_eq!(
                filled(pattern, path, ":splat").as_deref(),
                expected,
                "{pattern} {path}"
            );
        }
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
        assert!(filled("/caf%C3%A9", "/caf%C3%A9", "").is_some());
        assert!(filled("/cafe/", "/cafe", "").is_some());
        assert!(filled("/cafe", "/cafe//", "").is_none());
        assert!(filled("/cafe", "/Cafe", "").is_none());
        assert!(filled("/a/b", "/a%2Fb", "").is_none());
    }

    #[test]
    fn template_keeps_ports_and_unknown_names() {
        let to = "https://example.test:8443/:other/:id";
        assert_eq!(
            filled("/p/:id", "/p/7", to).unwrap(),
            "https://example.test:8443/:other/7"
        );
    }
}
