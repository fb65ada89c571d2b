//! The error of the control plane.

use std::error::Error as StdError;
use std::fmt;

use stagelink::one_line;

/// A failure of the control plane. Its text is one line and holds no secret.
///
/// The cause, where there is one, is the [`source`](StdError::source) and is not repeated in the
/// text.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// The parts of a failure that has several, such as the files that cannot be used.
    details: Vec<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of failures, by who can do something about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or a part of the request is missing or unusable: the operator corrects it.
    Settings,
    /// A stage's database cannot be found, reached or used. The source is the SDK's error.
    Database,
    /// Two stages would share a database or a secret, or nothing proves that they do not.
    Isolation,
    /// A service refused a request: the token, its access or a name is wrong.
    Refused,
    /// A service could not be reached, failed, or limits the rate of requests.
    Unavailable,
    /// A migration failed, or the folder of migrations and a database's history do not agree.
    Migration,
    /// Another command changes the stage, another migration runs, or other sessions use a table: the
    /// same run may succeed later.
    Busy,
    /// A promotion or a rollback cannot be done, or did not pass its test.
    Promotion,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            details: Vec::new(),
            source: None,
        }
    }

    pub(crate) fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Some(Box::new(source)),
            ..Self::new(kind, message)
        }
    }

    /// Wraps the error in a message that says what was tried.
    pub(crate) fn context(self, message: impl Into<String>) -> Self {
        Self::with_source(self.kind, message, self)
    }

    /// Adds the parts of a failure that has several.
    pub(crate) fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// Adds parts to those that the failure has.
    pub(crate) fn and_details(mut self, details: Vec<String>) -> Self {
        self.details.extend(details);
        self
    }

    /// Returns the text without its details, as one line.
    pub fn headline(&self) -> String {
        one_line(&self.message).to_string()
    }

    /// Returns the parts of a failure that has several, such as the files that cannot be used, each
    /// as one line. The text of the error has them, too.
    pub fn details(&self) -> impl ExactSizeIterator<Item = String> {
        self.details
            .iter()
            .map(|detail| one_line(detail).to_string())
    }

    /// Adds to the text of a run's error how many files of the run stay applied.
    pub(crate) fn after_files(mut self, count: usize) -> Self {
        match count {
            0 => {}
            1 => self.message.push_str("; the file before it stays applied"),
            count => {
                let more = format!("; the {count} files before it stay applied");
                self.message.push_str(&more);
            }
        }
        self
    }

    /// The text with those of its causes, in one line. Control characters are escaped.
    pub(crate) fn report(&self) -> String {
        let mut text = self.message.clone();
        let mut next = self.source();
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        one_line(text).to_string()
    }

    /// Returns the kind of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Busy)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        one_line(&self.message).fmt(f)?;
        for (number, detail) in self.details.iter().enumerate() {
            let separator = if number == 0 { ": " } else { "; " };
            write!(f, "{separator}{}", one_line(detail))?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_report_are_one_line_whatever_their_names_hold() {
        let cause = std::io::Error::other("b\n\u{1b}[2J");
        let error = Error::with_source(ErrorKind::Database, "a\nforged", cause);
        assert_eq!(error.to_string(), r"a\nforged");
        assert_eq!(error.report(), r"a\nforged: b\n\u{1b}[2J");
    }
}
