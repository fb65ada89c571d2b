//! Compiles all functions of a project in one run of cargo.

use std::path::Path;

use super::build_config::{BuildConfig, metadata};
use crate::functions::{self, BuiltFunction};
use crate::preview;
use crate::target::Target;

/// The functions, compiled and linked but not yet stripped.
pub(super) struct CompiledFunctions {
    pub(super) functions: Vec<BuiltFunction>,
    pub(super) build_config: BuildConfig,
    /// Notes for the user.
    pub(super) notes: Vec<String>,
}

/// Compiles the functions. Calls `on_line` with each line that cargo prints.
pub(super) async fn compile(
    project: &Path,
    target: Target,
    on_line: impl FnMut(&str),
) -> anyhow::Result<CompiledFunctions> {
    let packages = functions::find_packages(project).await?;
    let metadata = metadata(project).await?;
    let build_config = BuildConfig::new(&metadata, project, target)?;
    let prepare = |cargo: &mut tokio::process::Command| {
        build_config.configure(cargo);
        match preview::pull_request(|name| std::env::var(name).ok()) {
            Some(number) => cargo.env(preview::BUILT_FOR_PULL_REQUEST, number.to_string()),
            None => cargo.env_remove(preview::BUILT_FOR_PULL_REQUEST),
        };
    };
    let functions = functions::compile(project, &packages, prepare, on_line).await?;
    Ok(CompiledFunctions {
        functions,
        notes: notes(&build_config),
        build_config,
    })
}

/// Returns what the user should know of the build.
fn notes(build_config: &BuildConfig) -> Vec<String> {
    let mut notes = Vec::new();
    if !build_config.is_locked {
        notes.push(
            "there is no Cargo.lock, so another build may use other versions: commit one"
                .to_owned(),
        );
    }
    notes
}
