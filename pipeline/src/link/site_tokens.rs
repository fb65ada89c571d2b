//! The Heroku tokens among the values of a site, each with the kinds of stages whose config vars it
//! reads: a pipeline tells its apps apart by kind.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use stagelink::{Stage, StageKind};

use crate::api::ApiAccess;
use crate::error::Error;
use crate::heroku::{Heroku, PipelineApps};
use crate::link::connection_string::readings;
use crate::link::request::LinkRequest;
use crate::link::site_variables::SiteVariables;
use crate::link::value_place::ValuePlace;

/// The Heroku tokens among the readable values of a site and its account, in any variable and any
/// context.
#[derive(Debug, Default)]
pub(super) struct SiteTokens(Vec<SiteToken>);

#[derive(Debug)]
struct SiteToken {
    token: SecretString,
    reach: TokenReach,
}

/// The kinds of stages that a token leads to.
#[derive(Debug)]
enum TokenReach {
    /// The kinds whose config vars it reads, out of production and staging.
    Reads(BTreeSet<StageKind>),
    /// Heroku does not say what it reads, for this reason.
    Unknown(String),
}

/// A text that may be a token, and where it stands.
struct Candidate {
    token: String,
    place: ValuePlace,
    /// True if functions take it for their token, by its variable's name.
    is_named: bool,
}

impl SiteTokens {
    /// Finds the tokens of a site, and tries which config vars each of them reads.
    ///
    /// Only what is Heroku's goes to Heroku: the values of `HEROKU_API_KEY`, texts that begin as its
    /// tokens do, and UUIDs in variables that are named after it. The operator's own token is not
    /// tried, since it is known to read all stages.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when Heroku does not answer or
    /// has a rate limit.
    pub(super) async fn find(
        request: &LinkRequest,
        site: &SiteVariables,
        apps: &PipelineApps,
    ) -> Result<Self, Error> {
        let mut found = Self::default();
        for candidate in candidates(site) {
            let is_known = |known: &SiteToken| known.token.expose_secret() == candidate.token;
            let own = request.heroku.token.expose_secret().trim();
            if candidate.token == own || found.0.iter().any(is_known) {
                continue;
            }
            let reach = match is_sendable(&candidate.token) {
                true => reach(request, &candidate, apps).await?,
                false => TokenReach::Unknown("its form is not that of a token".to_owned()),
            };
            if candidate.is_named || matches!(reach, TokenReach::Reads(_)) {
                let token = candidate.token.into();
                found.0.push(SiteToken { token, reach });
            }
        }
        Ok(found)
    }

    /// The stages that a token in a value leads functions of `stage` to, apart from that stage: all
    /// that it reads, where it does not read the stage's own config vars, and else those that are
    /// more protected. Without a stage all that it reads.
    pub(super) fn stages_of(&self, value: &str, stage: Option<Stage>) -> BTreeSet<Stage> {
        let mut stages = BTreeSet::new();
        for found in self.in_value(value) {
            let TokenReach::Reads(read) = &found.reach else {
                continue;
            };
            let leaked = read
                .iter()
                .copied()
                .filter(|other| match stage.map(|of| of.kind()) {
                    None => true,
                    Some(own) if *other == own => false,
                    Some(own) => !read.contains(&own) || own != StageKind::Production,
                });
            stages.extend(leaked.map(Stage::from));
        }
        stages
    }

    /// The reason why it is not known what a token in a value reads.
    pub(super) fn unknown_in(&self, value: &str) -> Option<&str> {
        self.in_value(value)
            .into_iter()
            .find_map(|found| match &found.reach {
                TokenReach::Unknown(reason) => Some(reason.as_str()),
                TokenReach::Reads(_) => None,
            })
    }

    /// The tokens that read the config vars of stages of a kind.
    pub(super) fn reading(&self, kind: StageKind) -> impl Iterator<Item = &SecretString> {
        let reads = move |found: &&SiteToken| match &found.reach {
            TokenReach::Reads(read) => read.contains(&kind),
            TokenReach::Unknown(_) => false,
        };
        self.0.iter().filter(reads).map(|found| &found.token)
    }

    fn in_value(&self, value: &str) -> Vec<&SiteToken> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let readings = readings(value);
        let is_held = |found: &&SiteToken| {
            let token = found.token.expose_secret();
            readings.iter().any(|reading| reading.contains(token))
        };
        self.0.iter().filter(is_held).collect()
    }

    /// Tokens that read these stages, for tests of what comes after.
    #[cfg(test)]
    pub(super) fn of(tokens: &[(&str, &[StageKind])]) -> Self {
        let one = |(token, read): &(&str, &[StageKind])| SiteToken {
            token: (*token).into(),
            reach: TokenReach::Reads(read.iter().copied().collect()),
        };
        Self(tokens.iter().map(one).collect())
    }
}

/// Tries of which kinds of stages a token reads the config vars.
async fn reach(
    request: &LinkRequest,
    candidate: &Candidate,
    apps: &PipelineApps,
) -> Result<TokenReach, Error> {
    let origin = candidate.place.to_string();
    let token = candidate.token.as_str().into();
    let access = ApiAccess::new(&request.heroku.url, token, origin);
    let heroku = Heroku::new(&access)?;
    let mut read = BTreeSet::new();
    for (kind, apps) in [
        (StageKind::Production, &apps.production),
        (StageKind::Staging, &apps.staging),
    ] {
        let action = format!("find out if a token of the site reads {kind}'s config vars");
        match heroku.find_readable(apps, &action).await {
            Ok(Some(_)) => {
                read.insert(kind);
            }
            Ok(None) => {}
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) if read.is_empty() => return Ok(TokenReach::Unknown(error.report())),
            Err(_) => {}
        }
    }
    Ok(TokenReach::Reads(read))
}

/// The texts in a site's readable values that may be tokens.
fn candidates(site: &SiteVariables) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let own = site.own.iter().map(|of| (of, false));
    let account = site.of_account().iter().map(|of| (of, true));
    for (variable, is_of_account) in own.chain(account) {
        for value in &variable.values {
            let Some(text) = &value.text else { continue };
            let text = text.expose_secret();
            let place = ValuePlace::new(variable, &value.context, is_of_account);
            let found = tokens_in(&variable.key, text).into_iter();
            candidates.extend(found.map(|(token, is_named)| Candidate {
                token,
                place: place.clone(),
                is_named,
            }));
        }
    }
    // Of one text the place where functions take it for their token counts.
    candidates.sort_by_key(|candidate| !candidate.is_named);
    candidates
}

/// The texts in a variable's value that may be tokens, and whether functions take it for theirs.
fn tokens_in(key: &str, value: &str) -> BTreeSet<(String, bool)> {
    let mut found = BTreeSet::new();
    let whole = value.trim();
    if key == TOKEN && !whole.is_empty() {
        found.insert((whole.to_owned(), true));
    }
    let is_named_after_it = key.contains("HEROKU") && !key.starts_with("STAGELINK_");
    if is_named_after_it && is_uuid(whole) {
        found.insert((whole.to_owned(), false));
    }
    for reading in readings(value) {
        for (at, _) in reading.match_indices(PREFIX) {
            let rest = &reading[at..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)));
            let token = &rest[..end.unwrap_or(rest.len())];
            if token.len() >= SHORTEST_BYTES {
                found.insert((token.to_owned(), false));
            }
        }
    }
    found
}

/// Returns whether a text has the form of Heroku's older tokens.
fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '-';
    text.chars().all(is_part) && groups.eq([8, 4, 4, 4, 12])
}

/// Returns whether a text can be sent as a token.
fn is_sendable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The variable that holds a function's token for Heroku.
pub(super) const TOKEN: &str = "HEROKU_API_KEY";

/// The beginning of Heroku's tokens.
const PREFIX: &str = "HRKU-";

/// Shorter texts are no tokens: a value may hold the prefix by chance, as in a text about it.
const SHORTEST_BYTES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    const REVIEW: Stage = Stage::REVIEW;
    const STAGING: Stage = Stage::STAGING;
    const PRODUCTION: Stage = Stage::PRODUCTION;

    #[test]
    fn token_is_found_by_its_variable_or_by_its_form() {
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        let new = "HRKU-AAc4n4ry_0123-456789";
        for (key, value, expected) in [
            (TOKEN, " anything ", vec![("anything", true)]),
            (TOKEN, " ", vec![]),
            ("HEROKU_TOKEN", uuid, vec![(uuid, false)]),
            ("STAGELINK_HEROKU_APP", uuid, vec![]),
            ("OTHER", uuid, vec![]),
            ("HEROKU_APP_NAME", "shop", vec![]),
            ("OTHER", new, vec![(new, false)]),
            (
                "NETRC",
                "machine api.heroku.com login a password HRKU-AAc4n4ry_0123-456789\n",
                vec![(new, false)],
            ),
            (
                "JSON",
                r#"{"key":"HRKU-AAc4n4ry_0123-456789"}"#,
                vec![(new, false)],
            ),
            ("TEXT", "HRKU-tokens", vec![]),
        ] {
            let expected = expected.into_iter();
            let expected = expected.map(|(token, is_named)| (token.to_owned(), is_named));
            let found = tokens_in(key, value);
            assert_eq!(found, expected.collect(), "{key}={value}");
        }
    }

    #[test]
    fn token_leads_to_what_it_reads_and_its_own_stage_does_not_have() {
        let tokens = SiteTokens::of(&[
            ("both", &[StageKind::Production, StageKind::Staging]),
            ("narrow", &[StageKind::Staging]),
            ("none", &[]),
        ]);
        for (token, stage, expected) in [
            ("both", PRODUCTION, &[][..]),
            ("both", STAGING, &[PRODUCTION]),
            ("both", REVIEW, &[STAGING, PRODUCTION]),
            ("narrow", PRODUCTION, &[STAGING]),
            ("narrow", STAGING, &[]),
            ("narrow", REVIEW, &[STAGING]),
            ("narrow", Stage::DEVELOPMENT, &[STAGING]),
            ("none", REVIEW, &[]),
            ("unknown", REVIEW, &[]),
            // A pipeline does not tell which of two stages of a kind an app is.
            ("narrow", "staging/qa".parse().unwrap(), &[]),
            ("both", "staging/qa".parse().unwrap(), &[PRODUCTION]),
            ("both", "production/live".parse().unwrap(), &[]),
        ] {
            let stages = tokens.stages_of(token, Some(stage));
            assert!(stages.iter().eq(expected), "{token} in {stage}: {stages:?}");
        }
        assert_eq!(tokens.stages_of("token=both", None).len(), 2);
        assert_eq!(tokens.reading(StageKind::Production).count(), 1);
    }

    #[test]
    fn text_that_is_no_token_is_not_sent() {
        assert!(is_sendable("HRKU-AA_1"));
        for text in ["a b", "a\nb", "é"] {
            assert!(!is_sendable(text), "{text}");
        }
    }
}
