//! Errors as lines of the log: one line each, and without the values of rows.

use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::error::DbError;

use crate::one_line::LineWriter;

/// Returns an error and its causes as one line, for a log.
///
/// Control characters are escaped: Postgres repeats values in its errors, a client chose them, and
/// they must not begin a line of the log. The DETAIL of a database error repeats the values of a
/// whole key or row, such as a customer's e-mail address, so it is left out unless the operator
/// wants it.
pub(crate) fn with_causes<'a>(error: &'a (dyn StdError + 'static)) -> impl fmt::Display + 'a {
    WithCauses {
        error,
        shows_detail: SHOWS_DETAIL.load(Ordering::Relaxed),
    }
}

/// Sets whether log lines have the DETAIL of database errors.
pub(crate) fn show_detail(shows: bool) {
    SHOWS_DETAIL.store(shows, Ordering::Relaxed);
}

static SHOWS_DETAIL: AtomicBool = AtomicBool::new(false);

struct WithCauses<'a> {
    error: &'a (dyn StdError + 'static),
    shows_detail: bool,
}

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = LineWriter(f);
        self.write(&mut line, self.error)?;
        let mut source = self.error.source();
        while let Some(cause) = source {
            line.write_str(": ")?;
            self.write(&mut line, cause)?;
            source = cause.source();
        }
        Ok(())
    }
}

impl WithCauses<'_> {
    fn write(
        &self,
        line: &mut LineWriter<'_, '_>,
        error: &(dyn StdError + 'static),
    ) -> fmt::Result {
        let Some(error) = error.downcast_ref::<DbError>() else {
            return write!(line, "{error}");
        };
        let code = error.code().code();
        write!(line, "{}: {} ({code})", error.severity(), error.message())?;
        match error.detail() {
            Some(detail) if self.shows_detail => write!(line, "; DETAIL: {detail}")?,
            Some(_) => line.write_str("; its DETAIL is shown with STAGELINK_LOG_DETAIL=true")?,
            None => {}
        }
        match error.hint() {
            Some(hint) => write!(line, "; HINT: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_one_whatever_the_causes_contain() {
        let text = "Key (name)=(é\nERROR forged\u{1b}[2J\u{2028}\r) exists";
        let cause = std::io::Error::other(text);
        let error = std::io::Error::other(cause);
        let line = with_causes(&error).to_string();
        assert!(
            line.starts_with("Key (name)=(é\\nERROR forged\\u{1b}[2J\\u{2028}\\r) exists"),
            "{line}"
        );
        assert!(!line.contains(char::is_control));
    }
}
