//! The checks of single values of `stagelink.toml`, and the errors of its syntax.

use std::ops::Range;

use crate::error::{Error, ErrorKind};

/// Makes sure that a text is set to something that a name can be.
pub(super) fn ensure_text(key: &str, text: Option<&str>) -> Result<(), Error> {
    match text {
        Some(text) if text.trim().is_empty() || text.chars().any(char::is_control) => {
            Err(Error::new(
                ErrorKind::Settings,
                format!("{key} is empty or has a control character: set it, or remove the key"),
            ))
        }
        _ => Ok(()),
    }
}

/// Returns the error of a text that is not TOML, or not as the tables are. The parser quotes the
/// line, which may hold a secret, so only the position and the reason are taken.
pub(super) fn syntax_error(text: &str, error: &toml::de::Error) -> Error {
    let line = line_of(text, error.span());
    let reason = without_value(error.message());
    Error::new(ErrorKind::Settings, format!("line {line}: {reason}"))
}

fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start);
    let before = text.as_bytes().iter().take(start);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// Returns the reason without the value that serde repeats in it, on one line. A key is shown if it
/// is a plain name: another one may be a secret, or hold control characters.
fn without_value(reason: &str) -> String {
    let value = ["invalid type: ", "invalid value: ", "invalid length "];
    let kind = value.iter().find(|kind| reason.starts_with(**kind));
    if let Some(kind) = kind {
        let expected = reason.rsplit_once(", expected ");
        let expected = expected.map_or("another value", |(_, expected)| expected);
        return format!("{kind}another one than is expected: {expected}");
    }
    let mut shown = String::new();
    for (number, part) in reason.split('`').enumerate() {
        // Between the first two backticks stands what the file has.
        match number == 1 && !is_plain_name(part) {
            true => shown.push_str("`…`"),
            false if number % 2 == 1 => shown.push_str(&format!("`{part}`")),
            false => shown.push_str(part),
        }
    }
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns whether a key can be shown as it is.
pub(super) fn is_plain_name(key: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    key.len() <= 40 && key.chars().all(is_plain)
}
