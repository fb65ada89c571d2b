//! A server's error in one line, without the values of rows.

use stagelink::one_line;
use stagelink::tokio_postgres::Error as DriverError;
use stagelink::tokio_postgres::error::{DbError, ErrorPosition};

/// Returns the server's words, or the driver's where the server did not answer.
///
/// The DETAIL of errors about data repeats the values of a row, so it is left out; that of others,
/// such as the list of objects that depend on a table, is part of the line.
pub(crate) fn describe(error: &DriverError) -> String {
    let Some(error) = error.as_db_error() else {
        let mut text = error.to_string();
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        return one_line(text).to_string();
    };
    let code = error.code().code();
    let mut text = format!("{} ({code})", without_values(code, error.message()));
    if let Some(detail) = error.detail() {
        match holds_values(code) {
            true => text.push_str("; its DETAIL holds values of rows, and is not shown"),
            false => text.push_str(&format!("; DETAIL: {detail}")),
        }
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("; HINT: {hint}"));
    }
    one_line(text).to_string()
}

/// Returns the message of an error. One about data, such as a text that is no number, quotes the
/// value of a row.
fn without_values(code: &str, message: &str) -> String {
    match (
        code.starts_with("22"),
        message.find('"'),
        message.rfind('"'),
    ) {
        (true, Some(start), Some(end)) if start < end => {
            format!("{}\"…\"{}", &message[..start], &message[end + 1..])
        }
        _ => message.to_owned(),
    }
}

/// Returns the place of an error in the text of the statement, in characters from 1.
pub(super) fn position(error: &DriverError) -> Option<usize> {
    match error.as_db_error().and_then(DbError::position)? {
        ErrorPosition::Original(position) => usize::try_from(*position).ok(),
        ErrorPosition::Internal { .. } => None,
    }
}

/// Returns the SQLSTATE, where the server answered.
pub(super) fn sqlstate(error: &DriverError) -> Option<&str> {
    Some(error.code()?.code())
}

/// Returns whether the session is over with the error: the connection broke, or the server ended the
/// session, as an administrator does, a shutdown, or a time-out.
pub(super) fn ends_session(error: &DriverError) -> bool {
    sqlstate(error).is_none_or(is_end_of_session)
}

fn is_end_of_session(code: &str) -> bool {
    let ends = [
        "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04",
    ];
    ends.contains(&code) || code.starts_with("08")
}

/// Returns whether errors of this SQLSTATE repeat the values of rows: errors about data, violated
/// constraints, and those that a function raises in its own words.
fn holds_values(code: &str) -> bool {
    ["22", "23", "P0", "XX", "44"]
        .iter()
        .any(|class| code.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_that_a_message_about_data_quotes_is_left_out() {
        let message = "invalid input syntax for type integer: \"c4n4ry\"";
        let shown = without_values("22P02", message);
        assert_eq!(shown, "invalid input syntax for type integer: \"…\"");
        let name = "relation \"a\" does not exist";
        assert_eq!(without_values("42P01", name), name);
    }

    #[test]
    fn session_that_the_server_ends_is_no_refusal() {
        for (code, ends) in [
            ("57P01", true),
            ("08006", true),
            ("25P03", true),
            ("57014", false),
            ("55P03", false),
        ] {
            assert_eq!(is_end_of_session(code), ends, "{code}");
        }
    }

    #[test]
    fn detail_of_data_is_left_out() {
        for (code, holds) in [
            ("23505", true),
            ("22P02", true),
            ("P0001", true),
            ("2BP01", false),
            ("42P07", false),
            ("40P01", false),
        ] {
            assert_eq!(holds_values(code), holds, "{code}");
        }
    }
}
