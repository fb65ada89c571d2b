//! The arguments of `stagelink doctor`.

use clap::Parser;

use crate::args::{LocalOptions, StageArgument};

/// The options of `stagelink doctor`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("named_stage", |arg| arg.help(
    "The stage, by its name in stagelink.toml, or review, development, staging or production. By \
     default the stages of stagelink.toml, else staging and production"
)))]
pub struct DoctorOptions {
    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Exits with 1 where there are warnings and no error. What could not be checked is none.
    #[arg(long)]
    pub strict: bool,

    /// Lists each check that found nothing, too, with what it saw.
    #[arg(long)]
    pub all: bool,

    /// Prints one line of JSON to standard output, for an error too.
    #[arg(long)]
    pub json: bool,

    /// Name or ID of the Netlify site. By default that of stagelink.toml, or the site that `netlify
    /// link` has linked the project to.
    #[arg(long, value_name = "SITE", env = "NETLIFY_SITE_ID")]
    pub site: Option<String>,

    /// The environment variable with the Heroku token that functions of a stage have, to be tried:
    /// the site's own is mostly a secret, which cannot be read back.
    #[arg(long = "token-for", value_name = "STAGE=VARIABLE")]
    pub tokens: Vec<String>,

    /// The number of instances that the functions of a stage may have at once, each with a
    /// connection: the reserved concurrency of AWS Lambda [default: 1000, its default for an account;
    /// with --local none]
    #[arg(long, value_name = "INSTANCES")]
    pub concurrency: Option<u32>,

    /// Reports transactions that have lasted for longer.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub long_transaction: u64,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}
