//! The path patterns of header rules, whose grammar is not that of redirects.
//!
//! Upper and lower case do not differ, a `*` stands for any text wherever it is (`/*.js`), and a
//! full stop in a segment with a `*` stands for any character, as on Netlify.

use super::path::{Case, Node, RequestPath, units};

/// The path pattern of a header rule (`for`).
#[derive(Clone, Debug)]
pub(super) struct HeaderPattern {
    nodes: Vec<Node>,
}

impl HeaderPattern {
    /// Parses a pattern. The error is the reason why it is not supported.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut nodes = Vec::new();
        let segments = text.split('/').map(str::trim_end);
        for segment in segments.filter(|segment| !segment.is_empty()) {
            if segment == "*" {
                nodes.push(Node::OptionalSlash);
                nodes.push(Node::Rest(0));
            } else if segment.starts_with(':') {
                nodes.push(literal("/"));
                nodes.push(Node::Segment(0));
            } else if segment.contains('*') {
                if let Some(special) = segment.chars().find(|c| SPECIAL.contains(*c)) {
                    return Err(format!(
                        "{segment:?} has both a * and a {special:?}, which Netlify takes for a \
                         regular expression"
                    ));
                }
                nodes.push(literal("/"));
                for part in segment.split_inclusive(['*', '.']) {
                    let end = part.len() - usize::from(part.ends_with(['*', '.']));
                    nodes.push(literal(&part[..end]));
                    match &part[end..] {
                        "*" => nodes.push(Node::Rest(0)),
                        "." => nodes.push(Node::Any),
                        _ => {}
                    }
                }
            } else {
                nodes.push(literal(&format!("/{segment}")));
            }
        }
        if nodes.is_empty() {
            nodes.push(literal("/"));
        }
        nodes.push(Node::OptionalSlash);
        Ok(Self { nodes })
    }

    /// Returns whether a percent-encoded path matches.
    pub(super) fn is_match(&self, path: &str) -> bool {
        let path = RequestPath::new(path);
        path.match_nodes(&self.nodes, 1).is_some()
    }
}

fn literal(text: &str) -> Node {
    Node::Literal(units(text), Case::Ignored)
}

/// The characters of a regular expression that have a meaning of their own.
const SPECIAL: &str = r"\^$+?()[]{}|";

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, path: &str) -> bool {
        HeaderPattern::parse(pattern).unwrap().is_match(path)
    }

    #[test]
    fn pattern_matches_as_on_netlify() {
        for (pattern, path, expected) in [
            ("/*", "/", true),
            ("/*", "/a/b.js", true),
            ("/*.js", "/a/b.js", true),
            ("/*.js", "/a.JS/", true),
            ("/*.js", "/a.css", false),
            ("/*.js", "/axjs", true),
            ("*.avif", "/img/x.avif", true),
            ("/schemas/*.*.*", "/schemas/a.1.json", true),
            ("/schemas/*.*.*", "/schemas/a", false),
            ("/a/*", "/a", true),
            ("/a/*", "/abc", true),
            ("/a/*/b", "/a/b", true),
            ("/a/:x/b", "/a/1/b", true),
            ("/a/:x/b", "/a//b", false),
            ("/a.b", "/axb", false),
            ("/A/", "/a", true),
            ("/café", "/caf%C3%A9", true),
            ("/", "/", true),
            ("/", "/a", false),
        ] {
            assert_eq!(is_match(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn regular_expression_is_refused() {
        let error = HeaderPattern::parse("/(a|b)*").unwrap_err();
        assert!(error.contains("regular expression"), "{error}");
        assert!(HeaderPattern::parse("/(a|b)").is_ok());
    }
}
