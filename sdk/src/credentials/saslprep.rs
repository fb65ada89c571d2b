//! SASLprep (RFC 4013), the preparation of a password for SCRAM, in the way that Postgres does it.
//!
//! Postgres departs from the RFC, and a client has to depart in the same way, or it derives other
//! keys than the server has (`pg_saslprep` of postgresql.org, src/common/saslprep.c; version 18,
//! 2026-11):
//!
//! - It looks for prohibited and unassigned characters, and at the direction of the text, before
//!   it normalises.
//! - A password that SASLprep refuses stays as it is. That includes one that is not UTF-8, and one
//!   of which nothing is left.

use std::borrow::Cow;

use stringprep::tables;
use unicode_normalization::UnicodeNormalization as _;

/// Prepares a password.
pub(super) fn prepare(password: &[u8]) -> Cow<'_, [u8]> {
    if password.is_ascii() {
        return Cow::Borrowed(password);
    }
    let prepared = std::str::from_utf8(password).ok().and_then(prepare_text);
    prepared.map_or(Cow::Borrowed(password), |text| {
        Cow::Owned(text.into_bytes())
    })
}

/// Maps, checks and normalises a text. `None` where SASLprep refuses it.
fn prepare_text(text: &str) -> Option<String> {
    let mapped: Vec<char> = text.chars().filter_map(map).collect();
    let is_refused = mapped.is_empty()
        || mapped.iter().any(|&c| is_prohibited(c))
        || !is_one_directional(&mapped);
    (!is_refused).then(|| mapped.into_iter().nfkc().collect())
}

/// Maps a character (RFC 4013, section 2.1).
fn map(c: char) -> Option<char> {
    if tables::non_ascii_space_character(c) {
        return Some(' ');
    }
    (!tables::commonly_mapped_to_nothing(c)).then_some(c)
}

/// Returns whether a text may not contain the character (RFC 4013, sections 2.3 and 2.5).
fn is_prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || tables::ascii_control_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
        || tables::unassigned_code_point(c)
}

/// Returns whether a text that is written from right to left begins and ends so, and has no
/// character of the other direction (RFC 3454, section 6).
fn is_one_directional(text: &[char]) -> bool {
    let is_from_right = |c: Option<&char>| c.is_some_and(|&c| tables::bidi_r_or_al(c));
    !text.iter().any(|c| is_from_right(Some(c)))
        || (is_from_right(text.first())
            && is_from_right(text.last())
            && !text.iter().any(|&c| is_from_left(c)))
}

/// Returns whether a character is written from left to right: table D.2 of RFC 3454, which is of
/// Unicode 3.2. Some characters have another direction in later versions.
fn is_from_left(c: char) -> bool {
    match c {
        '\u{17b4}' | '\u{17b5}' | '\u{1885}' | '\u{1886}' => true,
        '\u{1d6c1}' | '\u{1d6db}' | '\u{1d6fb}' | '\u{1d715}' | '\u{1d735}' => true,
        '\u{1d74f}' | '\u{1d76f}' | '\u{1d789}' | '\u{1d7a9}' | '\u{1d7c3}' => true,
        '\u{cbf}' | '\u{cc6}' | '\u{1734}' | '\u{2132}' => false,
        '\u{2800}'..='\u{28ff}' | '\u{302e}' | '\u{302f}' => false,
        c => tables::bidi_l(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> String {
        String::from_utf8(prepare(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn passwords_are_prepared_as_postgres_does() {
        for (password, expected) in [
            // The examples of RFC 4013, section 3. Postgres takes the last two as they are.
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("\u{7}", "\u{7}"),
            ("\u{627}\u{31}", "\u{627}\u{31}"),
            // Spaces, and characters that are mapped to nothing.
            ("a\u{a0}b\u{3000}c\u{200b}d", "a b c d"),
            ("\u{200d}x\u{feff}", "x"),
            // Nothing is left.
            ("\u{ad}", "\u{ad}"),
            ("\u{ad}\u{200d}", "\u{ad}\u{200d}"),
            // Prohibited, and unassigned in Unicode 3.2, although the normal form is neither.
            ("\u{340}", "\u{340}"),
            ("\u{2093}", "\u{2093}"),
            ("x\u{1d7ca}", "x\u{1d7ca}"),
            // Right to left, with a sign that only later versions count as left to right.
            ("\u{5d0}\u{2800}\u{fb4f}", "\u{5d0}\u{2800}\u{5d0}\u{5dc}"),
            ("\u{5d0}\u{1d6db}\u{fb4f}", "\u{5d0}\u{1d6db}\u{fb4f}"),
            ("\u{fb4f}a", "\u{fb4f}a"),
            ("e\u{301}\u{fb01}\u{ff21}", "\u{e9}fiA"),
        ] {
            assert_eq!(prepared(password), expected, "{password:?}");
        }
        for raw in [
            &b"\xff"[..],
            b"\xed\xa0\x80",
            b"\xc2\xad\xff",
            b"",
            b"\xc0\x80",
        ] {
            assert_eq!(&*prepare(raw), raw);
        }
    }

    /// The tables are of Unicode 3.2, whichever version the crates know.
    #[test]
    fn tables_are_those_of_unicode_3_2() {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for c in '\0'..=char::MAX {
            let facts = [
                map(c) == Some(' '),
                map(c).is_none(),
                is_prohibited(c),
                // Other characters are refused before their direction counts.
                !is_prohibited(c) && map(c) == Some(c) && tables::bidi_r_or_al(c),
                !is_prohibited(c) && map(c) == Some(c) && is_from_left(c),
            ];
            let bits = facts
                .iter()
                .rev()
                .fold(0, |bits, &is| bits << 1 | u64::from(is));
            hash = (hash ^ bits).wrapping_mul(0x0000_0100_0000_01b3);
        }
        assert_eq!(hash, OF_RFC_3454);
    }

    /// FNV-1a of the five facts of each character, by the tables of RFC 3454.
    const OF_RFC_3454: u64 = 0x45ec_04a3_3278_d0cd;
}
