//! The run of a deploy: under the lease on the stage it applies the migrations that come first, makes the
//! deploy, waits for it, and records what it did.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use stagelink::self_check::{self, SelfCheckKey};

use crate::deploy::event::{DeployProgress, Listener};
use crate::deploy::leftover::{self, COMMAND, DeployState};
use crate::deploy::plan::{DeployPlan, branch_of};
use crate::deploy::report::DeployReport;
use crate::deploy::request::DeployRequest;
use crate::error::{Error, ErrorKind};
use crate::migrations::MigrationEvent;
use crate::netlify::{Deploy, DeployEvent, DeployVariable, Site};
use crate::promotion::{
    DeployOutcome, Lease, LeaseEnd, NewDeploy, Progress, PromotionEvent, SmokeTest, Taken,
    address_of, advice, begin, ensure_runnable, finish, take_when_free,
};

/// A run that holds the lease on its stage.
struct Run<'a> {
    plan: &'a DeployPlan,
    listener: &'a Listener<'a>,
    lease: Lease,
    /// Kept in the lease.
    state: DeployState,
    /// The number of its record in the database.
    record: i64,
    /// True once its deploy is ready.
    is_ready: bool,
}

impl DeployPlan {
    /// Deploys the artifact as planned.
    ///
    /// One command at a time changes a stage. A run that was interrupted is gone on with by the next run
    /// of the same artifact: its deploy, what Netlify has of it, and its key.
    ///
    /// # Errors
    ///
    /// The plan's refusal; [`ErrorKind::Busy`] while another command changes the stage; and the error of
    /// the step that fails. A deploy that was not ready by then is cancelled. Migrations that were
    /// applied stay applied, and the error says so.
    pub async fn run(&self, listener: &Listener<'_>) -> Result<DeployReport, Error> {
        self.ensure_admitted()?;
        let mut run = Run::begin(self, listener).await?;
        match run.deploy().await {
            Ok(report) => {
                let outcome = match report.is_published {
                    true => DeployOutcome::Succeeded,
                    false => DeployOutcome::Unpublished,
                };
                run.end(outcome).await;
                Ok(report)
            }
            Err(error) => {
                run.cancel().await;
                let applied = run.state.applied.len();
                let outcome = run.outcome_of_failure().await;
                run.end(outcome).await;
                Err(match applied {
                    0 => error,
                    1 => error.context("the deploy failed; the migration before it stays applied"),
                    count => error.context(format!(
                        "the deploy failed; the {count} migrations before it stay applied"
                    )),
                })
            }
        }
    }

    fn title(&self) -> String {
        let digest = self.artifact.manifest.short_digest();
        format!("stagelink deploy {digest} to {}", self.request.stage)
    }
}

impl<'a> Run<'a> {
    async fn begin(plan: &'a DeployPlan, listener: &'a Listener<'a>) -> Result<Self, Error> {
        let request = &plan.request;
        let by = &request.options.applied_by;
        let artifact = plan.artifact.manifest.digest();
        let tell = |event: &PromotionEvent<'_>| {
            if let PromotionEvent::Waits(text) = event {
                listener(&DeployProgress::Note((*text).to_owned()));
            }
        };
        let taken = take_when_free(&request.database, by, COMMAND, &tell).await?;
        let (lease, before) = match taken {
            Taken::Fresh(lease) => (lease, None),
            Taken::Resumed(lease, Progress(before)) => {
                let state = DeployState::of_lease(&before, request.stage, plan.site.id())?;
                (lease, state)
            }
        };
        plan.site.set_fence(Arc::new(lease.handle().clone()));
        let mut state = match before {
            Some(state) if state.artifact == artifact => state,
            before => {
                // No run goes on with a deploy of another artifact. The lease keeps it until it is cancelled.
                if let Some(deploy) = before.and_then(|state| state.deploy) {
                    let tell = |text| listener(&DeployProgress::Note(text));
                    leftover::cancel(&plan.site, &deploy, &tell).await?;
                }
                DeployState::begin(artifact.clone(), plan.site.id())?
            }
        };
        lease.save(&state.to_json()).await?;
        let record = plan.artifact.manifest.to_json();
        let key = state.key();
        let new = NewDeploy {
            command: COMMAND,
            artifact: &artifact,
            previous: plan.previous.as_deref(),
            commit: request.commit.as_deref(),
            by,
            manifest: &record,
            self_check_key: Some(&key),
        };
        let record = begin(&request.database, lease.handle(), &new).await?;
        state.record = Some(record);
        lease.save(&state.to_json()).await?;
        Ok(Self {
            plan,
            listener,
            lease,
            state,
            record,
            is_ready: false,
        })
    }

    async fn deploy(&mut self) -> Result<DeployReport, Error> {
        self.migrate().await?;
        let request = &self.plan.request;
        let manifest = &self.plan.artifact.manifest;
        // Another command may have applied a migration since the plan was made.
        ensure_runnable(&request.database, request.migrations.as_ref(), manifest).await?;
        self.begin_step("deploy").await?;
        let deploy = self.make_ready().await?;
        self.is_ready = true;
        self.tell(&DeployProgress::Ends(format!("{} is ready", deploy.id)));
        self.test(&deploy).await?;
        let is_of_branch = branch_of(&self.plan.request)?.is_some();
        let published = match is_of_branch {
            true => None,
            false => self.plan.site.read_published_deploy().await?,
        };
        let is_this = |published: &Deploy| published.id == deploy.id;
        let is_published = is_of_branch || published.as_ref().is_some_and(is_this);
        let instead = published.filter(|published| !is_this(published));
        Ok(DeployReport {
            permalink: deploy.permalink().map(str::to_owned),
            address: deploy.address().map(str::to_owned),
            is_locked: instead
                .as_ref()
                .is_some_and(|other| other.locked == Some(true)),
            published_instead: instead.map(|other| other.id),
            deploy: deploy.id,
            is_published,
            applied: self
                .state
                .applied
                .iter()
                .map(|(_, name)| name.clone())
                .collect(),
        })
    }

    /// Tells and keeps that a step begins.
    async fn begin_step(&mut self, step: &'static str) -> Result<(), Error> {
        self.tell(&DeployProgress::Begins(step));
        self.state.step = Some(step.to_owned());
        self.lease.save(&self.state.to_json()).await
    }

    async fn migrate(&mut self) -> Result<(), Error> {
        let Some(plan) = &self.plan.migrations else {
            return Ok(());
        };
        if plan.applying().next().is_none() {
            return Ok(());
        }
        self.begin_step("migrations").await?;
        self.lease.fence().await?;
        let request = &self.plan.request;
        let listener = self.listener;
        let listener = |event: &MigrationEvent<'_>| listener(&DeployProgress::Migration(event));
        let report = plan
            .apply(&request.database, &request.options, &listener)
            .await?;
        let applied = report.applied.iter();
        let applied = applied.map(|(file, _)| (file.version(), file.to_string()));
        self.state.applied.extend(applied);
        self.lease.save(&self.state.to_json()).await?;
        self.tell(&DeployProgress::Ends(format!(
            "{} applied",
            report.applied.len()
        )));
        if let Some(reason) = report.schema_not_kept {
            self.tell(&DeployProgress::Note(format!(
                "the schema was not kept for `stagelink migrate drift`: {reason}"
            )));
        }
        Ok(())
    }

    /// Makes the deploy, or goes on with that of an interrupted run, until it is ready.
    async fn make_ready(&mut self) -> Result<Deploy, Error> {
        let DeployPlan {
            site,
            artifact,
            request,
            ..
        } = self.plan;
        let title = self.plan.title();
        let found = leftover::find(site, &self.state).await?;
        let kept = found.as_ref().map(|deploy| deploy.id.as_str());
        let note = |text| self.tell(&DeployProgress::Note(text));
        leftover::cancel_others(site, &self.lease, &title, kept, &note).await?;
        let deploy = match found {
            Some(deploy) if deploy.is_ready() => return Ok(deploy),
            Some(deploy) => deploy,
            None => {
                self.lease.fence().await?;
                let made = site.create_deploy(&title, branch_of(request)?).await?;
                self.state.deploy = Some(made.id.clone());
                self.lease.save(&self.state.to_json()).await?;
                made
            }
        };
        self.tell(&DeployProgress::Netlify(&DeployEvent::Created {
            id: &deploy.id,
        }));
        self.lease.fence().await?;
        let environment = [DeployVariable {
            key: self_check::VARIABLE,
            value: self.state.key(),
            is_secret: true,
        }];
        let manifest = &artifact.manifest;
        let declared = site.declare(&deploy.id, manifest, &environment).await?;
        let listener = self.listener;
        let listener = |event: &DeployEvent<'_>| listener(&DeployProgress::Netlify(event));
        site.upload(&declared, manifest, &artifact.content, &listener)
            .await?;
        site.wait_until_ready(&deploy.id, &listener).await
    }

    /// Asks the functions of the deploy what they run, with which stage, and whether they reach its
    /// database.
    async fn test(&mut self, deploy: &Deploy) -> Result<(), Error> {
        let Some(limit) = self.plan.request.test_limit else {
            return Ok(());
        };
        let stage = self.plan.request.stage;
        self.begin_step("test").await?;
        let key = self.state.key();
        let key = SelfCheckKey::parse(key.expose_secret()).map_err(|error| {
            let message = "could not use the key that the lease keeps";
            Error::with_source(ErrorKind::Settings, message, error)
        })?;
        let test = SmokeTest {
            stage,
            manifest: &self.plan.artifact.manifest,
            key: &key,
            deploy: &deploy.id,
            paths: &[],
            limit,
        };
        let address = address_of(deploy)?;
        let listener = self.listener;
        let tell = move |text: &str| listener(&DeployProgress::Tells(text));
        test.run(&address, &tell).await.map_err(|error| {
            let (id, advice) = (&deploy.id, advice(&error));
            let error = error.context(format!(
                "the deploy {id} of stage {stage} is ready, and does not answer as it should; \
                 Netlify shows it to visitors unless publishing is locked"
            ));
            error.and_details(advice.into_iter().collect())
        })?;
        self.tell(&DeployProgress::Ends(format!("passed at {address}")));
        Ok(())
    }

    /// Returns the outcome of a deploy that failed. One that is ready may be live, with code that has not
    /// passed its test.
    async fn outcome_of_failure(&self) -> DeployOutcome {
        match &self.state.deploy {
            Some(deploy)
                if self.is_ready
                    && may_be_live(&self.plan.site, &self.plan.request, deploy).await =>
            {
                DeployOutcome::Untested
            }
            _ => DeployOutcome::Failed,
        }
    }

    /// Cancels the deploy, so that it does not become public after the command has failed.
    async fn cancel(&mut self) {
        let Some(deploy) = self.state.deploy.clone() else {
            return;
        };
        if self.lease.fence().await.is_err() {
            // Another command has the stage by now.
            return;
        }
        let site = &self.plan.site;
        let ended = match site.find_deploy(&deploy).await {
            Ok(Some(found)) if found.is_ready() => Ok(false),
            Ok(Some(found)) if found.has_failed() => Ok(true),
            Ok(None) => Ok(true),
            Ok(Some(_)) => site.cancel_deploy(&deploy).await,
            Err(error) => Err(error),
        };
        match ended {
            // It may be live by now.
            Ok(is_cancelled) => self.is_ready = !is_cancelled,
            Err(error) => self.tell(&DeployProgress::Note(leftover::not_cancelled(
                &deploy, &error,
            ))),
        }
    }

    /// Records the outcome, and gives the lease back.
    async fn end(self, outcome: DeployOutcome) {
        let database = &self.plan.request.database;
        let versions = self.state.versions();
        let deploy = self.state.deploy.as_deref();
        let recorded = finish(
            database,
            self.lease.handle(),
            self.record,
            outcome,
            deploy,
            &versions,
        )
        .await;
        let released = self.lease.release().await;
        if let Some(text) = released.as_ref().ok().and_then(LeaseEnd::warning) {
            (self.listener)(&DeployProgress::Note(text));
        }
        for error in [recorded.err(), released.err()].into_iter().flatten() {
            // The outcome itself is what counts.
            if error.kind() != ErrorKind::Busy {
                (self.listener)(&DeployProgress::Note(error.report()));
            }
        }
    }

    fn tell(&self, event: &DeployProgress<'_>) {
        (self.listener)(event);
    }
}

/// Returns whether visitors may see a ready deploy: that of a branch does, and one of production unless
/// publishing is locked.
pub(super) async fn may_be_live(site: &Site, request: &DeployRequest, deploy: &str) -> bool {
    if !matches!(branch_of(request), Ok(None)) {
        return true;
    }
    let published = site.read_published_deploy().await;
    published.map_or(true, |published| {
        published.is_some_and(|published| published.id == deploy)
    })
}
