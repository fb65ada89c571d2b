//! The deployable files of a variant: how they are built, and their size.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use stagelink_cli::build::{Arch, BuildConfig, Target, strip};
use stagelink_cli::progress::Step;
use stagelink_tests::root;
use tokio::process::Command;

use super::variant::Variant;

/// The deployable files of a variant.
#[derive(Clone, Debug)]
pub(super) struct Artifact {
    pub(super) variant: Variant,
    /// The program, or the module that Node runs.
    entry: PathBuf,
    pub(super) size: Size,
}

/// The size of an artifact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Size {
    pub(super) bytes: u64,
    /// Size as a zip file with the best compression.
    pub(super) zipped_bytes: u64,
}

impl Artifact {
    /// Builds a variant with Cargo or npm, as for a deploy.
    pub(super) async fn build(variant: Variant, folder: &Path) -> anyhow::Result<Self> {
        if variant.is_rust() {
            Self::compile(variant, folder).await
        } else {
            Self::install(variant, folder).await
        }
    }

    /// Returns a program that was built already, as by another commit.
    pub(super) fn of_program(variant: Variant, program: PathBuf) -> anyhow::Result<Self> {
        Ok(Self {
            variant,
            size: Size::of(&program)?,
            entry: program,
        })
    }

    /// Compiles a variant as `stagelink build` compiles a function, with its own dependencies
    /// alone: Cargo would unify the features of crates that several variants share.
    async fn compile(variant: Variant, folder: &Path) -> anyhow::Result<Self> {
        let feature = variant.feature();
        let program = format!("variant-{feature}");
        let arch = Arch::host().context("functions run on Linux, on x86_64 or arm64")?;
        let build_config = BuildConfig::for_workspace(root(), Target::of(arch)).await?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(root().join("bench"))
            .args(["build", "--package", "stagelink-bench-variants"])
            .args(["--no-default-features", "--features", feature])
            .args(["--bin", &program]);
        if variant.uses_openssl() {
            cargo.args(["--features", "vendored-openssl"]);
        }
        build_config.configure(&mut cargo);
        run(cargo, variant.name()).await?;
        let built = build_config.triple_dir().join("release").join(&program);
        let entry = folder.join(program);
        let stripped = strip(&fs::read(built)?)?;
        fs::write(&entry, stripped)
            .and_then(|()| fs::set_permissions(&entry, Permissions::from_mode(0o755)))
            .with_context(|| format!("could not write {}", entry.display()))?;
        Ok(Self {
            variant,
            size: Size::of(&entry)?,
            entry,
        })
    }

    /// Installs the npm packages into a folder of their own, which a deploy would upload.
    async fn install(variant: Variant, folder: &Path) -> anyhow::Result<Self> {
        let source = root().join("bench/variants/node");
        let folder = folder.join(variant.name());
        fs::create_dir_all(&folder)?;
        for file in [ENTRY, "package.json", "package-lock.json"] {
            let path = source.join(file);
            fs::copy(&path, folder.join(file))
                .with_context(|| format!("could not copy {}", path.display()))?;
        }
        let mut npm = Command::new("npm");
        npm.current_dir(&folder)
            .args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit"])
            .args(["--no-fund", "--no-update-notifier", "--loglevel=error"]);
        run(npm, variant.name()).await?;
        Ok(Self {
            variant,
            size: Size::of(&folder)?,
            entry: folder.join(ENTRY),
        })
    }

    /// The command line that runs it.
    pub(super) fn command(&self) -> impl Iterator<Item = &OsStr> {
        let node = (!self.variant.is_rust()).then_some(OsStr::new("node"));
        node.into_iter().chain([self.entry.as_os_str()])
    }
}

/// Builds the variants one after the other.
pub(super) async fn build_all(
    variants: &[Variant],
    folder: &Path,
) -> anyhow::Result<Vec<Artifact>> {
    let step = Step::begin("variants");
    let tell = step.teller();
    let mut built = Vec::new();
    for variant in variants {
        tell(&format!("building {}", variant.name()));
        built.push(Artifact::build(*variant, folder).await?);
    }
    let names: Vec<&str> = variants.iter().map(|one| one.name()).collect();
    step.done(&names.join(", "));
    Ok(built)
}

async fn run(mut command: Command, name: &str) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| {
            format!(
                "could not start {} for {name}: install it, or leave {name} out by --variants",
                command.as_std().get_program().display()
            )
        })?;
    ensure!(
        output.status.success(),
        "{name} does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

impl Size {
    /// Measures a file, or all files in a folder.
    pub(super) fn of(path: &Path) -> anyhow::Result<Self> {
        let mut size = Self::default();
        size.add(path, "bootstrap")
            .with_context(|| format!("could not read {}", path.display()))?;
        size.zipped_bytes += ZIP_END_BYTES;
        Ok(size)
    }

    fn add(&mut self, path: &Path, name: &str) -> io::Result<()> {
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                let name = format!("{name}/{}", entry.file_name().to_string_lossy());
                self.add(&entry.path(), &name)?;
            }
            return Ok(());
        }
        let mut packed = DeflateEncoder::new(Length(0), Compression::best());
        self.bytes += io::copy(&mut fs::File::open(path)?, &mut packed)?;
        // A zip file holds each name twice.
        self.zipped_bytes += packed.finish()?.0 + ZIP_FILE_BYTES + 2 * name.len() as u64;
        Ok(())
    }
}

/// A writer that counts the bytes it gets.
struct Length(u64);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const ENTRY: &str = "index.mjs";

/// Bytes of a zip file besides names and contents: per file a local header of 30 and a central
/// directory entry of 46, and one end record (APPNOTE.TXT, sections 4.3.7 to 4.3.16).
const ZIP_FILE_BYTES: u64 = 30 + 46;
const ZIP_END_BYTES: u64 = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_that_of_all_files_as_one_zip() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        for file in ["one", "deep/two"] {
            fs::write(folder.path().join(file), [7; 10_000]).unwrap();
        }
        let size = Size::of(folder.path()).unwrap();
        assert_eq!(size.bytes, 20_000);
        let least = 2 * ZIP_FILE_BYTES + ZIP_END_BYTES;
        assert!(size.zipped_bytes > least && size.zipped_bytes < least + 200);
    }
}
