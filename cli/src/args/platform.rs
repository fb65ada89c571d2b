//! The options that name a platform, and those of AWS Lambda.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::target::Arch;

/// A platform that runs a project's functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// Netlify.
    Netlify,
    /// AWS Lambda, through the AWS CLI.
    Lambda,
}

/// An option that one platform alone has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlatformOption {
    pub(crate) platform: Platform,
    pub(crate) name: &'static str,
    /// True if the operator has given it.
    pub(crate) is_given: bool,
}

impl PlatformOption {
    pub(crate) fn netlify(name: &'static str, is_given: bool) -> Self {
        Self {
            platform: Platform::Netlify,
            name,
            is_given,
        }
    }

    pub(crate) fn lambda(name: &'static str, is_given: bool) -> Self {
        Self {
            platform: Platform::Lambda,
            name,
            is_given,
        }
    }
}

/// The callers of a function URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LambdaUrl {
    /// Callers that sign their requests (AWS IAM).
    Iam,
    /// All callers.
    Public,
}

/// The options of `stagelink deploy` for AWS Lambda.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "On AWS Lambda")]
pub struct LambdaDeployOptions {
    /// Processor [default: arm64]
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<Arch>,

    /// IAM role of new functions. Without it the command creates no function.
    #[arg(long, value_name = "ARN")]
    pub role: Option<String>,

    /// File with all variables of the functions, as lines NAME=VALUE without quotes. They replace
    /// the existing ones. No command line and no output shows the values.
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,

    /// Memory in MB [default: 256 for a new function]
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u32).range(128..=32_768))]
    pub memory: Option<u32>,

    /// Time limit of an invocation [default: 15 for a new function]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=900))]
    pub timeout: Option<u32>,

    /// Gives the stage's alias of each function a URL.
    #[arg(long, value_name = "ACCESS")]
    pub url: Option<LambdaUrl>,

    /// Deploys to production although no other stage has recorded a deploy of the artifact.
    #[arg(long)]
    pub despite_untested: bool,
}
