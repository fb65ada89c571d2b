//! The arguments of `stagelink status`.

use clap::Parser;

use crate::args::LocalOptions;

/// The options of `stagelink status`.
#[derive(Clone, Debug, Parser)]
pub struct StatusOptions {
    /// Shows these stages alone.
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,

    /// Shows this stage, too; may be repeated.
    #[arg(long = "stage", value_name = "STAGE")]
    pub more_stages: Vec<String>,

    /// Name or ID of the Netlify site. By default that of stagelink.toml, or the site that `netlify
    /// link` has linked the project to.
    #[arg(long, value_name = "SITE", env = "NETLIFY_SITE_ID")]
    pub site: Option<String>,

    /// Gives up a look-up after this time, and says so.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,

    /// Prints one line of JSON instead of the table, for an error too.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}
