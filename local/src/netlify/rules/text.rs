//! White space and numbers in the text of rules, as JavaScript understands them.

/// Returns whether a character is white space for JavaScript's `trim` and `\s`.
pub(super) fn is_space(c: char) -> bool {
    // The byte order mark counts, and NEL (next line) does not.
    c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}')
}

/// Returns the text without white space at both ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Returns the number at the beginning of a text, as JavaScript's `parseInt` does: `301!` is 301.
pub(super) fn leading_integer(text: &str) -> Option<i64> {
    let text = trim(text);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let number: i64 = digits[..end].parse().ok()?;
    Some(if negative { -number } else { number })
}

/// Splits a list at its commas, without the white space around them.
pub(super) fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let mut parts = text.split(',').peekable();
    let mut first = true;
    std::iter::from_fn(move || {
        let mut part = parts.next()?;
        if !first {
            part = part.trim_start_matches(is_space);
        }
        first = false;
        if parts.peek().is_some() {
            part = part.trim_end_matches(is_space);
        }
        Some(part)
    })
}

/// Returns whether a text is an http(s) URL.
pub(super) fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_integer_ignores_what_follows() {
        for (text, number) in [
            ("301", Some(301)),
            ("301!", Some(301)),
            (" 200.9", Some(200)),
            ("+302x", Some(302)),
            ("-1", Some(-1)),
            ("", None),
            ("!301", None),
            ("Country=us", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(leading_integer(text), number, "{text}");
        }
    }

    #[test]
    fn list_is_split_at_commas_with_white_space() {
        let parts = |text| split_list(text).collect::<Vec<_>>();
        assert_eq!(parts("a ,b,\n c"), ["a", "b", "c"]);
        assert_eq!(parts(""), [""]);
        assert_eq!(parts(" a , "), [" a", ""]);
    }
}
