//! The connection strings in a text: database URLs and keyword strings, in any encoding: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;
use stagelink::DatabaseUrl;

/// The server and the database that a connection string names, and its role.
///
/// It is read more leniently than the SDK reads a [`DatabaseUrl`], since other programs are lenient
/// too: a text that can be read in two ways gives two connection strings.
#[derive(Clone)]
pub(super) struct ConnectionString {
    /// The host in lower case, without a dot at its end.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretString>,
    /// False where nothing but its form says that it is one of Postgres, as in `https://…`.
    pub(super) is_postgres: bool,
    /// True if the text can be read in another way too, by which a part of this host or database
    /// is a password.
    pub(super) is_ambiguous: bool,
}

impl ConnectionString {
    /// Returns whether it names the same server and the same database as a URL.
    pub(super) fn is_at(&self, url: &DatabaseUrl) -> bool {
        self.host == host_name(url.host())
            && self.port == url.port()
            && self.database == url.database()
    }

    /// Returns whether all parts are the same.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        let parts = |of: &Self| {
            (
                of.host.clone(),
                of.port,
                of.database.clone(),
                of.user.clone(),
            )
        };
        let password = |of: &Self| {
            of.password
                .as_ref()
                .map(|text| text.expose_secret().to_owned())
        };
        parts(self) == parts(other) && password(self) == password(other)
    }

    /// The URL by which the SDK connects, where the connection string has a role and a password.
    pub(super) fn to_url(&self) -> Option<SecretString> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (user, password) = (self.user.as_ref()?, self.password.as_ref()?);
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => encoded(&self.host),
        };
        let url = format!(
            "postgres://{}:{}@{host}:{}/{}",
            encoded(user),
            encoded(password.expose_secret()),
            self.port,
            encoded(&self.database)
        );
        Some(url.into())
    }

    /// Makes the connection strings of these parts, one for each host that they name.
    fn of_parts(is_postgres: bool, parts: &Parts) -> Vec<Self> {
        let part = |names: &[&str]| {
            let found = names.iter().find_map(|name| parts.get(*name));
            found.filter(|text| !text.is_empty())
        };
        let user = part(&["user", "username", "userid", "uid"]);
        let host = part(&["host", "server", "datasource", "hostaddr"]);
        let database = part(&["dbname", "database", "initialcatalog"]).or(user);
        let (Some(host), Some(database)) = (host, database) else {
            return Vec::new();
        };
        let ports: Vec<&str> =
            part(&["port"]).map_or(vec!["5432"], |text| text.split(',').collect());
        let hosts = host.split(',').enumerate();
        let made = hosts.filter_map(|(number, host)| {
            Some(Self {
                host: host_name(host),
                port: ports.get(number).or(ports.last())?.trim().parse().ok()?,
                database: database.clone(),
                user: user.cloned(),
                password: part(&["password", "pwd"]).map(|text| text.as_str().into()),
                is_postgres,
                is_ambiguous: false,
            })
        });
        made.collect()
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ConnectionString {
    /// Writes the database and the server, and nothing that may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ambiguous {
            return f.write_str(UNNAMED);
        }
        write!(f, "{} on {}:{}", self.database, self.host, self.port)
    }
}

/// A database whose names may be parts of a password.
pub(super) const UNNAMED: &str = "that of a value which can be read in two ways";

/// The parts of a connection string by their keywords, in lower case and without spaces.
type Parts = BTreeMap<String, String>;

/// Returns the connection strings in a text that [`readings`] has returned.
pub(super) fn connection_strings(reading: &str) -> Vec<ConnectionString> {
    let mut found = urls(reading);
    found.extend(keyword_strings(reading));
    found
}

/// Returns the texts that a value stands for: itself, and where it is encoded in percent, base64 or
/// JSON, the texts within.
pub(super) fn readings(value: &str) -> BTreeSet<String> {
    let mut readings = BTreeSet::new();
    let mut pending = vec![value.to_owned()];
    while let Some(text) = pending.pop() {
        if readings.len() >= MOST_READINGS || !readings.insert(text.clone()) {
            continue;
        }
        if text.contains('%') {
            let decoded = percent_decode_str(&text).decode_utf8_lossy();
            pending.push(decoded.into_owned());
        }
        if text.contains('\\') {
            pending.push(text.replace('\\', ""));
        }
        if let Ok(json) = serde_json::from_str(&text) {
            add_strings(&json, &mut pending);
        }
        let encoded = text.trim().trim_end_matches('=');
        for base64 in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
            let decoded = base64.decode(encoded).ok();
            pending.extend(decoded.and_then(|bytes| String::from_utf8(bytes).ok()));
        }
    }
    readings
}

fn add_strings(json: &Json, texts: &mut Vec<String>) {
    match json {
        Json::String(text) => texts.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|item| add_strings(item, texts)),
        Json::Object(members) => members.values().for_each(|item| add_strings(item, texts)),
        _ => {}
    }
}

fn urls(text: &str) -> Vec<ConnectionString> {
    let starts: Vec<(usize, usize)> = text
        .match_indices("://")
        .map(|(at, separator)| {
            let scheme = text[..at].trim_end_matches(is_of_scheme).len();
            (scheme, at + separator.len())
        })
        .collect();
    let mut found = Vec::new();
    for (number, &(scheme, body)) in starts.iter().enumerate() {
        let end = starts.get(number + 1).map_or(text.len(), |next| next.0);
        // A URL in the query of another one begins before that ends.
        let body_text = text.get(body..end).unwrap_or_default();
        let is_end = |c: char| c.is_whitespace() || c.is_control() || "\"'`<>".contains(c);
        let body_text = body_text.split(is_end).next().unwrap_or_default();
        let scheme = text[scheme..body].to_lowercase();
        let mut names = scheme.split(|c: char| !c.is_ascii_alphanumeric());
        let is_postgres = names.any(|name| {
            ["postg", "pg", "psql"]
                .iter()
                .any(|own| name.starts_with(own))
        });
        found.extend(url(
            is_postgres,
            body_text.trim_end_matches([',', ';', ')', ']', '}', '|']),
        ));
    }
    found
}

/// Reads a URL behind its scheme, in the ways in which it can be read.
fn url(is_postgres: bool, text: &str) -> Vec<ConnectionString> {
    let authority = text.split(['/', '?', '#']).next().unwrap_or_default();
    // An unescaped / or ? in a password ends the authority early.
    let ends = [authority.rfind('@'), text.rfind('@')];
    let ends: BTreeSet<Option<usize>> = ends.into_iter().collect();
    let is_ambiguous = ends.len() > 1;
    let mut found = Vec::new();
    for end in ends {
        let (role, server) = end.map_or(("", text), |at| (&text[..at], &text[at + 1..]));
        let (server, query) = server.split_once('?').unwrap_or((server, ""));
        let (server, database) = server.split_once('/').unwrap_or((server, ""));
        let (user, password) = role.split_once(':').unwrap_or((role, ""));
        let database = database.split('#').next().unwrap_or_default();
        for server in server.split(',') {
            let (host, port) = match server.strip_prefix('[') {
                Some(rest) => rest.split_once(']').unwrap_or((rest, "")),
                None => server.split_at(server.rfind(':').unwrap_or(server.len())),
            };
            let mut parts = Parts::new();
            let mut set = |name: &str, text: &str| {
                let text = percent_decode_str(text).decode_utf8_lossy();
                if !text.is_empty() {
                    parts.insert(keyword(name), text.into_owned());
                }
            };
            set("host", host);
            set("port", port.trim_start_matches(':'));
            set("user", user);
            set("password", password);
            set("dbname", database);
            for pair in query.split(['&', '#']) {
                let (name, text) = pair.split_once('=').unwrap_or_default();
                set(name, text);
            }
            // What is before an @ is a role, unless the query has one.
            if end.is_none() && text.contains('@') && !parts.contains_key("user") {
                continue;
            }
            found.extend(ConnectionString::of_parts(is_postgres, &parts));
        }
    }
    for found in &mut found {
        found.is_ambiguous = is_ambiguous;
    }
    found
}

/// Reads keyword strings, as libpq (`host=h dbname=d`) and ADO.NET (`Host=h;Database=d`) take them.
fn keyword_strings(text: &str) -> Vec<ConnectionString> {
    let mut found = Vec::new();
    let mut parts = Parts::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        let name = match before.trim_end().rsplit_once([';', '\n', '"', '\'']) {
            Some((_, name)) => keyword(name),
            None => keyword(before),
        };
        let (value, after) = keyword_value(after.trim_start());
        rest = after;
        // Without semicolons only the last word before the sign is the keyword.
        let name = KEYWORDS.iter().rev().find(|known| name.ends_with(**known));
        let Some(name) = name else {
            continue;
        };
        if parts.contains_key(*name) {
            found.extend(ConnectionString::of_parts(
                true,
                &std::mem::take(&mut parts),
            ));
        }
        parts.insert((*name).to_owned(), value);
    }
    found.extend(ConnectionString::of_parts(true, &parts));
    found
}

/// Reads one value of a keyword string. Returns it, and the text behind it.
fn keyword_value(text: &str) -> (String, &str) {
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c));
    let start = quote.map_or(0, char::len_utf8);
    let mut value = String::new();
    let mut letters = text[start..].char_indices();
    while let Some((at, letter)) = letters.next() {
        let is_end = match quote {
            Some(quote) => letter == quote,
            None => letter.is_whitespace() || letter == ';',
        };
        if is_end {
            let width = quote.map_or(0, char::len_utf8);
            return (value, &text[start + at + width..]);
        }
        match letter {
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

fn keyword(name: &str) -> String {
    let letters = name.chars().filter(|c| !c.is_whitespace() && *c != '_');
    letters.flat_map(char::to_lowercase).collect()
}

fn host_name(host: &str) -> String {
    let host = host.trim().trim_matches(['[', ']']);
    host.trim_end_matches('.').to_lowercase()
}

fn is_of_scheme(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+-.".contains(c)
}

/// The keywords of keyword strings. One that is the end of another comes before it.
const KEYWORDS: &[&str] = &[
    "host",
    "hostaddr",
    "server",
    "datasource",
    "port",
    "dbname",
    "database",
    "initialcatalog",
    "uid",
    "user",
    "userid",
    "username",
    "password",
    "pwd",
];

/// More readings than an honest value has: its layers of encoding, and the strings in its JSON.
const MOST_READINGS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The databases that a value leads to, with `?` where it need not be one of Postgres.
    fn found(value: &str) -> BTreeSet<String> {
        let strings = readings(value).into_iter();
        let strings = strings.flat_map(|reading| connection_strings(&reading));
        strings
            .map(|found| {
                let mark = if found.is_postgres { "" } else { "? " };
                let (database, host, port) = (found.database, found.host, found.port);
                format!("{mark}{database} on {host}:{port}")
            })
            .collect()
    }

    #[test]
    fn database_is_found_in_every_form() {
        for value in [
            "postgres://u:p@h/d",
            "  postgresql://u:p@h:5432/d\n",
            "POSTGRES://u:p@H./d?sslmode=disable",
            "postgresql+psycopg2://u:p@h/d",
            "jdbc:postgresql://h:5432/d?user=u&password=p",
            "postgis://u@h/%64",
            "postgres://u:p%40x@h/d",
            "postgres://u:p@x/y@h/d",
            "postgres://u:p?x@h/d",
            "postgres:///d?host=h&user=u",
            "postgres://x/y?host=h&dbname=d",
            "postgres://u:p@h/d#scram=4096:x",
            "production=postgres://u:p@h/d",
            "postgres%3A%2F%2Fu%3Ap%40h%2Fd",
            "postgres%253A%252F%252Fu%253Ap%2540h%252Fd",
            "\"postgres://u:p@h/d\"",
            r#"{"database":{"urls":["postgres:\/\/u:p@h\/d"]}}"#,
            r"postgres:\/\/u:p@h\/d",
            "cG9zdGdyZXM6Ly91OnBAaC9k",
            "postgres://h/d?user=u&password=p@x",
            "host=h dbname=d user=u password=p",
            "dbname = 'd' user='u' password='it''s' host = h port=5432",
            "user=d host=h",
            "Host=h;Port=5432;Database=d;User Id=u;Password=p",
            "Server=h;Initial Catalog=d;Uid=u;Pwd=p",
            "psql postgres://u:p@h/d -c 'SELECT 1'",
        ] {
            let found = found(value);
            assert!(found.contains("d on h:5432"), "{value}: {found:?}");
        }
    }

    #[test]
    fn several_databases_are_found_in_one_value() {
        let both = ["d on h:5432".to_owned(), "e on i:6543".to_owned()];
        for value in [
            "postgres://u:p@h/d,postgres://u:p@i:6543/e",
            "postgres://u:p@h/d postgresql://u:p@i:6543/e",
            "A=postgres://u:p@h/d\nB='postgres://u:p@i:6543/e'",
            "[postgres://u:p@h/d;postgres://u:p@i:6543/e]",
            r#"["postgres://u:p@h/d", {"b": "postgres://u:p@i:6543/e"}]"#,
            "host=h dbname=d host=i port=6543 dbname=e",
        ] {
            let found = found(value);
            let has_both = both.iter().all(|one| found.contains(one));
            assert!(has_both, "{value}: {found:?}");
        }
        let several = found("postgres://u:p@h:1,i:2/d");
        assert!(several.contains("d on h:1") && several.contains("d on i:2"));
        let several = found("host=h,i port=1 dbname=d");
        assert!(several.contains("d on h:1") && several.contains("d on i:1"));
        assert!(found("postgres://u:p@[::1]:7/d").contains("d on ::1:7"));
    }

    #[test]
    fn text_without_a_database_has_none() {
        for value in [
            "",
            "hello",
            "a=b",
            "Host header",
            "postgres",
            "?host=h",
            "100%",
            "://",
            "postgres://",
        ] {
            assert!(found(value).is_empty(), "{value}: {:?}", found(value));
        }
        let other = found("https://u:p@example.com/path");
        assert!(other.iter().all(|one| one.starts_with("? ")), "{other:?}");
    }

    #[test]
    fn role_is_no_host() {
        let found = found("postgres://u:%2Fabc@h/d");
        assert!(found.contains("d on h:5432"), "{found:?}");
        assert!(!found.iter().any(|one| one.contains(" on u:")), "{found:?}");
    }

    #[test]
    fn no_part_of_a_password_is_shown() {
        let strings = connection_strings("postgres://u:c4n4ry@h/d");
        assert_eq!(format!("{strings:?}"), "[d on h:5432]");
        for value in [
            "postgres://u:p@c4n4ry/c4n4ry@h/d",
            "postgres://u:1/c4n4ry@h/d",
            "postgres://u:?c4n4ry@h/d",
            "postgres://u:p@h/d?password=p@c4n4ry",
            "host=h dbname=d password='a b c4n4ry'",
        ] {
            for reading in readings(value) {
                let shown = format!("{:?}", connection_strings(&reading));
                assert!(!shown.contains("c4n4ry"), "{value}: {shown}");
            }
        }
    }
}
