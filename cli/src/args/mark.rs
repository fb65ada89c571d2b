//! The arguments of `stagelink mark`.

use clap::{Parser, Subcommand};

use crate::args::{LocalOptions, StageArgument};

/// A command for the stage mark of a database.
#[derive(Clone, Debug, Subcommand)]
pub enum MarkCommand {
    /// Shows the mark, how the server authenticates, and its public key.
    ///
    /// Exits with 0 whatever the mark is. With --json, `is_right` tells whether it is the stage's.
    Show(StageOptions),
    /// Marks the database as the stage's. The role must own the database.
    Set {
        /// The stage.
        #[command(flatten)]
        options: StageOptions,
        /// Replaces another stage's mark, such as after a copy of a database.
        #[arg(long)]
        replace: bool,
    },
    /// Removes the mark.
    Remove {
        /// The stage.
        #[command(flatten)]
        options: StageOptions,
        /// Removes another stage's mark too, such as after a copy of a database.
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

    /// Prints one line of JSON in place of the table, also for an error.
    #[arg(long)]
    pub json: bool,

    /// The local clouds, in place of the variables of a provider.
    #[command(flatten)]
    pub local: LocalOptions,
}
