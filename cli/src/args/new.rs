//! The arguments of `stagelink new`.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// The options of `stagelink new`.
#[derive(Clone, Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct NewOptions {
    /// Another thing to make than a project.
    #[command(subcommand)]
    pub command: Option<NewCommand>,

    /// Name of the project, or the path of its folder, which ends in the name. The Heroku pipeline
    /// gets the same name, and the names of its apps start with it.
    #[arg(value_name = "NAME", required = true)]
    pub name: Option<String>,

    /// Folder to create [default: NAME in the current folder]
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,

    /// Source of the SDK: the folder of a stagelink checkout, or the URL of a Git repository.
    ///
    /// By default the version of this command, or the checkout that the command was built in and
    /// runs from.
    #[arg(long, value_name = "PATH|URL")]
    pub sdk: Option<String>,

    /// Version control of the project [default: a new Git repository, if git is installed and the
    /// folder is in no repository]
    #[arg(long, value_name = "VCS")]
    pub vcs: Option<Vcs>,
}

/// The parts that `stagelink new` adds to a project.
#[derive(Clone, Debug, Subcommand)]
pub enum NewCommand {
    /// Adds a function to the project: a crate in functions/, which answers at /api/NAME.
    ///
    /// The function answers with its stage and the time of its database. The command changes no
    /// existing file. To create a project called function, use `stagelink new ./function`.
    Function(NewFunctionOptions),
}

/// The options of `stagelink new function`.
#[derive(Clone, Debug, Parser)]
pub struct NewFunctionOptions {
    /// Name of the function, of its crate, and of the last part of its path.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Folder of the project, with functions/.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
}

/// The version control of a new project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Vcs {
    /// A Git repository of its own.
    Git,
    /// No version control.
    None,
}
