//! The arguments of `stagelink migrate` and its commands.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::args::{LocalOptions, StageArgument};

/// The longest `--wait` and `--time-limit`, in seconds.
const WEEK: u64 = 7 * 24 * 60 * 60;

/// The options of `stagelink migrate`.
#[derive(Clone, Debug, Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    mut_arg("project", |arg| arg.help("The project: the folder with migrations/"))
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

    /// Applies the files of after, too: those that wait until the code that ran before the deploy no
    /// longer runs.
    #[arg(long)]
    pub after: bool,

    /// Lets this rule pass once in the file with this number, such as backfill@V5; the plan names
    /// both. The number may be left out where one file alone needs it. Each one needs a --reason.
    #[arg(long = "override", value_name = "RULE@VERSION")]
    pub overridden: Vec<String>,

    /// The reason of an --override, which the database keeps.
    #[arg(long = "reason", value_name = "TEXT")]
    pub reasons: Vec<String>,

    /// Applies the plan without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints one line of JSON to standard output, for an error too, and the plan to standard error.
    #[arg(long)]
    pub json: bool,

    /// The folder of the migrations [default: that of stagelink.toml, else migrations in the
    /// project]
    #[arg(long, value_name = "DIR")]
    pub migrations: Option<PathBuf>,

    /// Waits this long at the most for another migration of the database, and for each file whose
    /// tables are busy; a week at the most.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(..=WEEK))]
    pub wait: u64,

    /// Limits the transaction of each file, which keeps its locks as long as it takes; a week at the
    /// most.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=WEEK))]
    pub time_limit: u64,

    /// Goes on although folder and history disagree in this way; may be repeated.
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
    /// Makes the history of a stage's database take timestamps as numbers.
    ///
    /// The history that refinery makes takes numbers up to 2147483647. Afterwards refinery can read
    /// it only if it is built with its feature int8-versions.
    WidenHistory(WidenHistoryOptions),
    /// Shows what differs between a stage's schema and the one that its migrations made, or that of
    /// another stage.
    ///
    /// Each run of migrations keeps the schema in the database. What was changed by other means since
    /// is drift.
    ///
    /// Exits with 0 without a difference, with 1 with one, or where nothing is known, and with 2 after
    /// an error.
    Drift(DriftOptions),
}

/// The options of `stagelink migrate new`.
#[derive(Clone, Debug, Parser)]
pub struct NewMigrationOptions {
    /// The name, such as add_mail.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Numbers the file with the time, which does not collide with files of other branches. The
    /// history of each database has to take such numbers.
    #[arg(long)]
    pub timestamp: bool,

    /// The project: the folder with migrations/.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,

    /// The folder of the migrations [default: that of stagelink.toml, else migrations in the
    /// project]
    #[arg(long, value_name = "DIR")]
    pub migrations: Option<PathBuf>,

    /// Prints one line of JSON with the path, for an error too.
    #[arg(long)]
    pub json: bool,
}

/// The options of `stagelink migrate widen-history`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("project", |arg| arg.help("The project: the folder with migrations/")))]
pub struct WidenHistoryOptions {
    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Changes the history without asking.
    #[arg(long, short)]
    pub yes: bool,

    /// The folder of the migrations [default: migrations in the project]
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

    /// Compares with the schema of this stage, in place of the stage's migrations.
    #[arg(long, value_name = "STAGE", conflicts_with = "accept")]
    pub with: Option<String>,

    /// Takes the schema as it is for the one that the migrations made.
    #[arg(long)]
    pub accept: bool,

    /// Accepts it without asking.
    #[arg(long, short, requires = "accept")]
    pub yes: bool,

    /// Prints one line of JSON to standard output, for an error too.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}

/// A disagreement of the folder of migrations and a database's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AllowedDisagreement {
    /// A file was edited after it was applied: it is left as it is.
    Edited,
    /// An applied migration has no file.
    Missing,
    /// A file is older than the newest applied one: it is applied.
    Older,
}
