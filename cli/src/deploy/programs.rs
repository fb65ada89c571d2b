//! The check that each function of a project has a program that Netlify can run.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use crate::build::{Arch, Target, verify_deployable};
use crate::functions::find_packages;

/// Makes sure that `dist/functions` has the program of each function, and none of a function that the
/// project no longer has.
///
/// # Errors
///
/// The first that is missing, left over, or no program for Netlify.
pub(super) async fn ensure_complete(project: &Path) -> anyhow::Result<()> {
    let functions = find_packages(project).await?;
    let folder = project.join("dist").join("functions");
    for name in &functions {
        let path = folder.join(name);
        ensure!(
            path.is_file(),
            "{} is missing: `stagelink build` makes it",
            path.display()
        );
        let program =
            std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        verify_deployable(&program, Target::of(Arch::X86_64))
            .with_context(|| format!("the function {name} cannot be deployed"))?;
    }
    let entries = std::fs::read_dir(&folder).into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !functions.contains(&name) {
            bail!(
                "{} belongs to no function of the project: remove it, or build without --no-build",
                entry.path().display()
            );
        }
    }
    Ok(())
}
