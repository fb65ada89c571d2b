//! The arguments of `stagelink needs`.

use clap::Parser;

use crate::args::LocalOptions;

/// The options of `stagelink needs`.
#[derive(Clone, Debug, Parser)]
pub struct NeedsOptions {
    /// Program, zip for AWS Lambda, or name of a function in dist/; may be repeated [default: all
    /// functions in dist/]
    #[arg(value_name = "FILE|FUNCTION")]
    pub artifacts: Vec<String>,

    /// Also tells whether the database of this stage can run them.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,

    /// Prints one line of JSON to standard output, also for an error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}
