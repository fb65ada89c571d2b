//! The arguments of `stagelink mark`.

use clap::{Parser, Subcommand};

use crate::args::{LocalOptions, StageArgument};

/// A command for the stage mark of a database.
#[derive(Clone, Debug, Subcommand)]
pub enum MarkCommand {
    /// Shows the mark, how the server authenticates itself, and its public key.
    ///
    /// Exits with 0 whatever the mark is. With --json, `is_right` says if it is the stage's.
    Show(StageOptions),
    /// Marks the database as the stage's. The role must own the database.
    Set {
        /// The stage.
        #[command(flatten)]
        options: StageOptions,
        /// Replaces the mark of another stage, as after a copy of a database.
        #[arg(long)]
        replace: bool,
    },
    /// Removes the mark.
    Remove {
        /// The stage.
        #[command(flatten)]
        options: StageOptions,
        /// Removes the mark of another stage, as after a copy of a database.
        #[arg(long)]
        replace: bool,
    },
}

/// The options of the commands of `stagelink mark`.
#[derive(Clone, Debug, Parser)]
pub struct StageOptions {
    /// The stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Prints one line of JSON instead of the table, for an error too.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}
