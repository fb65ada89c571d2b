//! The stages of a Heroku pipeline.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// One of the five stages of a Heroku pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// `test`: apps of Heroku CI.
    Test,
    /// `review`: review apps.
    Review,
    /// `development`.
    Development,
    /// `staging`.
    Staging,
    /// `production`.
    Production,
}

impl Stage {
    const ALL: [Self; 5] = [
        Self::Test,
        Self::Review,
        Self::Development,
        Self::Staging,
        Self::Production,
    ];

    /// Name of the stage in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
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
    /// [`ErrorKind::Input`] if it is not the name of a stage.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == name)
            .ok_or_else(|| {
                let all = Self::ALL.map(Self::as_str).join(", ");
                Error::new(
                    ErrorKind::Input,
                    format!("{name:?} is not a pipeline stage: the stages are {all}"),
                )
            })
    }
}
