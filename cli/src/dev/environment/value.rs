//! The question whether a variable's value leads beyond this machine.

use std::net::IpAddr;

/// Returns whether a value is an address on another machine together with credentials for it: a URL
/// with a user or a password, wherever in the value it is, or libpq's `host=… password=…`. `DATABASE_URL`
/// and libpq's own variables of a host count as such without credentials, too, since others hold those. The
/// query of a database's URL may name its host, user and password as well.
pub(super) fn points_beyond_this_machine(name: &str, value: &str) -> bool {
    if names_a_host(name) {
        return !value.split(',').all(|host| is_local(host.trim()));
    }
    let is_database = name == "DATABASE_URL";
    // A comma is between two URLs, or between two hosts of one.
    let words = value.split(|c: char| c.is_whitespace() || c == ';');
    let parts = words.flat_map(|word| word.split(',').chain([word]));
    let mut remote = parts
        .flat_map(Url::all_in)
        .filter(|url| !url.hosts().all(is_local));
    remote.any(|url| is_database || url.has_credentials()) || is_remote_conninfo(value)
}

/// Returns whether a variable of this name is the host to which libpq and sqlx connect.
pub(super) fn names_a_host(name: &str) -> bool {
    ["PGHOST", "PGHOSTADDR"].contains(&name)
}

/// The parts of a URL that matter here.
struct Url<'a> {
    is_http: bool,
    user: Option<&'a str>,
    hosts: &'a str,
    query: &'a str,
}

impl<'a> Url<'a> {
    /// Returns each URL of a text, which may be an option, JSON, or a list.
    fn all_in(text: &'a str) -> impl Iterator<Item = Self> {
        let marks = text.match_indices("://");
        marks.filter_map(move |(at, mark)| Self::parse(&text[..at], &text[at + mark.len()..]))
    }

    /// Parses a URL from what is before its `://` and after it.
    fn parse(before: &'a str, after: &'a str) -> Option<Self> {
        let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.:".contains(c);
        let scheme = &before[before.trim_end_matches(is_of_scheme).len()..];
        if scheme.is_empty() {
            return None;
        }
        let rest = match enclosing(&before[..before.len() - scheme.len()]) {
            Some(close) => until_closed(after, close),
            None => after,
        };
        // As of `jdbc:postgresql` and `git+https`.
        let kind = scheme.rsplit([':', '+', '-']).next().unwrap_or(scheme);
        let is_http = ["http", "https"]
            .iter()
            .any(|http| kind.eq_ignore_ascii_case(http));
        // A password of a database may hold characters that are not encoded: the last @ ends it. A page's
        // address may have an @ in its path.
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let before = match is_http && has_a_port_or_none(authority) {
            true => authority,
            false => rest,
        };
        let user = before.rsplit_once('@').map(|(user, _)| user);
        let rest = &rest[user.map_or(0, |user| user.len() + 1)..];
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let hosts = before.split(BEHIND_HOSTS).next().unwrap_or(before);
        Some(Self {
            is_http,
            user,
            hosts,
            query,
        })
    }

    fn hosts(&self) -> impl Iterator<Item = &'a str> {
        let is_http = self.is_http;
        let of_query = self
            .query()
            .filter(move |(name, _)| !is_http && HOSTS.contains(name))
            .map(|(_, hosts)| hosts);
        [self.hosts]
            .into_iter()
            .chain(of_query)
            .flat_map(|hosts| hosts.split(','))
    }

    fn has_credentials(&self) -> bool {
        self.user.is_some_and(|user| !user.is_empty())
            || self.query().any(|(name, _)| {
                let name = name.to_ascii_lowercase();
                (!self.is_http && name == "user")
                    || SECRETS.iter().any(|secret| name.contains(secret))
            })
    }

    fn query(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let pairs = self.query.split('&');
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}

/// Returns the character that ends a URL, of the text before the URL: that text may open a quotation.
fn enclosing(before: &str) -> Option<char> {
    let pairs = [('"', '"'), ('\'', '\''), ('`', '`'), ('<', '>')];
    let (_, close) = pairs.iter().find(|(open, _)| before.ends_with(*open))?;
    Some(*close)
}

/// Returns a text up to the character that ends a quotation. The same character inside a password is not
/// at the end of the text, nor before what goes on in JSON.
fn until_closed(text: &str, close: char) -> &str {
    let mut ends = text.match_indices(close).filter(|(at, close)| {
        let after = text[at + close.len()..].chars().next();
        after.is_none_or(|c| ",:]})\\".contains(c))
    });
    ends.next().map_or(text, |(at, _)| &text[..at])
}

/// Returns whether a host has a number as its port, if it has a port. Else the part that looks like one is the
/// beginning of a password.
fn has_a_port_or_none(authority: &str) -> bool {
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = host.rsplit(']').next().unwrap_or(host);
    // Behind a comma another URL may follow.
    let host = host.split(',').next().unwrap_or(host);
    let port = host.split_once(':').map_or("", |(_, port)| port);
    port.trim_end_matches(BEHIND_HOSTS)
        .bytes()
        .all(|c| c.is_ascii_digit())
}

/// The characters that end the hosts of a URL; a text goes on with the last ones behind a URL.
const BEHIND_HOSTS: [char; 10] = ['/', '#', '"', '\'', '`', '<', '>', '}', ')', '\\'];

/// Returns whether a host with its port is this machine. An empty one is a socket of the system, as is one
/// that begins with `/`, or with `@` in Linux's own space of names.
fn is_local(host: &str) -> bool {
    // An address of version 6 without brackets has no port.
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    // `%2F` begins the folder of a socket.
    name.is_empty()
        || name.starts_with(['/', '@'])
        || name == "localhost"
        || name.ends_with(".localhost")
        || name.starts_with("%2f")
        || name
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Returns whether a value is of libpq's form `host=… password=…` with another machine's host.
fn is_remote_conninfo(value: &str) -> bool {
    let pairs = conninfo_pairs(value);
    let is_remote = pairs
        .iter()
        .any(|(name, hosts)| HOSTS.contains(name) && !hosts.split(',').all(is_local));
    is_remote && pairs.iter().any(|(name, _)| *name == "password")
}

/// Returns the names and values of libpq's form: spaces may be around a `=`, and quotes around a value.
fn conninfo_pairs(mut text: &str) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    while let Some((before, after)) = text.split_once('=') {
        let name = before.split_whitespace().last().unwrap_or_default();
        let after = after.trim_start();
        let (value, rest) = match after.strip_prefix('\'') {
            Some(quoted) => split_at_quote(quoted),
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        pairs.push((name, value));
        text = rest;
    }
    pairs
}

/// Splits a text at its first quote without a backslash.
fn split_at_quote(text: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let end = text.find(|c| {
        let is_end = c == '\'' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    end.map_or((text, ""), |end| (&text[..end], &text[end + 1..]))
}

/// The names by which a query and libpq's form name hosts.
const HOSTS: [&str; 2] = ["host", "hostaddr"];

const SECRETS: [&str; 6] = ["password", "passwd", "token", "secret", "key", "signature"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_with_credentials_is_this_machine_or_beyond() {
        for (value, expected) in [
            ("postgres://app:c4n4ry@db.example.com/app", true),
            ("postgres://app:c4n4ry/x@db.example.com:5432/app", true),
            ("postgres://app:c4n4ry?x@db.example.com/app", true),
            ("postgres://app@10.0.0.7/app", true),
            ("redis://:c4n4ry@cache.example.com", true),
            ("https://api.example.com/?access_token=c4n4ry", true),
            ("https://a@localhost https://b@example.com", true),
            ("postgres://a@localhost,b.example.com/app", true),
            ("host=db.example.com user=app password=c4n4ry", true),
            (r#"{"url":"postgres://u:c4n4ry@db.example.com/x"}"#, true),
            (
                r#"{"a":"postgres://u:p@localhost/x","b":"redis://u:p@c.example.com"}"#,
                true,
            ),
            (r#"{"url":"postgres://u:c4"n4ry@db.example.com/x"}"#, true),
            ("--url=postgres://u:c4n4ry@db.example.com/x", true),
            ("<postgres://u:c4n4ry@db.example.com/x>", true),
            ("jdbc:postgresql://u:c4n4ry@db.example.com/x", true),
            ("https://example.com/,redis://:p@c.example.com", true),
            ("https://ada:c4n4ry@example.com/@ada", true),
            ("https://ada:c4n4ry/x@example.com/", true),
            (
                r#"{"url":"postgres://u:p@localhost","site":"https://medium.com/@ada"}"#,
                false,
            ),
            ("--url=postgres://u:p@localhost:5432/x", false),
            ("<postgres://u:p@localhost>", false),
            ("https://medium.com/@ada", false),
            ("https://medium.com:443/@ada", false),
            ("http://127.0.0.1:80,https://medium.com/@ada", false),
            ("https://example.com#@ada", false),
            ("https://[2001:db8::1]:443/@ada", false),
            ("https://api.example.com/v1?page=2", false),
            ("https://example.com/?mail=ada@example.com", false),
            ("postgres://app:pw@localhost:5432/app", false),
            ("postgres://app:pw@127.0.0.2,[::1]:5432/app", false),
            ("redis://:pw@redis.localhost/0", false),
            ("postgres://app@%2Fvar%2Frun/app", false),
            ("postgres:///app", false),
            ("postgres://app:pw@localhost/app?host=db.example.com", true),
            ("postgres://app:pw@localhost/app?hostaddr=10.0.0.7", true),
            (
                "postgres://app:pw@localhost/app?hostaddr=::ffff:10.0.0.7",
                true,
            ),
            ("postgres:///app?host=localhost,db.example.com&user=a", true),
            (
                "postgres:///app?host=db.example.com&user=a&password=b",
                true,
            ),
            (
                "postgres:///app?host=/run/postgresql&user=a&password=b",
                false,
            ),
            ("postgres://app:pw@localhost/app?hostaddr=::1&host=", false),
            ("postgres:///app?host=db.example.com", false),
            ("https://user:pw?@api.example.com/x", true),
            ("https://user:pw?@localhost/x", false),
            ("https://localhost/?host=example.com&key=c4n4ry", false),
            ("https://api.example.com/?user=ada", false),
            ("host=localhost hostaddr=10.0.0.7 password=x", true),
            ("host = db.example.com password = x", true),
            ("host ='db.example.com' password= 'x y'", true),
            ("password='it\\'s host=b' host='localhost'", false),
            ("host=localhost hostaddr=::1 password=x", false),
            ("host = localhost password = x", false),
            ("host=/run/postgresql password=pw", false),
            ("host=localhost password=pw", false),
            ("a plain value, with user@example.com in it", false),
            ("://@", false),
        ] {
            let points = points_beyond_this_machine("CACHE", value);
            assert_eq!(points, expected, "{value}");
        }
    }

    #[test]
    fn host_of_libpq_is_this_machine_or_beyond() {
        for (value, expected) in [
            ("db.example.com", true),
            ("10.0.0.7", true),
            ("localhost,db.example.com", true),
            ("2001:db8::1", true),
            ("localhost", false),
            ("127.0.0.1,::1", false),
            ("/run/postgresql", false),
            ("@of-linux", false),
            ("", false),
        ] {
            for name in ["PGHOST", "PGHOSTADDR"] {
                let points = points_beyond_this_machine(name, value);
                assert_eq!(points, expected, "{name}={value}");
            }
            assert!(!points_beyond_this_machine("SERVICE", value), "{value}");
        }
    }

    #[test]
    fn url_of_a_database_needs_no_credentials_to_be_refused() {
        let remote = "postgres://db.example.com/app";
        assert!(points_beyond_this_machine("DATABASE_URL", remote));
        assert!(!points_beyond_this_machine("SERVICE_URL", remote));
        assert!(!points_beyond_this_machine(
            "DATABASE_URL",
            "postgres://localhost/app"
        ));
    }
}
