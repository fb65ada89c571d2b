//! The stages of a pipeline, and their kinds by Heroku's names.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// The kind of a stage: it decides which rules hold for the stage.
///
/// The kinds are the stages of Heroku's pipelines. Heroku's fifth stage, `test`, is for its own CI
/// runs and serves no clients, so it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum StageKind {
    /// A copy of the app for one pull request.
    Review,
    /// The first shared stage, before staging.
    Development,
    /// The last stage before production.
    Staging,
    /// The stage that the users see. It is never a default.
    Production,
}

impl StageKind {
    /// All kinds, in the order of a pipeline.
    pub const ALL: &'static [Self] = &[
        Self::Review,
        Self::Development,
        Self::Staging,
        Self::Production,
    ];

    /// Returns the kind of exactly that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// Returns the name, as a Heroku pipeline spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for StageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stage of a project: it decides which database a function gets. Its kind decides which rules
/// hold for it.
///
/// ```
/// use stagelink::{Stage, StageKind};
///
/// let stage: Stage = "staging".parse()?;
/// assert_eq!(stage, Stage::STAGING);
/// assert_eq!(stage.kind(), StageKind::Staging);
/// assert!("prod".parse::<Stage>().is_err());
/// # Ok::<(), stagelink::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stage {
    kind: StageKind,
}

impl Stage {
    /// The stage that is called after the kind [`StageKind::Review`].
    pub const REVIEW: Self = Self::of_kind(StageKind::Review);
    /// The stage that is called after the kind [`StageKind::Development`].
    pub const DEVELOPMENT: Self = Self::of_kind(StageKind::Development);
    /// The stage that is called after the kind [`StageKind::Staging`].
    pub const STAGING: Self = Self::of_kind(StageKind::Staging);
    /// The stage that is called after the kind [`StageKind::Production`].
    pub const PRODUCTION: Self = Self::of_kind(StageKind::Production);

    /// Returns the stage that is called after its kind.
    pub const fn of_kind(kind: StageKind) -> Self {
        Self { kind }
    }

    /// Returns the stage that is written exactly like that.
    pub(crate) fn written(text: &str) -> Option<Self> {
        StageKind::named(text).map(Self::of_kind)
    }

    /// Returns the kind, which decides which rules hold for the stage.
    pub const fn kind(self) -> StageKind {
        self.kind
    }

    /// Returns the name, by which a project tells its stages apart.
    pub fn name(&self) -> &str {
        self.kind.as_str()
    }

    /// Returns the written form, which [`FromStr`] reads: the name, where that is the kind.
    pub fn as_str(&self) -> &str {
        self.kind.as_str()
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stage({self})")
    }
}

impl FromStr for Stage {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::Stage`] for any other name. Abbreviations and other spellings
    /// are refused: a stage is never guessed.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::written(text).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Error::new(
                ErrorKind::Stage,
                format!("unknown stage {shown:?}: use review, development, staging or production"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_parses_back_from_its_written_form() {
        for &kind in StageKind::ALL {
            let stage = Stage::of_kind(kind);
            assert_eq!(stage.to_string().parse::<Stage>().unwrap(), stage);
            assert_eq!((stage.kind(), stage.name()), (kind, kind.as_str()));
        }
    }

    #[test]
    fn stage_spelled_otherwise_is_refused() {
        for name in [
            "",
            "prod",
            "Production",
            " staging",
            "staging ",
            "test",
            "dev",
        ] {
            let error = name.parse::<Stage>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Stage);
            assert!(error.to_string().contains("use review, development"));
        }
    }
}
