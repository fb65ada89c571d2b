//! The configuration of a build whose programs run on any image, with the same bytes wherever
//! they are built.

use std::path::Path;

use anyhow::Context as _;
use cargo_metadata::camino::Utf8PathBuf;
use cargo_metadata::{Metadata, MetadataCommand};

use super::artifact::sha256_hex;
use super::paths;
use super::toolchain::{Toolchain, run_program};
use crate::functions;
use crate::target::{Libc, Target};

/// The options and environment of the cargo run that builds an artifact's program.
///
/// `stagelink build` builds functions with it. It is public so that a benchmark can build the
/// programs that it compares with them in the same way.
#[derive(Debug)]
pub struct BuildConfig {
    pub(super) target: Target,
    pub(super) toolchain: Toolchain,
    /// A target folder of its own: in a shared one, cargo would compile all dependencies again
    /// after each build with other options.
    target_folder: Utf8PathBuf,
    options: Vec<String>,
    pub(super) is_locked: bool,
}

impl BuildConfig {
    /// Returns the configuration for the programs of a Cargo workspace.
    ///
    /// # Errors
    ///
    /// When this machine lacks something that the build needs; the error says how to install it.
    pub async fn for_workspace(project: &Path, target: Target) -> anyhow::Result<Self> {
        Self::new(&metadata(project).await?, project, target)
    }

    pub(super) fn new(metadata: &Metadata, project: &Path, target: Target) -> anyhow::Result<Self> {
        let toolchain = Toolchain::find(project, target)?;
        let target_folder = metadata.target_directory.join("artifacts");
        let folder = target_folder.join(target.triple());
        let mut options = paths::remap(metadata, &target_folder, &toolchain);
        options.push("-Ctarget-feature=+crt-static".to_owned());
        // Nothing reads the build ID, and some linkers derive it from paths.
        options.push("-Clink-arg=-Wl,--build-id=none".to_owned());
        if toolchain.unpacks_relocations {
            // 80 times smaller. A linker that does not know the option ignores it.
            options.push("-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned());
        }
        let folder = folder.as_std_path();
        if target.libc == Libc::Gnu {
            let object = compile_c(&toolchain, folder, "nss", include_str!("nss.c"))?;
            options.push(format!("-Clink-arg={object}"));
            // nss.c calls a function of libc.a, which a linker that reads its inputs in order
            // has passed already.
            options.push("-Clink-arg=-l:libc.a".to_owned());
        }
        Ok(Self {
            target,
            toolchain,
            target_folder,
            options,
            is_locked: metadata.workspace_root.join("Cargo.lock").is_file(),
        })
    }

    /// Returns the folder of this target's builds. Cargo writes the programs to `release` in it.
    pub fn triple_dir(&self) -> Utf8PathBuf {
        self.target_folder.join(self.target.triple())
    }

    /// Adds the options and variables to a `cargo build`.
    pub fn configure(&self, cargo: &mut tokio::process::Command) {
        let target = self.target;
        // TOML writes a string, or a list of strings, as JSON does.
        let config = |key: &str, value: serde_json::Value| format!("target.{target}.{key}={value}");
        cargo
            .args(["--release", "--target", target.triple(), "--target-dir"])
            .arg(&self.target_folder)
            // Cargo adds these to the flags of the project's own configuration. The variables
            // would replace them.
            .arg("--config")
            .arg(config("rustflags", self.options.clone().into()))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            // The linker must keep the symbol that Netlify looks for.
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
    }
}

/// Returns what cargo knows of a workspace and all its dependencies.
pub(super) async fn metadata(project: &Path) -> anyhow::Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.current_dir(project);
    functions::metadata(command).await.with_context(|| {
        let project = project.display();
        format!("could not read the dependencies of the Cargo workspace in {project}")
    })
}

/// Compiles C source that is linked into each program, and returns the object file's path.
///
/// The file's name contains a hash of the source: that changes the linker's options when the
/// source changes, so that cargo links the programs again.
fn compile_c(
    toolchain: &Toolchain,
    folder: &Path,
    name: &str,
    source: &str,
) -> anyhow::Result<String> {
    let hash = &sha256_hex(source.as_bytes())[..8];
    let file = format!("stagelink-{name}-{hash}.c");
    let object = format!("stagelink-{name}-{hash}.o");
    let context = || format!("could not compile {file} in {}", folder.display());
    std::fs::create_dir_all(folder).with_context(context)?;
    std::fs::write(folder.join(&file), source).with_context(context)?;
    let arguments = ["-c", "-O2", "-fPIC", "-o", &object, &file];
    run_program(&toolchain.c_compiler, &arguments, folder).with_context(context)?;
    let object = folder.join(object);
    let object = object
        .to_str()
        .context("the path of the target folder is not UTF-8")?;
    Ok(object.to_owned())
}
