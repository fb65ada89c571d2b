//! The arguments of `stagelink env`.

use clap::Parser;

use crate::args::{LocalOptions, StageArgument};

/// The options of `stagelink env`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("named_stage", |arg| arg
    .required_unless_present("stage")
    .help("The stage, such as staging")),
    mut_arg("local", |arg| arg.help(
        "Lists the variables at the local Netlify of the running `stagelink dev` of the project, as \
         `stagelink link --local` sets them; the port is that of its site, where several run"
    )))]
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

    /// The local clouds, in place of Netlify.
    #[command(flatten)]
    pub local: LocalOptions,
}
