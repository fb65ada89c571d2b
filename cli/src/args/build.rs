//! The arguments of `stagelink build`.

use std::path::PathBuf;

use clap::Parser;

use crate::target::{Arch, Target};

/// The options of `stagelink build`.
#[derive(Clone, Debug, Parser)]
pub struct BuildOptions {
    /// Folder of the project, with functions/.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,

    /// Processor: x86_64 for Netlify and Lambda, or arm64 for Lambda [default: x86_64]. It excludes
    /// --target, which names the processor too.
    #[arg(long, value_enum, conflicts_with = "target")]
    pub arch: Option<Arch>,

    /// Rust target, such as x86_64-unknown-linux-musl. It excludes --arch, since it names the
    /// processor.
    #[arg(long, value_name = "TRIPLE")]
    pub target: Option<Target>,

    /// Folder for the artifacts [default: dist in the project]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Does not start the built programs to check them.
    #[arg(long)]
    pub no_check: bool,

    /// In a build by Netlify: writes the deploy's record file into the published folder, and fails
    /// if the database of the context's stage cannot run the functions as it is.
    #[arg(long, conflicts_with_all = ["arch", "target", "output"])]
    pub gate: bool,

    /// With --gate: builds a production deploy although its database cannot be asked.
    #[arg(long, requires = "gate")]
    pub allow_unknown: bool,

    /// Prints one line of JSON in place of the table.
    #[arg(long)]
    pub json: bool,
}
