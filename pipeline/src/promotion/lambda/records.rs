//! The deploy records of a stage on Lambda, which say what the versions behind its aliases are.

use stagelink::one_line;

use crate::error::Error;
use crate::promotion::deploy_record::{self, DeployRecord};
use crate::promotion::lambda::live::{LiveFunction, versions_of};
use crate::promotion::lambda::stage::LambdaStage;

/// Returns the record of the command that moved the aliases to where they are.
///
/// # Errors
///
/// The errors of the database.
pub(crate) async fn running_record(
    stage: &LambdaStage,
    functions: &[LiveFunction],
) -> Result<Option<DeployRecord>, Error> {
    if versions_of(functions).is_empty() {
        return Ok(None);
    }
    let records = deploy_record::deploy_records(&stage.database, MOST_RECORDS).await?;
    Ok(record_of(records, functions))
}

/// Returns the newest of these records that made the versions live which the aliases point to.
pub(crate) fn record_of(
    records: Vec<DeployRecord>,
    functions: &[LiveFunction],
) -> Option<DeployRecord> {
    let versions = versions_of(functions).to_text()?;
    let mut records = records.into_iter();
    records.find(|record| record.has_made(&versions))
}

/// Returns the remark on a deploy that did not succeed since the aliases were moved to where they are: its settings are
/// in `$LATEST`, and the next version has them. `None` where there was none.
pub(crate) fn unpublished_settings(
    records: &[DeployRecord],
    functions: &[LiveFunction],
) -> Option<String> {
    let versions = versions_of(functions).to_text().unwrap_or_default();
    let mut newer = records
        .iter()
        .take_while(|record| !record.has_made(&versions));
    let failed = newer.find(|record| {
        record.command == DEPLOY
            && record
                .outcome
                .is_some_and(|outcome| !outcome.leaves_it_ready())
    })?;
    Some(format!(
        "the deploy of artifact {} of {} did not succeed, and its variables, role, memory and time limit may be in \
         $LATEST: this one publishes them, unless its options set others",
        failed.artifact.get(..12).unwrap_or_default(),
        one_line(&failed.started_at)
    ))
}

const DEPLOY: &str = "deploy";

/// More deploys than the aliases may have been moved by since.
pub(crate) const MOST_RECORDS: u32 = 200;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(command: &str, deploy: &str, outcome: &str) -> DeployRecord {
        let json = json!({
            "id": 1, "stage": "staging", "command": command, "artifact": "ab".repeat(32), "deploy": deploy,
            "previous": null, "commit": null, "applied_migrations": [], "by": "",
            "started_at": "2026-11-29T12:00:00Z", "finished_at": null, "outcome": outcome,
        });
        serde_json::from_value(json).unwrap()
    }

    fn live(version: &str) -> LiveFunction {
        let alias = json!({ "FunctionVersion": version, "RevisionId": "r" });
        LiveFunction {
            name: "g".to_owned(),
            lambda: "g".to_owned(),
            alias: Some(serde_json::from_value(alias).unwrap()),
            version: None,
        }
    }

    #[test]
    fn settings_of_a_deploy_that_failed_since_the_live_one_are_told() {
        let mut records = vec![
            record("deploy", "g:2", "restored"),
            record("deploy", "g:1", "succeeded"),
        ];
        let told = unpublished_settings(&records, &[live("1")]).unwrap();
        assert!(
            told.starts_with("the deploy of artifact abababababab of 2026-11-29"),
            "{told}"
        );
        records.insert(0, record("deploy", "g:2", "succeeded"));
        assert_eq!(unpublished_settings(&records, &[live("2")]), None);
        let promoted = [
            record("promote", "g:2", "failed"),
            record("deploy", "g:1", "succeeded"),
        ];
        assert_eq!(unpublished_settings(&promoted, &[live("1")]), None);
    }
}
