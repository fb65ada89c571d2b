//! The change of what a stage runs on Lambda: its steps, each of which a later run finds again.

mod versions;

use std::time::{Duration, Instant};

pub(crate) use self::versions::not_served;
use crate::artifact::Manifest;
use crate::aws::{Lambda, UrlAccess};
use crate::error::Error;
use crate::migrations::{MigrationEvent, MigrationFolder};
use crate::promotion::deploy_record::{self, DeployOutcome};
use crate::promotion::event::{PromotionEvent, PromotionListener};
use crate::promotion::function_versions::FunctionVersions;
use crate::promotion::lambda::aliases::Aliases;
use crate::promotion::lambda::live::{LiveFunction, versions_of};
use crate::promotion::lambda::publish::Upload;
use crate::promotion::lambda::report::{LambdaFunctionReport, LambdaReport};
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::lambda::start::{Beginning, Started};
use crate::promotion::lambda::take_back::Unfinished;
use crate::promotion::runnable::ensure_runnable;
use crate::promotion::schema::SchemaPlan;
use crate::promotion::step::Step;
use crate::promotion::take_back::WhereGone;

/// A change of what a stage runs, as a plan has shown it.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    /// The command, as the lease and the records name it.
    pub(crate) command: &'static str,
    pub(crate) lambda: &'a Lambda,
    pub(crate) stage: &'a LambdaStage,
    /// The person or job, as `user@host`.
    pub(crate) by: &'a str,
    pub(crate) manifest: &'a Manifest,
    pub(crate) schema: ChangeSchema<'a>,
    pub(crate) functions: &'a [FunctionChange],
    /// The functions of the stage whose aliases stay as they are.
    pub(crate) stays: &'a [LiveFunction],
    /// The function URLs to give, if any.
    pub(crate) url: Option<UrlAccess>,
    /// The time in which each version has to pass its test.
    pub(crate) test_limit: Duration,
    pub(crate) listener: &'a PromotionListener<'a>,
}

/// The schema that a change needs.
#[derive(Clone, Copy)]
pub(crate) enum ChangeSchema<'a> {
    /// The migrations of a plan are applied first.
    Migrates(&'a SchemaPlan),
    /// None is applied. The folder tells the classes that the database does not know.
    Runs(Option<&'a MigrationFolder>),
}

/// The change of one function.
#[derive(Debug)]
pub(crate) struct FunctionChange {
    /// The function as the plan has found it.
    pub(crate) live: LiveFunction,
    pub(crate) source: VersionSource,
}

/// The source of the version that a function gets.
#[derive(Debug)]
pub(crate) enum VersionSource {
    /// A version that the function has.
    Published(String),
    /// An archive that is uploaded and published.
    Upload(Upload),
}

impl Change<'_> {
    /// Makes the change.
    ///
    /// Killed at any point, it goes on when it is planned and run again. A step that fails is taken back
    /// with all before it but the migrations, and versions that no alias points to, which stay.
    ///
    /// # Errors
    ///
    /// The error of the step that failed, with what was taken back and what stays;
    /// [`ErrorKind::Busy`] where another command changes the stage.
    pub(crate) async fn run(self) -> Result<LambdaReport, Error> {
        let begun = Instant::now();
        (self.listener)(&PromotionEvent::Begins(Step::Lease));
        let changed = self.functions.iter().map(|change| &change.live);
        let planned: Vec<_> = changed.chain(self.stays).cloned().collect();
        let beginning = Beginning {
            command: self.command,
            by: self.by,
            lambda: self.lambda,
            stage: self.stage,
            manifest: self.manifest,
            planned,
            versions: self.known_versions(),
            listener: self.listener,
        };
        let mut started = beginning.start().await?;
        let text = match started.is_resumed {
            true => "goes on where an earlier run ended".to_owned(),
            false => format!("stage {} is this command's", self.stage.stage),
        };
        (self.listener)(&PromotionEvent::Done(Step::Lease, &text));
        for step in STEPS {
            (self.listener)(&PromotionEvent::Begins(step));
            match self.step(step, &mut started).await {
                Ok(result) => (self.listener)(&PromotionEvent::Done(step, &result)),
                Err(error) => return Err(self.take_back(step, error, started).await),
            }
        }
        let mut functions = Vec::new();
        for change in self.functions {
            let live = &change.live;
            let version = started.progress.versions.of(&live.lambda);
            let before = started.progress.before.get(&live.lambda);
            functions.push(LambdaFunctionReport {
                name: live.name.clone(),
                function: live.lambda.clone(),
                version: version.unwrap_or_default().to_owned(),
                previous: before.cloned().flatten(),
                url: None,
            });
        }
        // While the lease is held, which the client asks before each change.
        let given = self.give_urls(&mut functions).await;
        if let Err(error) = given {
            return Err(started.lease.release_after(error).await);
        }
        if let Some(text) = started.lease.release().await?.warning() {
            self.tell(&text);
        }
        Ok(LambdaReport {
            stage: self.stage.stage.to_string(),
            artifact: started.progress.artifact,
            functions,
            migrations: started.progress.migrated_names,
            possible_after: match self.schema {
                ChangeSchema::Migrates(schema) => schema.possible_after(),
                ChangeSchema::Runs(_) => Vec::new(),
            },
            seconds: begun.elapsed().as_secs(),
        })
    }

    /// Returns the versions that the aliases get or keep, as far as they are published.
    fn known_versions(&self) -> FunctionVersions {
        let mut versions = versions_of(self.stays);
        for change in self.functions {
            if let VersionSource::Published(version) = &change.source {
                versions.insert(&change.live.lambda, version);
            }
        }
        versions
    }

    /// Gives each function the URL that is asked for.
    async fn give_urls(&self, functions: &mut [LambdaFunctionReport]) -> Result<(), Error> {
        let Some(access) = self.url else {
            return Ok(());
        };
        for function in functions {
            let alias = self.stage.alias();
            let given = self.lambda.give_url(&function.function, alias, access);
            let url = given.await.map_err(|error| {
                error.context(format!(
                    "stage {} runs the artifact, but a function URL is missing",
                    self.stage.stage
                ))
            })?;
            function.url = Some(url);
        }
        Ok(())
    }

    async fn step(&self, step: Step, started: &mut Started) -> Result<String, Error> {
        started.progress.step = Some(step.name().to_owned());
        started.progress.save(&started.lease).await?;
        match step {
            Step::Migrate => self.migrate(started).await,
            Step::Deploy => self.publish(started).await,
            Step::Test => self.test(started).await,
            Step::LookAgain => self.look_again(started).await,
            Step::Publish => self.move_aliases(started).await,
            Step::TestLive => self.test_live(started).await,
            Step::Record => self.record(started).await,
            _ => Ok(String::new()),
        }
    }

    pub(super) fn tell(&self, text: &str) {
        (self.listener)(&PromotionEvent::Tells(text));
    }

    /// Applies the migrations, and makes sure that the schema carries the artifact now that the record has
    /// begun: another command may have applied one since the plan was made.
    async fn migrate(&self, started: &mut Started) -> Result<String, Error> {
        let database = &self.stage.database;
        let schema = match self.schema {
            ChangeSchema::Migrates(schema) => schema,
            ChangeSchema::Runs(migrations) => {
                ensure_runnable(database, migrations, self.manifest).await?;
                return Ok("none".to_owned());
            }
        };
        let mut applied = 0;
        if schema.applying().next().is_some() {
            started.lease.fence().await?;
            let listener = self.listener;
            let tell =
                move |event: &MigrationEvent<'_>| listener(&PromotionEvent::Migration(event));
            let report = schema.migrations.apply(database, &schema.options, &tell);
            let report = report.await?;
            for (file, _) in &report.applied {
                started.progress.migrated.push(file.version());
                started.progress.migrated_names.push(file.to_string());
            }
            started.progress.save(&started.lease).await?;
            applied = report.applied.len();
        }
        schema.ensure_applied(database, self.manifest).await?;
        Ok(match applied {
            0 => "none".to_owned(),
            count => format!("{count} applied"),
        })
    }

    async fn look_again(&self, started: &mut Started) -> Result<String, Error> {
        let aliases = Aliases::read(self.lambda, self.stage, &started.progress).await?;
        aliases.ensure_known(&started.progress)?;
        started.aliases = Some(aliases);
        Ok("the aliases are as they were".to_owned())
    }

    async fn move_aliases(&self, started: &mut Started) -> Result<String, Error> {
        started.progress.moves = true;
        started.progress.deploy = started.progress.versions.to_text();
        started.progress.is_tested = false;
        started.progress.save(&started.lease).await?;
        let mut aliases = match started.aliases.take() {
            Some(aliases) => aliases,
            None => Aliases::read(self.lambda, self.stage, &started.progress).await?,
        };
        for change in self.functions {
            let function = &change.live.lambda;
            self.tell(function);
            let version = started.progress.versions.of(function).unwrap_or_default();
            aliases.move_to(self.lambda, function, version).await?;
        }
        Ok(started.progress.versions.to_string())
    }

    async fn record(&self, started: &mut Started) -> Result<String, Error> {
        let progress = &started.progress;
        let versions = progress.versions.to_text();
        deploy_record::finish(
            &self.stage.database,
            started.lease.handle(),
            progress.record,
            DeployOutcome::Succeeded,
            versions.as_deref(),
            &progress.migrated,
        )
        .await?;
        Ok("kept in the database".to_owned())
    }

    /// Takes back what was done before a step failed, and returns its error with what was taken back and
    /// what stays.
    async fn take_back(&self, step: Step, error: Error, started: Started) -> Error {
        let error = error.context(format!(
            "the step `{step}` of `stagelink {}` failed",
            self.command
        ));
        if started.lease.is_lost() {
            return error.and_details(vec![
                "nothing was taken back, since another command may change the stage by now"
                    .to_owned(),
            ]);
        }
        (self.listener)(&PromotionEvent::TakesBack);
        let outcome = match started.progress.moves {
            true => DeployOutcome::Restored,
            false => DeployOutcome::Failed,
        };
        let unfinished = Unfinished {
            lambda: self.lambda,
            stage: self.stage,
            lease: started.lease,
            progress: started.progress,
        };
        match unfinished.take_back(outcome, WhereGone::Stops).await {
            Ok(done) => error.and_details(done),
            Err(second) => error.and_details(second.details().collect()),
        }
    }
}

/// The steps, after the lease was taken. A change on Lambda has no lock but the aliases' own.
const STEPS: [Step; 7] = [
    Step::Migrate,
    Step::Deploy,
    Step::Test,
    Step::LookAgain,
    Step::Publish,
    Step::TestLive,
    Step::Record,
];

/// The time that a version has to pass its test, by default: a cold start takes some seconds.
pub(super) const TEST_LIMIT: Duration = Duration::from_secs(60);
