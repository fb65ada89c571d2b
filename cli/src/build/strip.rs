//! Takes out of a program all symbols but the one that Netlify looks for.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::elf::NETLIFY_SYMBOL;
use super::toolchain::Stripper;

/// The program without its other symbols, which are a good part of it; as it is where nothing
/// can take them out.
pub(super) fn strip(stripper: Option<&Stripper>, program: &Path) -> anyhow::Result<Vec<u8>> {
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("could not read {}", path.display()))
    };
    let Some(stripper) = stripper else {
        return read(program);
    };
    let folder = tempfile::tempdir().context("could not make a temporary folder")?;
    let stripped = folder.path().join("program");
    let mut command = stripper.command();
    if stripper.is_objcopy {
        command
            .arg("--strip-all")
            .arg(format!("--keep-symbol={NETLIFY_SYMBOL}"))
            .arg(program)
            .arg(&stripped);
    } else {
        command
            .args(["-s", "-K", NETLIFY_SYMBOL, "-o"])
            .arg(&stripped)
            .arg(program);
    }
    let name = stripper.program.display();
    let output = command
        .output()
        .with_context(|| format!("could not run {name}"))?;
    ensure!(
        output.status.success(),
        "{name} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    read(&stripped)
}
