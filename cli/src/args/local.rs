//! The options that choose the local clouds.

use std::path::PathBuf;

use clap::Parser;

/// The options that choose the local clouds of a running `stagelink dev`.
#[derive(Clone, Debug, Parser)]
pub struct LocalOptions {
    /// Uses the local clouds of the project's running `stagelink dev`: its databases, Heroku and
    /// Netlify. PORT is the port of its site, needed only if several run.
    #[arg(
        long,
        value_name = "PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0"
    )]
    pub local: Option<u16>,

    /// Folder of the project, with stagelink.toml.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
}

impl LocalOptions {
    /// Returns the option as an advised command takes it, with a space before it.
    pub(crate) fn advised(&self) -> String {
        match self.local {
            None => String::new(),
            Some(0) => " --local".to_owned(),
            Some(port) => format!(" --local={port}"),
        }
    }
}
