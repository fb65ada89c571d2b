//! The arguments of `stagelink completions`.

use clap::Parser;
use clap_complete::Shell;

/// The options of `stagelink completions`.
#[derive(Clone, Debug, Parser)]
pub struct CompletionsOptions {
    /// Shell.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}
