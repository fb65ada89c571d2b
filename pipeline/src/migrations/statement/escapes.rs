//! The texts of strings and of names with escapes, as the server reads them.

/// Returns a text with `\0061` and `\+000061`, as in `U&"…"`, without the escapes. One that is not of this
/// form stays: the server refuses it.
pub(super) fn without_unicode_escapes(text: &str) -> String {
    let mut read = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        read.push_str(before);
        let (digits, length) = match after.strip_prefix('+') {
            Some(digits) => (digits.get(..6), 7),
            None => (after.get(..4), 4),
        };
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match code.and_then(char::from_u32) {
            Some(c) => {
                read.push(c);
                rest = &after[length..];
            }
            None => {
                read.push('\\');
                rest = after.strip_prefix('\\').unwrap_or(after);
            }
        }
    }
    read + rest
}

/// Returns the text of a string in any of its spellings; `None` for another token.
pub(crate) fn string_text(token: &str) -> Option<String> {
    let quoted = |rest: &str| {
        let inner = rest.strip_prefix('\'')?.strip_suffix('\'')?;
        Some(inner.replace("''", "'"))
    };
    if let Some(inner) = quoted(token) {
        return Some(inner);
    }
    if let Some(rest) = token.strip_prefix('$') {
        let tag = &token[..=rest.find('$')? + 1];
        return token
            .strip_prefix(tag)?
            .strip_suffix(tag)
            .map(str::to_owned);
    }
    match token.get(..1)? {
        "E" | "e" => quoted(&token[1..]).map(|inner| without_escapes(&inner)),
        "N" | "n" => quoted(&token[1..]),
        "U" | "u" => quoted(token[1..].strip_prefix('&')?).map(|it| without_unicode_escapes(&it)),
        _ => None,
    }
}

/// Returns a text of `E'…'` without its escapes.
fn without_escapes(text: &str) -> String {
    let mut read = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        read.push_str(before);
        let digits = |from: usize, most: usize, radix: u32| {
            let all = after.get(from..).unwrap_or_default();
            let count = all
                .chars()
                .take(most)
                .take_while(|c| c.is_digit(radix))
                .count();
            let code = u32::from_str_radix(&all[..count], radix).ok();
            code.and_then(char::from_u32).map(|c| (c, from + count))
        };
        let (c, length) = match after.chars().next() {
            Some('b') => ('\u{8}', 1),
            Some('f') => ('\u{c}', 1),
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some('t') => ('\t', 1),
            Some('x') => digits(1, 2, 16).unwrap_or(('x', 1)),
            Some('u') => digits(1, 4, 16).unwrap_or(('u', 1)),
            Some('U') => digits(1, 8, 16).unwrap_or(('U', 1)),
            Some('0'..='7') => digits(0, 3, 8).unwrap_or(('0', 1)),
            Some(c) => (c, c.len_utf8()),
            None => ('\\', 0),
        };
        read.push(c);
        rest = &after[length..];
    }
    read + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_string_is_that_of_each_spelling() {
        for (token, expected) in [
            ("'it''s'", Some("it's")),
            ("N'a'", Some("a")),
            ("E'\\x73\\164\\u0061\\U00000067\\'e\\\\'", Some("stag'e\\")),
            ("e'a\\n\\é'", Some("a\né")),
            ("U&'\\0073\\+000074age'", Some("stage")),
            ("u&'\\\\00'", Some("\\00")),
            ("$$a'b$$", Some("a'b")),
            ("$t$a$t$", Some("a")),
            ("\"a\"", None),
            ("a", None),
            ("é", None),
            ("5", None),
            ("", None),
        ] {
            assert_eq!(string_text(token).as_deref(), expected, "{token}");
        }
    }

    #[test]
    fn escapes_that_are_none_do_no_harm() {
        for text in ["\\", "\\00", "\\+0000", "\\é\\+éé", "\\d800", "\\zzzz"] {
            let _ = without_unicode_escapes(text);
            let _ = without_escapes(text);
        }
        assert_eq!(without_unicode_escapes("d\\0061t\\+000061"), "data");
    }
}
