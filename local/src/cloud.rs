//! A whole project on this machine: a Heroku pipeline, the stages' functions, and the Netlify site.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use stagelink_local_postgres::{Database, DatabaseAdmin};
use tokio::sync::OnceCell;

use crate::faults::{FaultControl, FaultyStage, StageNetwork};
use crate::heroku::{Access, Heroku, Stage};
use crate::lambda::{LogLine, LogSink};
use crate::netlify::{BoundSite, Site, SiteConfig, Timeouts};
use crate::program_store::{Artifact, ProgramStore};
use crate::project_databases::{CurrentDatabase, ProjectDatabases};
use crate::requests::{Recorder, RequestLog};
use crate::stage_deployer::{DeployedStage, StageDeployer, StagePromotion};
use crate::stage_functions::{StageContent, StageFunctions, StageSetup};
use crate::stage_services::{ServedStage, StageServices, bind_stage_port};
use crate::stage_site::StageSite;
use crate::{Error, ErrorKind};

/// Configuration of a [`Cloud`].
#[derive(Debug)]
pub struct CloudConfig {
    /// Name of the pipeline on the local Heroku. The app of a stage is named
    /// `<pipeline>-<name>`, and where that is too long `<pipeline>-<number>`.
    pub pipeline: String,
    /// The stages, each with its database.
    pub stages: Vec<StageConfig>,
    /// Access to the server of these databases. The local Heroku uses it for their live facts and
    /// for rotations.
    pub databases: DatabaseAdmin,
    /// Programs of the functions, by function name. At the start every stage runs copies of all.
    pub functions: BTreeMap<String, PathBuf>,
    /// Variables of all functions, in addition to those of their stage.
    pub variables: BTreeMap<String, String>,
    /// Configuration of the site, as in netlify.toml.
    pub site: SiteConfig,
    /// Port of the site; 0 selects a free port.
    pub site_port: u16,
    /// Port of the local Heroku; 0 selects a free port.
    pub heroku_port: u16,
}

/// A stage of a [`CloudConfig`].
pub struct StageConfig {
    /// The project's name for the stage, in lowercase letters, digits and hyphens. Several stages of
    /// a pipeline stage have different names.
    pub name: String,
    /// The stage in the pipeline.
    pub stage: Stage,
    /// The stage's database.
    pub database: Database,
    /// The project's variables of the stage's functions, which may be secrets. Those of the stage and
    /// of all functions override them, and no part of this crate shows them.
    pub variables: BTreeMap<String, String>,
}

impl fmt::Debug for StageConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageConfig")
            .field("name", &self.name)
            .field("stage", &self.stage)
            .field("database", &self.database)
            .field("variables", &self.variables.keys())
            .finish()
    }
}

impl From<(Stage, Database)> for StageConfig {
    /// Makes the stage that is called after that of the pipeline.
    fn from((stage, database): (Stage, Database)) -> Self {
        Self {
            name: stage.to_string(),
            stage,
            database,
            variables: BTreeMap::new(),
        }
    }
}

/// A running project on this machine: Heroku, Lambda and Netlify.
///
/// Each stage is a deploy with processes of its own. As on Netlify, the functions get their
/// settings from variables. Among these is a token that gives access to the config vars of that
/// stage's app only. A stage's database is reached through a proxy of its own, on which
/// [`faults`](Cloud::faults) of the network are injected; it passes bytes on as they are.
///
/// Dropping it ends the processes; [`stop`](Cloud::stop) also waits for their end.
#[derive(Debug)]
pub struct Cloud {
    pub(crate) heroku: Heroku,
    site: Site,
    pipeline: String,
    pub(crate) stages: Vec<StageSite>,
    pub(crate) deployer: Arc<StageDeployer>,
    pub(crate) programs: OnceCell<ProgramStore>,
    requests: RequestLog,
    faults: FaultControl,
    services: StageServices,
}

/// The parts of a [`Cloud`] whose site listens and does not serve yet.
struct BoundCloud {
    heroku: Heroku,
    stages: Vec<StageSite>,
    deployer: Arc<StageDeployer>,
    programs: OnceCell<ProgramStore>,
    requests: RequestLog,
    faults: FaultControl,
    site: BoundSite,
    /// Ports of the stages that are not the site's main one.
    ports: Vec<BoundSite>,
}

impl Cloud {
    /// Starts the local clouds. `log` is called for each line of a function's log, with the name of
    /// its stage.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`](crate::ErrorKind::PortInUse) if a port of the configuration is
    /// taken.
    pub async fn start(
        config: CloudConfig,
        log: impl Fn(&str, LogLine) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::start_with(config, log, async |_| Ok(())).await
    }

    /// Starts the local clouds, and calls `prepare` with the stages before the site serves the first
    /// request: Heroku and the databases answer by then, and clients of the site wait. A project
    /// applies its migrations there, so that no request meets a database without its tables.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Cloud::start), and those of `prepare`; behind either nothing of the clouds
    /// is left.
    pub async fn start_with<E: From<Error>>(
        config: CloudConfig,
        log: impl Fn(&str, LogLine) + Send + Sync + 'static,
        prepare: impl AsyncFnOnce(&[StageSite]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let pipeline = config.pipeline.clone();
        let bound = Self::bind(config, log).await?;
        if let Err(error) = prepare(&bound.stages).await {
            bound.heroku.stop().await;
            return Err(error);
        }
        let served = bound.stages.iter().map(|stage| ServedStage {
            name: stage.name.clone(),
            url: stage.url.clone(),
            functions: Arc::clone(&stage.functions),
            is_published: stage.is_published,
        });
        let services = StageServices::start(served.collect(), bound.ports).await?;
        Ok(Self {
            heroku: bound.heroku,
            site: bound.site.serve(Timeouts::default()),
            pipeline,
            stages: bound.stages,
            deployer: bound.deployer,
            programs: bound.programs,
            requests: bound.requests,
            faults: bound.faults,
            services,
        })
    }

    /// Starts Heroku with the stages, and listens for the site.
    async fn bind(
        config: CloudConfig,
        log: impl Fn(&str, LogLine) + Send + Sync + 'static,
    ) -> Result<BoundCloud, Error> {
        let programs = OnceCell::new();
        let artifact = copy_programs(&programs, &config.functions).await?;
        let site = Arc::new(config.site);
        let heroku = Heroku::start(config.heroku_port).await?;
        heroku.create_pipeline(&config.pipeline)?;
        let log = Arc::new(log);
        let requests = RequestLog::default();
        let mut stages = Vec::new();
        let mut deployed = Vec::new();
        let mut databases = Vec::new();
        let mut faulty = Vec::new();
        let main = config
            .stages
            .iter()
            .find(|of| of.stage == Stage::Production);
        let main = main.map(|of| of.name.clone());
        let pipeline_stages: Vec<Stage> = config.stages.iter().map(|of| of.stage).collect();
        for (number, of) in config.stages.into_iter().enumerate() {
            let StageConfig {
                name: stage_name,
                stage,
                database,
                variables: of_project,
            } = of;
            let app = app_name(&config.pipeline, &stage_name, number);
            heroku.create_app(&app)?;
            heroku.couple(&config.pipeline, &app, stage)?;
            let network = StageNetwork::start(&database).await?;
            let database = network.through(&database);
            let addon = heroku.attach_postgres(&app, &database.url())?;
            let token = heroku.create_token(&Access::Apps(vec![app.clone()]))?;
            let mut variables = config.variables.clone();
            let written = match stage_name == stage.as_str() {
                true => stage_name.clone(),
                false => format!("{stage}/{stage_name}"),
            };
            // A pipeline tells its apps apart by the stage alone.
            let of_stage = pipeline_stages.iter().filter(|of| **of == stage);
            if written != stage_name || of_stage.count() > 1 {
                variables.insert("STAGELINK_HEROKU_APP".to_owned(), app.clone());
            }
            variables.extend(
                [
                    ("STAGELINK_STAGE", &*written),
                    ("STAGELINK_HEROKU_PIPELINE", &config.pipeline),
                    ("STAGELINK_HEROKU_API_URL", heroku.url()),
                    ("HEROKU_API_KEY", &token),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
            let is_main = main.as_ref() == Some(&stage_name);
            let host = host_name(&stage_name, is_main);
            let log: LogSink = {
                let (log, stage_name) = (log.clone(), stage_name.clone());
                let requests = requests.clone();
                Arc::new(move |line| {
                    requests.send_line(&stage_name, &line);
                    log(&stage_name, line);
                })
            };
            let setup = StageSetup {
                host: host.clone(),
                variables,
                log,
                recorder: Recorder::new(&requests, &stage_name),
            };
            let content = StageContent {
                artifact: artifact.clone(),
                site: Arc::clone(&site),
                variables: Arc::new(of_project),
            };
            let functions = Arc::new(StageFunctions::new(setup, content).await?);
            deployed.push(DeployedStage {
                name: stage_name.clone(),
                app: app.clone(),
                functions: Arc::clone(&functions),
            });
            let database = CurrentDatabase::new(database);
            databases.push(database.clone());
            faulty.push(FaultyStage {
                name: stage_name.clone(),
                addon,
                token,
                database: database.clone(),
                admin: config.databases.clone(),
                functions: Arc::clone(&functions),
                heroku: heroku.fault_access(),
                network,
            });
            stages.push(StageSite {
                name: stage_name,
                stage,
                app,
                url: host,
                port_url: String::new(),
                is_published: is_main,
                database,
                functions,
            });
        }
        let faults = FaultControl::new(faulty, heroku.fault_access());
        heroku.set_database_owner(Arc::new(ProjectDatabases::new(config.databases, databases)));
        let deployer = Arc::new(StageDeployer::new(deployed));
        if !artifact.programs().is_empty() {
            let slug = deployer.register(artifact);
            for stage in &stages {
                heroku.deploy_slug(&stage.app, slug)?;
            }
        }
        heroku.set_deployer(Arc::clone(&deployer) as _);
        let site = BoundSite::bind_finder(config.site_port, Arc::clone(&deployer) as _).await?;
        for stage in &mut stages {
            stage.url = site.url(&stage.url);
        }
        let mut ports = Vec::new();
        let mut next = config.site_port;
        for stage in &mut stages {
            if stage.is_published {
                stage.port_url.clone_from(&stage.url);
                continue;
            }
            next = match next {
                0 => 0,
                taken => taken.wrapping_add(1),
            };
            let port = bind_stage_port(next, Arc::clone(&stage.functions)).await?;
            stage.port_url = port.url("localhost");
            ports.push(port);
        }
        Ok(BoundCloud {
            heroku,
            stages,
            deployer,
            programs,
            requests,
            faults,
            site,
            ports,
        })
    }

    /// The local Heroku.
    pub fn heroku(&self) -> &Heroku {
        &self.heroku
    }

    /// Name of the pipeline.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// Port of the site, which serves all stages.
    pub fn port(&self) -> u16 {
        self.site.port()
    }

    /// The requests to the site, and other invocations of the stages' functions.
    pub fn requests(&self) -> &RequestLog {
        &self.requests
    }

    /// The stages, in the order of the config.
    pub fn stages(&self) -> &[StageSite] {
        &self.stages
    }

    /// Runs other programs in a stage, as a deploy to its app does, and leaves the other stages alone.
    /// The stage keeps its variables and its database. A promotion at the local Heroku
    /// (`heroku pipelines:promote`) then brings these programs to another stage.
    ///
    /// The programs are copied first, so that a later build changes none that a stage runs. No request
    /// is lost: the old processes end when the new ones have started and the last request to the old
    /// ones has its response.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) if there is no such stage or a program cannot be
    /// read, [`ErrorKind::Process`](crate::ErrorKind::Process) if a function does not start. Then the
    /// stage runs what it ran before.
    pub async fn deploy(
        &self,
        stage: &str,
        programs: &BTreeMap<String, PathBuf>,
    ) -> Result<(), Error> {
        let stage = self
            .stages
            .iter()
            .find(|of| of.name == stage)
            .ok_or_else(|| {
                let message =
                    format!("could not deploy to the stage {stage:?}: there is no such stage");
                Error::new(ErrorKind::Input, message)
            })?;
        let artifact = copy_programs(&self.programs, programs).await?;
        stage.functions.replace(&artifact, |_| ()).await?;
        let slug = self.deployer.register(artifact);
        self.heroku.deploy_slug(&stage.app, slug)?;
        self.deployer.forget_unused();
        Ok(())
    }

    /// Sets what is called after each promotion at the local Heroku.
    pub fn on_promotion(&self, callback: impl Fn(&StagePromotion) + Send + Sync + 'static) {
        self.deployer.set_callback(Arc::new(callback));
    }

    /// Injects faults into the stages.
    pub fn faults(&self) -> &FaultControl {
        &self.faults
    }

    /// URL of the endpoint for invocations: `POST /stages/STAGE/functions/NAME/invocations` runs a
    /// function with the JSON event in the body, or without one as its schedule does. It wants
    /// [its token](Self::invoke_token) as a bearer.
    pub fn invoke_url(&self) -> &str {
        self.services.invoke_api().url()
    }

    /// Token of the endpoint for invocations.
    pub fn invoke_token(&self) -> &str {
        self.services.invoke_api().token()
    }

    /// Stops the site, then the functions, then Heroku. In this order no request is lost.
    pub async fn stop(self) {
        // A database that is kept must not stay read-only, nor a frozen instance have no end.
        if let Err(error) = self.faults.clear(None).await {
            tracing::warn!(error = ?error, "a fault could not be ended");
        }
        self.services.stop().await;
        self.site.stop().await;
        for stage in &self.stages {
            stage.functions.shutdown().await;
        }
        self.heroku.stop().await;
    }
}

/// Copies programs into the store, which the first ones create.
pub(crate) async fn copy_programs(
    store: &OnceCell<ProgramStore>,
    programs: &BTreeMap<String, PathBuf>,
) -> Result<Artifact, Error> {
    let Some(first) = programs.values().next() else {
        return Ok(Artifact::default());
    };
    let store = store
        .get_or_try_init(|| ProgramStore::beside(first))
        .await?;
    store.add(programs).await
}

/// Returns the host name of a stage: the site's name for the first stage of production, a subdomain
/// for every other stage, as for Netlify's branch deploys.
fn host_name(stage: &str, is_main: bool) -> String {
    match is_main {
        true => "localhost".to_owned(),
        false => format!("{stage}.localhost"),
    }
}

/// Returns the name of a stage's app. Heroku's have 30 characters at most.
fn app_name(pipeline: &str, stage: &str, number: usize) -> String {
    let name = format!("{pipeline}-{stage}");
    match name.len() <= 30 {
        true => name,
        false => format!("{pipeline}-{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_is_named_after_the_stage_where_that_fits() {
        assert_eq!(app_name("shop", "qa", 2), "shop-qa");
        let long = "n".repeat(26);
        assert_eq!(app_name("shop", &long, 2), "shop-2");
    }
}
