//! The targets that Netlify and AWS Lambda run.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use clap::ValueEnum;

/// A processor that AWS Lambda offers. Netlify has only x86_64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Arch {
    /// Intel and AMD: Lambda's `x86_64`, and Netlify.
    #[value(name = "x86_64", alias = "amd64")]
    X86_64,
    /// AWS Graviton: Lambda's `arm64`.
    #[value(name = "arm64", alias = "aarch64")]
    Arm64,
}

/// The C library that is linked into an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Libc {
    /// glibc, from the machine that builds.
    Gnu,
    /// musl, from Rust's standard library.
    Musl,
}

/// A target: Linux on one of two processors, with one of two C libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The processor.
    pub arch: Arch,
    /// The C library.
    pub libc: Libc,
}

impl Arch {
    /// Returns this machine's processor, or `None` if Lambda does not offer it.
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// Returns the name that AWS Lambda uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// Returns the name that Rust, GNU and QEMU use.
    pub fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

impl Target {
    /// Returns the default target for a processor: with glibc, which each Rust installation for Linux has.
    pub fn of(arch: Arch) -> Self {
        Self {
            arch,
            libc: Libc::Gnu,
        }
    }

    /// Returns the target triple of Rust.
    pub fn triple(self) -> &'static str {
        match (self.arch, self.libc) {
            (Arch::X86_64, Libc::Gnu) => "x86_64-unknown-linux-gnu",
            (Arch::X86_64, Libc::Musl) => "x86_64-unknown-linux-musl",
            (Arch::Arm64, Libc::Gnu) => "aarch64-unknown-linux-gnu",
            (Arch::Arm64, Libc::Musl) => "aarch64-unknown-linux-musl",
        }
    }

    /// Returns the prefixes of a C compiler for this target (`<prefix>-gcc`): Debian's, then that
    /// of other distributions.
    pub(super) fn prefixes(self) -> [&'static str; 2] {
        match (self.arch, self.libc) {
            (Arch::X86_64, Libc::Gnu) => ["x86_64-linux-gnu", "x86_64-unknown-linux-gnu"],
            (Arch::X86_64, Libc::Musl) => ["x86_64-linux-musl", "x86_64-unknown-linux-musl"],
            (Arch::Arm64, Libc::Gnu) => ["aarch64-linux-gnu", "aarch64-unknown-linux-gnu"],
            (Arch::Arm64, Libc::Musl) => ["aarch64-linux-musl", "aarch64-unknown-linux-musl"],
        }
    }

    /// Returns whether this machine runs its programs without an emulator.
    pub fn runs_here(self) -> bool {
        cfg!(target_os = "linux") && Arch::host() == Some(self.arch)
    }

    /// Returns whether Netlify runs its programs too: it has only x86_64.
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
            "neither Netlify nor AWS Lambda runs {text}: use x86_64-unknown-linux-gnu, \
             aarch64-unknown-linux-gnu, or one of these with musl instead of gnu"
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
    fn triple_is_parsed_and_displayed_alike() {
        for text in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-musl"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn unsupported_target_is_refused_with_the_supported_ones() {
        let error = "x86_64-pc-windows-msvc".parse::<Target>().unwrap_err();
        assert!(error.to_string().contains("aarch64-unknown-linux-gnu"));
    }
}
