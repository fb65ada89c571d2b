//! The stages of a project, each of a kind that is a stage of Heroku's pipelines.

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

impl FromStr for StageKind {
    type Err = Error;

    /// # Errors
    ///
    /// [`ErrorKind::Stage`] for any other text.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::named(name).ok_or_else(|| {
            Error::new(
                ErrorKind::Stage,
                format!(
                    "unknown kind of stage {:?}: use review, development, staging or production",
                    shown(name)
                ),
            )
        })
    }
}

/// A stage of a project: it decides which database a function gets. Its [kind](StageKind) decides
/// which rules hold for it.
///
/// A project has the stages that are called after the kinds, and more under names of its own, such
/// as `qa` of the kind staging. Each has its own database, mark, credentials and variables. The
/// written form is the name where it is that of the kind, and `KIND/NAME` otherwise.
///
/// ```
/// use stagelink::{Stage, StageKind};
///
/// let staging: Stage = "staging".parse()?;
/// assert_eq!(staging, Stage::STAGING);
/// let qa: Stage = "staging/qa".parse()?;
/// assert_eq!((qa.kind(), qa.name()), (StageKind::Staging, "qa"));
/// assert_ne!(qa, staging);
/// assert!("prod".parse::<Stage>().is_err());
/// # Ok::<(), stagelink::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stage {
    kind: StageKind,
    /// `None` for the stage that is called after its kind, which comes first.
    own: Option<OwnName>,
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
        Self { kind, own: None }
    }

    /// Returns the stage of a kind with this name: the kind's, or one of the project's own. That has
    /// 1 to 32 lowercase letters, digits and hyphens, begins with a letter and ends with none of the
    /// hyphens; it is neither another kind's name nor that of a deploy context on Netlify.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stage`] for any other name.
    pub fn new(kind: StageKind, name: &str) -> Result<Self, Error> {
        if name == kind.as_str() {
            return Ok(Self::of_kind(kind));
        }
        let reason = match name {
            _ if !is_label(name) => {
                "a name has 1 to 32 lowercase letters, digits and hyphens, begins with a letter \
                 and does not end with a hyphen"
            }
            _ if StageKind::named(name).is_some() => "it is the name of another kind",
            _ if RESERVED.contains(&name) => "it is a deploy context of Netlify's",
            _ => {
                let own = Some(OwnName::new(kind, name));
                return Ok(Self { kind, own });
            }
        };
        Err(Error::new(
            ErrorKind::Stage,
            format!(
                "{:?} is no name for a stage of kind {kind}: {reason}",
                shown(name)
            ),
        ))
    }

    /// Returns the stage that is written exactly like that.
    pub(crate) fn written(text: &str) -> Option<Self> {
        match text.split_once('/') {
            None => StageKind::named(text).map(Self::of_kind),
            Some((kind, name)) => Self::new(StageKind::named(kind)?, name)
                .ok()
                .filter(Self::has_own_name),
        }
    }

    /// Returns the kind, which decides which rules hold for the stage.
    pub const fn kind(&self) -> StageKind {
        self.kind
    }

    /// Returns the name, by which a project tells its stages apart: `qa` for `staging/qa`.
    pub fn name(&self) -> &str {
        match &self.own {
            None => self.kind.as_str(),
            Some(own) => &own.as_str()[self.kind.as_str().len() + 1..],
        }
    }

    /// Returns whether the name is the project's own, and not that of the kind.
    pub const fn has_own_name(&self) -> bool {
        self.own.is_some()
    }

    /// Returns the written form, which [`FromStr`] reads: the name, where that is the kind's, and
    /// `KIND/NAME` otherwise.
    pub fn as_str(&self) -> &str {
        match &self.own {
            None => self.kind.as_str(),
            Some(own) => own.as_str(),
        }
    }
}

impl fmt::Display for Stage {
    /// Writes the form that [`FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stage({self})")
    }
}

impl From<StageKind> for Stage {
    /// Returns the stage that is called after the kind.
    fn from(kind: StageKind) -> Self {
        Self::of_kind(kind)
    }
}

impl FromStr for Stage {
    type Err = Error;

    /// Reads the written form: `staging`, or `staging/qa` for a stage with a name of its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stage`] for any other text. Abbreviations and other spellings
    /// are refused: a stage is never guessed.
    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(stage) = Self::written(text) {
            return Ok(stage);
        }
        if let Some((kind, name)) = text.split_once('/')
            && let Some(kind) = StageKind::named(kind)
        {
            Self::new(kind, name)?;
        }
        Err(Error::new(
            ErrorKind::Stage,
            format!(
                "unknown stage {:?}: use review, development, staging or production, or KIND/NAME \
                 for a stage with a name of its own, such as staging/qa",
                shown(text)
            ),
        ))
    }
}

/// The written form of a stage with a name of its own, inline, so that a stage is copied as a number
/// is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct OwnName {
    /// Padded with zeros, which no text has.
    text: [u8; MAX_WRITTEN_BYTES],
    bytes: u8,
}

impl OwnName {
    /// Makes it from a name that was checked.
    fn new(kind: StageKind, name: &str) -> Self {
        let mut text = [0; MAX_WRITTEN_BYTES];
        let parts = [kind.as_str(), "/", name];
        let written = parts.iter().flat_map(|part| part.bytes());
        let mut bytes = 0;
        for (place, byte) in text.iter_mut().zip(written) {
            *place = byte;
            bytes += 1;
        }
        Self { text, bytes }
    }

    fn as_str(&self) -> &str {
        let text = self.text.get(..usize::from(self.bytes));
        text.and_then(|text| std::str::from_utf8(text).ok())
            .unwrap_or_default()
    }
}

/// Returns whether a text can be a label of a host name, with a letter first.
fn is_label(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= MAX_NAME_BYTES
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(is_plain)
}

/// The beginning of a text, for a message.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The longest name of a project's own.
const MAX_NAME_BYTES: usize = 32;

/// The longest written form: `development/` with the longest name. With `stagelink:` before it, it
/// fits in an `application_name`, which Postgres cuts off after 63 bytes.
const MAX_WRITTEN_BYTES: usize = 12 + MAX_NAME_BYTES;

/// Names that Netlify's command line takes for a deploy context
/// (docs.netlify.com/deploy/deploy-overview, 2026-11).
const RESERVED: &[&str] = &[
    "all",
    "branch",
    "branch-deploy",
    "deploy-preview",
    "dev",
    "dev-server",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_parses_back_from_its_written_form() {
        let longest = "n".repeat(MAX_NAME_BYTES);
        for &kind in StageKind::ALL {
            let stage = Stage::of_kind(kind);
            assert_eq!(stage.to_string().parse::<Stage>().unwrap(), stage);
            assert_eq!((stage.kind(), stage.name()), (kind, kind.as_str()));
            assert_eq!(Stage::new(kind, kind.as_str()).unwrap(), stage);
            assert!(!stage.has_own_name());
            for name in ["qa", "e", "eu-2", longest.as_str()] {
                let own = Stage::new(kind, name).unwrap();
                assert_eq!(own.as_str(), format!("{kind}/{name}"));
                assert_eq!(own.as_str().parse::<Stage>().unwrap(), own);
                assert_eq!((own.kind(), own.name()), (kind, name));
                assert!(own.has_own_name() && own != stage);
            }
        }
    }

    #[test]
    fn stages_are_in_the_order_of_a_pipeline_each_kind_first() {
        let written = [
            "review",
            "staging",
            "staging/eu",
            "staging/eu-2",
            "staging/qa",
            "production",
            "production/live",
        ];
        let stages = written.map(|text| text.parse::<Stage>().unwrap());
        assert!(stages.is_sorted());
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
            "qa",
            "qa/staging",
            "staging/staging",
            "/qa",
        ] {
            let error = name.parse::<Stage>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Stage);
            assert!(
                error.to_string().contains("use review, development"),
                "{error}"
            );
        }
    }

    #[test]
    fn name_that_is_no_label_or_means_something_else_is_refused_with_the_reason() {
        let long = "n".repeat(MAX_NAME_BYTES + 1);
        for (name, reason) in [
            ("", "1 to 32 lowercase"),
            ("QA", "1 to 32 lowercase"),
            ("q a", "1 to 32 lowercase"),
            ("q_a", "1 to 32 lowercase"),
            ("q/a", "1 to 32 lowercase"),
            ("2nd", "begins with a letter"),
            ("-qa", "begins with a letter"),
            ("qa-", "does not end with a hyphen"),
            ("qä", "1 to 32 lowercase"),
            (long.as_str(), "1 to 32 lowercase"),
            ("production", "the name of another kind"),
            ("all", "a deploy context"),
            ("dev", "a deploy context"),
            ("deploy-preview", "a deploy context"),
        ] {
            let error = Stage::new(StageKind::Staging, name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Stage);
            assert!(error.to_string().contains(reason), "{error}");
            let written = format!("staging/{name}").parse::<Stage>();
            assert!(written.unwrap_err().to_string().contains(reason), "{name}");
        }
    }

    #[test]
    fn longest_stage_fits_in_the_mark_of_a_database() {
        let name = "n".repeat(MAX_NAME_BYTES);
        let stage = Stage::new(StageKind::Development, &name).unwrap();
        assert_eq!(stage.as_str().len(), MAX_WRITTEN_BYTES);
        assert!("stagelink:".len() + MAX_WRITTEN_BYTES < 64);
    }
}
