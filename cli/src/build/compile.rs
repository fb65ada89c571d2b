//! One run of cargo that makes all functions the same way on every machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use cargo_metadata::{Metadata, MetadataCommand};

use super::openssl;
use super::paths;
use super::target::{Libc, Target};
use super::toolchain::Toolchain;
use crate::functions::{self, Built};
use crate::preview;

/// The functions, compiled and linked.
pub(super) struct Compiled {
    pub(super) functions: Vec<Built>,
    /// The folder of this target's builds.
    pub(super) folder: PathBuf,
    pub(super) toolchain: Toolchain,
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
    let toolchain = Toolchain::find(project, target, has_sdk)?;
    // Other options than those of other builds, which would undo each other's work.
    let target_folder = metadata.target_directory.join("artifacts");
    let folder = target_folder.join(target.triple());

    let mut options = paths::remap(&metadata, &target_folder, &toolchain);
    options.push("-Ctarget-feature=+crt-static".to_owned());
    // It would be of no use, and some linkers make it up of paths.
    options.push("-Clink-arg=-Wl,--build-id=none".to_owned());
    if target.libc == Libc::Gnu {
        let object = host_look_up(&toolchain, folder.as_std_path())?;
        options.push(format!("-Clink-arg={object}"));
        // What it calls is there, which a linker that reads in order has passed already.
        options.push("-Clink-arg=-l:libc.a".to_owned());
    }
    let configurer = match has_sdk {
        true => openssl::configurer(folder.as_std_path())?,
        false => None,
    };
    let is_locked = metadata.workspace_root.join("Cargo.lock").is_file();

    let prepare = |cargo: &mut tokio::process::Command| {
        let config = |key: &str, value: serde_json::Value| {
            // A string or a list of strings is the same in TOML as in JSON.
            format!("target.{target}.{key}={value}")
        };
        cargo
            .args(["--release", "--target", target.triple()])
            .arg("--target-dir")
            .arg(&target_folder)
            // Added to those of the project's own configuration, where variables would take
            // their place.
            .arg("--config")
            .arg(config("rustflags", options.into()))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            // The symbol that Netlify looks for has to outlast the linker.
            .args(["--config", "profile.release.strip=\"debuginfo\""]);
        if is_locked {
            cargo.arg("--locked");
        }
        if !target.runs_here() {
            let compiler = toolchain.c_compiler.to_string_lossy();
            cargo.arg("--config").arg(config("linker", compiler.into()));
            let variable = format!("CC_{}", target.triple().replace('-', "_"));
            cargo.env(variable, &toolchain.c_compiler);
        }
        match preview::pull_request(|name| std::env::var(name).ok()) {
            Some(number) => cargo.env(preview::BUILT_FOR_PULL_REQUEST, number.to_string()),
            None => cargo.env_remove(preview::BUILT_FOR_PULL_REQUEST),
        };
        if has_sdk {
            cargo.args(["--features", VENDORED]);
            openssl::prepare(cargo, configurer.as_deref());
        }
    };
    let functions = functions::compile(project, &packages, prepare, says).await?;
    let notes = notes(&metadata, has_sdk, is_locked, &toolchain);
    Ok(Compiled {
        functions,
        folder: folder.into(),
        toolchain,
        notes,
    })
}

fn metadata(project: &Path) -> anyhow::Result<Metadata> {
    let mut command = MetadataCommand::new();
    command
        .cargo_path(functions::cargo())
        .current_dir(project)
        .exec()
        .with_context(|| {
            let project = project.display();
            format!("could not read the dependencies of the Cargo workspace in {project}")
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

/// Compiles what keeps a static glibc from loading parts of the image's.
fn host_look_up(toolchain: &Toolchain, folder: &Path) -> anyhow::Result<String> {
    let what = || format!("could not compile {SOURCE} in {}", folder.display());
    std::fs::create_dir_all(folder).with_context(what)?;
    std::fs::write(folder.join(SOURCE), include_str!("nss.c")).with_context(what)?;
    let output = Command::new(&toolchain.c_compiler)
        .current_dir(folder)
        .args(["-c", "-O2", "-fPIC", "-o", OBJECT, SOURCE])
        .output()
        .with_context(what)?;
    ensure!(
        output.status.success(),
        "{}:\n{}",
        what(),
        String::from_utf8_lossy(&output.stderr)
    );
    let object = folder.join(OBJECT);
    let object = object.to_str().context("a folder's name is not UTF-8")?;
    Ok(object.to_owned())
}

fn notes(
    metadata: &Metadata,
    has_sdk: bool,
    is_locked: bool,
    toolchain: &Toolchain,
) -> Vec<String> {
    let mut notes = Vec::new();
    if toolchain.stripper.is_none() {
        notes.push(
            "the programs keep all their symbols, since there is no strip: install binutils or \
             LLVM for smaller ones"
                .to_owned(),
        );
    }
    if !is_locked {
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
const SOURCE: &str = "stagelink-nss.c";
const OBJECT: &str = "stagelink-nss.o";
