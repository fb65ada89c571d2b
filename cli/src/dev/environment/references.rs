//! References of a file of variables to others: `$NAME` and `${NAME}`.
//!
//! The parser of the files would look a name up in the command's own environment first, where a token of the
//! person is. So each `$` is hidden from it, and expanded afterwards from the files alone.

use std::collections::BTreeMap;

/// The text of a file without `$`, and the characters that stand for it.
pub(super) struct Hidden {
    pub(super) text: String,
    /// Stands for a `$` that begins a reference.
    reference: char,
    /// Stands for a `$` that is one: in single quotes, or behind a backslash.
    literal: char,
}

/// A reference to a variable that is not there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownReference;

impl Hidden {
    /// Hides each `$` of a text.
    pub(super) fn new(text: &str) -> Self {
        // Characters without a meaning of their own.
        let mut free = ('\u{e000}'..='\u{f8ff}').filter(|c| !text.contains(*c));
        let (reference, literal) = (free.next().unwrap_or('$'), free.next().unwrap_or('$'));
        let mut hidden = String::with_capacity(text.len());
        let mut quote = None;
        let mut before = '\n';
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            match (c, quote) {
                ('#', None) if before.is_whitespace() => {
                    hidden.push(c);
                    while let Some(of_comment) = characters.next_if(|c| *c != '\n') {
                        hidden.push(of_comment);
                    }
                }
                ('\\', None | Some('"')) => match characters.next() {
                    Some('$') => hidden.push(literal),
                    Some(escaped) => hidden.extend([c, escaped]),
                    None => hidden.push(c),
                },
                ('$', Some('\'')) => hidden.push(literal),
                ('$', _) => hidden.push(reference),
                ('\'' | '"', None) => {
                    quote = Some(c);
                    hidden.push(c);
                }
                (c, Some(open)) if c == open => {
                    quote = None;
                    hidden.push(c);
                }
                (c, _) => hidden.push(c),
            }
            before = c;
        }
        Self {
            text: hidden,
            reference,
            literal,
        }
    }

    /// Puts the values of the variables that a value refers to in their places.
    ///
    /// # Errors
    ///
    /// When one of them is not known. A `$` that no name follows is one.
    pub(super) fn expand(
        &self,
        value: &str,
        known: &BTreeMap<String, String>,
    ) -> Result<String, UnknownReference> {
        let mut parts = value.split(self.reference);
        let mut expanded = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = match part.strip_prefix('{') {
                Some(rest) => rest.split_once('}').ok_or(UnknownReference)?,
                None => part.split_at(part.find(|c| !is_of_name(c)).unwrap_or(part.len())),
            };
            match name.is_empty() && !part.starts_with('{') {
                true => expanded.push('$'),
                false => expanded.push_str(known.get(name).ok_or(UnknownReference)?),
            }
            expanded.push_str(rest);
        }
        Ok(expanded.replace(self.literal, "$"))
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<Vec<String>, UnknownReference> {
        let hidden = Hidden::new(text);
        let mut known = BTreeMap::from([("MY_A".to_owned(), "a $b".to_owned())]);
        let mut values = Vec::new();
        for variable in dotenvy::Iter::new(hidden.text.as_bytes()) {
            let (name, value) = variable.expect("a line");
            let value = hidden.expand(&value, &known)?;
            known.insert(name, value.clone());
            values.push(value);
        }
        Ok(values)
    }

    #[test]
    fn dollar_stands_for_a_variable_of_the_files_or_for_itself() {
        let text = "A=$MY_A\nB=\"http://${MY_A}:$C_1\"\n";
        assert_eq!(expanded(text), Err(UnknownReference));
        let text = "C_1=1 # $X and '\nA=$MY_A\nB=\"http://${MY_A}:$C_1/\"\nD='$MY_A'\nE=\"\\$MY_A\"\nF=a$\nG=a$/b\n# it's $X\nH=$A-b\n";
        let values = expanded(text).unwrap();
        let expected = [
            "1",
            "a $b",
            "http://a $b:1/",
            "$MY_A",
            "$MY_A",
            "a$",
            "a$/b",
            "a $b-b",
        ];
        assert_eq!(values, expected);
        for unknown in ["A=$HOME", "A=${PATH}", "A=pa$$word", "A=${", "A=${}"] {
            assert_eq!(expanded(unknown), Err(UnknownReference), "{unknown}");
        }
        // A character that could stand for one is the text's own.
        assert_eq!(expanded("A='\u{e000}$'").unwrap(), ["\u{e000}$"]);
    }
}
