//! The arguments of `stagelink deploy`.

use clap::Parser;

use crate::args::{LambdaDeployOptions, LocalOptions, Platform, PlatformOption};

/// The options of `stagelink deploy`.
#[derive(Clone, Debug, Parser)]
#[command(
    mut_arg("project", |arg| arg.help("Folder of the project, with functions/ and netlify.toml")),
    mut_arg("local", |arg| arg.help(
        "Deploys to the local Netlify of the project's running `stagelink dev`, without asking. PORT \
         is the port of its site, needed only if several run"
    ))
)]
pub struct DeployOptions {
    /// Stage, by its name in stagelink.toml, or development, staging or production.
    #[arg(value_name = "STAGE")]
    pub stage: String,

    /// Name or ID of the Netlify site, not beside --local [default: NETLIFY_SITE_ID of the environment,
    /// else that of stagelink.toml, else the site that `netlify link` linked the folder to]
    #[arg(long, value_name = "SITE", conflicts_with = "local")]
    pub site: Option<String>,

    /// Builds, shows the plan with the SQL of each migration, and changes nothing.
    #[arg(long)]
    pub plan: bool,

    /// Undoes an unfinished deploy, even if its command still runs. Migrations stay applied.
    #[arg(long, conflicts_with = "plan")]
    pub abort: bool,

    /// Deploys the programs in dist/functions (on AWS Lambda dist/lambda) without a build.
    #[arg(long)]
    pub no_build: bool,

    /// Deploys to production although there are uncommitted changes.
    #[arg(long)]
    pub dirty: bool,

    /// Skips the test in which each function of the deploy proves its program, its stage and its
    /// database.
    #[arg(long)]
    pub no_test: bool,

    /// Time limit of that test, from when the deploy is ready.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub test_limit: u64,

    /// Time limit for Netlify to make the deploy ready [default: 1200]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=7200))]
    pub ready_limit: Option<u64>,

    /// Deploys without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints one line of JSON to standard output, also for an error, and the plan to standard
    /// error.
    #[arg(long)]
    pub json: bool,

    /// Overrides this rule in the migration with this number, such as backfill@V5. Each --override
    /// needs a --reason.
    #[arg(long = "override", value_name = "RULE@VERSION")]
    pub overridden: Vec<String>,

    /// Reason of an --override, which the database records.
    #[arg(long = "reason", value_name = "TEXT")]
    pub reasons: Vec<String>,

    /// Platform, if stagelink.toml names both a Netlify site and functions on AWS Lambda.
    #[arg(long, value_name = "PLATFORM")]
    pub on: Option<Platform>,

    /// The local clouds, in place of Netlify and the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,

    /// The options for AWS Lambda. The heading of their help is that of all that come after.
    #[command(flatten)]
    pub lambda: LambdaDeployOptions,
}

impl DeployOptions {
    /// Returns the options that one platform alone has, and whether each is given.
    pub(crate) fn of_one_platform(&self) -> Vec<PlatformOption> {
        vec![
            PlatformOption::netlify("--site", self.site.is_some()),
            PlatformOption::netlify("--no-test", self.no_test),
            PlatformOption::netlify("--ready-limit", self.ready_limit.is_some()),
            PlatformOption::lambda("--arch", self.lambda.arch.is_some()),
            PlatformOption::lambda("--role", self.lambda.role.is_some()),
            PlatformOption::lambda("--env-file", self.lambda.env_file.is_some()),
            PlatformOption::lambda("--memory", self.lambda.memory.is_some()),
            PlatformOption::lambda("--timeout", self.lambda.timeout.is_some()),
            PlatformOption::lambda("--url", self.lambda.url.is_some()),
            PlatformOption::lambda("--despite-untested", self.lambda.despite_untested),
        ]
    }
}
