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
    let reason = without_quoted_value(error.message());
    Error::new(ErrorKind::Settings, format!("line {line}: {reason}"))
}

fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start);
    let before = text.as_bytes().iter().take(start);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// Returns the reason without the value that serde repeats between double quotes, and on one line.
fn without_quoted_value(reason: &str) -> String {
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    match (reason.find('"'), reason.rfind('"')) {
        (Some(start), Some(end)) if start < end => {
            format!("{}\"…\"{}", &reason[..start], &reason[end + 1..])
        }
        _ => reason,
    }
}
