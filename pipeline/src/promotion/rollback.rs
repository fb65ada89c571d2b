//! Takes a stage back to the deploy that was published before, if it still works there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use serde::Serialize;
use stagelink::self_check::SelfCheckKey;
use stagelink::{Database, Stage};

use crate::api::ApiAccess;
use crate::artifact::Manifest;
use crate::error::{Error, ErrorKind};
use crate::migrations::MigrationFolder;
use crate::netlify::{Deploy, Site};
use crate::promotion::deploy_record::{self, DeployOutcome, DeployRecord, NewDeploy};
use crate::promotion::event::{PromotionEvent, PromotionListener};
use crate::promotion::lease::Lease;
use crate::promotion::lease::Taken;
use crate::promotion::request::TEST_LIMIT;
use crate::promotion::runnable::ensure_runnable;
use crate::promotion::smoke::SmokeTest;
use crate::promotion::source::address_of;
use crate::promotion::step::Step;
use crate::promotion::waiting::take_when_free;
use crate::settings_file::TestedPath;

/// The request of a rollback on Netlify.
#[derive(Debug)]
#[non_exhaustive]
pub struct RollbackRequest {
    /// The stage, of kind production: Netlify restores no other deploys.
    pub stage: Stage,
    /// Netlify's API.
    pub access: ApiAccess,
    /// The site, by its name or id.
    pub site: String,
    /// The stage's database itself, without a pooler.
    pub database: Database,
    /// The migrations of the project's folder, for the classes that the database does not know.
    pub migrations: Option<MigrationFolder>,
    /// The deploy to take the stage back to; by default the one before the published one.
    pub to: Option<String>,
    /// Paths that the deploy has to answer, besides the self-check.
    pub paths: Vec<TestedPath>,
    /// The time in which the deploy has to pass its test, at each of its addresses.
    pub test_limit: Duration,
    /// The person or job, as `user@host`.
    pub by: String,
}

/// The plan of a rollback. Making it changes nothing.
#[derive(Debug)]
pub struct RollbackPlan {
    site: Site,
    published: Deploy,
    target: Deploy,
    record: DeployRecord,
    manifest: Manifest,
    summary: RollbackSummary,
}

/// The facts of a rollback's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RollbackSummary {
    /// The stage.
    pub stage: String,
    /// The site.
    pub site: String,
    /// The deploy that is published now.
    pub published_deploy: String,
    /// The deploy that is published again.
    pub deploy: String,
    /// The digest of its artifact.
    pub artifact: String,
    /// The commit that it was built from, where that is known.
    pub commit: Option<String>,
    /// When it was published, in the format of RFC 3339.
    pub deployed_at: Option<String>,
    /// True if the site's publishing is stopped by a lock.
    pub is_locked: bool,
    /// Remarks, each a sentence.
    pub notes: Vec<String>,
}

/// The result of a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RollbackReport {
    /// The deploy that is published now.
    pub deploy: String,
    /// The digest of its artifact.
    pub artifact: String,
    /// The address of the site.
    pub live: String,
    /// The deploy that was published before.
    pub previous: String,
    /// The number of requests to Netlify's API.
    pub api_requests: u64,
    /// The time that it took, in seconds.
    pub seconds: u64,
}

impl RollbackRequest {
    /// Makes a request to go back to the deploy before. There are no migrations and no tested paths, and
    /// the time limit of a test is a minute.
    pub fn new(stage: Stage, (access, site): (ApiAccess, String), database: Database) -> Self {
        Self {
            stage,
            access,
            site,
            database,
            migrations: None,
            to: None,
            paths: Vec::new(),
            test_limit: TEST_LIMIT,
            by: String::new(),
        }
    }
}

impl RollbackPlan {
    /// Looks up the deploy before, and whether the stage can go back to it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] and [`ErrorKind::Migration`] where it cannot, with what is missing; the
    /// errors of Netlify and the database.
    pub async fn make(
        request: &RollbackRequest,
        listener: &PromotionListener<'_>,
    ) -> Result<Self, Error> {
        let stage = request.stage;
        let refused = |message: String| Err(Error::new(ErrorKind::Promotion, message));
        let site = Site::find(&request.access, &request.site, true).await?;
        let Some(mut published) = site.published_deploy()? else {
            return refused(format!("the site {} has no published deploy", site.name()));
        };
        let is_locked = published.locked == Some(true);
        let records = deploy_record::deploy_records(&request.database, MOST_RECORDS).await?;
        let interrupted = interrupted(&records, &published.id).map(str::to_owned);
        let current = records
            .iter()
            .find(|record| record.has_made_live(&published.id));
        let before = current.and_then(|record| record.previous.clone());
        let succeeded: Vec<_> = records
            .into_iter()
            .filter(|record| record.outcome == Some(DeployOutcome::Succeeded))
            .collect();
        let mut notes = Vec::new();
        let id = match (&request.to, interrupted) {
            (to, Some(before)) if to.as_ref().is_none_or(|to| *to == published.id) => {
                notes.push(format!(
                    "an earlier rollback published the deploy {} and was interrupted: this one goes on \
                     with it",
                    published.id
                ));
                let before = Deploy {
                    id: before,
                    ..Deploy::default()
                };
                std::mem::replace(&mut published, before).id
            }
            (Some(id), _) => id.clone(),
            (None, _) => {
                let previous = before.clone();
                let Some(previous) = previous else {
                    return refused(format!(
                        "the database of stage {stage} has no record of what was there before the \
                         published deploy {}: name the deploy to go back to by --to, from `stagelink \
                         history {stage}`",
                        published.id
                    ));
                };
                previous
            }
        };
        if id == published.id {
            return refused(format!("the deploy {id} is published already"));
        }
        let record = succeeded.into_iter().find(|record| record.is_live_as(&id));
        let Some(record) = record else {
            return refused(format!(
                "the deploy {id} has no record in the database of stage {stage}, so nothing tells the \
                 schema that it needs: it was made by other means than stagelink; publish it by hand, \
                 or go forward"
            ));
        };
        let manifest = Manifest::of_json(&record.manifest)?;
        ensure_runnable(&request.database, request.migrations.as_ref(), &manifest).await?;
        let Some(target) = site.find_deploy(&id).await? else {
            return refused(format!(
                "Netlify has the deploy {id} no longer: it keeps deploys for a time alone; check out \
                 commit {}, and deploy that",
                record.commit.as_deref().unwrap_or("of that time")
            ));
        };
        let summary = RollbackSummary {
            stage: stage.to_string(),
            site: site.name().to_owned(),
            published_deploy: published.id.clone(),
            deploy: id,
            artifact: record.artifact.clone(),
            commit: record.commit.clone(),
            deployed_at: record.finished_at.clone(),
            is_locked,
            notes,
        };
        let plan = Self {
            site,
            published,
            target,
            record,
            manifest,
            summary,
        };
        let address = address_of(&plan.target)?;
        listener(&PromotionEvent::Begins(Step::Test));
        let tested = plan.test(request, &address, listener).await;
        tested.map_err(|error| {
            let advice = "its credentials are those of its time, which may be revoked by now: go \
                          forward in its place"
                .to_owned();
            error.and_details(vec![advice])
        })?;
        listener(&PromotionEvent::Done(
            Step::Test,
            &format!("passed at {address}"),
        ));
        Ok(plan)
    }

    /// Returns the facts of the plan.
    pub fn summary(&self) -> &RollbackSummary {
        &self.summary
    }

    /// Publishes the deploy, which is one atomic change, and tests it at the stage's address. If it
    /// does not pass, the deploy that was there is published again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] where another command changes the stage, or another person has published;
    /// [`ErrorKind::Promotion`] where the test fails; the errors of Netlify and the database.
    pub async fn run(
        self,
        request: &RollbackRequest,
        listener: &PromotionListener<'_>,
    ) -> Result<RollbackReport, Error> {
        let started = Instant::now();
        listener(&PromotionEvent::Begins(Step::Lease));
        let taken = take_when_free(&request.database, &request.by, COMMAND, listener).await?;
        // One atomic change is all that a rollback does, so nothing of an earlier run is left.
        let (Taken::Fresh(lease) | Taken::Resumed(lease, _)) = taken;
        self.site.set_fence(Arc::new(lease.handle().clone()));
        listener(&PromotionEvent::Done(Step::Lease, "taken"));
        let done = self.publish(request, &lease, listener).await;
        let released = lease.release().await;
        done?;
        released?;
        Ok(RollbackReport {
            deploy: self.target.id.clone(),
            artifact: self.record.artifact.clone(),
            live: self.site.address()?,
            previous: self.published.id.clone(),
            api_requests: self.site.requests(),
            seconds: started.elapsed().as_secs(),
        })
    }

    async fn publish(
        &self,
        request: &RollbackRequest,
        lease: &Lease,
        listener: &PromotionListener<'_>,
    ) -> Result<(), Error> {
        let published = self.site.read_published_deploy().await?;
        let id = published.map(|deploy| deploy.id).unwrap_or_default();
        // An earlier rollback may have published it.
        if id != self.published.id && id != self.target.id {
            return Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "another person or job has published the deploy {id} since the plan was made, so nothing \
                     was changed"
                ),
            ));
        }
        let new = NewDeploy {
            command: COMMAND,
            artifact: &self.record.artifact,
            previous: Some(&self.published.id),
            commit: self.record.commit.as_deref(),
            by: &request.by,
            manifest: &self.record.manifest,
            self_check_key: self.record.self_check_key.as_ref(),
        };
        let record = deploy_record::begin(&request.database, lease.handle(), &new).await?;
        // From here on a migration of *after* takes the deploy into account. One may have been applied
        // since the plan was made.
        let (database, migrations) = (&request.database, request.migrations.as_ref());
        if let Err(error) = ensure_runnable(database, migrations, &self.manifest).await {
            let (failed, id) = (DeployOutcome::Failed, Some(&*self.target.id));
            let finished =
                deploy_record::finish(&request.database, lease.handle(), record, failed, id, &[]);
            return Err(match finished.await {
                Ok(()) => error,
                Err(second) => error.and_details(vec![second.report()]),
            });
        }
        listener(&PromotionEvent::Begins(Step::Publish));
        self.restore(&self.target).await?;
        listener(&PromotionEvent::Done(Step::Publish, &self.target.id));
        listener(&PromotionEvent::Begins(Step::TestLive));
        let address = self.site.address()?;
        let (outcome, tested) = match self.test(request, &address, listener).await {
            Ok(()) => (DeployOutcome::Succeeded, Ok(())),
            Err(error) => {
                listener(&PromotionEvent::TakesBack);
                let (outcome, text) = self.take_back(request.stage).await;
                (outcome, Err(error.and_details(vec![text])))
            }
        };
        let id = Some(&*self.target.id);
        let finished =
            deploy_record::finish(&request.database, lease.handle(), record, outcome, id, &[])
                .await;
        match (tested, finished) {
            (Ok(()), finished) => finished?,
            (Err(error), Ok(())) => return Err(error),
            (Err(error), Err(second)) => return Err(error.and_details(vec![second.report()])),
        }
        listener(&PromotionEvent::Done(
            Step::TestLive,
            &format!("passed at {address}"),
        ));
        Ok(())
    }

    /// Publishes the deploy again that was there before the rollback. Returns the outcome of the rollback,
    /// with a sentence about it.
    async fn take_back(&self, stage: Stage) -> (DeployOutcome, String) {
        let (before, target) = (&self.published.id, &self.target.id);
        let Err(error) = self.restore(&self.published).await else {
            let text = format!("the deploy {before} is published again");
            return (DeployOutcome::Restored, text);
        };
        let live = self.site.read_published_deploy().await;
        match live {
            Ok(Some(live)) if live.id == *before => (
                DeployOutcome::Restored,
                format!(
                    "the deploy {before} is published again, and its lock may be another one than \
                     before: {}",
                    error.report()
                ),
            ),
            _ => (
                DeployOutcome::Untested,
                format!(
                    "the deploy {target} is live and has not passed its test, and the deploy {before} of \
                     before could not be published again ({}): `stagelink rollback {stage} --to DEPLOY` \
                     publishes one of `stagelink history {stage}`, and `stagelink deploy {stage}` makes a \
                     new one",
                    error.report()
                ),
            ),
        }
    }

    /// Publishes a deploy, with the site's lock as it was.
    async fn restore(&self, deploy: &Deploy) -> Result<(), Error> {
        let published = self.site.publish(&deploy.id).await?;
        let is_locked = published.locked == Some(true);
        match (self.summary.is_locked, is_locked) {
            (true, false) => self.site.lock(&deploy.id).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    async fn test(
        &self,
        request: &RollbackRequest,
        address: &str,
        listener: &PromotionListener<'_>,
    ) -> Result<(), Error> {
        let Some(key) = &self.record.self_check_key else {
            return Err(Error::new(
                ErrorKind::Promotion,
                format!(
                    "the record of deploy {} has no key for its self-check, so nothing proves that it \
                     works",
                    self.target.id
                ),
            ));
        };
        let key = SelfCheckKey::parse(key.expose_secret()).map_err(|error| {
            let message = "could not use the key of the deploy's record";
            Error::with_source(ErrorKind::Promotion, message, error)
        })?;
        let test = SmokeTest {
            stage: request.stage,
            manifest: &self.manifest,
            key: &key,
            deploy: &self.target.id,
            paths: &request.paths,
            limit: request.test_limit,
        };
        test.run(address, &|text| listener(&PromotionEvent::Tells(text)))
            .await
    }
}

/// Returns the deploy from which the newest command, a rollback, went back to the published one without
/// coming to its end. Going back from the published one would take the stage back twice.
pub(super) fn interrupted<'a>(records: &'a [DeployRecord], published: &str) -> Option<&'a str> {
    let newest = records.first()?;
    let before = newest.previous.as_deref()?;
    let is_unfinished = newest.command == COMMAND && newest.finished_at.is_none();
    let is_of_target =
        |record: &&DeployRecord| record.is_live_as(published) && record.artifact == newest.artifact;
    let is_published = before != published && records.iter().any(|record| is_of_target(&record));
    (is_unfinished && is_published).then_some(before)
}

pub(super) const COMMAND: &str = "rollback";

pub(super) const MOST_RECORDS: u32 = 100;
