//! The stages that a value leads to: by its database URLs, its Heroku tokens and other secrets.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use stagelink::{Stage, StageKind};

use crate::link::site_tokens::SiteTokens;
use crate::link::url_owners::UrlOwners;
use crate::link::value_finding::FindingKind;

/// The owners of everything that a site's readable values lead to.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueOwners<'a> {
    pub(super) urls: &'a UrlOwners,
    pub(super) tokens: &'a SiteTokens,
}

impl ValueOwners<'_> {
    /// The stages that a value leads to. What leads functions of `stage` to their own stage alone
    /// does not count.
    pub(super) fn stages_of(&self, value: &str, stage: Option<Stage>) -> BTreeSet<Stage> {
        let mut stages = self.urls.stages_of(value, stage);
        stages.extend(self.tokens.stages_of(value, stage));
        stages
    }

    /// The finding about a value in a context of a stage, if there is one. A value without a text is
    /// a secret.
    pub(super) fn finding(&self, text: Option<&SecretString>, stage: Stage) -> Option<FindingKind> {
        let Some(text) = text else {
            return Some(FindingKind::NotChecked);
        };
        let text = text.expose_secret();
        let mut others = self.stages_of(text, Some(stage));
        others.remove(&stage);
        if !others.is_empty() {
            return Some(FindingKind::OtherStage(others));
        }
        let unknown = self.urls.unknown_in(text);
        if !unknown.is_empty() {
            return Some(FindingKind::UnknownDatabase(unknown));
        }
        // Production's functions may have what reads production.
        let reason = self.tokens.unknown_in(text)?;
        (stage.kind() != StageKind::Production)
            .then(|| FindingKind::UnknownToken(reason.to_owned()))
    }
}
