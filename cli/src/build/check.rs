//! Whether a program runs: it is started as on Lambda, and has to answer an event.

use std::fmt;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use serde::Deserialize;
use stagelink_local::lambda::{Function, FunctionConfig};

use super::toolchain::find;
use crate::target::Target;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckOutcome {
    /// It answered.
    Answered {
        /// With this status of HTTP.
        status: u16,
        /// From the start of its process to the answer.
        after: Duration,
    },
    /// Nothing on this machine can run it.
    Skipped {
        /// Why, and what would help.
        reason: String,
    },
}

impl fmt::Display for CheckOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, after } => {
                write!(f, "starts and answers ({status}, {} ms)", after.as_millis())
            }
            Self::Skipped { reason } => write!(f, "not checked: {reason}"),
        }
    }
}

/// Starts a program under the local Lambda and sends it a request.
///
/// It is given a stage and no database, so it says that it is not set up, and any answer that
/// is one of HTTP will do: what counts is that it starts, finds all that it needs, and speaks to
/// Lambda.
///
/// # Errors
///
/// When it ends, hangs, or answers with an error of the runtime; what it wrote is in the error.
pub async fn check(name: &str, program: &Path, target: Target) -> anyhow::Result<CheckOutcome> {
    let folder = tempfile::tempdir().context("could not make a temporary folder")?;
    let Some(executable) = executable(program, target, folder.path())? else {
        let machine = target.arch.machine();
        return Ok(CheckOutcome::Skipped {
            reason: format!(
                "this machine runs no {machine} (Debian: apt-get install qemu-user-static)"
            ),
        });
    };
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    let function = Function::new(FunctionConfig {
        environment: [("STAGELINK_STAGE".to_owned(), "development".to_owned())].into(),
        // Not what is checked: an emulator on a busy machine takes its time.
        init_timeout: Duration::from_secs(120),
        logs: Arc::new(move |line| {
            if let Ok(mut lines) = lines.lock() {
                lines.push(line.line);
            }
        }),
        ..FunctionConfig::new(name, executable)
    });
    let started = Instant::now();
    let answer = function.invoke(Bytes::from_static(EVENT)).await;
    let after = started.elapsed();
    function.shutdown().await;

    let status = answer.map_err(anyhow::Error::from).and_then(|answer| {
        serde_json::from_slice(&answer)
            .map(|HttpResponse { status_code }| status_code)
            .map_err(|_| anyhow!("it did not answer as a function behind HTTP does"))
    });
    match status {
        Ok(status) => Ok(CheckOutcome::Answered { status, after }),
        Err(error) => {
            let log = log.lock().map(|lines| lines.join("\n")).unwrap_or_default();
            bail!("the function {name} was built, but does not run: {error}\n{log}")
        }
    }
}

/// What the program is started by: itself, or an emulator of its processor.
fn executable(program: &Path, target: Target, folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    if target.runs_here() {
        return Ok(Some(program.to_owned()));
    }
    let machine = target.arch.machine();
    let names = [format!("qemu-{machine}-static"), format!("qemu-{machine}")];
    let Some(emulator) = names.iter().find_map(|name| find(name)) else {
        return Ok(None);
    };
    let script = folder.join(super::archive::BOOTSTRAP);
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    std::fs::write(
        &script,
        format!(
            "#!/bin/sh\nexec {} {}\n",
            quoted(&emulator),
            quoted(program)
        ),
    )
    .and_then(|()| std::fs::set_permissions(&script, Permissions::from_mode(0o755)))
    .with_context(|| format!("could not write {}", script.display()))?;
    Ok(Some(script))
}

#[derive(Deserialize)]
struct HttpResponse {
    #[serde(rename = "statusCode")]
    status_code: u16,
}

/// A request as Netlify passes it on: API Gateway's form, version 1.
const EVENT: &[u8] = include_bytes!("event.json");
