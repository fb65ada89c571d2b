//! The arguments of `stagelink link`.

use clap::Parser;

use crate::args::LocalOptions;

/// The options of `stagelink link`.
#[derive(Clone, Debug, Parser)]
#[command(
    mut_arg("project", |arg| arg.help(
        "Folder of the project, with stagelink.toml, netlify.toml and .netlify/"
    )),
    mut_arg("local", |arg| arg.help(
        "Links the local site of the project's running `stagelink dev` to its stages, without asking. \
         PORT is the port of its site, needed only if several run"
    ))
)]
pub struct LinkOptions {
    /// Name or ID of the Netlify site, not beside --local [default: NETLIFY_SITE_ID of the environment,
    /// else that of stagelink.toml, else the site that `netlify link` linked the folder to]
    #[arg(long, value_name = "SITE", conflicts_with = "local")]
    pub site: Option<String>,

    /// Links only this stage; may be repeated [default: review, staging and production, or those of
    /// them that stagelink.toml has on Heroku]
    #[arg(long = "stage", value_name = "STAGE")]
    pub stages: Vec<String>,

    /// Branch whose deploys belong to stage staging [default: that of stagelink.toml, else staging]
    #[arg(long, value_name = "BRANCH")]
    pub staging_branch: Option<String>,

    /// Sets no variables for deploys of other branches. By default they get stage review, without a
    /// database.
    #[arg(long)]
    pub skip_branch_deploys: bool,

    /// Heroku app of a stage that has several; for review, the app of deploy previews whose pull
    /// request has no review app.
    #[arg(long = "app", value_name = "STAGE=APP")]
    pub apps: Vec<String>,

    /// Environment variable with the Heroku token for a stage's functions, which use it when the
    /// database URL has changed. A token for staging or review that can read production's config
    /// vars is refused.
    #[arg(long = "token-for", value_name = "STAGE=VARIABLE")]
    pub tokens: Vec<String>,

    /// Pins the public key of each server. Functions then refuse a server with a new key until the
    /// site is linked again.
    #[arg(long)]
    pub pin: bool,

    /// Continues although the site's plan has no variable scopes, so that builds can read the
    /// values too.
    #[arg(long)]
    pub without_scopes: bool,

    /// Removes the values of the site that hold another stage's database URL or secrets, as the
    /// plan shows. Without it the command asks, or stops if there is no terminal.
    #[arg(long)]
    pub remove_leaks: bool,

    /// Links other stages although production's database cannot be found to compare theirs with it.
    #[arg(long)]
    pub without_production: bool,

    /// Shows the plan, and changes nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Sets the variables without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints a shell script for the Netlify command line instead. It refers to each secret by the
    /// name of an environment variable. It neither sets anything nor prints JSON, and the Netlify
    /// command line sets a real site's variables, so it excludes --yes, --dry-run, --json and --local.
    #[arg(long, conflicts_with_all = ["dry_run", "yes", "json", "local"])]
    pub print: bool,

    /// Prints one line of JSON to standard output, also for an error, and the plan's tables to
    /// standard error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of Netlify and Heroku.
    #[command(flatten)]
    pub local: LocalOptions,
}
