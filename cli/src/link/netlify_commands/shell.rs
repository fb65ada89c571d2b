//! Text as words and comments of a POSIX shell.

use crate::output::is_printed_as_it_is;

/// Returns a text as one word of a shell. Where the text has a control character that is never
/// printed, the word is a command that makes the text.
pub(super) fn quoted(text: &str) -> String {
    if !is_printed_as_it_is(text) {
        return substituted(text);
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Returns a word that has the bytes of a text as octal numbers.
fn substituted(text: &str) -> String {
    // The shell removes line breaks from the end of a command's output.
    let body = text.trim_end_matches('\n');
    let mut bytes = String::new();
    for c in body.chars() {
        match c.is_ascii_alphanumeric() {
            true => bytes.push(c),
            false => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    bytes.push_str(&format!("\\0{byte:03o}"));
                }
            }
        }
    }
    let end = match &text[body.len()..] {
        "" => String::new(),
        breaks => format!("'{breaks}'"),
    };
    format!("\"$(printf '%b' '{bytes}')\"{end}")
}

/// Returns a text as one line that a shell ignores.
pub(super) fn comment(text: &str) -> String {
    format!("# {}", text.replace(char::is_control, " "))
}
