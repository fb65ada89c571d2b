//! The arguments of `stagelink drill`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::args::fault::duration;
use crate::args::{LocalOptions, StageArgument};

/// The options of `stagelink drill`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("local", |arg| arg.help(
    "PORT is the port of the running `stagelink dev`, needed only if several run. By default the \
     command starts one if none runs"
)), mut_arg("named_stage", |arg| arg.help(
    "Local stage, by its name in stagelink.toml [default: staging, else the only one]"
)))]
pub struct DrillOptions {
    /// The local stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Runs only this case, such as stall; may be repeated.
    #[arg(long = "fault", value_name = "NAME")]
    pub faults: Vec<String>,

    /// Duration of each lasting fault. The expectations hold for up to 5s.
    #[arg(long = "for", value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub duration: Duration,

    /// Number of clients that send requests concurrently.
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,

    /// File with the table `[drill]`, in place of stagelink.toml.
    #[arg(long, value_name = "FILE")]
    pub requests: Option<PathBuf>,

    /// Prints one line of JSON in place of the table, also for an error.
    #[arg(long)]
    pub json: bool,

    /// The running `stagelink dev`.
    #[command(flatten)]
    pub local: LocalOptions,
}
