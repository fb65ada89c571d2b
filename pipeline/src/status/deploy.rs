//! The code of a stage: the deploy that serves it.

use serde::{Deserialize, Serialize};

use crate::netlify::Deploy;
use crate::promotion::{DeployOutcome, DeployRecord, UnfinishedChange};
use crate::status::lookup::Lookup;

/// A deploy that serves a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeployStatus {
    /// Netlify's id of the deploy.
    pub id: String,
    /// The commit, by the record of the deploy in the stage's database, or else where Netlify built it from one.
    pub commit: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The title, such as the first line of the commit's message.
    pub title: Option<String>,
    /// When it was published, or else created, in the format of RFC 3339.
    pub since: Option<String>,
    /// When it was created, in the format of RFC 3339.
    pub created_at: Option<String>,
    /// The way in which it was deployed: `git`, `cli`, `api`, or `upload` where Netlify does not say by which of
    /// the two.
    pub method: String,
    /// The address at which visitors see it.
    #[serde(default)]
    pub url: Option<String>,
    /// The address of this deploy alone.
    #[serde(skip)]
    pub(super) permalink: Option<String>,
    /// True if the site publishes no newer deploy until it is unlocked.
    pub is_locked: bool,
    /// True if it has not passed its test, by the record of the deploy in the stage's database.
    #[serde(default)]
    pub is_untested: bool,
    /// The digest of its artifact, by the record of the deploy in the stage's database.
    pub digest: Lookup<String>,
}

impl DeployStatus {
    pub(super) fn of(deploy: Deploy) -> Self {
        let url = deploy.address().map(str::to_owned);
        let permalink = deploy.permalink().map(str::to_owned);
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        let source = text(deploy.deploy_source);
        let build = text(deploy.build_id);
        let commit = text(deploy.commit_ref);
        let method = match (source.as_deref(), &build, &commit) {
            (Some("git"), _, _) | (None, Some(_), _) | (None, _, Some(_)) => "git",
            (Some("cli"), _, _) => "cli",
            (Some("api"), _, _) => "api",
            _ => "upload",
        };
        Self {
            id: deploy.id,
            commit,
            branch: text(deploy.branch),
            title: text(deploy.title),
            since: deploy.published_at.or_else(|| deploy.created_at.clone()),
            created_at: deploy.created_at,
            method: method.to_owned(),
            url,
            permalink,
            is_locked: deploy.locked == Some(true),
            is_untested: false,
            digest: Lookup::absent("Netlify's API does not tell the digests of functions"),
        }
    }
}

impl DeployStatus {
    /// Adds what the stage's database tells: the digest, the commit, and whether it has passed its test. The
    /// commit of a record comes first, as `stagelink history` shows it.
    pub(super) fn with_records(
        self,
        records: &Result<Vec<DeployRecord>, String>,
        unfinished: Option<&UnfinishedChange>,
    ) -> Self {
        let records = match records {
            Ok(records) => records,
            Err(reason) => {
                return Self {
                    digest: Lookup::not_known(reason),
                    ..self
                };
            }
        };
        let record = records.iter().find(|of| of.has_made(&self.id));
        let is_of = |change: &&UnfinishedChange| change.deploy.as_ref() == Some(&self.id);
        let change = unfinished.filter(is_of);
        let artifact = match (record, change) {
            (Some(record), _) => Some(record.artifact.clone()),
            (None, change) => change.and_then(|change| change.artifact.clone()),
        };
        let commit = match record {
            Some(record) => record.commit.clone(),
            None => change.and_then(|change| change.commit.clone()),
        };
        let is_recorded_untested =
            record.is_some_and(|record| record.outcome == Some(DeployOutcome::Untested));
        let is_left_untested =
            unfinished.is_some_and(|change| change.leaves_untested(&self.id, records));
        Self {
            digest: match artifact {
                Some(artifact) => Lookup::known(artifact),
                None => Lookup::absent(
                    "the stage's database has no record of the deploy, so it was made by other means \
                     than `stagelink deploy` and `promote`",
                ),
            },
            commit: commit.or(self.commit),
            is_untested: is_recorded_untested || is_left_untested,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_is_what_netlify_says_and_never_guessed() {
        for (json, method) in [
            (r#"{"id":"1","build_id":"2","commit_ref":"3"}"#, "git"),
            (r#"{"id":"1","deploy_source":"cli","build_id":""}"#, "cli"),
            (r#"{"id":"1","deploy_source":"api"}"#, "api"),
            (r#"{"id":"1","build_id":null,"commit_ref":null}"#, "upload"),
        ] {
            let deploy = DeployStatus::of(serde_json::from_str(json).unwrap());
            assert_eq!(deploy.method, method, "{json}");
        }
    }
}
