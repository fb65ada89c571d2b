//! The arguments of `stagelink doctor`.

use clap::Parser;

use crate::args::{LocalOptions, StageArgument};

/// The options of `stagelink doctor`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("named_stage", |arg| arg.help(
    "Stage, by its name in stagelink.toml, or review, development, staging or production [default: \
     the stages of stagelink.toml, else staging and production]"
)))]
pub struct DoctorOptions {
    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Exits with 1 if there are warnings, or checks that could not be made.
    #[arg(long)]
    pub strict: bool,

    /// Also lists each check that found no problem, with the values that it saw.
    #[arg(long)]
    pub all: bool,

    /// Prints one line of JSON to standard output, also for an error.
    #[arg(long)]
    pub json: bool,

    /// Name or ID of the Netlify site, not beside --local [default: NETLIFY_SITE_ID of the environment,
    /// else that of stagelink.toml, else the site that `netlify link` linked the folder to]
    #[arg(long, value_name = "SITE", conflicts_with = "local")]
    pub site: Option<String>,

    /// Environment variable with the Heroku token of the stage's functions. doctor tries it in
    /// place of the site's own token, which is usually a secret that cannot be read back.
    #[arg(long = "token-for", value_name = "STAGE=VARIABLE")]
    pub tokens: Vec<String>,

    /// Highest number of concurrent instances of the stage's functions, each with one connection,
    /// such as the reserved concurrency on AWS Lambda [default: 1000, an account's default; with
    /// --local none]
    #[arg(long, value_name = "INSTANCES")]
    pub concurrency: Option<u32>,

    /// Reports transactions that last longer than this.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub long_transaction: u64,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}
