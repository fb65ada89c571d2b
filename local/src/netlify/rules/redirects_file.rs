//! The grammar of a `_redirects` file: `from [query] [to] [status[!]] [conditions]` on each line.

use std::collections::BTreeMap;

use super::RuleError;
use super::redirect_rule::{Condition, RawRedirect, RedirectRule};
use super::text::{is_space, is_url, leading_integer, trim};

/// Parses the text of a `_redirects` file. Returns the rules with their lines, and an error for
/// each line that Netlify does not accept.
pub fn parse_redirects_file(text: &str) -> (Vec<(usize, RedirectRule)>, Vec<RuleError>) {
    let (mut rules, mut errors) = (Vec::new(), Vec::new());
    for (index, line) in text.split('\n').enumerate() {
        let line = trim(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            Ok(rule) => rules.push((index + 1, rule)),
            Err(reason) => errors.push(RuleError::new(index + 1, reason)),
        }
    }
    (rules, errors)
}

/// Parses a line that is neither empty nor a comment.
fn parse_line(line: &str) -> Result<RedirectRule, String> {
    let words: Vec<&str> = line
        .split(is_space)
        .filter(|word| !word.is_empty())
        .take_while(|word| !word.starts_with('#'))
        .collect();
    let Some((from, words)) = words.split_first() else {
        return Err("it has no path".to_owned());
    };
    let Some(first) = words.first() else {
        return Err("it has no destination".to_owned());
    };
    // `/app/* 200` has no destination: it leads to `/app/:splat`.
    let (query, to, rest) = if leading_integer(first).is_some() {
        (&[][..], None, words)
    } else {
        let at = words
            .iter()
            .position(|word| word.starts_with('/') || is_url(word))
            .ok_or("its destination must start with /, http:// or https://")?;
        (&words[..at], Some(words[at].to_owned()), &words[at + 1..])
    };
    let (status, conditions) = match rest.split_first() {
        None => (None, &[][..]),
        Some((status, conditions)) => (Some(*status), conditions),
    };
    let mut conditions = parse_pairs(conditions);
    // `signed=` takes precedence over `Sign=`.
    let sign = conditions.remove("Sign");
    let signed = conditions.remove("signed").or(sign);
    RawRedirect {
        from: (*from).to_owned(),
        to,
        status: status.map(parse_status).transpose()?,
        force: status.is_some_and(|status| status.ends_with('!')),
        query: parse_pairs(query),
        conditions: conditions
            .into_iter()
            .map(|(name, value)| (name, Condition::Text(value)))
            .collect(),
        signed,
        headers: BTreeMap::new(),
    }
    .normalize()
}

fn parse_status(word: &str) -> Result<i64, String> {
    leading_integer(word).ok_or_else(|| {
        format!("{word:?} is not a status; conditions stand after the status, as in 302 {word}")
    })
}

/// Parses words `name=value`. A word without a value counts for nothing, and takes the value of an
/// earlier one.
fn parse_pairs(words: &[&str]) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for word in words {
        let mut parts = word.split('=');
        let name = parts.next().unwrap_or_default().to_owned();
        pairs.insert(name, parts.next().map(str::to_owned));
    }
    pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(line: &str) -> RedirectRule {
        let (rules, errors) = parse_redirects_file(line);
        assert_eq!((rules.len(), errors.as_slice()), (1, &[][..]), "{line}");
        rules.into_iter().next().unwrap().1
    }

    #[test]
    fn line_is_read_word_by_word() {
        let parsed = rule("/store id=:id  /blog/:id\t302!  Country=us,gb  language=en # later");
        assert_eq!(
            (parsed.from.as_str(), parsed.to.as_str()),
            ("/store", "/blog/:id")
        );
        assert_eq!((parsed.status, parsed.force), (Some(302), true));
        assert_eq!(parsed.query["id"], ":id");
        assert_eq!(parsed.conditions["Country"], ["us", "gb"]);
        assert_eq!(parsed.conditions["Language"], ["en"]);
        assert_eq!(rule("/a /b#part").to, "/b#part");
        assert_eq!(rule("/app/* 200").to, "/app/:splat");
        assert_eq!(
            rule("\u{feff}/a https://b.test/ 200 Sign=KEY\r")
                .signed
                .unwrap(),
            "KEY"
        );
    }

    #[test]
    fn wrong_line_costs_itself_only() {
        let text = "# moved\n/a\n/b c\n/c /d us\n/x 200\n/.netlify/a /b\n\n/good /rule\n";
        let (rules, errors) = parse_redirects_file(text);
        assert_eq!(rules.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [8]);
        let lines: Vec<usize> = errors.iter().map(|error| error.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6]);
        assert!(errors[2].reason.contains("not a status"), "{errors:?}");
    }
}
