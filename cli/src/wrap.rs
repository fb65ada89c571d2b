//! Lines that fit the width of a terminal.

use std::fmt::Write as _;

use console::measure_text_width;

/// Returns a line in lines that fit a width. Those after the first are indented by two more.
pub(crate) fn wrapped(line: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| measure_text_width(line) > *width) else {
        return line.to_owned();
    };
    let words = line.trim_start();
    let indent = line.len() - words.len();
    let (mut text, mut used) = (" ".repeat(indent), indent);
    let mut is_first = true;
    for word in words.split(' ') {
        let needed = measure_text_width(word);
        if !is_first && used + 1 + needed > width {
            let _ = write!(text, "\n{}", " ".repeat(indent + 2));
            used = indent + 2;
        } else if !is_first {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += needed;
        is_first = false;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_is_wrapped_with_its_indent() {
        let line = "    line 3: stop: writers wait";
        assert_eq!(wrapped(line, None), line);
        assert_eq!(wrapped(line, Some(80)), line);
        assert_eq!(
            wrapped(line, Some(20)),
            "    line 3: stop:\n      writers wait"
        );
        assert_eq!(wrapped("  a-long-word b", Some(5)), "  a-long-word\n    b");
    }
}
