//! A change of a stage that did not come to its end, or still runs: by the lease on the stage and the
//! records of its deploys.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stagelink::{Database, one_line};

use crate::error::{Error, ErrorKind};
use crate::promotion::deploy_record::{DeployRecord, deploy_records};
use crate::promotion::function_versions::FunctionVersions;
use crate::promotion::lease::{Lease, LeaseRow};
use crate::promotion::unfinished::rerun;

/// A change of a stage that did not come to its end, or still runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UnfinishedChange {
    /// The stage that is changed, such as `production`.
    pub stage: String,
    /// The command: `deploy`, `promote` or `rollback`.
    pub command: String,
    /// The person or job that began it, as `user@host`; empty where that is not known.
    pub by: String,
    /// The time at which it began, in the format of RFC 3339.
    pub since: String,
    /// The digest of the artifact, once the command has kept one.
    pub artifact: Option<String>,
    /// The commit that the artifact was built from, where it is known.
    pub commit: Option<String>,
    /// The name of the step that has begun last, where the command keeps its steps.
    pub step: Option<String>,
    /// The id of the deploy that it makes live, once it has one. On AWS Lambda the versions, from before the first
    /// alias is moved.
    pub deploy: Option<String>,
    /// The id of the deploy that was live before.
    pub previous: Option<String>,
    /// The end of its lease, in the format of RFC 3339, unless it is renewed: the command runs, or was killed
    /// less than a minute ago. `None` where it was interrupted.
    pub lease_until: Option<String>,
    /// True if it has locked the site's publishing.
    pub has_locked: bool,
    /// True if its deploy has passed its tests at the stage's address.
    pub is_tested: bool,
    /// True for what a backup, a fork or a failover of the database has brought back: it is not gone on with.
    pub is_foreign: bool,
}

impl UnfinishedChange {
    /// Looks for one. It changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Database`] when the database cannot be reached, or refuses the queries.
    pub(crate) async fn look(database: &Database) -> Result<Option<Self>, Error> {
        let row = Lease::look(database).await?;
        let records = deploy_records(database, MOST_RECORDS).await?;
        Ok(Self::of(row.as_ref(), &records))
    }

    /// Returns the one that a stage's lease and its records tell, the newest record first. A rollback on
    /// Netlify keeps nothing in its lease: its record tells it.
    pub(crate) fn of(row: Option<&LeaseRow>, records: &[DeployRecord]) -> Option<Self> {
        let newest = records.first();
        let newest = newest.filter(|record| record.finished_at.is_none());
        let Some(row) = row.filter(|row| keeps_others_out(row)) else {
            return newest.map(Self::of_record);
        };
        let number = row
            .progress
            .get("record")
            .and_then(serde_json::Value::as_i64);
        let record = match number {
            Some(number) => records.iter().find(|record| record.id == number),
            None => newest.filter(|record| record.command == row.command),
        };
        let text = |name: &str| row.progress.get(name)?.as_str().map(str::to_owned);
        let is = |name: &str| row.progress.get(name).and_then(serde_json::Value::as_bool);
        let of_record = record.map(Self::of_record);
        Some(Self {
            stage: row.stage.clone(),
            command: row.command.clone(),
            by: record.map_or_else(|| row.holder.clone(), |record| record.by.clone()),
            since: record.map_or_else(|| row.taken_at.clone(), |record| record.started_at.clone()),
            artifact: text("artifact").or_else(|| of_record.as_ref()?.artifact.clone()),
            commit: of_record.as_ref().and_then(|of| of.commit.clone()),
            step: text("step"),
            deploy: text("deploy"),
            previous: text("previous").or_else(|| of_record?.previous),
            lease_until: (!row.is_expired).then(|| row.expires_at.clone()),
            has_locked: is("was_locked") == Some(false),
            is_tested: is("is_tested") == Some(true),
            is_foreign: row.is_foreign,
        })
    }

    fn of_record(record: &DeployRecord) -> Self {
        Self {
            stage: record.stage.clone(),
            command: record.command.clone(),
            by: record.by.clone(),
            since: record.started_at.clone(),
            artifact: Some(record.artifact.clone()),
            commit: record.commit.clone(),
            step: None,
            deploy: None,
            previous: record.previous.clone(),
            lease_until: None,
            has_locked: false,
            is_tested: false,
            is_foreign: false,
        }
    }

    /// Returns whether it has made a deploy live that has not passed its tests there.
    pub(crate) fn leaves_untested(&self, live: &str, records: &[DeployRecord]) -> bool {
        match &self.deploy {
            Some(deploy) => !self.is_tested && self.has_made_live(deploy, live),
            // One on Netlify keeps nothing in its lease.
            None => self.command == ROLLBACK && interrupted(records, live).is_some(),
        }
    }

    /// Returns whether what is live is its deploy. On AWS Lambda it is, once one alias is moved.
    fn has_made_live(&self, deploy: &str, live: &str) -> bool {
        let (Some(new), Some(now)) = (
            FunctionVersions::parse(deploy),
            FunctionVersions::parse(live),
        ) else {
            return deploy == live;
        };
        let before = self.previous.as_deref().and_then(FunctionVersions::parse);
        let before = before.unwrap_or_default();
        let is_moved = |(function, version)| {
            new.of(function) == Some(version) && before.of(function) != Some(version)
        };
        now.iter().any(is_moved)
    }

    /// The command with its subject, such as `promotion of artifact 9f86d081884c`.
    pub fn title(&self) -> String {
        let (noun, to) = match self.command.as_str() {
            "promote" => ("promotion", "of"),
            "deploy" => ("deploy", "of"),
            "rollback" => ("rollback", "to"),
            _ => ("change", "to"),
        };
        match self.artifact.as_deref().map(shortened) {
            Some(artifact) => format!("{noun} {to} artifact {artifact}"),
            None => noun.to_owned(),
        }
    }

    /// Returns whether another run of its command goes on with it, for an artifact with this digest.
    pub(crate) fn is_gone_on_with_by(&self, artifact: &str) -> bool {
        !self.is_foreign && self.artifact.as_deref().is_none_or(|of| of == artifact)
    }

    /// The remark on it in the plan of another run of its command, for an artifact with this digest.
    pub(crate) fn note(&self, artifact: &str) -> String {
        match &self.artifact {
            _ if self.is_foreign => format!("{self}: {}", self.ways()),
            Some(of) if of != artifact => {
                let command = rerun(&self.command, &self.stage);
                format!(
                    "{self}; this is another artifact: `{command} --abort` takes the earlier one back first"
                )
            }
            _ => format!("{self}: this one goes on with it"),
        }
    }

    /// Returns its beginning, its person and its step, as the end of a sentence.
    fn course(&self) -> String {
        let mut course = format!("begun {}", moment(&self.since));
        if !self.by.is_empty() {
            course.push_str(&format!(" by {}", one_line(&self.by)));
        }
        if let Some(step) = &self.step {
            course.push_str(&format!(", in the step `{}`", one_line(step)));
        }
        course
    }

    /// The ways on, as a sentence with the commands in backticks.
    pub fn ways(&self) -> String {
        let command = rerun(&self.command, &self.stage);
        if self.is_foreign {
            return format!(
                "it is of a time before the database was restored, forked or failed over: `{command} --abort` \
                 removes its row, and changes nothing else"
            );
        }
        let ways =
            format!("`{command}` goes on with it, and `{command} --abort` takes back what it did");
        match &self.lease_until {
            Some(until) => format!(
                "it runs, or was killed a moment ago and has the stage until {}: after that `{command}` goes on with it; \
                 `{command} --abort` takes back what it did, now too",
                moment(until)
            ),
            None => ways,
        }
    }
}

/// The change as a sentence without a full stop.
impl fmt::Display for UnfinishedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} is not finished, {}", self.title(), self.course())
    }
}

/// Makes sure that no other command has the stage or was interrupted on it, before work begins that would be
/// in vain. Returns an unfinished run of the same command. The lease decides in the end.
///
/// # Errors
///
/// [`ErrorKind::Promotion`] for an interrupted one of another command, [`ErrorKind::Busy`] for one that may
/// still run; [`ErrorKind::Database`] when the database cannot be asked.
pub(crate) async fn ensure_none_of_others(
    database: &Database,
    command: &str,
) -> Result<Option<UnfinishedChange>, Error> {
    let row = Lease::look(database).await?;
    let records = deploy_records(database, MOST_RECORDS).await?;
    let Some(found) = UnfinishedChange::of(row.as_ref(), &records) else {
        return Ok(None);
    };
    if found.command == command {
        return Ok(Some(found));
    }
    // A record alone keeps no other command from the stage.
    if !row.as_ref().is_some_and(keeps_others_out) || found.is_foreign {
        return Ok(None);
    }
    let kind = match found.lease_until {
        Some(_) => ErrorKind::Busy,
        None => ErrorKind::Promotion,
    };
    let (title, course, ways) = (found.title(), found.course(), found.ways());
    Err(Error::new(
        kind,
        format!(
            "stage {}: the {title} is not finished, {course}: {ways}",
            found.stage
        ),
    ))
}

/// Returns whether a row of a lease keeps other commands from the stage. One that has expired without progress is of
/// a command that had changed nothing, or has kept nothing.
fn keeps_others_out(row: &LeaseRow) -> bool {
    !(row.is_expired && row.progress.is_null())
}

/// Makes sure that no other command was interrupted on the stage, as [`ensure_none_of_others`] does. One that may
/// still run keeps no plan from being made.
///
/// # Errors
///
/// [`ErrorKind::Promotion`] for an interrupted one of another command; [`ErrorKind::Database`] when the database
/// cannot be asked.
pub(crate) async fn ensure_none_is_interrupted(
    database: &Database,
    command: &str,
) -> Result<Option<UnfinishedChange>, Error> {
    match ensure_none_of_others(database, command).await {
        Err(error) if error.kind() == ErrorKind::Busy => Ok(None),
        found => found,
    }
}

/// Returns whether the newest command, a rollback, did not come to its end, and the published deploy is not the one
/// that was there before. With [`interrupted`] returning `None`, it is that of another person or job.
pub(crate) fn is_replaced(records: &[DeployRecord], published: &str) -> bool {
    let newest = records
        .first()
        .filter(|record| record.command == ROLLBACK && record.finished_at.is_none());
    newest.is_some_and(|record| record.previous.as_deref() != Some(published))
}

/// Returns the deploy from which the newest command, a rollback, went back to the published one without
/// coming to its end. Going back from the published one would take the stage back twice.
pub(crate) fn interrupted<'a>(records: &'a [DeployRecord], published: &str) -> Option<&'a str> {
    let newest = records.first()?;
    let before = newest.previous.as_deref()?;
    let is_unfinished = newest.command == ROLLBACK && newest.finished_at.is_none();
    let is_of_target =
        |record: &&DeployRecord| record.has_tested(published) && record.artifact == newest.artifact;
    let is_published = before != published && records.iter().any(|record| is_of_target(&record));
    (is_unfinished && is_published).then_some(before)
}

fn moment(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => one_line(time).to_string(),
    }
}

/// Returns the first characters of a digest.
fn shortened(digest: &str) -> String {
    let digest: String = digest.chars().take(12).collect();
    one_line(digest).to_string()
}

/// The name of the command `rollback` in the lease and in the records.
pub(crate) const ROLLBACK: &str = "rollback";

/// Enough for the record of an unfinished change, and that of the deploy which a rollback went back to.
const MOST_RECORDS: u32 = 100;

#[cfg(test)]
mod tests;
