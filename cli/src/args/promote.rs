//! The arguments of `stagelink promote` and `stagelink rollback`.

use clap::Parser;

use crate::args::{LambdaUrl, LocalOptions, Platform, PlatformOption};

/// The options of `stagelink promote`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("local", |arg| arg.help(
    "Uses the local Netlify and Heroku of the project's running `stagelink dev`, without asking. PORT \
     is the port of its site, needed only if several run"
)))]
pub struct PromoteOptions {
    /// Stage whose artifact is promoted [default: staging].
    #[arg(
        long,
        value_name = "STAGE",
        default_value = "staging",
        hide_default_value = true
    )]
    pub from: String,

    /// Stage that gets the artifact [default: production].
    #[arg(
        long,
        value_name = "STAGE",
        default_value = "production",
        hide_default_value = true
    )]
    pub to: String,

    /// Shows the plan, and changes nothing.
    #[arg(long)]
    pub plan: bool,

    /// Undoes an unfinished promotion, even if its command still runs.
    #[arg(long, conflicts_with_all = ["plan", "again"])]
    pub abort: bool,

    /// Promotes only the artifact with this digest, which a plan with --json shows, and refuses if
    /// the source runs another one.
    #[arg(long, value_name = "DIGEST", conflicts_with = "abort", value_parser = artifact_digest)]
    pub artifact: Option<String>,

    /// Promotes although the stage runs this artifact already, such as after a change of its
    /// variables.
    #[arg(long)]
    pub again: bool,

    /// Platform, if stagelink.toml names both a Netlify site and functions on AWS Lambda.
    #[arg(long, value_name = "PLATFORM")]
    pub on: Option<Platform>,

    /// On AWS Lambda: gives the stage's alias of each function a URL.
    #[arg(long, value_name = "ACCESS")]
    pub url: Option<LambdaUrl>,

    /// Name or ID of the Netlify site, not beside --local [default: NETLIFY_SITE_ID of the environment,
    /// else that of stagelink.toml, else the site that `netlify link` linked the folder to]
    #[arg(long, value_name = "SITE", conflicts_with = "local")]
    pub site: Option<String>,

    /// Time limit of the deploy's test, at each of its two addresses.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub test_limit: u64,

    /// Time limit for Netlify to make the deploy ready [default: 1200]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=7200))]
    pub ready_limit: Option<u64>,

    /// Promotes without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints one line of JSON to standard output, also for an error, and the plan to standard
    /// error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of Netlify and the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}

/// The options of `stagelink rollback`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("local", |arg| arg.help(
    "Uses the local Netlify and Heroku of the project's running `stagelink dev`, without asking. PORT \
     is the port of its site, needed only if several run"
)))]
pub struct RollbackOptions {
    /// Stage, on Netlify of kind production [default: production].
    #[arg(
        value_name = "STAGE",
        default_value = "production",
        hide_default_value = true
    )]
    pub stage: String,

    /// Deploy to publish, by its id in `stagelink history`; on AWS Lambda the versions of one of its rows
    /// [default: the one that the current one replaced; a second rollback therefore undoes the first]
    #[arg(long, value_name = "DEPLOY")]
    pub to: Option<String>,

    /// Shows the plan, and changes nothing.
    #[arg(long)]
    pub plan: bool,

    /// Undoes an unfinished rollback, even if its command still runs.
    #[arg(long, conflicts_with_all = ["plan", "to"])]
    pub abort: bool,

    /// Platform, if stagelink.toml names both a Netlify site and functions on AWS Lambda.
    #[arg(long, value_name = "PLATFORM")]
    pub on: Option<Platform>,

    /// Name or ID of the Netlify site, not beside --local [default: NETLIFY_SITE_ID of the environment,
    /// else that of stagelink.toml, else the site that `netlify link` linked the folder to]
    #[arg(long, value_name = "SITE", conflicts_with = "local")]
    pub site: Option<String>,

    /// Time limit of the deploy's test, at each of its two addresses.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub test_limit: u64,

    /// Rolls back without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints one line of JSON to standard output, also for an error, and the plan to standard
    /// error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of Netlify and the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}

impl PromoteOptions {
    /// Returns the options that one platform alone has, and whether each is given.
    pub(crate) fn of_one_platform(&self) -> Vec<PlatformOption> {
        vec![
            PlatformOption::netlify("--site", self.site.is_some()),
            PlatformOption::netlify("--ready-limit", self.ready_limit.is_some()),
            PlatformOption::lambda("--url", self.url.is_some()),
        ]
    }
}

impl RollbackOptions {
    /// Returns the options that one platform alone has, and whether each is given.
    pub(crate) fn of_one_platform(&self) -> Vec<PlatformOption> {
        vec![PlatformOption::netlify("--site", self.site.is_some())]
    }
}

/// Reads the digest of an artifact, in full: a shorter one could be that of two.
fn artifact_digest(text: &str) -> Result<String, String> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match text.len() == 64 && text.bytes().all(is_digit) {
        true => Ok(text.to_owned()),
        false => Err("a digest has 64 hexadecimal digits".to_owned()),
    }
}
