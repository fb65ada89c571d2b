//! The artifacts that platforms publish now, where the records alone do not tell so.

use stagelink::one_line;

use super::{DEPLOY_FIRST, StageArtifact, functions, shortened};
use crate::artifact::Manifest;
use crate::error::Error;
use crate::promotion::deploy_record::{DeployOutcome, DeployRecord};
use crate::promotion::published_code::{CodePlatform, PublishedCode, PublishedDeploy};
use crate::promotion::source::read_record;
use crate::promotion::visitor::Visitor;

/// Returns the artifacts that platforms publish, but for the one of the newest record that was live. A
/// platform without a record is left out: which code it has was never known.
///
/// The artifact of a deploy without a record is read from the record file that the deploy publishes.
pub(super) async fn published_artifacts(
    records: &[DeployRecord],
    published: &[PublishedCode],
) -> Vec<StageArtifact> {
    let may_have_run =
        |record: &&DeployRecord| !matches!(record.outcome, Some(DeployOutcome::Failed));
    let is_live =
        |record: &&DeployRecord| record.outcome.is_some_and(DeployOutcome::leaves_it_live);
    let newest = records.iter().find(is_live);
    let mut artifacts = Vec::new();
    for PublishedCode { platform, found } in published {
        let mut with_code = records.iter().filter(may_have_run);
        if !with_code.any(|record| platform.has(record)) {
            continue;
        }
        let deploy = match found {
            Ok(deploy) => deploy,
            Err(reason) => {
                artifacts.push(not_known(*platform, reason));
                continue;
            }
        };
        let is_it = |record: &&DeployRecord| record.is_of(&deploy.id);
        if newest.as_ref().is_some_and(is_it) {
            continue;
        }
        artifacts.push(match records.iter().find(is_it) {
            Some(record) => recorded(*platform, deploy, record),
            None => {
                let file = read_file(deploy).await;
                unrecorded(*platform, deploy, file.as_ref().map(Option::as_ref))
            }
        });
    }
    artifacts
}

fn recorded(
    platform: CodePlatform,
    deploy: &PublishedDeploy,
    record: &DeployRecord,
) -> StageArtifact {
    StageArtifact {
        artifact: Some(record.artifact.clone()),
        state: format!(
            "artifact {} runs, since {} its deploy {} now",
            shortened(&record.artifact),
            platform.publishes(),
            one_line(&deploy.id)
        ),
        advice: DEPLOY_FIRST.to_owned(),
        is_past: false,
        functions: functions(&record.manifest),
    }
}

/// Returns the artifact of a deploy that has no record, by its record file.
fn unrecorded(
    platform: CodePlatform,
    deploy: &PublishedDeploy,
    file: Result<Option<&Manifest>, &Error>,
) -> StageArtifact {
    let (publishes, id) = (platform.publishes(), one_line(&deploy.id));
    let no_record = "which has no record in the stage's database";
    let manifest = file.ok().flatten();
    StageArtifact {
        artifact: manifest.map(Manifest::digest),
        state: match (file, manifest) {
            (_, Some(manifest)) => format!(
                "artifact {} runs, since {publishes} the deploy {id} now, {no_record}",
                shortened(&manifest.digest())
            ),
            (Err(error), None) => format!(
                "{publishes} {id} now, {no_record} ({})",
                one_line(error.report())
            ),
            (Ok(_), None) => format!("{publishes} {id} now, {no_record}"),
        },
        advice: DEPLOY_FIRST.to_owned(),
        is_past: false,
        functions: manifest.and_then(|manifest| functions(&manifest.to_json())),
    }
}

fn not_known(platform: CodePlatform, reason: &str) -> StageArtifact {
    StageArtifact {
        artifact: None,
        state: format!(
            "it could not be looked up which code {} now ({})",
            platform.publishes(),
            one_line(reason)
        ),
        advice: "run the command again where that can be looked up".to_owned(),
        is_past: false,
        functions: None,
    }
}

/// Reads the record file of a deploy; `None` where the platform has none.
async fn read_file(deploy: &PublishedDeploy) -> Result<Option<Manifest>, Error> {
    let Some(address) = &deploy.address else {
        return Ok(None);
    };
    let address = address.trim_end_matches('/');
    read_record(address, &Visitor::new()?).await.map(Some)
}
