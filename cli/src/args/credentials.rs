//! The arguments of `stagelink credentials`.

use clap::Parser;

use crate::args::{LocalOptions, StageArgument};

/// The options of `stagelink credentials`.
#[derive(Clone, Debug, Parser)]
pub struct CredentialsOptions {
    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Prints one line of JSON that holds the secret, in place of only the value; also for an
    /// error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}
