//! Compiles all functions of a project in one run of cargo.

use std::path::Path;

use cargo_metadata::Metadata;

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
    let has_sdk = has_sdk(&metadata, &packages);
    let build_config = BuildConfig::new(&metadata, project, target, has_sdk)?;
    let prepare = |cargo: &mut tokio::process::Command| {
        build_config.configure(cargo);
        match preview::pull_request(|name| std::env::var(name).ok()) {
            Some(number) => cargo.env(preview::BUILT_FOR_PULL_REQUEST, number.to_string()),
            None => cargo.env_remove(preview::BUILT_FOR_PULL_REQUEST),
        };
        if has_sdk {
            cargo.args(["--features", VENDORED]);
        }
    };
    let functions = functions::compile(project, &packages, prepare, on_line).await?;
    Ok(CompiledFunctions {
        functions,
        notes: notes(&metadata, has_sdk, &build_config),
        build_config,
    })
}

/// Returns whether any of the functions depends on the SDK, and so on OpenSSL.
fn has_sdk(metadata: &Metadata, functions: &[String]) -> bool {
    metadata
        .workspace_packages()
        .iter()
        .filter(|package| functions.iter().any(|name| package.name == *name))
        .flat_map(|package| &package.dependencies)
        .any(|dependency| dependency.name == SDK && dependency.rename.is_none())
}

/// Returns what the user should know of the build.
fn notes(metadata: &Metadata, has_sdk: bool, build_config: &BuildConfig) -> Vec<String> {
    let mut notes = Vec::new();
    if !build_config.is_locked {
        notes.push(
            "there is no Cargo.lock, so another build may use other versions: commit one"
                .to_owned(),
        );
    } else if has_sdk && !locks_openssl(metadata) {
        notes.push(format!(
            "Cargo.lock does not name the version of OpenSSL that is built: add the feature \
             `artifact = [\"{VENDORED}\"]` to a function's Cargo.toml (it need not be enabled)"
        ));
    }
    notes
}

/// Returns whether Cargo.lock names the package with OpenSSL's source.
fn locks_openssl(metadata: &Metadata) -> bool {
    std::fs::read_to_string(metadata.workspace_root.join("Cargo.lock"))
        .is_ok_and(|lock| lock.contains("name = \"openssl-src\""))
}

/// The SDK's package.
const SDK: &str = "stagelink";
/// The SDK's feature that builds OpenSSL from source.
const VENDORED: &str = "stagelink/vendored-openssl";
