//! Text from outside as one line, for a terminal or a log.

use std::fmt::{self, Display, Write};

/// Returns a text as one line that a terminal or a log shows as it is.
///
/// Names and messages of a provider, a server or a client may hold line breaks, which would begin a
/// line of their own, sequences that a terminal obeys, and marks that change the order of letters.
/// These are escaped as in Rust's string literals (`\n`, `\u{1b}`); all else stays. The text of an
/// [`Error`](crate::Error) is such a line already.
///
/// ```
/// let name = "shop\nERROR forged\u{1b}[2J";
/// assert_eq!(stagelink::one_line(name).to_string(), r"shop\nERROR forged\u{1b}[2J");
/// ```
pub fn one_line(text: impl Display) -> impl Display {
    OneLine(text)
}

struct OneLine<T>(T);

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(LineWriter(f), "{}", self.0)
    }
}

/// A writer that escapes what [`one_line`] escapes.
pub(crate) struct LineWriter<'a, 'b>(pub(crate) &'a mut fmt::Formatter<'b>);

impl Write for LineWriter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(is_escaped) {
            match part.chars().next_back() {
                Some(last) if is_escaped(last) => {
                    let plain = &part[..part.len() - last.len_utf8()];
                    write!(self.0, "{plain}{}", last.escape_default())?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

fn is_escaped(c: char) -> bool {
    // The line and paragraph separators, and the marks that embed, override or isolate a direction.
    let is_mark = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || is_mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_one_and_holds_no_sequence_that_a_terminal_obeys() {
        for (text, expected) in [
            ("shop é 店 😀 a\\b 'c'", "shop é 店 😀 a\\b 'c'"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            (
                "a\u{2028}b\u{202e}c\u{2066}",
                "a\\u{2028}b\\u{202e}c\\u{2066}",
            ),
            ("", ""),
        ] {
            assert_eq!(one_line(text).to_string(), expected);
        }
        assert_eq!(one_line(format_args!("{}\n", 1)).to_string(), "1\\n");
    }
}
