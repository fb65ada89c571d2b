//! The parts of a value that could belong to a password, which no message may show: pure.

use std::collections::BTreeSet;

use crate::link::connection_string::{ConnectionString, readings};

/// The texts in a value that could belong to a password and be read as names too, in all readings
/// of the value, in lower case.
///
/// They are found more widely than connection strings are read: a password may hold any character,
/// and a program may accept a URL that others would read in another way.
pub(super) struct PasswordParts(BTreeSet<String>);

impl PasswordParts {
    pub(super) fn of(value: &str) -> Self {
        let mut parts = BTreeSet::new();
        for reading in readings(value) {
            let reading = reading.to_lowercase();
            let found = in_urls(&reading).chain(in_keywords(&reading));
            parts.extend(found.filter(|part| can_be_split(part)).map(str::to_owned));
        }
        Self(parts)
    }

    /// Describes a database for messages: by its name and its server, by the server alone, or not
    /// at all, so that no part of a password is shown that was read as a name.
    pub(super) fn describe(&self, found: &ConnectionString) -> Option<String> {
        if found.is_ambiguous {
            return None;
        }
        let is_plain = |name: &str| {
            let is_plain = |c: char| c.is_alphanumeric() || "-_.:$ ".contains(c);
            name.chars().all(is_plain)
        };
        let server = format!("{}:{}", found.host, found.port);
        let whole = is_plain(&found.database).then(|| found.to_string());
        let mut texts = whole.into_iter().chain([server]);
        texts.find(|text| is_plain(&found.host) && !self.occur_in(text))
    }

    /// Returns whether a text shares [`SHARED_CHARS`] characters in a row with one of the parts.
    pub(super) fn occur_in(&self, text: &str) -> bool {
        let text: Vec<char> = text.to_lowercase().chars().collect();
        let mut windows = text.windows(SHARED_CHARS);
        windows.any(|window| {
            let window: String = window.iter().collect();
            self.0.iter().any(|part| part.contains(&window))
        })
    }
}

/// Returns whether a text holds a character that ends a name for some program.
fn can_be_split(part: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.~!*$%".contains(c);
    let part = part.trim_end_matches([';', '&', ' ', '\n']);
    !part.chars().all(is_plain)
}

/// Returns the text between the first colon of each URL and the last `@` behind it.
fn in_urls(reading: &str) -> impl Iterator<Item = &str> {
    reading.match_indices("://").filter_map(|(at, separator)| {
        let (role, _) = reading[at + separator.len()..].rsplit_once('@')?;
        let (_, password) = role.split_once(':')?;
        Some(password)
    })
}

/// Returns the text behind each keyword of a password, up to the next keyword. Behind a quote it
/// is all text: quotes are escaped in several ways.
fn in_keywords(reading: &str) -> impl Iterator<Item = &str> {
    let starts = ["password", "pwd"].into_iter().flat_map(|keyword| {
        let found = reading.match_indices(keyword);
        found.filter_map(|(at, keyword)| {
            reading[at + keyword.len()..].trim_start().strip_prefix('=')
        })
    });
    starts.map(|text| match text.contains(['\'', '"']) {
        true => text,
        false => &text[..next_keyword(text)],
    })
}

fn next_keyword(text: &str) -> usize {
    let signs = text.match_indices('=').map(|(at, _)| at);
    let mut starts = signs.filter_map(|sign| {
        let before = text[..sign].trim_end();
        let mut keywords = KEYWORDS.iter();
        let keyword = keywords.find(|keyword| before.ends_with(**keyword))?;
        Some(before.len() - keyword.len())
    });
    starts.next().unwrap_or(text.len())
}

/// The last words of the keywords that may follow a password.
const KEYWORDS: &[&str] = &[
    "host", "hostaddr", "server", "source", "port", "dbname", "database", "catalog", "uid", "id",
    "user", "username", "password", "pwd", "sslmode",
];

/// The number of characters in a row that show a part of a password.
const SHARED_CHARS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_of_a_password_is_found_in_each_form() {
        for value in [
            "postgres://u:a/c4n4ry@h/d",
            "postgres://u:%2F%634n4ry@h/d",
            "postgres://u:a b c4n4ry@h/d",
            "postgres://h/d?user=u&password=a@c4n4ry/d",
            "host=h password='a\\' host=c4n4ry' dbname=d",
            "Host=h;Password=\"a\"\"c4n4ry\";Database=d",
            "Host=h;Pwd = a c4n4ry;Database=d",
            "cG9zdGdyZXM6Ly91OmEvYzRuNHJ5QGgvZA==",
        ] {
            let parts = PasswordParts::of(value);
            assert!(parts.occur_in("C4N4RY on h:5432"), "{value}");
            assert!(!parts.occur_in("d on h:5432"), "{value}");
        }
    }

    #[test]
    fn names_beside_a_password_are_none_of_it() {
        for value in [
            "postgres://shop:c4n4ry@shop.example.com/shop",
            "postgres://shop:shop-5432@shop.example.com/shop",
            "postgres://u:%73hop@shop.example.com/shop",
            "host=shop.example.com password=shop dbname=shop",
            "host=shop.example.com user=shop password=c4n4ry dbname=shop",
            "Password=c4n4ry;Server=shop.example.com;Initial Catalog=shop",
            "jdbc:postgresql://shop.example.com/shop?password=c4n4ry&user=shop",
        ] {
            let parts = PasswordParts::of(value);
            assert!(!parts.occur_in("shop on shop.example.com:5432"), "{value}");
        }
    }
}
