//! A mistake in `stagelink.toml`, at one of its keys.

use std::fmt;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::error::{Error, ErrorKind};

/// A mistake at a key. Its text names the key and no secret.
#[derive(Debug)]
pub(super) struct Mistake {
    /// The key with the tables that it is in.
    path: Vec<String>,
    message: String,
}

impl Mistake {
    /// Makes a mistake at a key whose parts are plain names, such as `stages.staging.app`.
    pub(super) fn new(message: impl fmt::Display, key: impl fmt::Display) -> Self {
        let key = key.to_string();
        Self::at(message, key.split('.').map(str::to_owned).collect())
    }

    /// Makes a mistake at a key that may have any name.
    pub(super) fn at(message: impl fmt::Display, path: Vec<String>) -> Self {
        Self {
            path,
            message: message.to_string(),
        }
    }

    /// Returns the error of this mistake, with its line in the text of the file.
    pub(super) fn into_error(self, text: &str) -> Error {
        let message = match line_of_key(text, &self.path) {
            Some(line) => format!("line {line}: {}", self.message),
            None => self.message,
        };
        Error::new(ErrorKind::Settings, message)
    }
}

/// Returns the line of a key, or of the innermost table on the way to it that the file has.
fn line_of_key(text: &str, path: &[String]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut found = None;
    for name in path {
        let Some((key, value)) = table.get_key_value(name.as_str()) else {
            break;
        };
        found = Some(line_at(text, key.span()));
        let DeValue::Table(inner) = value.get_ref() else {
            break;
        };
        table = inner;
    }
    found
}

/// Returns the line at which a part of the text begins, counted from 1.
pub(super) fn line_at(text: &str, span: Range<usize>) -> usize {
    let before = text.as_bytes().iter().take(span.start);
    1 + before.filter(|byte| **byte == b'\n').count()
}
