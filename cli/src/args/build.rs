//! The arguments of `stagelink build`.

use std::path::PathBuf;

use clap::Parser;

use crate::target::{Arch, Target};

/// The options of `stagelink build`.
#[derive(Clone, Debug, Parser)]
pub struct BuildOptions {
    /// The project: the folder with functions/.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,

    /// The processor: x86_64 for Netlify and Lambda, or arm64 for Lambda [default: x86_64]. It
    /// excludes --target, which names the processor too.
    #[arg(long, value_enum, conflicts_with = "target")]
    pub arch: Option<Arch>,

    /// A Rust target such as x86_64-unknown-linux-musl. It excludes --arch, since it names the
    /// processor.
    #[arg(long, value_name = "TRIPLE")]
    pub target: Option<Target>,

    /// The folder for the artifacts [default: dist in the project]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Does not start the programs after the build.
    #[arg(long)]
    pub no_check: bool,

    /// In a build by Netlify, writes the record file of the deploy into the published folder, and fails
    /// where the database of the context's stage cannot run the functions as it is.
    #[arg(long, conflicts_with_all = ["arch", "target", "output"])]
    pub gate: bool,

    /// With --gate, lets a deploy of production pass whose database the build cannot ask.
    #[arg(long, requires = "gate")]
    pub allow_unknown: bool,

    /// Prints one line of JSON instead of the table.
    #[arg(long)]
    pub json: bool,
}
