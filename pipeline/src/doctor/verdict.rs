//! The verdict of one check.

use std::fmt;

use serde::Serialize;
use stagelink::one_line;

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong. The text says what was seen.
    Sound(String),
    /// Something is wrong, in one way or several.
    Findings(Vec<Finding>),
    /// The check could not be made, for this reason.
    NotChecked(String),
}

/// One thing that is wrong, with what to do about it. Each text is one line and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The severity.
    pub level: Level,
    /// The fault.
    pub message: String,
    /// The cure, in the imperative.
    pub advice: String,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The stage works, and will not for ever, or not under load.
    Warning,
    /// The stage does not work, or reaches what it must not.
    Error,
}

impl Verdict {
    pub(super) fn sound(seen: impl fmt::Display) -> Self {
        Self::Sound(one_line(seen).to_string())
    }

    pub(super) fn warning(message: impl fmt::Display, advice: impl fmt::Display) -> Self {
        Self::Findings(vec![Finding::new(Level::Warning, message, advice)])
    }

    pub(super) fn error(message: impl fmt::Display, advice: impl fmt::Display) -> Self {
        Self::Findings(vec![Finding::new(Level::Error, message, advice)])
    }

    pub(super) fn not_checked(reason: impl fmt::Display) -> Self {
        Self::NotChecked(one_line(reason).to_string())
    }

    /// The findings, or that all is sound if there are none.
    pub(super) fn of(findings: Vec<Finding>, seen: impl fmt::Display) -> Self {
        match findings.is_empty() {
            true => Self::sound(seen),
            false => Self::Findings(findings),
        }
    }

    /// The findings, and apart from them what could not be looked at; sound if there is neither.
    pub(super) fn all_of(
        findings: Vec<Finding>,
        unknown: &[String],
        seen: impl fmt::Display,
    ) -> Vec<Self> {
        if unknown.is_empty() {
            return vec![Self::of(findings, seen)];
        }
        let found = (!findings.is_empty()).then_some(Self::Findings(findings));
        let unknown = Self::not_checked(unknown.join("; "));
        found.into_iter().chain([unknown]).collect()
    }

    /// Returns the findings; none where all is sound or nothing was checked.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Findings(findings) => findings,
            Self::Sound(_) | Self::NotChecked(_) => &[],
        }
    }
}

impl Finding {
    pub(super) fn new(level: Level, message: impl fmt::Display, advice: impl fmt::Display) -> Self {
        Self {
            level,
            message: one_line(message).to_string(),
            advice: one_line(advice).to_string(),
        }
    }
}
