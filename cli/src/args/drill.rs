//! The arguments of `stagelink drill`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::args::fault::duration;
use crate::args::{LocalOptions, StageArgument};

/// The options of `stagelink drill`.
#[derive(Clone, Debug, Parser)]
#[command(mut_arg("local", |arg| arg.help(
    "The port of the running `stagelink dev`, where several run. By default the command starts one \
     where none runs"
)), mut_arg("named_stage", |arg| arg.help(
    "The local stage, by its name in stagelink.toml [default: staging, else the only one]"
)))]
pub struct DrillOptions {
    /// The local stage.
    #[command(flatten)]
    pub stage: StageArgument,

    /// Runs this case alone, such as stall; may be repeated.
    #[arg(long = "fault", value_name = "NAME")]
    pub faults: Vec<String>,

    /// The time for which each fault lasts that lasts. The promises are for up to 5s.
    #[arg(long = "for", value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub duration: Duration,

    /// Clients that send requests at the same time.
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,

    /// A file with the table `[drill]`, in place of that of stagelink.toml.
    #[arg(long, value_name = "FILE")]
    pub requests: Option<PathBuf>,

    /// Prints one line of JSON instead of the table, for an error too.
    #[arg(long)]
    pub json: bool,

    /// The running `stagelink dev`.
    #[command(flatten)]
    pub local: LocalOptions,
}
