//! The arguments of `stagelink env`.

use clap::Parser;

use crate::args::{LocalOptions, StageArgument};

/// The options of `stagelink env`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("named_stage", |arg| arg
    .required_unless_present("stage")
    .help("Stage, such as staging")),
    mut_arg("local", |arg| arg.help(
        "Lists the variables at the local Netlify of the project's running `stagelink dev`, as \
         `stagelink link --local` sets them. PORT is the port of its site, needed only if several run"
    )))]
pub struct EnvOptions {
    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Name or ID of the Netlify site, not beside --local [default: NETLIFY_SITE_ID of the environment,
    /// else that of stagelink.toml, else the site that `netlify link` linked the folder to]
    #[arg(long, value_name = "SITE", conflicts_with = "local")]
    pub site: Option<String>,

    /// Prints one line of JSON in place of the table, also for an error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of Netlify.
    #[command(flatten)]
    pub local: LocalOptions,
}
