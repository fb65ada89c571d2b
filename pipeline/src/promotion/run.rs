//! The run of a promotion: its steps, each of which a later run finds again.

use std::time::Instant;

use serde::Serialize;
use stagelink::self_check::{self, SelfCheckKey};

use crate::artifact::ArtifactContent;
use crate::error::{Error, ErrorKind};
use crate::migrations::MigrationEvent;
use crate::netlify::{Deploy, DeployEvent, DeployVariable, Site};
use crate::promotion::deploy_record::{self, DeployOutcome};
use crate::promotion::event::{PromotionEvent, PromotionListener};
use crate::promotion::lease::Lease;
use crate::promotion::plan::PromotionPlan;
use crate::promotion::progress::Progress;
use crate::promotion::request::PromotionRequest;
use crate::promotion::smoke::SmokeTest;
use crate::promotion::source::address_of;
use crate::promotion::start::{self, short};
use crate::promotion::step::Step;
use crate::promotion::take_back::{Unfinished, stays_locked};

/// The result of a promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PromotionReport {
    /// The digest of the artifact.
    pub artifact: String,
    /// The deploy that is published now.
    pub deploy: String,
    /// Its own address.
    pub address: String,
    /// The address of the site.
    pub live: String,
    /// The deploy that was published before.
    pub previous: String,
    /// The migrations that were applied, as `V5__add_mail`.
    pub migrations: Vec<String>,
    /// The migrations of *after* that are possible now.
    pub possible_after: Vec<String>,
    /// The number of requests to Netlify's API.
    pub api_requests: u64,
    /// The time that it took, in seconds.
    pub seconds: u64,
    /// Remarks, each a sentence.
    pub notes: Vec<String>,
}

impl PromotionPlan {
    /// Promotes by this plan, which was shown.
    ///
    /// Killed at any point, it goes on when it is made and run again. A step that fails is taken back
    /// with all before it but the migrations, which stay.
    ///
    /// # Errors
    ///
    /// The error of the step that failed, with what was taken back and what stays;
    /// [`ErrorKind::Busy`] where another command changes the stage.
    pub async fn run(
        self,
        request: &PromotionRequest,
        listener: &PromotionListener<'_>,
    ) -> Result<PromotionReport, Error> {
        let started = Instant::now();
        listener(&PromotionEvent::Begins(Step::Lease));
        let started_run = start::start(&self, request, listener).await?;
        let text = match started_run.is_resumed {
            true => "goes on where an earlier run ended".to_owned(),
            false => format!("stage {} is this command's", request.to),
        };
        listener(&PromotionEvent::Done(Step::Lease, &text));
        let mut run = Run {
            request,
            plan: &self,
            lease: started_run.lease,
            progress: started_run.progress,
            is_resumed: started_run.is_resumed,
            listener,
            new_deploy: None,
            notes: Vec::new(),
        };
        for step in Step::ALL.into_iter().filter(|step| *step > Step::Lease) {
            listener(&PromotionEvent::Begins(step));
            match run.step(step).await {
                Ok(result) => listener(&PromotionEvent::Done(step, &result)),
                Err(error) => return Err(run.take_back(step, error).await),
            }
        }
        run.finish(started).await
    }
}

/// A promotion while it runs.
struct Run<'a> {
    request: &'a PromotionRequest,
    plan: &'a PromotionPlan,
    lease: Lease,
    progress: Progress,
    is_resumed: bool,
    listener: &'a PromotionListener<'a>,
    new_deploy: Option<Deploy>,
    notes: Vec<String>,
}

impl Run<'_> {
    async fn step(&mut self, step: Step) -> Result<String, Error> {
        match step {
            Step::Lease => Ok(String::new()),
            Step::Migrate => self.migrate().await,
            Step::Lock => self.lock().await,
            Step::Deploy => self.deploy().await,
            Step::Test => self.test_at_own_address().await,
            Step::LookAgain => self.look_again().await,
            Step::Publish => self.publish().await,
            Step::TestLive => self.test_live().await,
            Step::Record => self.record().await,
            Step::CleanUp => self.clean_up().await,
        }
    }

    fn site(&self) -> &Site {
        &self.plan.site
    }

    /// Keeps the progress. It fails where the lease is another command's by now.
    async fn save(&self) -> Result<(), Error> {
        self.progress.save(&self.lease).await
    }

    fn tell(&self, text: &str) {
        (self.listener)(&PromotionEvent::Tells(text));
    }

    async fn migrate(&mut self) -> Result<String, Error> {
        let (schema, manifest) = (&self.plan.schema, &self.plan.source.manifest);
        let database = &self.request.database;
        if schema.applying().next().is_none() {
            schema.ensure_applied(database, manifest).await?;
            return Ok("none".to_owned());
        }
        self.lease.fence().await?;
        let listener = self.listener;
        let tell = move |event: &MigrationEvent<'_>| listener(&PromotionEvent::Migration(event));
        let report = schema.migrations.apply(database, &schema.options, &tell);
        let report = report.await?;
        for (file, _) in &report.applied {
            self.progress.migrated.push(file.version());
            self.progress.migrated_names.push(file.to_string());
        }
        self.save().await?;
        schema.ensure_applied(database, manifest).await?;
        Ok(format!("{} applied", report.applied.len()))
    }

    async fn lock(&mut self) -> Result<String, Error> {
        if self.progress.publishes {
            return Ok("published by an earlier run".to_owned());
        }
        let previous = &self.progress.previous;
        // A lock of before may be gone since the plan was made.
        if self.ensure_published(previous).await?.locked == Some(true) {
            return Ok("is locked".to_owned());
        }
        self.site().lock(previous).await?;
        Ok(format!("deploy {previous} stays published"))
    }

    async fn deploy(&mut self) -> Result<String, Error> {
        let site = &self.plan.site;
        let manifest = &self.plan.source.manifest;
        let earlier = match self.find_earlier().await? {
            Some(deploy) if deploy.is_ready() => {
                let text = format!("{} is ready since an earlier run", deploy.id);
                self.progress.deploy = Some(deploy.id.clone());
                self.save().await?;
                self.new_deploy = Some(deploy);
                return Ok(text);
            }
            earlier => earlier.filter(|deploy| !deploy.has_failed()),
        };
        self.lease.fence().await?;
        let deploy = match earlier {
            Some(deploy) => deploy,
            None => site.create_deploy(&self.progress.title, None).await?,
        };
        self.progress.deploy = Some(deploy.id.clone());
        self.save().await?;
        let key = DeployVariable {
            key: self_check::VARIABLE,
            value: self.progress.key.clone().into(),
            is_secret: true,
        };
        let declared = site.declare(&deploy.id, manifest, &[key]).await?;
        let content = ArtifactContent::of_deployed(manifest, Some(&self.request.project));
        let content = content.with_deploy(&self.plan.source.address)?;
        let content = self.with_missing(content, &declared).await?;
        self.ensure_locked().await?;
        let listener = self.listener;
        let tell = move |event: &DeployEvent<'_>| {
            listener(&PromotionEvent::Tells(&event.to_string()));
        };
        site.upload(&declared, manifest, &content, &tell).await?;
        let ready = site.wait_until_ready(&deploy.id, &tell).await?;
        let text = format!("{} is ready", ready.id);
        self.new_deploy = Some(ready);
        Ok(text)
    }

    /// Returns the deploy of an earlier run. It has the title of the progress, which no other one has.
    async fn find_earlier(&self) -> Result<Option<Deploy>, Error> {
        match &self.progress.deploy {
            Some(id) => self.site().find_deploy(id).await,
            None if self.is_resumed => {
                let found = self.site().deploys_of_title(&self.progress.title).await?;
                Ok(found.into_iter().next())
            }
            None => Ok(None),
        }
    }

    /// Adds what Netlify asks for and the local build does not have: the programs, built anew from the
    /// artifact's commit. Their digests decide.
    async fn with_missing(
        &self,
        content: ArtifactContent,
        declared: &Deploy,
    ) -> Result<ArtifactContent, Error> {
        let manifest = &self.plan.source.manifest;
        let required = declared.required_functions.as_deref().unwrap_or_default();
        let missing = content.missing_programs(required, manifest);
        if missing.is_empty() {
            return Ok(content);
        }
        let names = missing.join(", ");
        let not_here = |reason: String| {
            Error::new(
                ErrorKind::Promotion,
                format!(
                    "Netlify asks for the programs of {names}, and dist/functions does not hold those \
                     of the artifact: {reason}"
                ),
            )
        };
        let commit = match &manifest.commit.name {
            Some(commit) if !manifest.commit.is_dirty => commit,
            _ => {
                return Err(not_here(
                    "it was built with changes that are in no commit, so they cannot be built anew; \
                     promote from the machine that built it, or deploy a commit"
                        .to_owned(),
                ));
            }
        };
        self.tell(&format!("building {} anew", short(commit)));
        let rebuilt = self.request.checkout.rebuild(commit).await;
        let rebuilt = rebuilt.map_err(|reason| {
            not_here(format!("building commit {commit} anew failed ({reason})"))
        })?;
        let content = content.with_programs_of(&rebuilt);
        let missing = content.missing_programs(required, manifest);
        match missing.is_empty() {
            true => Ok(content),
            false => Err(not_here(format!(
                "built anew from commit {commit}, the programs of {} are other ones, since they depend \
                 on the machine's compilers; promote from the machine that built them",
                missing.join(", ")
            ))),
        }
    }

    fn new_deploy(&self) -> Result<&Deploy, Error> {
        let none = || Error::new(ErrorKind::Unavailable, "there is no deploy yet");
        self.new_deploy.as_ref().ok_or_else(none)
    }

    async fn test(&self, address: &str) -> Result<String, Error> {
        let key = SelfCheckKey::parse(&self.progress.key).map_err(|error| {
            let message = "could not use the key that the lease keeps";
            Error::with_source(ErrorKind::Promotion, message, error)
        })?;
        let test = SmokeTest {
            stage: self.request.to,
            manifest: &self.plan.source.manifest,
            key: &key,
            deploy: &self.new_deploy()?.id,
            paths: &self.request.paths,
            limit: self.request.test_limit,
        };
        let listener = self.listener;
        let tell = move |text: &str| listener(&PromotionEvent::Tells(text));
        test.run(address, &tell).await?;
        Ok(format!("passed at {address}"))
    }

    async fn test_at_own_address(&mut self) -> Result<String, Error> {
        let address = address_of(self.new_deploy()?)?;
        self.test(&address).await
    }

    async fn look_again(&mut self) -> Result<String, Error> {
        if self.progress.publishes {
            return Ok("published by an earlier run".to_owned());
        }
        let previous = &self.progress.previous;
        self.ensure_published(previous).await?;
        Ok(format!("{previous} is published"))
    }

    /// Makes sure that no other person or job has published a deploy since the plan was made. Returns the
    /// published one.
    async fn ensure_published(&self, previous: &str) -> Result<Deploy, Error> {
        let published = self.site().read_published_deploy().await?;
        let published = published.unwrap_or_default();
        let id = &published.id;
        if id == previous {
            return Ok(published);
        }
        let message = match self.new_deploy.as_ref().is_some_and(|new| new.id == *id) {
            true => format!(
                "Netlify has published the deploy {id} before it was tested: another person or job has \
                 taken the lock off"
            ),
            false => format!(
                "another person or job has published the deploy {id} since the plan was made (then it was \
                 {previous})"
            ),
        };
        Err(Error::new(ErrorKind::Busy, message))
    }

    /// Makes sure that the new deploy does not go live by being ready.
    async fn ensure_locked(&self) -> Result<(), Error> {
        let published = self.ensure_published(&self.progress.previous).await?;
        match published.locked {
            Some(true) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "another person or job has taken off the lock of the deploy {}, which keeps an untested \
                     one from going live",
                    published.id
                ),
            )),
        }
    }

    async fn publish(&mut self) -> Result<String, Error> {
        let id = self.new_deploy()?.id.clone();
        let published = self.site().read_published_deploy().await?;
        let mut published = published.unwrap_or_default();
        if published.id != id {
            // Also where an earlier run was about to publish it: another one may be published since.
            self.ensure_published(&self.progress.previous).await?;
            self.progress.publishes = true;
            self.save().await?;
            published = self.site().publish(&id).await?;
        }
        if self.progress.was_locked && published.locked != Some(true) {
            self.site().lock(&id).await?;
        }
        Ok(format!("{id} is live"))
    }

    async fn test_live(&mut self) -> Result<String, Error> {
        let address = self.site().address()?;
        let result = self.test(&address).await?;
        self.progress.is_tested = true;
        self.save().await?;
        Ok(result)
    }

    async fn record(&mut self) -> Result<String, Error> {
        self.lease.fence().await?;
        let id = &self.new_deploy()?.id;
        deploy_record::finish(
            &self.request.database,
            self.lease.handle(),
            self.progress.record,
            DeployOutcome::Succeeded,
            Some(id),
            &self.progress.migrated,
        )
        .await?;
        Ok(format!("kept in the database of stage {}", self.request.to))
    }

    async fn clean_up(&mut self) -> Result<String, Error> {
        let id = self.new_deploy()?.id.clone();
        if !self.progress.was_locked {
            self.name_pushes(&id).await?;
            let site = self.site();
            for locked in [&id, &self.progress.previous] {
                let deploy = site.find_deploy(locked).await?;
                if deploy.is_some_and(|deploy| deploy.locked == Some(true)) {
                    self.lease.fence().await?;
                    site.unlock(locked).await?;
                }
            }
            let published = site.read_published_deploy().await?;
            let published = published.unwrap_or_default();
            let now = &published.id;
            if *now != id {
                self.notes.push(format!(
                    "the deploy {now} is published by now in place of {id}: by another person or job, or \
                     by Netlify as the lock was taken off"
                ));
            }
            if published.locked == Some(true) {
                self.notes.push(stays_locked(now));
            }
        }
        Ok(match self.progress.was_locked {
            true => "the site stays locked".to_owned(),
            false => "the site publishes again".to_owned(),
        })
    }

    /// Notes the deploys that got ready for production meanwhile, such as that of a push.
    async fn name_pushes(&mut self, own: &str) -> Result<(), Error> {
        let since = self.new_deploy()?.created_at.clone().unwrap_or_default();
        let newer = self.site().production_deploys_since(&since).await?;
        for deploy in newer.iter().filter(|deploy| deploy.id != own) {
            self.notes.push(format!(
                "the deploy {} ({}) got ready meanwhile and was not published: Netlify may publish it \
                 now, and it was not tested",
                deploy.id,
                deploy.title.as_deref().unwrap_or("without a title"),
            ));
        }
        Ok(())
    }

    /// Takes back what was done before a step that failed. What is live and tested stays.
    async fn take_back(self, step: Step, error: Error) -> Error {
        if step > Step::TestLive {
            let text =
                "the deploy is live, and passed its tests: run the same command again to finish";
            return error.and_details(vec![text.to_owned()]);
        }
        (self.listener)(&PromotionEvent::TakesBack);
        let unfinished = Unfinished {
            site: &self.plan.site,
            stage: self.request.to,
            database: &self.request.database,
            lease: self.lease,
            progress: self.progress,
        };
        unfinished.after_failure(error).await
    }

    async fn finish(self, started: Instant) -> Result<PromotionReport, Error> {
        let deploy = self.new_deploy()?.clone();
        self.lease.release().await?;
        let site = &self.plan.site;
        Ok(PromotionReport {
            address: address_of(&deploy)?,
            deploy: deploy.id,
            live: site.address()?,
            api_requests: site.requests(),
            artifact: self.progress.artifact,
            previous: self.progress.previous,
            migrations: self.progress.migrated_names,
            possible_after: self.plan.schema.possible_after(),
            seconds: started.elapsed().as_secs(),
            notes: self.notes,
        })
    }
}
