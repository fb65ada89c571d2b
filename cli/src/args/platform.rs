//! The options that name a platform, and those of AWS Lambda.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::target::Arch;

/// A platform that runs a project's functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// Netlify.
    Netlify,
    /// AWS Lambda, by the command `aws`.
    Lambda,
}

/// The callers of a function URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LambdaUrl {
    /// Callers whose requests are signed, by IAM.
    Iam,
    /// All.
    Public,
}

/// The options of `stagelink deploy` for AWS Lambda.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "On AWS Lambda")]
pub struct LambdaDeployOptions {
    /// The processor [default: arm64]
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<Arch>,

    /// The role that new functions run as; without it no function is made.
    #[arg(long, value_name = "ARN")]
    pub role: Option<String>,

    /// All variables of the functions, as lines NAME=VALUE without quotes, in the place of those that they
    /// have. Neither a command line nor any output shows the values.
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,

    /// The memory [default: 256 for a new function]
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u32).range(128..=32_768))]
    pub memory: Option<u32>,

    /// The time limit of an invocation [default: 15 for a new function]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=900))]
    pub timeout: Option<u32>,

    /// Gives the stage's alias of each function a URL.
    #[arg(long, value_name = "ACCESS")]
    pub url: Option<LambdaUrl>,

    /// Deploys to production what no other stage has, by its deploy records.
    #[arg(long)]
    pub despite_untested: bool,
}
