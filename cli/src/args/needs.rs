//! The arguments of `stagelink needs`.

use clap::Parser;

use crate::args::LocalOptions;

/// The options of `stagelink needs`.
#[derive(Clone, Debug, Parser)]
pub struct NeedsOptions {
    /// A program, a zip for AWS Lambda, or the name of a function in dist/; may be repeated. By
    /// default all functions in dist/.
    #[arg(value_name = "FILE|FUNCTION")]
    pub artifacts: Vec<String>,

    /// Also says whether the database of this stage can run them.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,

    /// Prints one line of JSON to standard output, for an error too.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}
