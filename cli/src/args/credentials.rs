//! The arguments of `stagelink credentials`.

use clap::Parser;

use crate::args::{LocalOptions, StageArgument};

/// The options of `stagelink credentials`.
#[derive(Clone, Debug, Parser)]
pub struct CredentialsOptions {
    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Prints one line of JSON instead of the value alone, for an error too. It has the secret, too.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}
