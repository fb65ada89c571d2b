//! Finds the programs and libraries that a build needs, before it starts: a missing one is
//! reported in a second, and not after minutes by an error of the linker.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use cargo_metadata::camino::Utf8PathBuf;

use crate::operator_secrets;
use crate::target::{Arch, Libc, Target};

/// The compilers and libraries on this machine that build for a target.
#[derive(Debug)]
pub(super) struct Toolchain {
    /// The folder of the Rust installation.
    pub(super) sysroot: Utf8PathBuf,
    /// The commit of Rust's source that `rustc` was built from.
    pub(super) commit: String,
    /// The C compiler for the target, which is also the linker.
    pub(super) c_compiler: OsString,
    /// True if the C library's startup code can unpack relative relocations (`DT_RELR`).
    pub(super) unpacks_relocations: bool,
}

impl Toolchain {
    /// Finds all that a build for `target` needs.
    ///
    /// # Errors
    ///
    /// When one is missing; the error says how to install it.
    pub(super) fn find(project: &Path, target: Target) -> anyhow::Result<Self> {
        let rustc = Rustc::query(project, target)?;
        rustc.ensure_std(target)?;
        let c_compiler = c_compiler(target)?;
        if target.libc == Libc::Gnu {
            ensure_static_libc(&c_compiler)?;
        }
        Ok(Self {
            unpacks_relocations: match target.libc {
                Libc::Gnu => glibc_version(&c_compiler) >= Some(FIRST_WITH_RELR),
                Libc::Musl => false,
            },
            sysroot: rustc.sysroot,
            commit: rustc.commit,
            c_compiler,
        })
    }
}

/// The Rust compiler, as it describes itself.
struct Rustc {
    version: String,
    commit: String,
    sysroot: Utf8PathBuf,
    libraries: PathBuf,
}

impl Rustc {
    fn query(project: &Path, target: Target) -> anyhow::Result<Self> {
        let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let run = |arguments: &[&str]| run_program(&program, arguments, project);
        let version = run(&["-vV"])?;
        let field = |name: &str| {
            let value = version
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or("unknown").to_owned()
        };
        let libraries = run(&["--print", "target-libdir", "--target", target.triple()])?;
        Ok(Self {
            version: field("release"),
            commit: field("commit-hash"),
            sysroot: run(&["--print", "sysroot"])?.trim().into(),
            libraries: libraries.trim().into(),
        })
    }

    fn ensure_std(&self, target: Target) -> anyhow::Result<()> {
        let is_installed = std::fs::read_dir(&self.libraries).is_ok_and(|files| {
            files
                .flatten()
                .any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
        });
        ensure!(
            is_installed,
            "rustc {} has no standard library for {target} (looked in {}): with rustup, run \
             `rustup target add {target}`; otherwise install it from the source of this Rust",
            self.version,
            self.libraries.display()
        );
        Ok(())
    }
}

/// Returns the C compiler for a target: the one that `CC_<target>` names, this machine's own, or
/// a cross compiler by one of its usual names.
fn c_compiler(target: Target) -> anyhow::Result<OsString> {
    let variable = format!("CC_{}", target.triple().replace('-', "_"));
    if let Some(compiler) = env::var_os(&variable) {
        return Ok(compiler);
    }
    let mut names: Vec<String> = Vec::new();
    if target.runs_here() {
        match target.libc {
            Libc::Gnu => names.extend(["cc", "gcc", "clang"].map(str::to_owned)),
            Libc::Musl => names.push("musl-gcc".to_owned()),
        }
    }
    names.extend(target.prefixes().map(|prefix| format!("{prefix}-gcc")));
    for name in &names {
        if find_program(name).is_some() {
            return Ok(name.into());
        }
    }
    let remedy = match (target.runs_here(), target.libc, cfg!(target_os = "linux")) {
        (true, Libc::Gnu, _) => {
            "Debian: apt-get install build-essential; Fedora: dnf install gcc glibc-static"
                .to_owned()
        }
        (_, Libc::Musl, true) => format!(
            "for this machine's own processor, Debian: apt-get install musl-tools; for another, \
             install a cross compiler and set {variable} to its name"
        ),
        (false, Libc::Gnu, true) => format!(
            "Debian: apt-get install gcc-{0}-linux-gnu libc6-dev-{1}-cross",
            target.arch.machine().replace('_', "-"),
            match target.arch {
                Arch::X86_64 => "amd64",
                Arch::Arm64 => "arm64",
            }
        ),
        (_, _, false) => format!(
            "on {}, build in a Linux container or in CI, or install a cross compiler and set \
             {variable} to its name",
            env::consts::OS
        ),
    };
    bail!(
        "there is no C compiler for {target} (looked for {}): {remedy}",
        names.join(", ")
    )
}

/// Fails unless the C library can be linked statically: some distributions package that part
/// separately.
fn ensure_static_libc(c_compiler: &OsStr) -> anyhow::Result<()> {
    let path = run_program(c_compiler, &["-print-file-name=libc.a"], Path::new("."))?;
    let path = Path::new(path.trim());
    // For a file that it does not find, the compiler prints the bare name.
    ensure!(
        path.is_absolute() || path.is_file(),
        "{} finds no static C library (libc.a): install it (Debian: apt-get install libc6-dev; Fedora: \
         dnf install glibc-static)",
        c_compiler.display()
    );
    Ok(())
}

/// Returns the version of the compiler's glibc, or `None` where it defines none.
fn glibc_version(c_compiler: &OsStr) -> Option<(u32, u32)> {
    let arguments = [
        "-E",
        "-dM",
        "-include",
        "features.h",
        "-x",
        "c",
        "/dev/null",
    ];
    let macros = run_program(c_compiler, &arguments, Path::new(".")).ok()?;
    let number = |name: &str| {
        let mut lines = macros.lines();
        let value = lines.find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name))?;
        value.trim().parse().ok()
    };
    number("__GLIBC__ ").zip(number("__GLIBC_MINOR__ "))
}

/// The first version of glibc with `DT_RELR` (sourceware.org/glibc/wiki/Release/2.36).
const FIRST_WITH_RELR: (u32, u32) = (2, 36);

/// Returns the path of a program on the PATH.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Runs a program in `folder` and returns its standard output. Where it fails, the error holds what
/// it wrote to standard error.
pub(super) fn run_program(
    program: &OsStr,
    arguments: &[&str],
    folder: &Path,
) -> anyhow::Result<String> {
    let context = || {
        format!(
            "could not run {} {}",
            program.display(),
            arguments.join(" ")
        )
    };
    let mut command = Command::new(program);
    // The project may name the toolchain.
    operator_secrets::withhold(&mut command);
    let output = command
        .args(arguments)
        .current_dir(folder)
        .output()
        .with_context(context)?;
    ensure!(
        output.status.success(),
        "{}:\n{}",
        context(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(triple: &str) -> Target {
        triple.parse().unwrap()
    }

    #[test]
    fn missing_standard_library_is_reported_with_the_command_that_installs_it() {
        let empty = tempfile::tempdir().unwrap();
        let rustc = Rustc {
            version: "1.2.3".to_owned(),
            commit: "abc".to_owned(),
            sysroot: empty.path().to_str().unwrap().into(),
            libraries: empty.path().join("lib"),
        };
        let error = rustc.ensure_std(target("aarch64-unknown-linux-gnu"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("rustc 1.2.3"), "{error}");
        assert!(
            error.contains("`rustup target add aarch64-unknown-linux-gnu`"),
            "{error}"
        );
    }

    #[test]
    fn toolchain_of_this_machine_is_found() {
        if let Some(arch) = Arch::host() {
            let found = Toolchain::find(Path::new("."), Target::of(arch)).unwrap();
            assert!(found.sysroot.is_dir());
        }
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn glibc_version_is_read_from_the_compiler() {
        let (major, minor) = glibc_version(OsStr::new("cc")).unwrap();
        assert!(major == 2 && minor > 0, "{major}.{minor}");
    }

    #[test]
    fn compiler_that_does_not_run_is_named_in_the_error() {
        let error = ensure_static_libc(OsStr::new("no-such-compiler")).unwrap_err();
        assert!(error.to_string().contains("no-such-compiler"), "{error}");
    }
}
