//! The dates of a certificate, as seconds since 1970.

use crate::tls::der::{GENERALIZED_TIME, Reader, UTC_TIME};

/// Reads a date in one of the two forms of RFC 5280, section 4.1.2.5: in UTC, with seconds.
pub(super) fn read(from: &mut Reader<'_>) -> Option<i64> {
    let element = from.element()?;
    let (year, rest) = match (element.tag, element.value) {
        (UTC_TIME, [_, _, rest @ ..]) => {
            let year = number(&element.value[..2])?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (GENERALIZED_TIME, [_, _, _, _, rest @ ..]) => (number(&element.value[..4])?, rest),
        _ => return None,
    };
    let rest = rest.strip_suffix(b"Z").filter(|rest| rest.len() == 10)?;
    let mut parts = rest.chunks(2).map(number);
    let mut part = || parts.next().flatten();
    let (month, day, hour, minute, second) = (part()?, part()?, part()?, part()?, part()?);
    let is_date = (1..=12).contains(&month)
        && (1..=days_of(month, year)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    is_date.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    let mut sum = 0;
    for digit in digits {
        sum = sum * 10 + i64::from(Some(digit).filter(|digit| digit.is_ascii_digit())? - b'0');
    }
    Some(sum)
}

fn days_of(month: i64, year: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Returns the days since 1970-01-01, with years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(tag: u8, text: &str) -> Option<i64> {
        let length = u8::try_from(text.len()).unwrap();
        let bytes = [&[tag, length], text.as_bytes()].concat();
        read(&mut Reader::new(&bytes))
    }

    #[test]
    fn dates_are_seconds_since_1970() {
        for (tag, text, seconds) in [
            (UTC_TIME, "700101000000Z", 0),
            (UTC_TIME, "691231235959Z", -1),
            (UTC_TIME, "491231235959Z", 2_524_607_999),
            (UTC_TIME, "500101000000Z", -631_152_000),
            (UTC_TIME, "000229120000Z", 951_825_600),
            (GENERALIZED_TIME, "20500101000000Z", 2_524_608_000),
            (GENERALIZED_TIME, "99991231235959Z", 253_402_300_799),
            (GENERALIZED_TIME, "00000101000000Z", -62_167_219_200),
            (GENERALIZED_TIME, "21000228235959Z", 4_107_542_399),
        ] {
            assert_eq!(read_text(tag, text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_in_utc_with_seconds_is_none() {
        for (tag, text) in [
            (UTC_TIME, ""),
            (UTC_TIME, "7001010000Z"),
            (UTC_TIME, "700101000000"),
            (UTC_TIME, "700101000000+0100"),
            (UTC_TIME, "19700101000000Z"),
            (UTC_TIME, "7a0101000000Z"),
            (UTC_TIME, "701301000000Z"),
            (UTC_TIME, "700001000000Z"),
            (UTC_TIME, "700230000000Z"),
            (UTC_TIME, "700100000000Z"),
            (UTC_TIME, "700101240000Z"),
            (UTC_TIME, "700101006000Z"),
            (UTC_TIME, "700101000060Z"),
            (GENERALIZED_TIME, "20500101000000.5Z"),
            (GENERALIZED_TIME, "21000229000000Z"),
            (GENERALIZED_TIME, "205"),
            (0x0c, "700101000000Z"),
        ] {
            assert_eq!(read_text(tag, text), None, "{text}");
        }
    }
}
