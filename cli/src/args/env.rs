//! The arguments of `stagelink env`.

use std::path::PathBuf;

use clap::Parser;

/// The options of `stagelink env`.
#[derive(Clone, Debug, Parser)]
pub struct EnvOptions {
    /// The stage, such as staging.
    #[arg(value_name = "STAGE")]
    pub stage: String,

    /// Name or ID of the Netlify site. By default that of stagelink.toml, or the site that `netlify
    /// link` has linked the project to.
    #[arg(long, value_name = "SITE", env = "NETLIFY_SITE_ID")]
    pub site: Option<String>,

    /// Prints one line of JSON instead of the table, for an error too.
    #[arg(long)]
    pub json: bool,

    /// The folder of the project, with stagelink.toml.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
}
