//! Instructions counted by callgrind: unlike times, they do not vary with the load.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use stagelink_cli::progress::Step;

use super::artifact::Artifact;
use super::instance::Instance;
use super::item_database::ConnectionInfo;

/// Instructions of a variant's own process, without the kernel and Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Instructions {
    /// From the start of the process to its end after one request.
    pub(super) cold_start: u64,
    /// Of a warm request: the instructions that more requests add, divided by their number.
    pub(super) request: f64,
}

/// Returns the version of the installed valgrind.
pub(super) fn valgrind() -> anyhow::Result<String> {
    let output = Command::new("valgrind")
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .context(
            "could not run valgrind, which counts instructions: install it (Debian: `apt-get \
             install valgrind`), or pass --no-callgrind",
        )?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Counts the instructions of every variant in Rust, with this many warm requests. Node is left
/// out, because callgrind cannot attribute code that is compiled at run time. The files of
/// callgrind stay in `folder`, for `callgrind_annotate`.
pub(super) fn count(
    artifacts: &[Artifact],
    access: &ConnectionInfo,
    requests: usize,
    folder: &Path,
) -> anyhow::Result<Vec<Option<Instructions>>> {
    let step = Step::begin("instructions");
    let tell = step.teller();
    let mut all = Vec::new();
    for artifact in artifacts {
        let variables = artifact.variant.variables(access);
        let total = |requests: usize| {
            let name = artifact.variant.name();
            tell(&format!("{name}, {requests} requests"));
            let path = folder.join(format!("callgrind.{name}.{requests}"));
            run(artifact, &variables, requests, &path).with_context(|| format!("of {name}"))
        };
        all.push(if artifact.variant.is_rust() {
            let cold_start = total(1)?;
            let more = total(1 + requests)?.saturating_sub(cold_start);
            Some(Instructions {
                cold_start,
                request: more as f64 / requests as f64,
            })
        } else {
            None
        });
    }
    step.done(&format!("{requests} requests each"));
    Ok(all)
}

/// Counts the instructions of a process from its start to its end after this many requests. The file of
/// callgrind is written to `path`.
pub(super) fn run(
    artifact: &Artifact,
    variables: &[(&'static str, String)],
    requests: usize,
    path: &Path,
) -> anyhow::Result<u64> {
    let option = format!("--callgrind-out-file={}", path.display());
    let wrapper = ["valgrind", "--tool=callgrind", &option].map(OsStr::new);
    let mut instance = Instance::start_under(&wrapper, artifact, variables)?;
    if requests > 1 {
        instance.run(requests - 1)?;
    }
    instance.shut_down()?;
    let written = fs::read_to_string(path)
        .with_context(|| format!("could not read what callgrind wrote, {}", path.display()))?;
    let total = total_of(&written).context("callgrind wrote no total")?;
    ensure!(total > 0, "callgrind counted nothing");
    Ok(total)
}

/// Reads the total from a file of callgrind.
fn total_of(written: &str) -> Option<u64> {
    let line = |name| {
        written
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(name))
    };
    line("totals:")
        .or_else(|| line("summary:"))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_is_read_from_what_callgrind_wrote() {
        assert_eq!(
            total_of("events: Ir\nsummary: 7\nfn=x\n0 7\n\ntotals: 9\n"),
            Some(9)
        );
        assert_eq!(total_of("events: Ir\nsummary: 7\nfn=x\n"), Some(7));
        assert_eq!(total_of("events: Ir\n"), None);
    }
}
