//! The checks of single values of `stagelink.toml`, and the errors of its syntax.

use crate::error::{Error, ErrorKind};
use crate::settings_file::mistake::{Mistake, line_at};

/// Makes sure that a text is set to something that a name can be.
pub(super) fn ensure_text(key: &str, text: Option<&str>) -> Result<(), Mistake> {
    match text {
        Some(text) if text.trim().is_empty() || text.chars().any(char::is_control) => {
            Err(Mistake::new(
                format!("{key} is empty or has a control character: set it, or remove the key"),
                key,
            ))
        }
        // Not repeated: it may hold a secret that does not look like one.
        Some(text) if text.contains("://") => Err(Mistake::new(
            format!("{key} has a URL where a name is wanted: set it to the name or id alone"),
            key,
        )),
        _ => Ok(()),
    }
}

/// Returns the error of a text that is not TOML, or not as the tables are. The parser quotes the
/// line, which may hold a secret, so only the position and the reason are taken.
pub(super) fn syntax_error(text: &str, error: &toml::de::Error) -> Error {
    let line = line_at(text, error.span().unwrap_or_default());
    let mut reason = without_value(error.message());
    if reason == "duplicate key" {
        let key = error.span().and_then(|span| text.get(span)).map(str::trim);
        if let Some(key) = key.filter(|key| is_plain_name(key) && !key.is_empty()) {
            reason = format!("the key `{key}` is there twice: remove one of them");
        }
    }
    Error::new(ErrorKind::Settings, format!("line {line}: {reason}"))
}

/// Returns the reason without the value that serde repeats in it, on one line. What stands in
/// backticks is shown if it is a plain name or a sign of TOML's: another text may be a secret, or
/// hold control characters.
fn without_value(reason: &str) -> String {
    let value = ["invalid type: ", "invalid value: ", "invalid length "];
    if value.iter().any(|kind| reason.starts_with(kind)) {
        let expected = reason.rsplit_once(", expected ");
        let expected = match expected.map(|(_, expected)| expected) {
            None => "another value",
            // The names that serde and Rust have for them.
            Some("a map") => "a table",
            Some("path string") => "a string",
            Some(expected) => expected,
        };
        return format!("expected {expected}, and found another kind of value");
    }
    // A key may hold backticks of its own.
    let unknown = reason.strip_prefix("unknown field `");
    let unknown = unknown.and_then(|rest| rest.rsplit_once("`, expected "));
    if let Some((key, expected)) = unknown {
        let key = if is_plain_name(key) { key } else { "…" };
        return format!("unknown key `{key}`, expected {expected}");
    }
    let mut shown = String::new();
    for (number, part) in reason.split('`').enumerate() {
        match number % 2 == 1 {
            true if is_plain_name(part) || is_sign(part) => shown.push_str(&format!("`{part}`")),
            true => shown.push_str("`…`"),
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

/// Returns whether a text is a sign of TOML's syntax, such as the bracket that a table lacks.
fn is_sign(text: &str) -> bool {
    text.len() <= 3 && text.chars().all(|c| c.is_ascii_punctuation())
}
