//! The deploy that a rollback on Lambda goes back to.

use stagelink::{Stage, one_line};

use crate::error::{Error, ErrorKind};
use crate::promotion::deploy_record::DeployRecord;
use crate::promotion::function_versions::FunctionVersions;
use crate::promotion::lambda::progress::LambdaProgress;
use crate::promotion::rollback::{COMMAND, twice};
use crate::promotion::unfinished_change::UnfinishedChange;

/// The deploy that a rollback goes back to.
#[derive(Debug)]
pub(super) struct RollbackTarget {
    pub(super) record: DeployRecord,
    pub(super) versions: FunctionVersions,
    /// Remarks, each a sentence.
    pub(super) notes: Vec<String>,
}

impl RollbackTarget {
    /// Finds that of a rollback which did not come to its end, by what its lease keeps: the aliases may be moved
    /// in part. `to` are the versions that the operator names, if any.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] where it went back to other ones, or its record is gone.
    pub(super) fn of_unfinished(
        unfinished: &UnfinishedChange,
        progress: &LambdaProgress,
        records: Vec<DeployRecord>,
        to: Option<&str>,
    ) -> Result<Self, Error> {
        let versions = progress.versions.clone();
        if let Some(text) = to
            && named(text)? != versions
        {
            return Err(Error::new(
                ErrorKind::Promotion,
                format!(
                    "{unfinished}, and goes back to {versions}: {}",
                    unfinished.ways()
                ),
            ));
        }
        let mut records = records.into_iter();
        let Some(record) = records.find(|record| record.id == progress.record) else {
            return Err(Error::new(
                ErrorKind::Promotion,
                format!("{unfinished}, and its record is gone: `--abort` takes it back"),
            ));
        };
        Ok(Self {
            notes: vec![unfinished.note(&record.artifact)],
            record,
            versions,
        })
    }

    /// Finds it among the records of a stage, the newest first: the deploy with the versions `to`, or else the
    /// one that the live versions have replaced.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] where there is none, with what can be done; [`ErrorKind::Settings`] where `to`
    /// names no versions.
    pub(super) fn find(
        stage: Stage,
        records: Vec<DeployRecord>,
        live: &FunctionVersions,
        to: Option<&str>,
    ) -> Result<Self, Error> {
        let refused = |message: String| Err(Error::new(ErrorKind::Promotion, message));
        let Some(current) = live.to_text() else {
            return refused(format!("stage {stage} has no deploy on Lambda"));
        };
        let mut notes = Vec::new();
        let wanted = match to {
            Some(text) => named(text)?.to_string(),
            None => {
                let mut made = records.iter().filter(|record| record.has_made(&current));
                // A deploy of what ran already has moved no alias: what it replaced is what runs.
                let running = made.find(|record| record.deploy != record.previous);
                let Some(running) = running else {
                    return refused(format!(
                        "the database of stage {stage} has no record of what was there before {current}. \
                         `stagelink history {stage}` lists the versions, and `stagelink rollback {stage} --to \
                         VERSIONS` takes those of one of its rows"
                    ));
                };
                if running.command == COMMAND {
                    notes.push(twice(stage, &running.started_at));
                }
                let Some(previous) = running.previous.clone() else {
                    return refused(format!(
                        "there is nothing to go back to: {current} is the first deploy of stage {stage} on Lambda"
                    ));
                };
                previous
            }
        };
        // The versions of a part of a deploy's functions are named by mistake.
        let is_meant = |record: &DeployRecord| match to {
            Some(_) => record.deploy.as_deref() == Some(&*wanted),
            None => true,
        };
        let mut records = records.into_iter();
        let found = records.find(|record| record.has_tested(&wanted) && is_meant(record));
        let Some(record) = found else {
            return refused(format!(
                "{} has no record in the database of stage {stage}, so nothing tells the schema that it \
                 needs: it was made by other means than stagelink; move the aliases by hand, or go forward",
                one_line(&wanted)
            ));
        };
        let versions = record.deploy.as_deref().and_then(FunctionVersions::parse);
        Ok(Self {
            versions: versions.unwrap_or_default(),
            record,
            notes,
        })
    }
}

/// Reads the versions that the operator names, in any order.
fn named(text: &str) -> Result<FunctionVersions, Error> {
    FunctionVersions::parse(text).ok_or_else(|| {
        Error::new(
            ErrorKind::Settings,
            format!(
                "{} is not of the form of versions, FUNCTION:NUMBER for each function, as `stagelink history` \
                 lists them",
                one_line(text)
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns a record of a command that succeeded.
    fn record(command: &str, previous: Option<&str>, deploy: &str) -> DeployRecord {
        let json = json!({
            "id": 1, "stage": "production", "command": command, "artifact": deploy, "deploy": deploy,
            "previous": previous, "commit": null, "applied_migrations": [], "by": "",
            "started_at": "2026-11-29T12:00:00Z", "finished_at": null, "outcome": "succeeded",
        });
        serde_json::from_value(json).unwrap()
    }

    /// Returns the deploy that is gone back to, with the remarks, or the error.
    fn found(records: &[DeployRecord], live: &str, to: Option<&str>) -> Result<String, String> {
        let live = FunctionVersions::parse(live).unwrap_or_default();
        let found = RollbackTarget::find(Stage::PRODUCTION, records.to_vec(), &live, to);
        let found = found.map_err(|error| error.to_string())?;
        let twice = if found.notes.is_empty() {
            ""
        } else {
            ", twice"
        };
        Ok(format!("{}{twice}", found.versions))
    }

    #[test]
    fn way_back_is_what_the_running_versions_replaced_also_after_a_deploy_that_moved_none() {
        let mut records = vec![
            record("promote", Some("g:2"), "g:2"),
            record("promote", Some("g:1"), "g:2"),
            record("promote", None, "g:1"),
        ];
        assert_eq!(found(&records, "g:2", None).unwrap(), "g:1");
        records.insert(0, record("rollback", Some("g:2"), "g:1"));
        assert_eq!(found(&records, "g:1", None).unwrap(), "g:2, twice");
        let first = found(&records[3..], "g:1", None).unwrap_err();
        assert!(first.contains("g:1 is the first deploy"), "{first}");
        let unknown = found(&records, "g:9", None).unwrap_err();
        assert!(unknown.contains("before g:9"), "{unknown}");
        let none = found(&records, "", None).unwrap_err();
        assert!(none.contains("no deploy on Lambda"), "{none}");
    }

    #[test]
    fn versions_are_named_in_any_order_and_for_each_function() {
        let records = [
            record("promote", Some("g:1 h:1"), "g:2 h:2"),
            record("promote", None, "g:1 h:1"),
        ];
        let to = |text| found(&records, "g:2 h:2", Some(text));
        assert_eq!(to(" h:1  g:1 ").unwrap(), "g:1 h:1");
        for (text, part) in [
            ("g:1", "g:1 has no record"),
            ("g:7 h:1", "g:7 h:1 has no record"),
            ("6748d2f0c1", "FUNCTION:NUMBER"),
        ] {
            let error = to(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
