//! The arguments of `stagelink invoke`.

use std::path::PathBuf;

use clap::Parser;

/// The options of `stagelink invoke`.
#[derive(Clone, Debug, Parser)]
pub struct InvokeOptions {
    /// The function, by its name.
    #[arg(value_name = "NAME")]
    pub function: String,

    /// The event: JSON, a file of it for @FILE, or standard input for -. By default a scheduled
    /// function gets the request that its schedule sends.
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub data: Option<String>,

    /// The local stage [default: the one whose schedules run, else the first]
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,

    /// Port of the site of the running `stagelink dev`, where several run.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,

    /// The folder of the project.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,

    /// Prints one line of JSON: the id of the invocation, and the response or the error.
    #[arg(long)]
    pub json: bool,
}
