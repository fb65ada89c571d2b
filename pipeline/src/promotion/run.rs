//! The run of a promotion: its steps, each of which a later run finds again.

mod new_deploy;
mod publishing;
mod report;

use std::time::Instant;

use stagelink::self_check::SelfCheckKey;

pub use self::report::PromotionReport;
use crate::error::{Error, ErrorKind};
use crate::migrations::MigrationEvent;
use crate::netlify::{Deploy, Site};
use crate::promotion::deploy_record::{self, DeployOutcome};
use crate::promotion::event::{PromotionEvent, PromotionListener};
use crate::promotion::lease::Lease;
use crate::promotion::plan::PromotionPlan;
use crate::promotion::progress::Progress;
use crate::promotion::proof;
use crate::promotion::request::PromotionRequest;
use crate::promotion::smoke::SmokeTest;
use crate::promotion::source::address_of;
use crate::promotion::start;
use crate::promotion::step::Step;
use crate::promotion::take_back::Unfinished;

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
            is_replaced: false,
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
    /// True if another deploy was published in its place before the end.
    is_replaced: bool,
    notes: Vec<String>,
}

impl Run<'_> {
    async fn step(&mut self, step: Step) -> Result<String, Error> {
        self.progress.step = Some(step.name().to_owned());
        self.save().await?;
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
        let tested = test.run(address, &tell).await;
        tested.map_err(|error| {
            let advice = proof::advice(&error);
            error.and_details(advice.into_iter().collect())
        })?;
        Ok(format!("passed at {address}"))
    }

    async fn test_at_own_address(&mut self) -> Result<String, Error> {
        let address = address_of(self.new_deploy()?)?;
        self.test(&address).await
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

    /// Takes back what was done before a step that failed. What is live and tested stays.
    async fn take_back(self, step: Step, error: Error) -> Error {
        if step > Step::TestLive {
            let text = format!(
                "the deploy is live, and passed its tests: run the same command again to finish, or `stagelink \
                 promote --to {} --abort`, which leaves it live",
                self.request.to
            );
            return error.and_details(vec![text]);
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
        if let Some(text) = self.lease.release().await?.warning() {
            (self.listener)(&PromotionEvent::Tells(&text));
        }
        let site = &self.plan.site;
        Ok(PromotionReport {
            address: address_of(&deploy)?,
            deploy: deploy.id,
            live: site.address()?,
            api_requests: site.requests(),
            artifact: self.progress.artifact,
            previous: self.progress.previous,
            migrations: self.progress.migrated_names,
            possible_after: match self.is_replaced {
                true => Vec::new(),
                false => self.plan.schema.possible_after(),
            },
            seconds: started.elapsed().as_secs(),
            notes: self.notes,
        })
    }
}
