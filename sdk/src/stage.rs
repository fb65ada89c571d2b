//! The stages of a pipeline, by Heroku's names.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// A stage of a pipeline: it decides which database a function gets.
///
/// The names are those of Heroku's pipelines. Heroku's fifth stage, `test`, is for its own CI
/// runs and serves no clients, so it is left out.
///
/// ```
/// use stagelink::Stage;
///
/// let stage: Stage = "staging".parse()?;
/// assert_eq!(stage, Stage::Staging);
/// assert!("prod".parse::<Stage>().is_err());
/// # Ok::<(), stagelink::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// A copy of the app for one pull request.
    Review,
    /// The first shared stage, before staging.
    Development,
    /// The last stage before production.
    Staging,
    /// The stage that the users see. It is never a default.
    Production,
}

impl Stage {
    /// All stages, in the order of a pipeline.
    pub const ALL: &'static [Self] = &[
        Self::Review,
        Self::Development,
        Self::Staging,
        Self::Production,
    ];

    /// Returns the stage of exactly that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|stage| stage.as_str() == name)
    }

    /// Returns the name, as a Heroku pipeline spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::Stage`] for any other name. Abbreviations and other spellings
    /// are refused: a stage is never guessed.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::named(name).ok_or_else(|| {
            let shown: String = name.chars().take(40).collect();
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
    fn stage_name_parses_back() {
        for &stage in Stage::ALL {
            assert_eq!(stage.as_str().parse::<Stage>().unwrap(), stage);
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
