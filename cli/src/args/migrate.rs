//! The arguments of `stagelink migrate` and its commands.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::args::{LocalOptions, StageArgument};

/// The longest `--wait` and `--time-limit`, in seconds.
const WEEK: u64 = 7 * 24 * 60 * 60;

/// The end of the help of `stagelink migrate`.
const EXAMPLES: &str = "\
Exit code: 0 if all is applied that does not wait for --after, or with --plan the plan was made; 1 if
a file or an override was refused, a file was held back or failed, the plan was outdated, or the
database could not be used; 2 if the arguments are wrong.

Examples:
  stagelink migrate staging --plan      shows what would be applied, and why
  stagelink migrate staging             shows the plan, asks, and applies it
  stagelink migrate production --yes    in CI, before the deploy
  stagelink migrate production --after  when the deploy is live and needs no rollback";

/// The options of `stagelink migrate`.
#[derive(Clone, Debug, Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    after_long_help = EXAMPLES,
    mut_arg("project", |arg| arg.help("Folder of the project, with migrations/"))
)]
pub struct MigrateOptions {
    /// Another command for migrations.
    #[command(subcommand)]
    pub command: Option<MigrateCommand>,

    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Shows the plan with the SQL of each file, and changes nothing.
    #[arg(long)]
    pub plan: bool,

    /// Also applies the files of class after, which break the code that ran before the deploy.
    #[arg(long)]
    pub after: bool,

    /// Overrides this rule in the file with this number, such as backfill@V5; the plan names both.
    /// The number may be omitted if only one file needs the override. Each --override needs a
    /// --reason.
    #[arg(long = "override", value_name = "RULE@VERSION")]
    pub overridden: Vec<String>,

    /// Reason of an --override, which the database records.
    #[arg(long = "reason", value_name = "TEXT")]
    pub reasons: Vec<String>,

    /// Applies the plan without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints one line of JSON to standard output, also for an error, and the plan to standard
    /// error.
    #[arg(long)]
    pub json: bool,

    /// Folder of the migrations [default: that of stagelink.toml, else migrations in the project]
    #[arg(long, value_name = "DIR")]
    pub migrations: Option<PathBuf>,

    /// Longest wait for another run on the database, and for the locks of each file; a week at
    /// most.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(..=WEEK))]
    pub wait: u64,

    /// Time limit of each file's transaction, which holds its locks to its end; a week at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=WEEK))]
    pub time_limit: u64,

    /// Continues although the folder and the history disagree in this way; may be repeated.
    #[arg(long = "allow", value_name = "DISAGREEMENT", value_enum)]
    pub allowed: Vec<AllowedDisagreement>,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}

/// Another command for migrations.
#[derive(Clone, Debug, Subcommand)]
pub enum MigrateCommand {
    /// Creates an empty migration with the next number, and prints its path.
    New(NewMigrationOptions),
    /// Widens the history of a stage's database, so that it takes timestamps as numbers.
    ///
    /// The history that refinery creates takes numbers up to 2147483647. Afterwards refinery reads
    /// it only if it is built with its feature int8-versions.
    WidenHistory(WidenHistoryOptions),
    /// Shows the drift of a stage's schema: what was changed by other means than migrations.
    ///
    /// Each run of migrations stores a snapshot of the schema in the database; the command compares
    /// the schema with it, or with --with the schemas of two stages.
    ///
    /// Exit code: 0 without a difference; 1 with one, or if there is nothing to compare with; 2
    /// after an error.
    Drift(DriftOptions),
}

/// The options of `stagelink migrate new`.
#[derive(Clone, Debug, Parser)]
pub struct NewMigrationOptions {
    /// Name, such as add_mail.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Numbers the file with the current time, so that the files of two branches do not collide.
    /// The history of each database must take such numbers (`widen-history`).
    #[arg(long)]
    pub timestamp: bool,

    /// Folder of the project, with migrations/.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,

    /// Folder of the migrations [default: that of stagelink.toml, else migrations in the project]
    #[arg(long, value_name = "DIR")]
    pub migrations: Option<PathBuf>,

    /// Prints one line of JSON with the path, also for an error.
    #[arg(long)]
    pub json: bool,
}

/// The options of `stagelink migrate widen-history`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("project", |arg| arg.help("Folder of the project, with migrations/")))]
pub struct WidenHistoryOptions {
    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Changes the history without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints one line of JSON to standard output, for an error too.
    #[arg(long)]
    pub json: bool,

    /// Folder of the migrations [default: migrations in the project]
    #[arg(long, value_name = "DIR")]
    pub migrations: Option<PathBuf>,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}

/// The options of `stagelink migrate drift`.
#[derive(Clone, Debug, Parser)]
pub struct DriftOptions {
    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Compares with the schema of this stage, in place of the snapshot.
    #[arg(long, value_name = "STAGE", conflicts_with = "accept")]
    pub with: Option<String>,

    /// Stores the current schema as the new snapshot.
    #[arg(long)]
    pub accept: bool,

    /// Accepts it without asking.
    #[arg(long, short, requires = "accept")]
    pub yes: bool,

    /// Prints one line of JSON to standard output, also for an error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}

/// A disagreement of the folder of migrations and a database's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AllowedDisagreement {
    /// A file was edited after it was applied. It is not applied again.
    Edited,
    /// An applied migration has no file.
    Missing,
    /// A file has a lower number than the newest applied one. It is applied.
    Older,
}
