//! The judgement of a file's name: a migration, something else, or a mistake with its cure.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

/// The largest number of a file. The history holds larger ones, so that the number after it is one.
pub(super) const LARGEST_VERSION: i64 = 9_000_000_000_000_000_000;

/// The longest name that the history's column takes, in characters.
const LONGEST_NAME: usize = 255;

/// The number and name in the name of a migration's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParsedName {
    pub(super) version: i64,
    pub(super) name: String,
}

/// A file's name that is nearly that of a migration, with the name that it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameProblem {
    reason: &'static str,
    suggestion: Option<ParsedName>,
}

impl NameProblem {
    /// Returns the number that the file was probably meant to have.
    pub(super) fn version(&self) -> Option<i64> {
        Some(self.suggestion.as_ref()?.version)
    }

    /// Suggests another number, since that one is taken.
    pub(super) fn set_version(&mut self, version: i64) {
        if let Some(suggestion) = &mut self.suggestion {
            suggestion.version = version;
        }
    }
}

impl fmt::Display for ParsedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}__{}.sql", self.version, self.name)
    }
}

impl fmt::Display for NameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.suggestion {
            Some(name) => write!(f, "{}: rename it to {name}", self.reason),
            None => write!(
                f,
                "{}: rename it to V<number>__<name>.sql, or move it out of the folder",
                self.reason
            ),
        }
    }
}

/// Parses the name of a file. `None` is a file that is no migration and does not look like one.
///
/// A letter with its accent is one character, also where the file system keeps them apart, as that of
/// macOS may: the history has the name, and the checksum depends on it.
pub(super) fn parse(file: &str) -> Option<Result<ParsedName, NameProblem>> {
    let file = &composed(file);
    if file.starts_with('.') {
        return None;
    }
    let (stem, extension) = file.rsplit_once('.')?;
    if extension == "rs" {
        let in_rust = NameProblem {
            reason: "is a migration in Rust, which only refinery runs",
            suggestion: None,
        };
        return judge(stem).ok().map(|_| Err(in_rust));
    }
    if !extension.eq_ignore_ascii_case("sql") {
        return None;
    }
    let judged = judge(stem).map_err(|reason| NameProblem {
        reason,
        suggestion: suggestion(stem),
    });
    Some(judged.and_then(|parsed| match extension {
        "sql" => Ok(parsed),
        _ => Err(NameProblem {
            reason: "has an extension in upper case",
            suggestion: suggestion(stem),
        }),
    }))
}

/// Parses a name without its extension.
///
/// # Errors
///
/// The reason why it is no migration's.
fn judge(stem: &str) -> Result<ParsedName, &'static str> {
    let rest = match stem.as_bytes().first() {
        Some(b'V') => &stem[1..],
        Some(b'v') => return Err("begins with a lower-case v"),
        Some(b'U') if stem[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            return Err(
                "is of the kind U, whose order is not kept (the history does not record the \
                 letter, so that a file that is applied stays so)",
            );
        }
        _ => return Err("does not begin with V and a number"),
    };
    let (number, name) = match rest.split_once("__") {
        Some((number, name)) => (number, name),
        None if starts_with_number(rest) && rest.contains('_') => {
            return Err("has one underscore after its number, where two belong");
        }
        None if starts_with_number(rest) => {
            return Err("has no two underscores after its number");
        }
        None => return Err("has no number after the V"),
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("has a number that is not a whole number");
    }
    let version = number.parse().ok();
    let version = version
        .filter(|version| *version <= LARGEST_VERSION)
        .ok_or("has a number that is larger than 9000000000000000000")?;
    if name.is_empty() {
        return Err("has no name after its number");
    }
    if !name.chars().all(is_name_character) {
        return Err("has other characters than letters, digits and underscores in its name");
    }
    if name.chars().count() > LONGEST_NAME {
        return Err("has a name of more than 255 characters");
    }
    Ok(ParsedName {
        version,
        name: name.to_owned(),
    })
}

/// Returns what a file was probably meant to be called.
fn suggestion(stem: &str) -> Option<ParsedName> {
    let rest = stem.trim_start_matches(['V', 'v', 'U', 'u', '_', '-', ' ']);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, name) = rest.split_at(digits);
    // A number such as 1.5 has no whole number that is meant.
    let has_fraction = name
        .strip_prefix('.')
        .is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit()));
    let name = as_name(name);
    let version = number.parse().ok()?;
    let fits = version <= LARGEST_VERSION;
    (fits && !has_fraction && !name.is_empty()).then_some(ParsedName { version, name })
}

/// Returns a text with composed letters (Unicode's form NFC).
pub(super) fn composed(text: &str) -> String {
    text.nfc().collect()
}

/// Returns the name in a text that may be a whole file's name, such as `V9__add_mail.sql`.
pub(super) fn name_within(text: &str) -> &str {
    let file = text.rsplit(['/', '\\']).next().unwrap_or(text).trim();
    let stem = match file.char_indices().rev().nth(3) {
        Some((at, '.')) if file[at..].eq_ignore_ascii_case(".sql") => &file[..at],
        _ => file,
    };
    let numbered = stem.strip_prefix(['V', 'v']).and_then(|rest| {
        let (number, name) = rest.split_once("__")?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(name)
    });
    numbered.unwrap_or(stem)
}

/// Turns a text into a name of a migration: other characters become underscores. Empty where
/// nothing is left.
pub(super) fn as_name(text: &str) -> String {
    let mapped: String = text
        .chars()
        .map(|c| if is_name_character(c) { c } else { '_' })
        .take(LONGEST_NAME)
        .collect();
    mapped.trim_matches('_').to_owned()
}

fn is_name_character(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn starts_with_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_migrations_are_parsed() {
        for (file, version, name) in [
            ("V1__notes.sql", 1, "notes"),
            ("V01__notes.sql", 1, "notes"),
            ("V0__a.sql", 0, "a"),
            (
                "V9000000000000000000__a.sql",
                9_000_000_000_000_000_000,
                "a",
            ),
            (
                "V20261127090416__add_mail_2.sql",
                20_261_127_090_416,
                "add_mail_2",
            ),
            ("V2__Größe.sql", 2, "Größe"),
            ("V3___a.sql", 3, "_a"),
            ("V3__a__b.sql", 3, "a__b"),
            // Letters whose accent is a character of its own.
            ("V4__Gro\u{308}\u{df}e.sql", 4, "Gr\u{f6}\u{df}e"),
        ] {
            let parsed = parse(file).expect("a migration").expect("a good name");
            assert_eq!((parsed.version, &*parsed.name), (version, name), "{file}");
        }
    }

    #[test]
    fn name_is_found_in_that_of_a_file() {
        for (text, name) in [
            ("add_mail", "add_mail"),
            ("add mail.sql", "add mail"),
            ("x.SQL", "x"),
            ("V9__x", "x"),
            ("v9__x.sql", "x"),
            ("migrations/V10__x.sql", "x"),
            ("V2_x", "V2_x"),
            ("2fa_codes", "2fa_codes"),
            ("Vx__y", "Vx__y"),
            (".sql", ""),
            ("", ""),
        ] {
            assert_eq!(name_within(text), name, "{text}");
        }
    }

    #[test]
    fn other_files_are_no_migrations() {
        for file in [
            "README.md",
            ".gitkeep",
            ".V1__a.sql.swp",
            ".#V1__a.sql",
            "V1__a.sql~",
            "V1__a.sql.orig",
            "mod.rs",
            "Makefile",
            "",
        ] {
            assert_eq!(parse(file), None, "{file}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_cure() {
        for (file, reason, cure) in [
            ("V6_foo.sql", "one underscore", "V6__foo.sql"),
            ("5_foo.sql", "does not begin with V", "V5__foo.sql"),
            ("v5__foo.sql", "lower-case v", "V5__foo.sql"),
            ("V5-foo.sql", "no two underscores", "V5__foo.sql"),
            ("V5foo.sql", "no two underscores", "V5__foo.sql"),
            ("U5__foo.sql", "kind U", "V5__foo.sql"),
            ("V__foo.sql", "not a whole number", "V<number>__<name>.sql"),
            (
                "V1.5__foo.sql",
                "not a whole number",
                "V<number>__<name>.sql",
            ),
            ("V-1__foo.sql", "not a whole number", "V1__foo.sql"),
            ("V1a__foo.sql", "not a whole number", "V1__a__foo.sql"),
            ("V5__.sql", "no name", "V<number>__<name>.sql"),
            ("V5__add-mail.sql", "other characters", "V5__add_mail.sql"),
            ("V5__add mail.sql", "other characters", "V5__add_mail.sql"),
            ("V5__foo.SQL", "upper case", "V5__foo.sql"),
            ("V5__foo.rs", "in Rust", "V<number>__<name>.sql"),
            ("seed.sql", "does not begin with V", "V<number>__<name>.sql"),
            (
                "Users.sql",
                "does not begin with V",
                "V<number>__<name>.sql",
            ),
            ("Views.sql", "no number", "V<number>__<name>.sql"),
            (
                "V9223372036854775807__foo.sql",
                "larger than 9000000000000000000",
                "V<number>__<name>.sql",
            ),
            (
                "V99999999999999999999__foo.sql",
                "larger than",
                "V<number>__<name>.sql",
            ),
        ] {
            let problem = parse(file).expect("it looks like one").unwrap_err();
            let text = problem.to_string();
            assert!(text.contains(reason), "{file}: {text}");
            assert!(text.contains(cure), "{file}: {text}");
        }
        let long = format!("V1__{}.sql", "a".repeat(256));
        assert!(parse(&long).expect("it looks like one").is_err());
    }
}
