//! Takes a stage back to the deploy that was published before, if it still works there.

mod report;
mod request;
mod run;

use secrecy::ExposeSecret as _;
use stagelink::self_check::SelfCheckKey;
use stagelink::{Stage, one_line};

pub use self::report::{RollbackReport, RollbackSummary};
pub use self::request::RollbackRequest;
use crate::artifact::Manifest;
use crate::error::{Error, ErrorKind};
use crate::netlify::{Deploy, Site};
use crate::promotion::deploy_record::{self, DeployOutcome, DeployRecord};
use crate::promotion::event::{PromotionEvent, PromotionListener};
use crate::promotion::runnable::ensure_runnable;
use crate::promotion::smoke::SmokeTest;
use crate::promotion::source::address_of;
use crate::promotion::step::Step;
pub(super) use crate::promotion::unfinished_change::ROLLBACK as COMMAND;
use crate::promotion::unfinished_change::ensure_none_of_others;
pub(super) use crate::promotion::unfinished_change::interrupted;
use crate::promotion::unfinished_change::is_replaced;

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
        ensure_none_of_others(&request.database, COMMAND).await?;
        let site = Site::find(&request.access, &request.site, true).await?;
        let Some(mut published) = site.published_deploy()? else {
            return refused(format!(
                "the site {} has no published deploy, so there is nothing to take back: `stagelink deploy \
                 {stage}` makes the first one",
                site.name()
            ));
        };
        let is_locked = published.locked == Some(true);
        let records = deploy_record::deploy_records(&request.database, MOST_RECORDS).await?;
        let interrupted = interrupted(&records, &published.id).map(str::to_owned);
        let is_replaced = interrupted.is_none() && is_replaced(&records, &published.id);
        let current = records.iter().find(|record| record.has_made(&published.id));
        let before = current.and_then(|record| record.previous.clone());
        let is_first = current.is_some() && before.is_none();
        let taken_back = current.filter(|record| record.command == COMMAND);
        let taken_back = taken_back.map(|record| record.started_at.clone());
        let succeeded: Vec<_> = records
            .into_iter()
            .filter(|record| record.outcome.is_some_and(DeployOutcome::leaves_it_tested))
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
            (None, _) if is_replaced => {
                return refused(format!(
                    "an earlier rollback was interrupted, and another person or job has published the deploy {} \
                     since: `stagelink rollback {stage} --abort` ends the earlier one and leaves that deploy live. \
                     To go back from it, name a deploy of `stagelink history {stage}`: `stagelink rollback {stage} \
                     --to DEPLOY`",
                    published.id
                ));
            }
            (None, _) if is_first => {
                return refused(format!(
                    "there is nothing to go back to: the published deploy {} is the first one of stage {stage}",
                    published.id
                ));
            }
            (None, _) => {
                let previous = before.clone();
                let Some(previous) = previous else {
                    return refused(format!(
                        "the database of stage {stage} has no record of what was there before the \
                         published deploy {}. In a terminal `stagelink history {stage}` lists the deploys, and \
                         `stagelink rollback {stage} --to DEPLOY` publishes one of them",
                        published.id
                    ));
                };
                notes.extend(taken_back.map(|begun| twice(stage, &begun)));
                previous
            }
        };
        if id == published.id {
            return refused(format!("the deploy {id} is published already"));
        }
        let record = succeeded.into_iter().find(|record| record.has_tested(&id));
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
        tested.map_err(|error| error.and_details(vec![plan.way_forward(request.stage)]))?;
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

    /// Returns how the code of a deploy gets live again that does not work any more.
    fn way_forward(&self, stage: Stage) -> String {
        let code = match &self.record.commit {
            Some(commit) => format!("check out commit {commit}, and run"),
            None => "check out its commit, and run".to_owned(),
        };
        format!(
            "the deploy {} has the variables of its time, such as a token or a password that was revoked, or the \
             address of a database that has moved since. A new one gets those of now, which `stagelink link` sets: \
             {code} `stagelink deploy {stage}`",
            self.target.id
        )
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

/// Returns the remark of a plan that goes back from a rollback.
pub(super) fn twice(stage: Stage, begun: &str) -> String {
    format!(
        "stage {stage} was rolled back at {}: this takes that rollback back, and publishes what it replaced. To go \
         further back name a deploy of `stagelink history {stage}`: `stagelink rollback {stage} --to DEPLOY`",
        one_line(begun)
    )
}

pub(super) const MOST_RECORDS: u32 = 100;
