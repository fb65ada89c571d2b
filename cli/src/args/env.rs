//! The arguments of `stagelink env`.

use std::path::PathBuf;

use clap::Parser;

use crate::args::StageArgument;

/// The options of `stagelink env`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("named_stage", |arg| arg
    .required_unless_present("stage")
    .help("The stage, such as staging")))]
pub struct EnvOptions {
    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

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
