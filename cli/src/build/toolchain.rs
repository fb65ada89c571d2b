//! What a build needs on this machine, looked for before it begins: a missing piece is told in
//! a second, and not after minutes in the words of a linker.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use cargo_metadata::camino::Utf8PathBuf;

use crate::target::{Arch, Libc, Target};

/// The programs that build for a target, found.
#[derive(Debug)]
pub(super) struct Toolchain {
    /// Where Rust's own files are.
    pub(super) sysroot: Utf8PathBuf,
    /// The commit that the compiler was made from.
    pub(super) commit: String,
    /// The compiler of C for the target; it links, too.
    pub(super) c_compiler: OsString,
    /// What takes the symbols out of a program, if there is something.
    pub(super) stripper: Option<Stripper>,
    /// Whether the C library can be started with its relocations packed.
    pub(super) unpacks_relocations: bool,
}

/// A program that takes symbols out of others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stripper {
    pub(super) program: PathBuf,
    /// Whether it takes the options of `objcopy`, and not those of `strip`.
    pub(super) is_objcopy: bool,
    /// The folder of the library that it needs, if it does not find that by itself.
    libraries: Option<Utf8PathBuf>,
}

impl Stripper {
    /// The command that runs it, without its options.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(libraries) = &self.libraries {
            let variable = match cfg!(target_os = "macos") {
                true => "DYLD_FALLBACK_LIBRARY_PATH",
                false => "LD_LIBRARY_PATH",
            };
            command.env(variable, libraries);
        }
        command
    }
}

impl Toolchain {
    /// Looks for all that a build for the target needs. `builds_openssl` says whether OpenSSL
    /// is among what is built.
    ///
    /// # Errors
    ///
    /// When something is missing, with how it is installed.
    pub(super) fn find(
        project: &Path,
        target: Target,
        builds_openssl: bool,
    ) -> anyhow::Result<Self> {
        let rustc = Rustc::ask(project, target)?;
        rustc.check_std(target)?;
        let c_compiler = c_compiler(target)?;
        if target.libc == Libc::Gnu {
            check_static_libc(&c_compiler)?;
        }
        if builds_openssl {
            for program in ["perl", "make"] {
                ensure!(
                    find(program).is_some(),
                    "there is no {program}, which builds OpenSSL: install it (Debian: apt-get \
                     install perl make; Fedora: dnf install perl make)"
                );
            }
        }
        Ok(Self {
            stripper: stripper(&rustc, target),
            unpacks_relocations: match target.libc {
                Libc::Gnu => glibc_version(&c_compiler) >= Some(FIRST_TO_UNPACK),
                Libc::Musl => false,
            },
            sysroot: rustc.sysroot,
            commit: rustc.commit,
            c_compiler,
        })
    }
}

struct Rustc {
    version: String,
    commit: String,
    host: String,
    sysroot: Utf8PathBuf,
    libraries: PathBuf,
}

impl Rustc {
    fn ask(project: &Path, target: Target) -> anyhow::Result<Self> {
        let program = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let ask = |arguments: &[&str]| output(&program, arguments, project);
        let about = ask(&["-vV"])?;
        let field = |name: &str| {
            let value = about
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or("unknown").to_owned()
        };
        let libraries = ask(&["--print", "target-libdir", "--target", target.triple()])?;
        Ok(Self {
            version: field("release"),
            commit: field("commit-hash"),
            host: field("host"),
            sysroot: ask(&["--print", "sysroot"])?.trim().into(),
            libraries: libraries.trim().into(),
        })
    }

    fn check_std(&self, target: Target) -> anyhow::Result<()> {
        let is_there = std::fs::read_dir(&self.libraries).is_ok_and(|files| {
            files
                .flatten()
                .any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
        });
        ensure!(
            is_there,
            "Rust's standard library for {target} is not installed for rustc {} (there is none in \
             {}): where rustup has installed Rust, run `rustup target add {target}`; else take it \
             from where Rust came from",
            self.version,
            self.libraries.display()
        );
        Ok(())
    }
}

/// The compiler of C for a target: what the environment says, the machine's own, or a cross
/// compiler by one of its usual names.
fn c_compiler(target: Target) -> anyhow::Result<OsString> {
    let variable = format!("CC_{}", target.triple().replace('-', "_"));
    if let Some(named) = env::var_os(&variable) {
        return Ok(named);
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
        if find(name).is_some() {
            return Ok(name.into());
        }
    }
    let how = match (target.runs_here(), target.libc, cfg!(target_os = "linux")) {
        (true, Libc::Gnu, _) => {
            "Debian: apt-get install build-essential; Fedora: dnf install gcc glibc-static"
                .to_owned()
        }
        (_, Libc::Musl, true) => format!(
            "Debian, for this machine's own processor: apt-get install musl-tools; else a cross \
             compiler, and {variable} with its name"
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
            "on {}, build in a container or a CI with Linux, or install a cross compiler and name \
             it in {variable}",
            env::consts::OS
        ),
    };
    bail!(
        "there is no compiler of C for {target} (looked for {}): {how}",
        names.join(", ")
    )
}

/// Not every system that has a compiler has the C library as one that can be linked in.
fn check_static_libc(c_compiler: &OsStr) -> anyhow::Result<()> {
    let found = output(c_compiler, &["-print-file-name=libc.a"], Path::new("."))?;
    // Without the file, the name comes back as it was asked for.
    ensure!(
        Path::new(found.trim()).is_absolute() || Path::new(found.trim()).is_file(),
        "{} knows no static C library: install it (Debian: apt-get install libc6-dev; Fedora: \
         dnf install glibc-static)",
        c_compiler.display()
    );
    Ok(())
}

/// The version of the compiler's glibc, of which programs have a part in them, if that tells.
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
    let macros = output(c_compiler, &arguments, Path::new(".")).ok()?;
    let number = |name: &str| {
        let mut lines = macros.lines();
        let value = lines.find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name))?;
        value.trim().parse().ok()
    };
    number("__GLIBC__ ").zip(number("__GLIBC_MINOR__ "))
}

/// The first glibc that does (sourceware.org/glibc/wiki/Release/2.36: `DT_RELR`).
const FIRST_TO_UNPACK: (u32, u32) = (2, 36);

/// Rust brings one along, which takes programs for any processor; else that of the compiler.
fn stripper(rustc: &Rustc, target: Target) -> Option<Stripper> {
    let own = Stripper {
        program: rustc
            .sysroot
            .join(format!("lib/rustlib/{}/bin/rust-objcopy", rustc.host))
            .into(),
        is_objcopy: true,
        libraries: Some(rustc.sysroot.join("lib")),
    };
    // Where a distribution leaves it out, or splits its library off, it does not run.
    let runs = own.command().arg("--version").output();
    if runs.is_ok_and(|output| output.status.success()) {
        return Some(own);
    }
    let native = target.runs_here().then(|| "strip".to_owned());
    let cross = target.prefixes().map(|prefix| format!("{prefix}-strip"));
    let strip = native.into_iter().chain(cross).find_map(|name| find(&name));
    let (program, is_objcopy) = match strip {
        Some(program) => (program, false),
        None => (find("llvm-objcopy")?, true),
    };
    Some(Stripper {
        program,
        is_objcopy,
        libraries: None,
    })
}

/// A program on the PATH.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn output(program: &OsStr, arguments: &[&str], folder: &Path) -> anyhow::Result<String> {
    let what = || {
        format!(
            "could not run {} {}",
            program.display(),
            arguments.join(" ")
        )
    };
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .with_context(what)?;
    ensure!(
        output.status.success(),
        "{}:\n{}",
        what(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(triple: &str) -> Target {
        triple.parse().unwrap()
    }

    #[test]
    fn standard_library_that_is_missing_is_told_with_the_command_that_gets_it() {
        let empty = tempfile::tempdir().unwrap();
        let rustc = Rustc {
            version: "1.2.3".to_owned(),
            commit: "abc".to_owned(),
            host: "x86_64-unknown-linux-gnu".to_owned(),
            sysroot: empty.path().to_str().unwrap().into(),
            libraries: empty.path().join("lib"),
        };
        let error = rustc.check_std(target("aarch64-unknown-linux-gnu"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("rustc 1.2.3"), "{error}");
        assert!(
            error.contains("`rustup target add aarch64-unknown-linux-gnu`"),
            "{error}"
        );
    }

    #[test]
    fn compiler_of_this_machine_is_found_with_what_it_needs() {
        if let Some(arch) = Arch::host() {
            let found = Toolchain::find(Path::new("."), Target::of(arch), true).unwrap();
            assert!(found.sysroot.is_dir());
        }
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn version_of_glibc_is_the_compilers_own() {
        let (major, minor) = glibc_version(OsStr::new("cc")).unwrap();
        assert!(major == 2 && minor > 0, "{major}.{minor}");
    }

    #[test]
    fn compiler_that_does_not_run_is_told_by_its_name() {
        let error = check_static_libc(OsStr::new("no-such-compiler")).unwrap_err();
        assert!(error.to_string().contains("no-such-compiler"), "{error}");
    }
}
