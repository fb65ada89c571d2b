//! What a person types.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use secrecy::SecretString;

use crate::target::{Arch, Target};

/// Links serverless functions to PaaS databases, stage by stage.
#[derive(Debug, Parser)]
#[command(name = "stagelink", version, max_term_width = 100)]
pub struct Args {
    /// What to do; without one it is `dev`.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the whole site on this machine, until Ctrl-C.
    ///
    /// Brings up a Postgres with a database for each stage, a local Heroku whose
    /// pipeline knows them, and the site with its functions, once per stage:
    /// production at localhost:8888, staging at staging.localhost:8888.
    /// Each function is built, run as a process and kept warm, as on AWS Lambda.
    /// Ctrl-C ends all of it and leaves nothing behind.
    Dev(DevOptions),
    /// Builds the functions for Netlify and AWS Lambda.
    ///
    /// Each becomes one program that runs on any image: nothing of the image is needed, since
    /// the C library and OpenSSL are in it. For x86_64 they are written into dist/functions, as
    /// Netlify takes them, and for AWS Lambda as a zip each into dist/lambda. Then each is
    /// started and has to answer an event.
    Build(BuildOptions),
    /// Shows or changes the stage that a database says it belongs to.
    ///
    /// A function refuses a database that is marked as another stage's. The database
    /// is found as a function of the stage finds it, by the same variables:
    /// STAGELINK_HEROKU_PIPELINE and HEROKU_API_KEY, those of another provider, or
    /// DATABASE_URL.
    #[command(subcommand)]
    Mark(MarkCommand),
    /// Links a Netlify site: gives each deploy context the database of its stage.
    ///
    /// Production gets that of stage production, the branch `staging` that of stage staging,
    /// and a deploy preview that of its pull request's review app, or none. Each stage's URL
    /// is found in the Heroku pipeline, tried, and set as a secret of that context alone.
    /// What is to be set is shown first.
    ///
    /// STAGELINK_HEROKU_PIPELINE names the pipeline, HEROKU_API_KEY holds a token that reads
    /// all of its stages and stays on this machine, and NETLIFY_AUTH_TOKEN holds Netlify's.
    Link(LinkOptions),
    /// Prints a stage's credentials as functions are deployed with them.
    ///
    /// That is the value of STAGELINK_CREDENTIALS, with which no start of a function asks a provider
    /// or hashes the password: a secret, for a variable of that stage's functions alone. The
    /// database is found by the variables of a provider, whatever STAGELINK_CREDENTIALS says, tried,
    /// and refused where it is marked as another stage's. After the password has been rotated it has to be made
    /// and set anew; functions that
    /// have a provider's variables beside it go on meanwhile.
    Credentials(CredentialsOptions),
    /// Makes a project of one's own that builds, tests and runs at once.
    ///
    /// A Cargo workspace with one function, its table, a page, a test against the local
    /// cloud, and a workflow for GitHub Actions that deploys to staging and promotes the
    /// same programs to production. Nothing that exists is touched.
    New(NewOptions),
}

/// The options of `stagelink link`.
#[derive(Clone, Debug, Parser)]
pub struct LinkOptions {
    /// The site, by its name or id. Without it, the one that the project's folder is linked
    /// to by `netlify link`.
    #[arg(long, value_name = "SITE", env = "NETLIFY_SITE_ID")]
    pub site: Option<String>,

    /// The project: the folder with netlify.toml and .netlify/.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,

    /// Links this stage alone, and may be given several times. Without it production,
    /// staging and review are linked.
    #[arg(long = "stage", value_name = "STAGE")]
    pub stages: Vec<String>,

    /// The branch whose deploys are stage staging's.
    #[arg(long, value_name = "BRANCH", default_value = "staging")]
    pub staging_branch: String,

    /// Leaves the deploys of other branches alone. Otherwise they are told that they are
    /// previews, which have no database.
    #[arg(long)]
    pub skip_branch_deploys: bool,

    /// The app of a stage that has several, or for stage review the one for previews that
    /// have no review app.
    #[arg(long = "app", value_name = "STAGE=APP")]
    pub apps: Vec<String>,

    /// The environment variable that holds the token which functions of a stage ask Heroku
    /// with when the URL has changed. That of staging or review must not read production's
    /// config vars: this is tried first.
    #[arg(long = "token-for", value_name = "STAGE=VARIABLE")]
    pub tokens: Vec<String>,

    /// Pins the key of each server. A server with a new key is refused until the site is
    /// linked again.
    #[arg(long)]
    pub pin: bool,

    /// Goes on where the site's plan has no scopes: the values reach its builds too.
    #[arg(long)]
    pub without_scopes: bool,

    /// Shows what would be set, and sets nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Sets it without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints the lines for the Netlify command line instead, with each secret as the name
    /// of a variable.
    #[arg(long, conflicts_with_all = ["dry_run", "yes", "json"])]
    pub print: bool,

    /// Prints one line of JSON instead of the tables.
    #[arg(long)]
    pub json: bool,
}

/// The options of `stagelink new`.
#[derive(Clone, Debug, Parser)]
pub struct NewOptions {
    /// The project's name, or the folder to make, which is called after it: also the Heroku
    /// pipeline's name, and the beginning of its apps' names.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// The folder to make. Without it the name, in the current folder.
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,

    /// Where the SDK comes from: a folder with a checkout of stagelink, or the URL of its Git
    /// repository. Without it the checkout that this command was built from.
    #[arg(long, value_name = "PATH|URL")]
    pub sdk: Option<String>,

    /// Whether to begin a Git repository. Without it as `cargo new` does: where git is there,
    /// and the folder does not lie in a repository already.
    #[arg(long, value_name = "VCS")]
    pub vcs: Option<Vcs>,
}

/// How a new project keeps its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Vcs {
    /// In a Git repository of its own.
    Git,
    /// Not at all.
    None,
}

/// What to do with the mark of a stage's database.
#[derive(Clone, Debug, Subcommand)]
pub enum MarkCommand {
    /// Shows the mark, what the server proves itself by, and its public key.
    Show(StageOptions),
    /// Marks the database as the stage's. The role has to own the database.
    Set {
        /// The stage.
        #[command(flatten)]
        options: StageOptions,
        /// Takes the place of another stage's mark, as after a copy of a database.
        #[arg(long)]
        replace: bool,
    },
    /// Takes the mark away.
    Remove(StageOptions),
}

/// The options of `stagelink credentials`.
#[derive(Clone, Debug, Parser)]
pub struct CredentialsOptions {
    /// The stage: review, development, staging or production. Without it
    /// STAGELINK_STAGE says it.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
}

/// Whose database is meant.
#[derive(Clone, Debug, Parser)]
pub struct StageOptions {
    /// The stage: review, development, staging or production. Without it
    /// STAGELINK_STAGE says it.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,

    /// Prints one line of JSON instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// The options of `stagelink build`.
#[derive(Clone, Debug, Parser)]
pub struct BuildOptions {
    /// The project: the folder with functions/.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,

    /// The processor: x86_64 for Netlify and Lambda, or arm64 for Lambda.
    ///
    /// Default: x86_64.
    #[arg(long, value_enum, conflicts_with = "target")]
    pub arch: Option<Arch>,

    /// The target in Rust's words, such as x86_64-unknown-linux-musl, instead of --arch.
    #[arg(long, value_name = "TRIPLE")]
    pub target: Option<Target>,

    /// Where the artifacts go. Default: dist in the project.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Does not start the programs to see whether they answer.
    #[arg(long)]
    pub no_check: bool,

    /// Prints one line of JSON instead of the table.
    #[arg(long)]
    pub json: bool,
}

impl Default for Command {
    fn default() -> Self {
        Self::Dev(DevOptions::parse_from(["dev"]))
    }
}

/// The options of `stagelink dev`.
#[derive(Clone, Debug, Parser)]
pub struct DevOptions {
    /// The project: the folder with netlify.toml, functions/ and migrations/.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,

    /// The port of the site; 0 takes a free one.
    #[arg(long, default_value_t = 8888)]
    pub port: u16,

    /// The port of the local Heroku; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub heroku_port: u16,

    /// The port of Postgres; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub postgres_port: u16,

    /// Where Postgres comes from.
    ///
    /// `auto` takes the first that is there: Docker with the official image, the
    /// binaries on this machine, the binaries that npm carries. Or choose:
    /// `docker`, `docker:IMAGE`, `local`, `local:DIR` (the folder of the
    /// binaries), `npm`, `npm:17`, or the URL of a server with TLS, as its superuser.
    // Read as a secret: the parser would repeat a value that it does not
    // understand, and a URL holds a password.
    #[arg(
        long,
        value_name = "SOURCE",
        env = "STAGELINK_POSTGRES",
        default_value = "auto",
        hide_env_values = true,
        value_parser = secret
    )]
    pub postgres: SecretString,

    /// Keeps the databases in this folder from run to run. Without it they are
    /// new each time.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Builds the functions as they are deployed, with optimisation.
    #[arg(long)]
    pub release: bool,

    /// Prints one line of JSON when all is up, instead of the table.
    #[arg(long)]
    pub json: bool,
}

fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn no_command_is_dev() {
        let args = Args::parse_from(["stagelink"]);
        let Command::Dev(options) = args.command.unwrap_or_default() else {
            panic!("another command");
        };
        assert_eq!(options.port, 8888);
        assert!(!options.json);
    }

    #[test]
    fn source_with_a_password_is_shown_by_nobody() {
        let url = "postgres://boss:c4n4ry@localhost/postgres";
        let args = Args::try_parse_from(["stagelink", "dev", "--postgres", url]).unwrap();
        assert!(!format!("{args:?}").contains("c4n4ry"));
    }
}
