//! A stage whose database is elsewhere than on Heroku, and the source that says so.

use std::fmt;

use stagelink::Stage;

use crate::link::value_place::ValuePlace;
use crate::netlify::DeployContext;

/// A stage whose functions have their database elsewhere than on Heroku.
#[derive(Clone, Debug)]
pub(super) struct MovedStage {
    pub(super) stage: Stage,
    pub(super) context: DeployContext,
    /// The place of the database: "at Neon".
    pub(super) place: &'static str,
    pub(super) source: MoveSource,
}

/// The source that says where the database of a stage is.
#[derive(Clone, Debug)]
pub(super) enum MoveSource {
    /// A variable of the site.
    Variable(ValuePlace),
    /// The operator's request, by `stagelink.toml`.
    SettingsFile,
}

impl fmt::Display for MovedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stage,
            place,
            source,
            ..
        } = self;
        match source {
            MoveSource::Variable(variable) => {
                write!(f, "the database of stage {stage} is {place} ({variable})")
            }
            MoveSource::SettingsFile => {
                write!(
                    f,
                    "the database of stage {stage} is {place} (stagelink.toml)"
                )
            }
        }
    }
}
