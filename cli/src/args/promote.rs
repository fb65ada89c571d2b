//! The arguments of `stagelink promote` and `stagelink rollback`.

use clap::Parser;

use crate::args::{LambdaUrl, LocalOptions, Platform};

/// The options of `stagelink promote`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("local", |arg| arg.help(
    "Uses the local Netlify and Heroku of the running `stagelink dev` of the project, without a \
     question; the port is that of its site, where several run"
)))]
pub struct PromoteOptions {
    /// The stage whose artifact is promoted [default: staging].
    #[arg(
        long,
        value_name = "STAGE",
        default_value = "staging",
        hide_default_value = true
    )]
    pub from: String,

    /// The stage that gets it [default: production].
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

    /// Takes back what a promotion did that did not come to its end, also from one that still runs.
    #[arg(long, conflicts_with_all = ["plan", "again"])]
    pub abort: bool,

    /// Promotes only this artifact, by the digest that a plan with --json shows: refuses where the source
    /// runs another one by now.
    #[arg(long, value_name = "DIGEST", conflicts_with = "abort", value_parser = artifact_digest)]
    pub artifact: Option<String>,

    /// Promotes although the stage runs this artifact already, as after a change of its variables.
    #[arg(long)]
    pub again: bool,

    /// The platform, where stagelink.toml names a Netlify site and functions on AWS Lambda.
    #[arg(long, value_name = "PLATFORM")]
    pub on: Option<Platform>,

    /// On AWS Lambda, gives the stage's alias of each function a URL.
    #[arg(long, value_name = "ACCESS")]
    pub url: Option<LambdaUrl>,

    /// Name or ID of the Netlify site. By default that of stagelink.toml, or the site that `netlify
    /// link` has linked the project to.
    #[arg(long, value_name = "SITE", env = "NETLIFY_SITE_ID")]
    pub site: Option<String>,

    /// The time in which the deploy has to pass its test, at each of its two addresses.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub test_limit: u64,

    /// Promotes by the plan without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints one line of JSON to standard output, for an error too, and the plan to standard error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of Netlify and the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}

/// The options of `stagelink rollback`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("local", |arg| arg.help(
    "Uses the local Netlify and Heroku of the running `stagelink dev` of the project, without a \
     question; the port is that of its site, where several run"
)))]
pub struct RollbackOptions {
    /// The stage, of kind production [default: production].
    #[arg(
        value_name = "STAGE",
        default_value = "production",
        hide_default_value = true
    )]
    pub stage: String,

    /// The deploy to go back to, as `stagelink history` shows it [default: the one before]
    #[arg(long, value_name = "DEPLOY")]
    pub to: Option<String>,

    /// Shows the plan, and changes nothing.
    #[arg(long)]
    pub plan: bool,

    /// Takes back what a rollback did that did not come to its end, also from one that still runs.
    #[arg(long, conflicts_with_all = ["plan", "to"])]
    pub abort: bool,

    /// The platform, where stagelink.toml names a Netlify site and functions on AWS Lambda.
    #[arg(long, value_name = "PLATFORM")]
    pub on: Option<Platform>,

    /// Name or ID of the Netlify site. By default that of stagelink.toml, or the site that `netlify
    /// link` has linked the project to.
    #[arg(long, value_name = "SITE", env = "NETLIFY_SITE_ID")]
    pub site: Option<String>,

    /// The time in which the deploy has to pass its test, at each of its two addresses.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub test_limit: u64,

    /// Goes back without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints one line of JSON to standard output, for an error too, and the plan to standard error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of Netlify and the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}

/// Reads the digest of an artifact, in full: a shorter one could be that of two.
fn artifact_digest(text: &str) -> Result<String, String> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match text.len() == 64 && text.bytes().all(is_digit) {
        true => Ok(text.to_owned()),
        false => Err("a digest has 64 hexadecimal digits".to_owned()),
    }
}
