//! Numbers, times and text, formatted for readers.

use std::time::Duration;

use indicatif::HumanCount;

/// Formats a number with separators: `12,345`.
pub(crate) fn grouped(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

/// Formats minutes and seconds: `5:20`.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// Formats seconds, with two decimals below ten: `0.31 s`, `290 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 10.0 {
        format!("{seconds:.2} s")
    } else {
        format!("{seconds:.0} s")
    }
}

/// Formats a fraction from 0 to 1; only exactly 0 is `0 %`, and only exactly 1 is `100 %`.
pub(crate) fn percent(part: f64) -> String {
    if part == 0.0 || part == 1.0 {
        format!("{:.0} %", part * 100.0)
    } else {
        format!("{:.1} %", (part * 100.0).clamp(0.1, 99.9))
    }
}

/// Wraps text to lines of at most this many characters.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut room = width;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if lines.is_empty() {
            room = width.saturating_sub(length);
        } else if length < room {
            lines.push(' ');
            room -= length + 1;
        } else {
            lines.push('\n');
            room = width.saturating_sub(length);
        }
        lines.push_str(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!(grouped(19_200), "19,200");
        assert_eq!(clock(Duration::from_secs(320)), "5:20");
        assert_eq!((&*seconds(0.314), &*seconds(289.9)), ("0.31 s", "290 s"));
    }

    #[test]
    fn percent_of_almost_none_is_not_none() {
        let told = [0.0, 0.0001, 0.5, 0.9999, 1.0].map(percent);
        assert_eq!(told, ["0 %", "0.1 %", "50.0 %", "99.9 %", "100 %"]);
    }

    #[test]
    fn wrapped_lines_are_as_long_as_they_may_be() {
        assert_eq!(
            wrapped("a rotation of a password", 10),
            "a rotation\nof a\npassword"
        );
        assert_eq!(
            wrapped("a rotation of a password", 9),
            "a\nrotation\nof a\npassword"
        );
    }
}
