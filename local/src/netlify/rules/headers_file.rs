//! The grammar of a `_headers` file: a path on a line, and a `Name: value` on each line after it.

use std::collections::BTreeMap;

use super::text::{split_list, trim};
use super::{HeaderBlock, RuleError};

/// Parses the text of a `_headers` file. Returns the blocks with their lines, and an error for each
/// line that Netlify does not accept.
pub fn parse_headers_file(text: &str) -> (Vec<(usize, HeaderBlock)>, Vec<RuleError>) {
    let mut blocks: Vec<(usize, HeaderBlock)> = Vec::new();
    let mut errors = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let line = trim(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('/') {
            let path = line.to_owned();
            let values = BTreeMap::new();
            blocks.push((index + 1, HeaderBlock { path, values }));
            continue;
        }
        match parse_header(line) {
            Ok((name, value)) => match blocks.last_mut() {
                Some((_, block)) => {
                    let values = block.values.entry(name).or_default();
                    if !values.is_empty() {
                        values.push_str(", ");
                    }
                    values.push_str(&value);
                }
                None => errors.push(RuleError::new(
                    index + 1,
                    format!("the header {name:?} stands before the first path"),
                )),
            },
            Err(reason) => errors.push(RuleError::new(index + 1, reason)),
        }
    }
    // A path without headers has no effect.
    blocks.retain(|(_, block)| !block.values.is_empty());
    for value in blocks
        .iter_mut()
        .flat_map(|(_, block)| block.values.values_mut())
    {
        *value = split_list(value).collect::<Vec<_>>().join(", ");
    }
    (blocks, errors)
}

fn parse_header(line: &str) -> Result<(String, String), String> {
    let Some((name, value)) = line.split_once(':') else {
        return Err(format!(
            "{line:?} is neither a path, which starts with /, nor a header with a colon"
        ));
    };
    let (name, value) = (trim(name), trim(value));
    if name.is_empty() {
        return Err("a header has no name".to_owned());
    }
    if value.is_empty() {
        return Err(format!("the header {name:?} has no value"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_follow_their_path() {
        let text = "/*\n  X-Frame-Options: DENY\n  Link: </a>\n  Link: </b> ,</c>\n\n# x\n/b\n\
                    \tX-Url: http://b.test/\r\n/empty\n";
        let (blocks, errors) = parse_headers_file(text);
        assert_eq!(errors, []);
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].0, blocks[0].1.path.as_str()), (1, "/*"));
        assert_eq!(blocks[0].1.values["Link"], "</a>, </b>, </c>");
        assert_eq!(blocks[1].1.values["X-Url"], "http://b.test/");
    }

    #[test]
    fn wrong_line_costs_itself_only() {
        let text = "X-Early: 1\n/a\nno header\n: value\nX-Empty:\nX-Good: 1";
        let (blocks, errors) = parse_headers_file(text);
        let lines: Vec<usize> = errors.iter().map(|error| error.line).collect();
        assert_eq!(lines, [1, 3, 4, 5]);
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks[0].1.values.len(), 1);
    }
}
