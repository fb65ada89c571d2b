//! The arguments of `stagelink history`.

use clap::Parser;

use crate::args::LocalOptions;

/// The options of `stagelink history`.
#[derive(Clone, Debug, Parser)]
pub struct HistoryOptions {
    /// Stage [default: production].
    #[arg(
        value_name = "STAGE",
        default_value = "production",
        hide_default_value = true
    )]
    pub stage: String,

    /// Maximum number of deploys to show.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,

    /// Prints one line of JSON in place of the table, also for an error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}
