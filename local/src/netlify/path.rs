//! A matcher of request paths: nodes like those of a regular expression, over percent-decoded text.

use std::ops::Range;

use percent_encoding::percent_decode_str;

/// A request's path, decoded character by character.
///
/// An encoded slash (`%2F`) does not separate segments, and each character knows its place in the
/// path as it was sent.
#[derive(Debug)]
pub(super) struct RequestPath<'a> {
    sent: &'a str,
    units: Vec<Unit>,
    /// Start of each unit in `sent`, and its end.
    places: Vec<usize>,
}

/// A decoded character, or a separator of segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Separator,
    Char(char),
}

/// A part of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// These units. The flag says whether upper and lower case differ.
    Literal(Vec<Unit>, Case),
    /// Any unit.
    Any,
    /// A slash, or nothing.
    OptionalSlash,
    /// A segment or the rest of one, not empty, as the capture of this number.
    Segment(usize),
    /// Any text, as long as possible, as the capture of this number.
    Rest(usize),
    /// Nothing, or else a slash, or else a slash and any text as the capture of this number.
    Below(usize),
}

/// Significance of upper and lower case in a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Sensitive,
    Ignored,
}

/// Text of a path that nodes captured, by number. A node that matched without one has no entry.
pub(super) type Ranges = Vec<Option<Range<usize>>>;

impl<'a> RequestPath<'a> {
    pub(super) fn new(sent: &'a str) -> Self {
        let (mut units, mut places) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < sent.len() {
            let rest = &sent[at..];
            let length = match rest.find('%') {
                Some(0) => decoded_length(rest),
                _ => rest.chars().next().map_or(1, char::len_utf8),
            };
            places.push(at);
            units.push(match &rest[..length] {
                "/" => Unit::Separator,
                text => Unit::Char(decode_char(text)),
            });
            at += length;
        }
        places.push(sent.len());
        Self {
            sent,
            units,
            places,
        }
    }

    /// Returns a captured text as it was sent.
    pub(super) fn text(&self, range: &Range<usize>) -> &'a str {
        &self.sent[self.places[range.start]..self.places[range.end]]
    }

    /// Matches the whole path. Returns the captures, or `None` if it does not match.
    ///
    /// The first way to match counts, as with the regular expressions of Perl.
    pub(super) fn match_nodes(&self, nodes: &[Node], captures: usize) -> Option<Ranges> {
        let mut search = Search {
            units: &self.units,
            nodes,
            ranges: vec![None; captures],
            failed: vec![false; nodes.len() * (self.units.len() + 1)],
        };
        search.run(0, 0).then_some(search.ranges)
    }
}

/// Returns the units of a pattern's text.
pub(super) fn units(text: &str) -> Vec<Unit> {
    RequestPath::new(text).units
}

/// Returns the length of the escapes at the beginning of a text that make one character.
fn decoded_length(text: &str) -> usize {
    let escape = |at: usize| {
        let digits = text.get(at..at + 3)?.strip_prefix('%')?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex
            .then(|| u8::from_str_radix(digits, 16).ok())
            .flatten()
    };
    let Some(first) = escape(0) else {
        return 1;
    };
    let bytes = match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => return 3,
    };
    let decoded: Option<Vec<u8>> = (0..bytes).map(|index| escape(index * 3)).collect();
    match decoded {
        Some(decoded) if str::from_utf8(&decoded).is_ok() => bytes * 3,
        _ => 3,
    }
}

/// Returns the one character that a text stands for. A byte that is no character stays apart from
/// every character that a pattern can have.
fn decode_char(text: &str) -> char {
    let decoded: Vec<u8> = percent_decode_str(text).collect();
    match str::from_utf8(&decoded) {
        Ok(decoded) => decoded.chars().next().unwrap_or('%'),
        Err(_) => char::from_u32(0x10_ff00 + u32::from(decoded[0])).unwrap_or('\u{fffd}'),
    }
}

/// A search for the first way to match, which tries each pair of node and place once.
struct Search<'a> {
    units: &'a [Unit],
    nodes: &'a [Node],
    ranges: Ranges,
    failed: Vec<bool>,
}

impl Search<'_> {
    /// Returns whether the nodes from one match all units from a place.
    fn run(&mut self, node: usize, at: usize) -> bool {
        let Some(current) = self.nodes.get(node) else {
            return at == self.units.len();
        };
        let state = node * (self.units.len() + 1) + at;
        if self.failed[state] {
            return false;
        }
        let is_match = self.run_node(current, node + 1, at);
        self.failed[state] = !is_match;
        is_match
    }

    fn run_node(&mut self, current: &Node, next: usize, at: usize) -> bool {
        let end = self.units.len();
        let at_separator = self.units.get(at) == Some(&Unit::Separator);
        match current {
            Node::Literal(literal, case) => {
                let found = self.units.get(at..at + literal.len());
                found.is_some_and(|found| is_equal(found, literal, *case))
                    && self.run(next, at + literal.len())
            }
            Node::Any => at < end && self.run(next, at + 1),
            Node::OptionalSlash => (at_separator && self.run(next, at + 1)) || self.run(next, at),
            Node::Segment(capture) => {
                let rest = &self.units[at..];
                let length = rest
                    .iter()
                    .position(|unit| *unit == Unit::Separator)
                    .unwrap_or(rest.len());
                (at + 1..=at + length)
                    .rev()
                    .any(|to| self.run_captured(*capture, at..to, next))
            }
            Node::Rest(capture) => (at..=end)
                .rev()
                .any(|to| self.run_captured(*capture, at..to, next)),
            Node::Below(capture) => {
                self.run(next, at)
                    || (at_separator
                        && (self.run(next, at + 1)
                            || (at + 1..=end)
                                .rev()
                                .any(|to| self.run_captured(*capture, at + 1..to, next))))
            }
        }
    }

    /// Matches the rest after a captured text. The innermost call that succeeds is the last one.
    fn run_captured(&mut self, capture: usize, range: Range<usize>, next: usize) -> bool {
        let to = range.end;
        let is_match = self.run(next, to);
        if is_match {
            self.ranges[capture] = Some(range);
        }
        is_match
    }
}

fn is_equal(found: &[Unit], literal: &[Unit], case: Case) -> bool {
    let folded = |unit: &Unit| match (unit, case) {
        (Unit::Char(c), Case::Ignored) => c.to_lowercase().next().map(Unit::Char),
        (unit, _) => Some(*unit),
    };
    found.iter().map(folded).eq(literal.iter().map(folded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_decoded_character_by_character() {
        let path = RequestPath::new("/caf%C3%A9%2Fb%zz%ff%");
        let text: String = path
            .units
            .iter()
            .map(|unit| match unit {
                Unit::Separator => '|',
                Unit::Char(c) => *c,
            })
            .collect();
        assert_eq!(text, "|café/b%zz\u{10ffff}%");
        assert_eq!(path.text(&(4..6)), "%C3%A9%2F");
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let nodes: Vec<Node> = (0..40)
            .flat_map(|capture| {
                [
                    Node::Rest(capture),
                    Node::Literal(units("a"), Case::Sensitive),
                ]
            })
            .chain([Node::Literal(units("b"), Case::Sensitive)])
            .collect();
        let path = "a".repeat(400);
        assert!(RequestPath::new(&path).match_nodes(&nodes, 40).is_none());
    }
}
