//! What an artifact is built for.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use clap::ValueEnum;

/// The processors that AWS Lambda has. Netlify has x86_64 alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Arch {
    /// Intel and AMD: Lambda's `x86_64`, and Netlify.
    #[value(name = "x86_64", alias = "amd64")]
    X86_64,
    /// AWS Graviton: Lambda's `arm64`.
    #[value(name = "arm64", alias = "aarch64")]
    Arm64,
}

/// The C library that an artifact has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Libc {
    /// glibc: that of the machine that builds.
    Gnu,
    /// musl: the one that comes with Rust's standard library.
    Musl,
}

/// What an artifact is built for: Linux on one of two processors, with one of two C libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The processor.
    pub arch: Arch,
    /// The C library.
    pub libc: Libc,
}

impl Arch {
    /// This machine's, if functions can run on it.
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// As AWS Lambda spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// As Rust, GNU and QEMU spell it.
    pub fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

impl Target {
    /// The default for a processor: with glibc, which every Rust for Linux can build.
    pub fn of(arch: Arch) -> Self {
        Self {
            arch,
            libc: Libc::Gnu,
        }
    }

    /// As Rust spells it.
    pub fn triple(self) -> &'static str {
        match (self.arch, self.libc) {
            (Arch::X86_64, Libc::Gnu) => "x86_64-unknown-linux-gnu",
            (Arch::X86_64, Libc::Musl) => "x86_64-unknown-linux-musl",
            (Arch::Arm64, Libc::Gnu) => "aarch64-unknown-linux-gnu",
            (Arch::Arm64, Libc::Musl) => "aarch64-unknown-linux-musl",
        }
    }

    /// The names before `-gcc` that a compiler of C for this target goes by: Debian's, then
    /// that of others.
    pub(super) fn prefixes(self) -> [&'static str; 2] {
        match (self.arch, self.libc) {
            (Arch::X86_64, Libc::Gnu) => ["x86_64-linux-gnu", "x86_64-unknown-linux-gnu"],
            (Arch::X86_64, Libc::Musl) => ["x86_64-linux-musl", "x86_64-unknown-linux-musl"],
            (Arch::Arm64, Libc::Gnu) => ["aarch64-linux-gnu", "aarch64-unknown-linux-gnu"],
            (Arch::Arm64, Libc::Musl) => ["aarch64-linux-musl", "aarch64-unknown-linux-musl"],
        }
    }

    /// Whether this machine runs it as it is.
    pub fn runs_here(self) -> bool {
        cfg!(target_os = "linux") && Arch::host() == Some(self.arch)
    }

    /// Whether it is for Netlify, too, which takes nothing but x86_64.
    pub fn is_for_netlify(self) -> bool {
        self.arch == Arch::X86_64
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        for arch in [Arch::X86_64, Arch::Arm64] {
            for libc in [Libc::Gnu, Libc::Musl] {
                let target = Self { arch, libc };
                if target.triple() == text {
                    return Ok(target);
                }
            }
        }
        bail!(
            "neither Netlify nor AWS Lambda runs {text}: take x86_64-unknown-linux-gnu, \
             aarch64-unknown-linux-gnu, or one of them with musl instead of gnu"
        )
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.triple())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_read_as_it_is_written() {
        for text in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-musl"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn target_that_no_platform_runs_is_refused_with_those_that_are_run() {
        let error = "x86_64-pc-windows-msvc".parse::<Target>().unwrap_err();
        assert!(error.to_string().contains("aarch64-unknown-linux-gnu"));
    }
}
