//! One run of cargo that makes all functions of a project.

use std::path::Path;

use cargo_metadata::Metadata;

use super::recipe::{Recipe, metadata};
use super::target::Target;
use crate::functions::{self, Built};
use crate::preview;

/// The functions, compiled and linked.
pub(super) struct Compiled {
    pub(super) functions: Vec<Built>,
    pub(super) recipe: Recipe,
    /// What a person should know.
    pub(super) notes: Vec<String>,
}

pub(super) async fn compile(
    project: &Path,
    target: Target,
    says: impl FnMut(&str),
) -> anyhow::Result<Compiled> {
    let packages = functions::find(project)?;
    let metadata = metadata(project)?;
    let has_sdk = has_sdk(&metadata, &packages);
    let recipe = Recipe::new(&metadata, project, target, has_sdk)?;
    let prepare = |cargo: &mut tokio::process::Command| {
        recipe.add_to(cargo);
        match preview::pull_request(|name| std::env::var(name).ok()) {
            Some(number) => cargo.env(preview::BUILT_FOR_PULL_REQUEST, number.to_string()),
            None => cargo.env_remove(preview::BUILT_FOR_PULL_REQUEST),
        };
        if has_sdk {
            cargo.args(["--features", VENDORED]);
        }
    };
    let functions = functions::compile(project, &packages, prepare, says).await?;
    Ok(Compiled {
        functions,
        notes: notes(&metadata, has_sdk, &recipe),
        recipe,
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

fn notes(metadata: &Metadata, has_sdk: bool, recipe: &Recipe) -> Vec<String> {
    let mut notes = Vec::new();
    if recipe.toolchain.stripper.is_none() {
        notes.push(
            "the programs keep all their symbols, since there is no strip: install binutils or \
             LLVM for smaller ones"
                .to_owned(),
        );
    }
    if !recipe.is_locked {
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
