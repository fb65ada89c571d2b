//! The troubleshooting guide has a heading for each refusal of stages, settings, `stagelink link` and
//! `stagelink migrate`, and none for a message that no longer exists.
//!
//! The kinds of errors are checked where they are defined, in `sdk/src/troubleshooting.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use stagelink_tests::root;

#[test]
fn stages_and_settings_have_a_heading_for_each_refusal() {
    check(
        &["What stages refuse", "What settings refuse"],
        &["sdk/src"],
        &["ErrorKind::Settings", "ErrorKind::Stage,", "settings("],
    );
}

#[test]
fn link_has_a_heading_for_each_refusal() {
    check(
        &["What `stagelink link` refuses"],
        &[
            "cli/src/link",
            "cli/src/missing.rs",
            "cli/src/site.rs",
            "pipeline/src/api.rs",
            "pipeline/src/attempts.rs",
            "pipeline/src/heroku.rs",
            "pipeline/src/https.rs",
            "pipeline/src/link",
            "pipeline/src/netlify/context.rs",
            "pipeline/src/netlify/function_variable.rs",
            "pipeline/src/netlify/mod.rs",
            "pipeline/src/netlify/site_search.rs",
            "pipeline/src/netlify/variable.rs",
            "pipeline/src/refusal.rs",
        ],
        &[
            "bail!(",
            "ErrorKind::Settings",
            "ErrorKind::Isolation",
            "ErrorKind::Refused",
            "refused(",
        ],
    );
}

#[test]
fn settings_file_has_a_heading_for_each_refusal() {
    check(
        &["What `stagelink.toml` refuses"],
        &["cli/src/stage_database.rs", "pipeline/src/settings_file"],
        &["bail!(", "anyhow!(", "ErrorKind::Settings", "Mistake::"],
    );
}

#[test]
fn migrate_has_a_heading_for_each_refusal() {
    check(
        &["What `stagelink migrate` refuses"],
        &[
            "cli/src/migrate",
            "cli/src/planned_change.rs",
            "pipeline/src/migrations",
        ],
        &[
            "bail!(",
            "ErrorKind::Settings",
            "ErrorKind::Migration",
            "ErrorKind::Busy",
        ],
    );
}

#[test]
fn needs_has_a_heading_for_each_refusal() {
    check(
        &["What `stagelink needs` refuses"],
        &["cli/src/needs", "pipeline/src/needs"],
        &["bail!(", "ensure!(", "ErrorKind::Settings"],
    );
}

#[test]
fn status_env_and_psql_have_a_heading_for_each_refusal() {
    check(
        &["What `stagelink status`, `env` and `psql` refuse"],
        &[
            "cli/src/env",
            "cli/src/psql",
            "cli/src/status",
            "pipeline/src/function_environment.rs",
            "pipeline/src/heroku/plan.rs",
            "pipeline/src/netlify/deploy.rs",
            "pipeline/src/psql.rs",
            "pipeline/src/status",
        ],
        &[
            "anyhow!(",
            "bail!(",
            "ErrorKind::Settings",
            "ErrorKind::Refused",
        ],
    );
}

#[test]
fn gate_of_a_build_has_a_heading_for_each_refusal() {
    check(
        &["What `stagelink build --gate` refuses"],
        &["cli/src/build/gate.rs"],
        &["bail!(", "ensure!(", "error.context("],
    );
}

#[test]
fn deploy_has_a_heading_for_each_refusal() {
    check(
        &["What `stagelink deploy` refuses"],
        &[
            "cli/src/deploy",
            "pipeline/src/artifact",
            "pipeline/src/deploy",
            "pipeline/src/netlify/deploy_upload.rs",
            "pipeline/src/netlify/persistence.rs",
            "pipeline/src/netlify/answers.rs",
            "pipeline/src/netlify/publishing.rs",
        ],
        &[
            "anyhow!(",
            "bail!(",
            "ensure!(",
            "ErrorKind::Settings",
            "ErrorKind::Isolation",
            "ErrorKind::Migration",
            "ErrorKind::Refused",
            "ErrorKind::Unavailable",
            "refused(",
        ],
    );
}

#[test]
fn lambda_has_a_heading_for_each_refusal() {
    check(
        &["What the commands on AWS Lambda refuse"],
        &[
            "cli/src/lambda",
            "pipeline/src/promotion/lambda",
            "pipeline/src/promotion/unfinished.rs",
        ],
        &[
            "bail!(",
            "anyhow!(",
            "ErrorKind::Promotion",
            "ErrorKind::Migration",
            "ErrorKind::Busy",
        ],
    );
}

#[test]
fn promote_and_rollback_have_a_heading_for_each_refusal() {
    let own = [
        "abort",
        "abort_rollback",
        "ancestry",
        "plan",
        "rollback",
        "run",
        "runnable",
        "schema",
        "smoke",
        "source",
        "start",
        "take_back",
        "unfinished_change",
    ];
    let own = own.map(|name| format!("pipeline/src/promotion/{name}.rs"));
    let own = own.iter().map(String::as_str);
    let sources: Vec<_> = own
        .chain([
            "cli/src/promote/mod.rs",
            "cli/src/rollback",
            "pipeline/src/netlify/answers.rs",
            "pipeline/src/netlify/publishing.rs",
            "pipeline/src/promotion/rollback",
            "pipeline/src/promotion/run",
        ])
        .collect();
    check(
        &["What `stagelink promote` and `rollback` refuse"],
        &sources,
        &[
            "anyhow!(",
            "bail!(",
            "ErrorKind::Promotion",
            "ErrorKind::Migration",
            "ErrorKind::Refused",
            "ErrorKind::Busy",
            "refused(",
        ],
    );
}

#[test]
fn variables_of_dev_have_a_heading_for_each_refusal() {
    check(
        &["What the variables of `stagelink dev` refuse"],
        &["cli/src/dev/environment.rs"],
        &["bail!("],
    );
}

#[test]
fn remote_stages_of_dev_have_a_heading_for_each_refusal() {
    check(
        &["What `stagelink dev --remote` refuses"],
        &["cli/src/dev/remote", "pipeline/src/remote_access.rs"],
        &["bail!(", "anyhow!(", "Error::new("],
    );
}

/// Compares the headings of these parts of the guide with the refusals in these source folders: the
/// messages after one of the markers.
fn check(parts: &[&str], sources: &[&str], markers: &[&str]) {
    let headings: Vec<String> = parts.iter().flat_map(|part| headings(part)).collect();
    let messages: Vec<Message> = sources
        .iter()
        .flat_map(|source| files(&root().join(source)))
        .flat_map(|file| messages(&fs::read_to_string(file).expect("a source"), markers))
        .collect();
    let fits = |heading: &String, message: &Message| is_quoted(heading, &message.text);
    let missing: Vec<_> = messages
        .iter()
        .filter(|message| message.refuses && has_words(&message.text))
        .filter(|message| !headings.iter().any(|heading| fits(heading, message)))
        .map(|message| &message.text)
        .collect();
    let gone: Vec<_> = headings
        .iter()
        .filter(|heading| !messages.iter().any(|message| fits(heading, message)))
        .collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "docs/guides/troubleshooting.md, {parts:?}:\n\
         messages without a heading: {missing:#?}\nheadings without a message: {gone:#?}"
    );
}

/// Returns the messages that are quoted in the headings of a part of the guide.
fn headings(part: &str) -> Vec<String> {
    let guide = root().join("docs/guides/troubleshooting.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    let (_, text) = guide
        .split_once(&format!("\n## {part}\n"))
        .unwrap_or_else(|| panic!("the guide has no part {part:?}"));
    let text = text.split("\n## ").next().unwrap_or(text);
    let headings: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .map(str::to_owned)
        .collect();
    assert!(!headings.is_empty(), "{part}");
    headings
}

/// Returns whether a heading quotes a message: its parts between the ellipses occur in this order.
fn is_quoted(heading: &str, message: &str) -> bool {
    let mut rest = message;
    heading
        .split('…')
        .map(str::trim)
        .all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
}

/// Returns whether a format string contains words: `{variable} {what}` contains none.
fn has_words(format: &str) -> bool {
    let outside = format.split('{').enumerate().map(|(number, part)| {
        let closed = part.split_once('}').map(|(_, after)| after);
        closed.unwrap_or(if number == 0 { part } else { "" })
    });
    outside
        .into_iter()
        .any(|part| part.contains(char::is_alphabetic))
}

/// String literal in source code.
#[derive(Debug, PartialEq)]
struct Message {
    text: String,
    /// True for the first literal after a marker.
    refuses: bool,
}

/// Returns the Rust files at or beneath a path, except those of tests.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a folder");
        return entries
            .flat_map(|entry| files(&entry.expect("an entry").path()))
            .collect();
    }
    let is_source =
        path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs");
    is_source.then(|| path.to_owned()).into_iter().collect()
}

/// Parses the string literals of a file up to its tests.
fn messages(source: &str, markers: &[&str]) -> Vec<Message> {
    let source = source
        .split("\n#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(source);
    let mut messages = Vec::new();
    // Text before a literal in its statement, which may contain a marker.
    let mut statement = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("'\"'") {
            rest = &rest[3..];
        } else if c == '"' {
            let (text, after) = literal(&rest[1..]);
            let refuses = markers.iter().any(|marker| statement.contains(marker));
            if refuses {
                statement.clear();
            }
            messages.push(Message { text, refuses });
            rest = after;
        } else {
            match c {
                ';' | '{' | '}' => statement.clear(),
                c => statement.push(c),
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    messages
}

/// Parses a literal to its closing quote: its text, and the rest of the source.
fn literal(source: &str) -> (String, &str) {
    let mut text = String::new();
    let mut rest = source;
    loop {
        let at = rest.find(['"', '\\']).expect("a literal ends");
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if !source[..source.len() - rest.len()].ends_with('\\') {
            return (text, rest);
        }
        // A line continuation, or another escape.
        if let Some(next) = rest.strip_prefix('\n') {
            rest = next.trim_start();
        } else {
            text.extend(rest.chars().next());
            rest = &rest[1..];
        }
    }
}

#[test]
fn messages_are_the_first_literals_after_a_marker() {
    let source = "\
// bail!(\"a comment\")
let a = \"other\";
bail!(\"could not \\
       say \\\"{what}\\\"\", \"argument\");
#[cfg(test)]
mod tests {
    bail!(\"a test's\");
}
";
    let message = |text: &str, refuses| Message {
        text: text.to_owned(),
        refuses,
    };
    assert_eq!(
        messages(source, &["bail!("]),
        [
            message("other", false),
            message("could not say \"{what}\"", true),
            message("argument", false),
        ]
    );
    assert!(is_quoted("could … say", "could not say \"{what}\""));
    assert!(!is_quoted("say … could", "could not say \"{what}\""));
}
