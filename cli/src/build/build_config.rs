//! How a program becomes one that runs on any image, and is the same wherever it is built.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use cargo_metadata::camino::Utf8PathBuf;
use cargo_metadata::{Metadata, MetadataCommand};

use super::artifact::sha256_hex;
use super::toolchain::Toolchain;
use super::{openssl, paths, strip};
use crate::functions;
use crate::target::{Libc, Target};

/// What makes an artifact of a program: the options of a run of cargo, and what is done to the
/// result. `stagelink build` has it for functions; it is public for who compares them with
/// others, which have to be built alike.
#[derive(Debug)]
pub struct BuildConfig {
    pub(super) target: Target,
    pub(super) toolchain: Toolchain,
    /// Other builds have other options, which would undo this one's work.
    target_folder: Utf8PathBuf,
    options: Vec<String>,
    perl_wrapper: Option<std::path::PathBuf>,
    pub(super) is_locked: bool,
}

impl BuildConfig {
    /// The build_config for the programs of a Cargo workspace.
    ///
    /// # Errors
    ///
    /// When this machine lacks something that it takes, with how that is installed.
    pub fn for_workspace(project: &Path, target: Target) -> anyhow::Result<Self> {
        Self::new(&metadata(project)?, project, target, true)
    }

    pub(super) fn new(
        metadata: &Metadata,
        project: &Path,
        target: Target,
        builds_openssl: bool,
    ) -> anyhow::Result<Self> {
        let toolchain = Toolchain::find(project, target, builds_openssl)?;
        let target_folder = metadata.target_directory.join("artifacts");
        let folder = target_folder.join(target.triple());
        let mut options = paths::remap(metadata, &target_folder, &toolchain);
        options.push("-Ctarget-feature=+crt-static".to_owned());
        // It would be of no use, and some linkers make it up of paths.
        options.push("-Clink-arg=-Wl,--build-id=none".to_owned());
        if toolchain.unpacks_relocations {
            // An eightieth of their size. A linker that does not know how leaves them as they are.
            options.push("-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned());
        }
        let folder = folder.as_std_path();
        let perl_wrapper = match builds_openssl {
            true => openssl::perl_wrapper(folder)?,
            false => None,
        };
        if perl_wrapper.is_some() {
            let source = openssl::extra_source();
            let object = compile_c(&toolchain, folder, "openssl", &source)?;
            options.push(format!("-Clink-arg={object}"));
            let wrapped = openssl::WRAPPED_FUNCTIONS.iter();
            options.extend(wrapped.map(|name| format!("-Clink-arg=-Wl,--wrap={name}")));
        }
        if target.libc == Libc::Gnu {
            let object = compile_c(&toolchain, folder, "nss", include_str!("nss.c"))?;
            options.push(format!("-Clink-arg={object}"));
            // What it calls is there, which a linker that reads in order has passed already.
            options.push("-Clink-arg=-l:libc.a".to_owned());
        }
        Ok(Self {
            target,
            toolchain,
            target_folder,
            options,
            perl_wrapper,
            is_locked: metadata.workspace_root.join("Cargo.lock").is_file(),
        })
    }

    /// The folder of this target's builds; the programs come to lie in `release` beneath it.
    pub fn triple_dir(&self) -> Utf8PathBuf {
        self.target_folder.join(self.target.triple())
    }

    /// Adds what it takes to a `cargo build`.
    pub fn configure(&self, cargo: &mut tokio::process::Command) {
        let target = self.target;
        // A string or a list of strings is the same in TOML as in JSON.
        let config = |key: &str, value: serde_json::Value| format!("target.{target}.{key}={value}");
        cargo
            .args(["--release", "--target", target.triple(), "--target-dir"])
            .arg(&self.target_folder)
            // Added to those of the project's own configuration, where variables would take
            // their place.
            .arg("--config")
            .arg(config("rustflags", self.options.clone().into()))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            // The symbol that Netlify looks for has to outlast the linker.
            .args(["--config", "profile.release.strip=\"debuginfo\""]);
        if self.is_locked {
            cargo.arg("--locked");
        }
        if !target.runs_here() {
            let compiler = self.toolchain.c_compiler.to_string_lossy();
            cargo.arg("--config").arg(config("linker", compiler.into()));
            let variable = format!("CC_{}", target.triple().replace('-', "_"));
            cargo.env(variable, &self.toolchain.c_compiler);
        }
        openssl::configure(cargo, self.perl_wrapper.as_deref());
    }

    /// The finished program, without the symbols that nobody looks for.
    ///
    /// # Errors
    ///
    /// When the program cannot be read, or its symbols cannot be taken out.
    pub fn strip(&self, program: &Path) -> anyhow::Result<Vec<u8>> {
        strip::strip(self.toolchain.stripper.as_ref(), program)
    }
}

pub(super) fn metadata(project: &Path) -> anyhow::Result<Metadata> {
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

/// Compiles a file of C that is linked into each program. It is named after what it holds, by
/// which cargo sees that a program has to be linked anew.
fn compile_c(
    toolchain: &Toolchain,
    folder: &Path,
    name: &str,
    source: &str,
) -> anyhow::Result<String> {
    let sum = &sha256_hex(source.as_bytes())[..8];
    let file = format!("stagelink-{name}-{sum}.c");
    let object = format!("stagelink-{name}-{sum}.o");
    let what = || format!("could not compile {file} in {}", folder.display());
    std::fs::create_dir_all(folder).with_context(what)?;
    std::fs::write(folder.join(&file), source).with_context(what)?;
    let output = Command::new(&toolchain.c_compiler)
        .current_dir(folder)
        .args(["-c", "-O2", "-fPIC", "-o", &object, &file])
        .output()
        .with_context(what)?;
    ensure!(
        output.status.success(),
        "{}:\n{}",
        what(),
        String::from_utf8_lossy(&output.stderr)
    );
    let object = folder.join(object);
    let object = object.to_str().context("a folder's name is not UTF-8")?;
    Ok(object.to_owned())
}
