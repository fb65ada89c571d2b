//! The arguments of `stagelink deploy`.

use clap::Parser;

use crate::args::{LambdaDeployOptions, LocalOptions, Platform};

/// The options of `stagelink deploy`.
#[derive(Clone, Debug, Parser)]
#[command(
    mut_arg("project", |arg| arg.help("The project: the folder with functions/ and netlify.toml")),
    mut_arg("local", |arg| arg.help(
        "Deploys to the local Netlify of the running `stagelink dev` of the project, without a \
         question; the port is that of its site, where several run"
    ))
)]
pub struct DeployOptions {
    /// The stage, by its name in stagelink.toml, or development, staging or production.
    #[arg(value_name = "STAGE")]
    pub stage: String,

    /// Name or ID of the Netlify site. By default that of stagelink.toml, or the site that `netlify
    /// link` has linked the project to.
    #[arg(long, value_name = "SITE", env = "NETLIFY_SITE_ID")]
    pub site: Option<String>,

    /// Builds, shows the plan with the SQL of each migration, and changes nothing.
    #[arg(long)]
    pub plan: bool,

    /// Takes back a deploy that did not come to its end, also one that still runs. Migrations stay.
    #[arg(long, conflicts_with = "plan")]
    pub abort: bool,

    /// Deploys the programs in dist/functions as they are.
    #[arg(long)]
    pub no_build: bool,

    /// Deploys to production with changes that are in no commit.
    #[arg(long)]
    pub dirty: bool,

    /// Does not ask the functions of the deploy what they run, for which stage, and whether they reach its
    /// database.
    #[arg(long)]
    pub no_test: bool,

    /// Limits the time of that test, which begins when the deploy is ready.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub test_limit: u64,

    /// Deploys without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints one line of JSON to standard output, for an error too, and the plan to standard error.
    #[arg(long)]
    pub json: bool,

    /// Lets this rule pass once in the migration with this number, such as backfill@V5. Each one needs
    /// a --reason.
    #[arg(long = "override", value_name = "RULE@VERSION")]
    pub overridden: Vec<String>,

    /// The reason of an --override, which the database keeps.
    #[arg(long = "reason", value_name = "TEXT")]
    pub reasons: Vec<String>,

    /// The platform, where stagelink.toml names a Netlify site and functions on AWS Lambda.
    #[arg(long, value_name = "PLATFORM")]
    pub on: Option<Platform>,

    /// The local clouds, in place of Netlify and the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,

    /// The options for AWS Lambda. The heading of their help is that of all that come after.
    #[command(flatten)]
    pub lambda: LambdaDeployOptions,
}
