//! The argument that names a stage.

use clap::Parser;

/// The stage that a command is about, which may be named in two ways.
#[derive(Clone, Debug, Default, Parser)]
pub struct StageArgument {
    /// Stage, by its name in stagelink.toml, or review, development, staging or production
    /// [default: the value of STAGELINK_STAGE; with --local the only stage that runs]
    #[arg(value_name = "STAGE", conflicts_with = "stage")]
    pub named_stage: Option<String>,

    /// Stage, in place of the argument STAGE.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
}

impl StageArgument {
    /// The stage that is named, in either way.
    pub(crate) fn name(&self) -> Option<&str> {
        self.named_stage.as_deref().or(self.stage.as_deref())
    }
}
