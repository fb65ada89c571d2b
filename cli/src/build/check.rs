//! The check of a built program: it must start as on Lambda, and answer an event.

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

use super::toolchain::find_program;
use crate::target::Target;

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckOutcome {
    /// The program answered the event.
    Answered {
        /// The HTTP status of the answer.
        status: u16,
        /// Time from the start of the process to the answer.
        elapsed: Duration,
    },
    /// The check was not run, since this machine cannot run the program.
    Skipped {
        /// The reason, with the package to install.
        reason: String,
    },
}

impl fmt::Display for CheckOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It has no database here, and so may do no more.
            Self::Answered { status, elapsed } if *status >= 500 => {
                write!(
                    f,
                    "starts, and answers {status} without a database ({} ms)",
                    elapsed.as_millis()
                )
            }
            Self::Answered { status, elapsed } => {
                write!(
                    f,
                    "starts and answers ({status}, {} ms)",
                    elapsed.as_millis()
                )
            }
            Self::Skipped { reason } => write!(f, "not checked: {reason}"),
        }
    }
}

/// Starts a program under the local Lambda and sends it a request.
///
/// The program gets a stage and no database, so it may answer with an error. The check passes
/// with any HTTP response: it shows that the program starts, needs nothing of the image, and
/// speaks Lambda's protocol.
///
/// # Errors
///
/// When the program exits, hangs, or reports an error of the runtime. The error contains its
/// output.
pub async fn check(name: &str, program: &Path, target: Target) -> anyhow::Result<CheckOutcome> {
    let folder = tempfile::tempdir().context("could not make a temporary folder")?;
    let Some(executable) = executable(program, target, folder.path())? else {
        let machine = target.arch.machine();
        return Ok(CheckOutcome::Skipped {
            reason: format!(
                "this machine cannot run programs for {machine} (Debian: apt-get install \
                 qemu-user-static)"
            ),
        });
    };
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    let function = Function::new(FunctionConfig {
        environment: [("STAGELINK_STAGE".to_owned(), "development".to_owned())].into(),
        // Long, since an emulator on a busy machine is slow.
        init_timeout: Duration::from_secs(120),
        logs: Arc::new(move |line| {
            if let Ok(mut lines) = lines.lock() {
                lines.push(line.line);
            }
        }),
        ..FunctionConfig::new(name, executable)
    });
    let started = Instant::now();
    let response = function.invoke(Bytes::from_static(EVENT)).await;
    let elapsed = started.elapsed();
    function.shutdown().await;

    let status = response.map_err(anyhow::Error::from).and_then(|response| {
        serde_json::from_slice(&response)
            .map(|HttpResponse { status_code }| status_code)
            .map_err(|_| anyhow!("its answer is not an HTTP response of a Lambda function"))
    });
    match status {
        Ok(status) => Ok(CheckOutcome::Answered { status, elapsed }),
        Err(error) => {
            let log = log.lock().map(|lines| lines.join("\n")).unwrap_or_default();
            bail!("the function {name} was built, but does not run: {error}\n{log}")
        }
    }
}

/// Returns the file to start: the program itself, or a script that starts it in an emulator of
/// its processor. `None` without an emulator.
fn executable(program: &Path, target: Target, folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    if target.runs_here() {
        return Ok(Some(program.to_owned()));
    }
    let machine = target.arch.machine();
    let names = [format!("qemu-{machine}-static"), format!("qemu-{machine}")];
    let Some(emulator) = names.iter().find_map(|name| find_program(name)) else {
        return Ok(None);
    };
    let script = folder.join(stagelink_pipeline::BOOTSTRAP);
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

/// A request in the form in which Netlify passes it on: API Gateway's, version 1.
const EVENT: &[u8] = include_bytes!("event.json");
