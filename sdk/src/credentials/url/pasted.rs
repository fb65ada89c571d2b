//! A database URL in a text as people paste it: in quotes, in a line of a file or a `psql` command,
//! or with another library's scheme.

use std::borrow::Cow;

use crate::credentials::url::Reason;

/// Returns the URL in a pasted text, with one of libpq's schemes.
///
/// # Errors
///
/// The reason for which there is no such URL, without a part of the text.
pub(super) fn url_in(text: &str) -> Result<Cow<'_, str>, Reason> {
    let text = text.trim();
    if SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
        return Ok(Cow::Borrowed(text));
    }
    if text.lines().count() > 1 {
        return Err("it has several lines; take the URL alone".to_owned());
    }
    let text = unquoted(assigned_value(text));
    let url = match text.split_once(char::is_whitespace) {
        Some(("psql", arguments)) => psql_argument(arguments)?,
        _ => text,
    };
    with_plain_scheme(url).ok_or_else(|| reason_for(url))
}

/// Returns the value of an assignment such as `export NAME=VALUE`, `NAME="VALUE"` or `NAME: VALUE`,
/// or the text where it is none.
fn assigned_value(text: &str) -> &str {
    let line = ["export ", "set "]
        .iter()
        .find_map(|word| text.strip_prefix(word))
        .map_or(text, str::trim_start);
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = line.find(|c| !is_of_name(c)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() || KEYWORDS.contains(&name) {
        return text;
    }
    let value = match rest.strip_prefix('=') {
        Some(value) => Some(value),
        // As `heroku config` prints it.
        None => rest
            .strip_prefix(':')
            .filter(|value| value.starts_with(char::is_whitespace)),
    };
    value.map_or(text, str::trim_start)
}

/// Returns the text within a pair of quotation marks, or the text where there is none.
fn unquoted(text: &str) -> &str {
    QUOTES
        .iter()
        .find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close))
        .map_or(text, str::trim)
}

/// Returns the one argument of a `psql` command, which is a URL.
fn psql_argument(arguments: &str) -> Result<&str, Reason> {
    let mut arguments = arguments.trim();
    for option in ["--dbname=", "--dbname ", "-d "] {
        arguments = arguments.strip_prefix(option).unwrap_or(arguments);
    }
    let arguments = arguments.trim();
    let url = unquoted(arguments);
    if url.contains("://") && !url.contains(char::is_whitespace) {
        return Ok(url);
    }
    Err(match arguments.contains("://") {
        true => "it is a psql command with other arguments; take the URL alone".to_owned(),
        false => format!("it is a psql command without a URL; {FORM}"),
    })
}

/// Returns the URL with libpq's scheme instead of another spelling of it: `jdbc:postgresql`,
/// `postgresql+asyncpg`, `POSTGRES`.
fn with_plain_scheme(url: &str) -> Option<Cow<'_, str>> {
    let (scheme, rest) = url.split_once("://")?;
    let lower = scheme.to_ascii_lowercase();
    let base = lower.strip_prefix("jdbc:").unwrap_or(&lower);
    let base = base.split_once('+').map_or(base, |(base, _)| base);
    if !["postgres", "postgresql"].contains(&base) {
        return None;
    }
    Some(match base == scheme {
        true => Cow::Borrowed(url),
        false => Cow::Owned(format!("{base}://{rest}")),
    })
}

/// Returns the reason for which a text is no database URL.
fn reason_for(text: &str) -> Reason {
    let keyword = text.split(['=', ' ']).next().unwrap_or_default();
    if KEYWORDS.contains(&keyword) && text.contains('=') {
        return format!("it is a string of keywords and values (host=… user=…); {FORM}");
    }
    if text.starts_with(['$', '{', '%']) {
        return "it names a variable that was not replaced by its value".into();
    }
    if text.starts_with(QUOTES.map(|(open, _)| open)) {
        return "it begins with a quotation mark that does not end it; take the URL alone".into();
    }
    "it does not start with postgres:// or postgresql://".into()
}

const FORM: &str = "write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE";

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

const QUOTES: [(char, char); 6] = [
    ('\'', '\''),
    ('"', '"'),
    ('`', '`'),
    ('‘', '’'),
    ('“', '”'),
    ('<', '>'),
];

/// The keywords with which people begin a connection string of libpq.
const KEYWORDS: [&str; 9] = [
    "host", "hostaddr", "port", "user", "password", "dbname", "sslmode", "service", "options",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_found_in_what_people_paste() {
        let url = "postgresql://u:p@h/d?sslmode=require";
        for text in [
            "{}",
            " {}\n",
            "'{}'",
            "\"{}\"",
            "`{}`",
            "“{}”",
            "<{}>",
            "psql '{}'",
            "psql \"{}\"",
            "psql {}",
            "psql -d '{}'",
            "psql --dbname={}",
            "psql  --dbname '{}' ",
            "DATABASE_URL={}",
            "DATABASE_URL=\"{}\"",
            "export DATABASE_URL='{}'",
            "set DATABASE_URL={}",
            "DATABASE_URL: {}",
            "DATABASE_URL:      {}",
        ] {
            let text = text.replace("{}", url);
            assert_eq!(url_in(&text).unwrap(), url, "{text}");
        }
    }

    #[test]
    fn scheme_of_another_library_becomes_libpqs() {
        for (scheme, plain) in [
            ("POSTGRES", "postgres"),
            ("Postgresql", "postgresql"),
            ("postgresql+asyncpg", "postgresql"),
            ("postgres+psycopg2", "postgres"),
            ("jdbc:postgresql", "postgresql"),
        ] {
            let url = url_in(&format!("{scheme}://u:P@h/D")).unwrap().into_owned();
            assert_eq!(url, format!("{plain}://u:P@h/D"));
        }
    }

    #[test]
    fn text_without_a_usable_url_is_refused_with_the_reason_and_none_of_the_text() {
        for (text, reason) in [
            ("host=h user=u password=c4n4ry", "keywords and values"),
            ("dbname = c4n4ry", "keywords and values"),
            ("\"host=h password=c4n4ry\"", "keywords and values"),
            (
                "psql 'host=h password=c4n4ry'",
                "psql command without a URL",
            ),
            ("psql -h h -U c4n4ry", "psql command without a URL"),
            (
                "psql 'postgres://u:c4n4ry@h/d' -c 'select 1'",
                "psql command with other arguments",
            ),
            (
                "DATABASE_URL: postgres://u:c4n4ry@h/d\nA: b",
                "several lines",
            ),
            ("$c4n4ry", "names a variable"),
            ("${c4n4ry}", "names a variable"),
            ("${{ secrets.c4n4ry }}", "names a variable"),
            ("%c4n4ry%", "names a variable"),
            ("'postgres://u:c4n4ry@h/d", "quotation mark"),
            ("mysql://u:c4n4ry@h/d", "does not start with"),
            ("jdbc:mysql://u:c4n4ry@h/d", "does not start with"),
            ("u:c4n4ry@h/d", "does not start with"),
            ("//u:c4n4ry@h/d", "does not start with"),
            ("PGPASSWORD=c4n4ry psql -h h", "does not start with"),
            ("", "does not start with"),
        ] {
            let refused = url_in(text).unwrap_err();
            assert!(refused.contains(reason), "{text}: {refused}");
            assert!(!refused.contains("c4n4ry"), "{refused}");
        }
    }
}
