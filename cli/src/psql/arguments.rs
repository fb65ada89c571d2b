//! The arguments for psql, which must not lead it to another database.

use anyhow::bail;

/// Makes sure that no argument chooses a server, a database or a role: the session would leave the
/// stage whose mark was checked, with the stage's password.
///
/// # Errors
///
/// When one does. The message does not repeat the argument, which may hold a password.
pub(super) fn ensure_keep_the_database(arguments: &[String]) -> anyhow::Result<()> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let choice = match argument.strip_prefix("--") {
            Some("") => rest.next().map(|_| "a database or a role after --"),
            Some(long) => {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (long, None),
                };
                let is_of = |names: &[&'static str]| {
                    let mut names = names.iter().copied();
                    names.find(|full| full.starts_with(name))
                };
                let chosen = is_of(&LONG_CHOICES).map(|name| match name {
                    "dbname" => "the database (--dbname)",
                    "host" => "the server (--host)",
                    "port" => "the server's port (--port)",
                    "username" => "the role (--username)",
                    _ => LIST,
                });
                let chosen = chosen.filter(|_| !OTHER_LONG.contains(&name));
                if chosen.is_none() && value.is_none() && is_of(&LONG_WITH_VALUE).is_some() {
                    rest.next();
                }
                chosen
            }
            None => match argument.strip_prefix('-') {
                None | Some("") => Some("a database or a role"),
                Some(cluster) => of_cluster(cluster, &mut rest),
            },
        };
        if let Some(choice) = choice {
            bail!(
                "an argument for psql chooses {choice}, and the stage says all of it: name another \
                 stage, or run psql yourself"
            );
        }
    }
    Ok(())
}

/// Reads short options in one argument. The first one with a value takes the rest of the argument, or
/// the next one.
fn of_cluster<'a>(
    cluster: &str,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Option<&'static str> {
    for (at, option) in cluster.char_indices() {
        match option {
            'd' => return Some("the database (-d)"),
            'h' => return Some("the server (-h)"),
            'p' => return Some("the server's port (-p)"),
            'U' => return Some("the role (-U)"),
            'l' => return Some(LIST),
            _ if SHORT_WITH_VALUE.contains(option) => {
                if cluster[at + option.len_utf8()..].is_empty() {
                    rest.next();
                }
                return None;
            }
            _ => {}
        }
    }
    None
}

/// The options that choose where psql connects to. psql takes their beginnings too.
const LONG_CHOICES: [&str; 5] = ["dbname", "host", "list", "port", "username"];

/// The choice of `-l`, for which psql connects to another database.
const LIST: &str = "the database `postgres` for its list (\\l in the session shows that)";

/// Options that begin as one of these, and are whole names.
const OTHER_LONG: [&str; 3] = ["help", "html", "pset"];

/// Options that take a value (psql 18).
const LONG_WITH_VALUE: [&str; 10] = [
    "command",
    "field-separator",
    "file",
    "log-file",
    "output",
    "pset",
    "record-separator",
    "set",
    "table-attr",
    "variable",
];

const SHORT_WITH_VALUE: &str = "cfFLoPRTv";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_choose_a_database_are_refused_in_every_form() {
        let check = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            ensure_keep_the_database(&words)
        };
        for words in [
            &["-c", "SELECT 1"][..],
            &["-Atc", "SELECT 1"],
            &["-Atc", "-d"],
            &["-cSELECT h"],
            &["--command", "SELECT 1", "--csv"],
            &["--command=SELECT 1"],
            &["-f", "a.sql", "-1", "-v", "a=b"],
            &["--set", "a=b", "-X", "-q"],
            &["--help"],
            &["--html"],
            &["--no-psqlrc", "--pset", "pager=off"],
            &[],
        ] {
            assert!(check(words).is_ok(), "{words:?}");
        }
        for words in [
            &["-h", "c4n4ry"][..],
            &["-hc4n4ry"],
            &["-Ath", "c4n4ry"],
            &["-Xd", "c4n4ry"],
            &["-p", "1"],
            &["-U", "c4n4ry"],
            &["--host=c4n4ry"],
            &["--ho", "c4n4ry"],
            &["--db=c4n4ry"],
            &["--user=c4n4ry"],
            &["postgres://u:c4n4ry@h/d"],
            &["-c", "SELECT 1", "c4n4ry"],
            &["-A", "c4n4ry"],
            &["--", "c4n4ry"],
            &["-l"],
            &["-Atl"],
            &["--list"],
            &["--li"],
        ] {
            let error = check(words).expect_err("a refusal").to_string();
            // The words say what is chosen, beside the option.
            assert!(
                error.contains("chooses the ") || error.contains("chooses a "),
                "{words:?}: {error}"
            );
            assert!(!error.contains("c4n4ry"), "{error}");
        }
    }
}
