//! The source of the Postgres of `stagelink dev`: from a file, from the variable, or from the
//! command line, which every user of the machine can read.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use stagelink::{Credentials, DatabaseUrl};
use stagelink_local_postgres::ServerSource;

use crate::args::DevOptions;
use crate::output::note;

/// Returns the source that the options choose. Notes that a URL of the command line is readable for
/// others.
///
/// # Errors
///
/// When the file cannot be read, or a source that does not exist or is unusable was named. No
/// message has a part of the URL.
pub(crate) fn choose(options: &DevOptions) -> anyhow::Result<ServerSource> {
    let given = options.postgres.expose_secret();
    let variable = std::env::var(VARIABLE).ok();
    let is_of_command_line = given != "auto" && variable.as_deref() != Some(given);
    let Some(file) = &options.postgres_file else {
        if is_of_command_line && given.contains("://") {
            note(format_args!(
                "  ! --postgres shows the password of its URL to every user of this machine, in \
                 the list of processes: put the URL in {VARIABLE}, or in a file for --postgres-file"
            ));
        }
        return parse(given);
    };
    if is_of_command_line {
        bail!("--postgres and --postgres-file are given: choose one");
    }
    let text = read(file).with_context(|| {
        format!(
            "could not read the source of Postgres from {}",
            file.display()
        )
    })?;
    parse(text.expose_secret())
}

/// Reads a file, or standard input where it is `-`.
fn read(file: &Path) -> std::io::Result<SecretString> {
    let mut text = String::new();
    match file.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text)?,
        _ => std::fs::File::open(file)?.read_to_string(&mut text)?,
    };
    Ok(text.into())
}

/// Parses a source. A URL may be pasted with what surrounded it, as for the SDK.
fn parse(text: &str) -> anyhow::Result<ServerSource> {
    let text = text.trim();
    let error = match text.parse() {
        Ok(source) => return Ok(source),
        Err(error) => error,
    };
    let is_url = ["://", "psql", "="].iter().any(|part| text.contains(part));
    if !is_url {
        return Err(error.into());
    }
    let url = DatabaseUrl::parse(text, "the source of Postgres")?;
    let secrets = Credentials::new(url, "").secrets();
    let url = secrets.first().context("a URL is a secret")?;
    // The driver of the local Postgres knows libpq's spelling alone.
    let plain = url
        .expose_secret()
        .replace("?ssl=true", "?sslmode=require")
        .replace("&ssl=true", "&sslmode=require");
    Ok(plain.parse()?)
}

const VARIABLE: &str = "STAGELINK_POSTGRES";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_read_with_what_surrounds_a_pasted_url() {
        assert_eq!(parse(" npm:17\n").unwrap(), "npm:17".parse().unwrap());
        let url = "postgres://boss:c4n4ry@h:5433/postgres?sslmode=require";
        let expected: ServerSource = url.parse().unwrap();
        for text in [
            format!("{url}\n"),
            format!("psql '{url}'"),
            format!("STAGELINK_POSTGRES={url}"),
            format!("export STAGELINK_POSTGRES=\"{url}\""),
            "postgres://boss:c4n4ry@h:5433/postgres?ssl=true".to_owned(),
        ] {
            assert_eq!(parse(&text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn wrong_source_is_refused_in_words_that_help_and_without_its_password() {
        for (text, reason) in [
            ("host=h user=u password=c4n4ry", "keywords and values"),
            ("postgres://u:c4n4ry@::1:5432/d", "without brackets"),
            ("psql -h h -U c4n4ry", "psql command without a URL"),
            ("mysql://u:c4n4ry@h/d", "does not start with postgres://"),
            ("c4n4ry", "unknown source"),
            ("local:", "unknown source"),
        ] {
            let error = format!("{:?}", parse(text).unwrap_err());
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("c4n4ry"), "{error}");
        }
    }

    #[test]
    fn file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("postgres");
        std::fs::write(&file, "postgres://u:p@h/d\n").unwrap();
        assert_eq!(read(&file).unwrap().expose_secret(), "postgres://u:p@h/d\n");
        assert!(read(&folder.path().join("none")).is_err());
    }
}
