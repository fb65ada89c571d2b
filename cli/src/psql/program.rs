//! The process of psql, with the environment of a session.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{Error as IoError, ErrorKind as IoErrorKind, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::ExposeSecret as _;
use stagelink::one_line;
use stagelink_pipeline::{PsqlRoots, PsqlSession};
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until};

use crate::operator_secrets::withheld;
use crate::shutdown_signals::{self, ShutdownSignals};

/// Runs psql in a session to its end, which SIGTERM and SIGHUP bring about. Returns its exit code.
///
/// # Errors
///
/// When psql is not installed or cannot be started, no root certificates are found for it, or a
/// session that was to be read-only is not.
pub(super) async fn run(session: PsqlSession, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut signals = ShutdownSignals::listen()?;
    // The file is removed when psql has ended.
    let roots = roots_file(&session.roots)?;
    if session.is_read_only {
        let psql = command(&session, roots.as_ref());
        tokio::select! {
            is_read_only = ensure_read_only(psql) => is_read_only?,
            // Dropping the future ends psql.
            signal = signals.next() => return Ok(ExitCode::from(shutdown_signals::exit_code(signal))),
        }
    }
    let mut command = command(&session, roots.as_ref());
    // It shares the terminal, and so the process group, with this command.
    let child = command.args(arguments).kill_on_drop(true).spawn();
    let mut child = child.map_err(not_started)?;
    let mut killed_at = None;
    let status = loop {
        let kill_time = async {
            match killed_at {
                Some(time) => sleep_until(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait() => break status.context("could not wait for psql")?,
            () = kill_time => {
                child.start_kill().context("could not end psql")?;
                killed_at = None;
            }
            signal = signals.next() => match signal {
                // psql gets it from the terminal too, and ends the statement or itself.
                Signal::SIGINT => {}
                signal => {
                    pass_on(signal, &child);
                    killed_at = killed_at.or(Some(Instant::now() + GRACE_PERIOD));
                }
            },
        }
    };
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
    ))
}

/// Sends a signal to psql.
fn pass_on(signal: Signal, psql: &Child) {
    if let Some(id) = psql.id().and_then(|id| i32::try_from(id).ok()) {
        // This fails only if psql has just ended.
        let _ = kill(Pid::from_raw(id), signal);
    }
}

/// The time that psql has to end after a signal: what it has started, such as an editor, may hold it
/// up.
const GRACE_PERIOD: Duration = Duration::from_secs(5);

/// Returns psql with the environment of a session.
fn command(session: &PsqlSession, roots: Option<&NamedTempFile>) -> Command {
    let mut command = Command::new("psql");
    for name in left_out(std::env::vars_os().collect()) {
        command.env_remove(name);
    }
    for (name, value) in &session.variables {
        command.env(name, value.expose_secret());
    }
    match (&session.roots, roots) {
        (_, Some(file)) => {
            command.env("PGSSLROOTCERT", file.path());
        }
        (PsqlRoots::System, None) => {
            command.env("PGSSLROOTCERT", system_roots());
        }
        _ => {}
    }
    command
}

/// Returns the variables of an environment that psql does not get: the secrets that no program of a project gets,
/// since psql starts a pager, an editor and what `\!` names; the database URL of another stage; and those of libpq
/// and stagelink, which may lead elsewhere, or ask less of the server.
fn left_out(environment: Vec<(OsString, OsString)>) -> BTreeSet<OsString> {
    let names = environment.iter().map(|(name, _)| name);
    let own = names.filter(|name| {
        let name = name.to_string_lossy();
        let is_of_libpq = name.starts_with("PG") && name != "PGPAGER" && name != "PGTZ";
        is_of_libpq || name.starts_with("STAGELINK_") || name == "DATABASE_URL"
    });
    let own: Vec<_> = own.cloned().collect();
    let mut left_out = withheld(environment);
    left_out.extend(own);
    left_out
}

/// Makes sure that the server has taken the setting of a read-only session. A proxy may drop it
/// without a word, as PgBouncer does with `ignore_startup_parameters`.
async fn ensure_read_only(mut psql: Command) -> anyhow::Result<()> {
    let show = "SHOW default_transaction_read_only";
    let asked = psql
        .args(["-X", "-w", "-At", "-c", show])
        .kill_on_drop(true)
        .stdin(Stdio::null());
    let output = asked.output().await.map_err(not_started)?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("psql could not connect: {}", one_line(words.trim()));
    }
    match output.stdout.trim_ascii() {
        b"on" => Ok(()),
        _ => bail!(
            "psql was not opened: the session would not be read-only, since a proxy in front of the \
             database drops that setting; use the URL of the database itself, or add --write"
        ),
    }
}

fn not_started(error: IoError) -> anyhow::Error {
    match error.kind() {
        IoErrorKind::NotFound => anyhow!(
            "psql is not installed, or not on the PATH: install PostgreSQL's client programs (Debian: \
             `apt-get install postgresql-client`; macOS: `brew install libpq`)"
        ),
        _ => anyhow::Error::new(error).context("could not start psql"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psql_gets_no_secret_under_any_name_and_no_variable_that_leads_elsewhere() {
        let token = "01234567-89ab-cdef-0123-456789abcdef";
        let environment = [
            ("HEROKU_API_KEY", token, true),
            ("MY_COPY", token, true),
            ("NEON_API_KEY", "x", true),
            ("RENDER_API_KEY", "x", true),
            ("PRODUCTION_TOKEN", "x", true),
            ("DATABASE_URL", "postgres://u:p@h/d", true),
            ("PGSSLMODE", "disable", true),
            ("STAGELINK_STAGE", "staging", true),
            ("PGPAGER", "less", false),
            ("PGTZ", "UTC", false),
            ("PSQL_EDITOR", "vi", false),
            ("PATH", "/usr/bin", false),
        ];
        let of_process = environment.map(|(name, value, _)| (name.into(), value.into()));
        let left_out = left_out(of_process.into());
        for (name, _, is_left_out) in environment {
            assert_eq!(
                left_out.contains(&OsString::from(name)),
                is_left_out,
                "{name}"
            );
        }
    }
}
