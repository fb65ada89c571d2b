//! The arguments of `stagelink status`.

use clap::Parser;

use crate::args::LocalOptions;

/// The options of `stagelink status`.
#[derive(Clone, Debug, Parser)]
pub struct StatusOptions {
    /// Stages to show [default: all]
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,

    /// Stage to show, in addition to STAGE; may be repeated.
    #[arg(long = "stage", value_name = "STAGE")]
    pub more_stages: Vec<String>,

    /// Name or ID of the Netlify site, not beside --local [default: NETLIFY_SITE_ID of the environment,
    /// else that of stagelink.toml, else the site that `netlify link` linked the folder to]
    #[arg(long, value_name = "SITE", conflicts_with = "local")]
    pub site: Option<String>,

    /// Time limit of each look-up.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,

    /// Prints one line of JSON in place of the table, also for an error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}
