//! The process of psql, with the environment of a session.

use std::io::ErrorKind as IoErrorKind;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use secrecy::ExposeSecret as _;
use stagelink_pipeline::{PsqlRoots, PsqlSession};
use tempfile::NamedTempFile;
use tokio::process::Command;
use tokio::signal::ctrl_c;

/// Runs psql in a session to its end. Returns its exit code.
///
/// # Errors
///
/// When psql is not installed or cannot be started, or no root certificates are found for it.
pub(super) async fn run(session: PsqlSession, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut command = Command::new("psql");
    command.args(arguments);
    // A variable of libpq's in this environment may lead elsewhere, or ask less of the server.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") && name != "PGPAGER" && name != "PGTZ" {
            command.env_remove(name);
        }
    }
    for (name, value) in &session.variables {
        command.env(name, value.expose_secret());
    }
    // The file is removed when psql has ended.
    let roots = roots_file(&session.roots)?;
    match (&session.roots, &roots) {
        (_, Some(file)) => {
            command.env("PGSSLROOTCERT", file.path());
        }
        (PsqlRoots::System, None) => {
            command.env("PGSSLROOTCERT", system_roots());
        }
        _ => {}
    }
    let mut child = command.spawn().map_err(|error| match error.kind() {
        IoErrorKind::NotFound => anyhow!(
            "psql is not installed, or not on the PATH: install PostgreSQL's client programs (Debian: \
             `apt-get install postgresql-client`; macOS: `brew install libpq`)"
        ),
        _ => anyhow::Error::new(error).context("could not start psql"),
    })?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.context("could not wait for psql")?,
            // psql gets it from the terminal too, and ends the statement or itself.
            interrupt = ctrl_c() => interrupt.context("could not listen to Ctrl-C")?,
        }
    };
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
    ))
}

fn roots_file(roots: &PsqlRoots) -> anyhow::Result<Option<NamedTempFile>> {
    let PsqlRoots::Pem(pem) = roots else {
        return Ok(None);
    };
    let write = || -> std::io::Result<NamedTempFile> {
        let mut file = NamedTempFile::new()?;
        file.write_all(pem.as_bytes())?;
        Ok(file)
    };
    let file = write().context("could not write the root certificates for psql to a file")?;
    Ok(Some(file))
}

/// Returns the file of the system's root certificates; `system`, which libpq 16 and newer know, where
/// it is at none of the usual places.
fn system_roots() -> String {
    let named = std::env::var("SSL_CERT_FILE").ok();
    let files = named.into_iter().chain(ROOT_FILES.map(str::to_owned));
    let mut files = files.filter(|file| Path::new(file).is_file());
    files.next().unwrap_or_else(|| "system".to_owned())
}

/// The usual places of the system's root certificates: Debian, Fedora, SUSE, Alpine and macOS.
const ROOT_FILES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
