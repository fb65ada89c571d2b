//! The process of psql, with the environment of a session.

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

use crate::shutdown_signals::{self, ShutdownSignals};

/// Runs psql in a session to its end, which SIGTERM and SIGHUP bring about. Returns its exit code.
///
/// # Errors
///
/// When psql is not installed or cannot be started, no root certificates are found for it, or a
/// session that was to be read-only is not.
pub(super) async fn run(
    session: PsqlSession,
    arguments: &[String],
    secrets: &[String],
) -> anyhow::Result<ExitCode> {
    let mut signals = ShutdownSignals::listen()?;
    // The file is removed when psql has ended.
    let roots = roots_file(&session.roots)?;
    if session.is_read_only {
        let psql = command(&session, roots.as_ref(), secrets);
        tokio::select! {
            is_read_only = ensure_read_only(psql) => is_read_only?,
            // Dropping the future ends psql.
            signal = signals.next() => return Ok(ExitCode::from(shutdown_signals::exit_code(signal))),
        }
    }
    let mut command = command(&session, roots.as_ref(), secrets);
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

/// Returns psql with the environment of a session, without this process's variables that are no
/// business of what psql starts: the other stages' secrets, which `secrets` names, and stagelink's.
fn command(session: &PsqlSession, roots: Option<&NamedTempFile>, secrets: &[String]) -> Command {
    let mut command = Command::new("psql");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        // A variable of libpq's in this environment may lead elsewhere, or ask less of the server.
        let is_of_libpq = text.starts_with("PG") && text != "PGPAGER" && text != "PGTZ";
        let is_secret = text.starts_with("STAGELINK_")
            || TOKENS.contains(&&*text)
            || secrets.iter().any(|secret| *secret == *text);
        if is_of_libpq || is_secret {
            command.env_remove(name);
        }
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

/// Variables that are secrets for other programs.
const TOKENS: [&str; 3] = ["DATABASE_URL", "HEROKU_API_KEY", "NETLIFY_AUTH_TOKEN"];

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
