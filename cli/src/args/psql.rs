//! The arguments of `stagelink psql`.

use clap::Parser;

use crate::args::{LocalOptions, StageArgument};

/// The options of `stagelink psql`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("named_stage", |arg| arg
    // An argument that is changed is added anew, behind the others.
    .index(1)
    .required_unless_present("stage")
    .help("Stage, such as staging")))]
pub struct PsqlOptions {
    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Lets the session write to a stage of kind production. The command asks first.
    #[arg(long)]
    pub write: bool,

    /// Makes the session read-only on any stage.
    #[arg(long, conflicts_with = "write")]
    pub read_only: bool,

    /// Opens a session that may write without asking: with --write on a stage of kind production, or
    /// on a database without a stage mark.
    #[arg(long, short)]
    pub yes: bool,

    /// Prints an error of this command's as one line of JSON to standard output.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,

    /// Arguments for psql, such as -c 'SELECT 1'. Those that choose a server, a database or a role are
    /// refused.
    #[arg(value_name = "ARGUMENT", index = 2, last = true)]
    pub arguments: Vec<String>,
}
