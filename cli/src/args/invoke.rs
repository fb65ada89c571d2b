//! The arguments of `stagelink invoke`.

use std::path::PathBuf;

use clap::Parser;

/// The options of `stagelink invoke`.
#[derive(Clone, Debug, Parser)]
pub struct InvokeOptions {
    /// Name of the function.
    #[arg(value_name = "NAME")]
    pub function: String,

    /// Event: JSON, a file as @FILE, or - for standard input. By default a scheduled function gets
    /// the request that its schedule sends, and any other a GET request of its route.
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub data: Option<String>,

    /// Local stage [default: the one whose schedules run, else the first]
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,

    /// Port of the site of the running `stagelink dev`, needed only if several run.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,

    /// Folder of the project.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,

    /// Prints one line of JSON: the invocation's id, the sample request if it got one, and the response
    /// or the error.
    #[arg(long)]
    pub json: bool,
}
