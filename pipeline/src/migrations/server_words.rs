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
    in_one_line(error, &without_values(code, error.message()))
}

/// Returns the server's words about a statement of a file as [`describe`] does. A name that the file
/// does not have may be a value of a row, from which a statement was made: it is left out.
pub(super) fn describe_of_file(error: &DriverError, sql: &str) -> String {
    match error.as_db_error() {
        Some(of_server) if may_quote_value(of_server) => {
            in_one_line(of_server, &without_foreign_names(of_server.message(), sql))
        }
        _ => describe(error),
    }
}

/// Returns the end of a sentence about an error that a statement meets only in a transaction.
pub(super) fn transaction_advice(error: &DriverError) -> &'static str {
    match sqlstate(error) {
        Some("2D000" | "25001") => {
            "; the statement wants no transaction: give it a file of its own whose first line is \
             `-- stagelink: no transaction`"
        }
        _ => "",
    }
}

fn in_one_line(error: &DbError, message: &str) -> String {
    let code = error.code().code();
    let mut text = format!("{message} ({code})");
    if let Some(detail) = error.detail() {
        match holds_values(code) {
            true => text.push_str("; its DETAIL holds values of rows, and is not shown"),
            false => text.push_str(&format!("; DETAIL: {detail}")),
        }
    }
    if let Some(hint) = error.hint().filter(|_| !holds_values(code)) {
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

/// Returns whether the name in a message may be a value of a row: that of a statement that a function
/// made of it, or of a text that was to name an object. The place in the file's own text tells that it
/// is not.
fn may_quote_value(error: &DbError) -> bool {
    let is_of_file = matches!(error.position(), Some(ErrorPosition::Original(_)));
    let code = error.code().code();
    let names = ["0A", "26", "34", "3D", "3F", "42"];
    !is_of_file && names.iter().any(|class| code.starts_with(class))
}

/// Returns a message without the quoted names that the SQL does not have.
fn without_foreign_names(message: &str, sql: &str) -> String {
    let sql = sql.replace('"', "").to_lowercase();
    let is_of_file = |name: &str| sql.contains(&name.to_lowercase());
    let parts: Vec<&str> = message.split('"').collect();
    let is_between = |part: &&str| part.starts_with([' ', ',']) && part.ends_with(' ');
    let between = parts.iter().skip(2).step_by(2);
    let between: Vec<_> = between.take((parts.len() / 2).saturating_sub(1)).collect();
    if parts.len().is_multiple_of(2) || !between.iter().all(|part| is_between(part)) {
        // The name has quotes itself.
        return match (message.find('"'), message.rfind('"')) {
            (Some(start), Some(end)) => {
                format!("{}\"…\"{}", &message[..start], &message[end + 1..])
            }
            _ => message.to_owned(),
        };
    }
    let shown = parts.iter().enumerate().map(|(index, part)| {
        let is_name = index % 2 == 1;
        if is_name && !is_of_file(part) {
            "…"
        } else {
            part
        }
    });
    shown.collect::<Vec<_>>().join("\"")
}

/// Returns the place of an error in the text of the statement, in characters from 1.
pub(super) fn position(error: &DriverError) -> Option<usize> {
    match error.as_db_error().and_then(DbError::position)? {
        ErrorPosition::Original(position) => usize::try_from(*position).ok(),
        ErrorPosition::Internal { .. } => None,
    }
}

/// Returns the SQLSTATE, where the server answered.
pub(crate) fn sqlstate(error: &DriverError) -> Option<&str> {
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
    fn name_that_the_file_does_not_have_is_left_out() {
        let sql = "DO $$ … EXECUTE 'SELECT ' || v FROM app.\"Users\" … DROP TABLE nope $$";
        for (message, expected) in [
            (
                "column \"c4n4ry\" does not exist",
                "column \"…\" does not exist",
            ),
            (
                "table \"NOPE\" does not exist",
                "table \"NOPE\" does not exist",
            ),
            (
                "relation \"app.Users\" is odd",
                "relation \"app.Users\" is odd",
            ),
            (
                "column \"c4n4ry\" of relation \"Users\" does not exist",
                "column \"…\" of relation \"Users\" does not exist",
            ),
            (
                "schema \"c4\"n4ry\" does not exist",
                "schema \"…\" does not exist",
            ),
            (
                "schema \"a\"c4n4ry\"b\" does not exist",
                "schema \"…\" does not exist",
            ),
            (
                "syntax error in tsquery: \"c4 & n4ry\"",
                "syntax error in tsquery: \"…\"",
            ),
            ("no name", "no name"),
        ] {
            assert_eq!(without_foreign_names(message, sql), expected);
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
