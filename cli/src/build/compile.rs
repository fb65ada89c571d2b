//! One run of cargo that makes all functions of a project.

use std::path::Path;

use cargo_metadata::Metadata;

use super::build_config::{BuildConfig, metadata};
use crate::functions::{self, BuiltFunction};
use crate::preview;
use crate::target::Target;

/// The functions, compiled and linked.
pub(super) struct CompiledFunctions {
    pub(super) functions: Vec<BuiltFunction>,
    pub(super) build_config: BuildConfig,
    /// What a person should know.
    pub(super) notes: Vec<String>,
}

pub(super) async fn compile(
    project: &Path,
    target: Target,
    on_line: impl FnMut(&str),
) -> anyhow::Result<CompiledFunctions> {
    let packages = functions::find_packages(project)?;
    let metadata = metadata(project)?;
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

/// Whether a function depends on the SDK, and so on OpenSSL.
fn has_sdk(metadata: &Metadata, functions: &[String]) -> bool {
    metadata
        .workspace_packages()
        .iter()
        .filter(|package| functions.iter().any(|name| package.name == *name))
        .flat_map(|package| &package.dependencies)
        .any(|dependency| dependency.name == SDK && dependency.rename.is_none())
}

fn notes(metadata: &Metadata, has_sdk: bool, build_config: &BuildConfig) -> Vec<String> {
    let mut notes = Vec::new();
    if build_config.toolchain.stripper.is_none() {
        notes.push(
            "the programs keep all their symbols, since there is no strip: install binutils or \
             LLVM for smaller ones"
                .to_owned(),
        );
    }
    if !build_config.is_locked {
        notes.push(
            "there is no Cargo.lock, so another build may take other versions: commit one"
                .to_owned(),
        );
    } else if has_sdk && !locks_openssl(metadata) {
        notes.push(format!(
            "Cargo.lock does not say which OpenSSL is built: add the feature \
             `artifact = [\"{VENDORED}\"]` to a function's Cargo.toml, which nobody has to turn on"
        ));
    }
    notes
}

fn locks_openssl(metadata: &Metadata) -> bool {
    std::fs::read_to_string(metadata.workspace_root.join("Cargo.lock"))
        .is_ok_and(|lock| lock.contains("name = \"openssl-src\""))
}

/// The package that functions depend on.
const SDK: &str = "stagelink";
/// Its feature that builds OpenSSL from source.
const VENDORED: &str = "stagelink/vendored-openssl";
