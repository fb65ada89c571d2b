//! The outcome of a command that changed the code of a stage.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The outcome of a command that changed the code of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeployOutcome {
    /// The artifact went live.
    Succeeded,
    /// The artifact is ready, and the stage's visitors do not see it: publishing is locked, or another deploy
    /// was published meanwhile.
    Unpublished,
    /// The command ended before the artifact was live.
    Failed,
    /// The artifact was live, and did not answer as it should. It is live no longer: the one before is, or one
    /// that another person or job has published.
    Restored,
    /// The artifact is live, and has not passed its test: the one before could not be made live again.
    Untested,
    /// A person took it back with `--abort`, whatever was live by then, or another command began after it was
    /// interrupted.
    Aborted,
    /// An outcome that this version does not know.
    Other,
}

impl DeployOutcome {
    /// Returns the name in the database and in JSON, such as `succeeded`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Unpublished => "unpublished",
            Self::Failed => "failed",
            Self::Restored => "restored",
            Self::Untested => "untested",
            Self::Aborted => "aborted",
            Self::Other => "other",
        }
    }

    /// Returns whether the artifact was live at the end of the command.
    pub(crate) fn leaves_it_live(self) -> bool {
        matches!(self, Self::Succeeded | Self::Untested)
    }

    /// Returns whether its deploy is there at the end of the command, live or to be made so by a person.
    pub(crate) fn leaves_it_ready(self) -> bool {
        self.leaves_it_live() || self == Self::Unpublished
    }

    /// Returns whether its deploy is there, and has passed the test of the command.
    pub(crate) fn leaves_it_tested(self) -> bool {
        matches!(self, Self::Succeeded | Self::Unpublished)
    }

    pub(super) fn named(name: &str) -> Self {
        let known = [
            Self::Succeeded,
            Self::Unpublished,
            Self::Failed,
            Self::Restored,
            Self::Untested,
            Self::Aborted,
        ];
        let found = known.into_iter().find(|one| one.name() == name);
        found.unwrap_or(Self::Other)
    }
}

impl fmt::Display for DeployOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for DeployOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for DeployOutcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::named(&name))
    }
}
