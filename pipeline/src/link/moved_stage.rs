//! A stage that was moved from Heroku, and the variable that says so.

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
    /// The variable that says so.
    pub(super) variable: ValuePlace,
}

impl fmt::Display for MovedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stage,
            place,
            variable,
            ..
        } = self;
        write!(f, "the database of stage {stage} is {place} ({variable})")
    }
}
