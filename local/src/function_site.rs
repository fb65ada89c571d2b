//! The site of one stage whose database is elsewhere: its functions, with the variables that the caller gives
//! them, and none of the local clouds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::Error;
#[cfg(doc)]
use crate::ErrorKind;
use crate::cloud::copy_programs;
use crate::cloud_update::CloudUpdate;
use crate::lambda::LogLine;
use crate::netlify::{BoundSite, Schedule, Site, SiteConfig, Timeouts};
use crate::program_store::ProgramStore;
use crate::requests::{Recorder, RequestLog, RequestRecord};
use crate::stage_deployer::{DeployedStage, StageDeployer};
use crate::stage_functions::{StageContent, StageFunctions, StageSetup};

/// Configuration of a [`FunctionSite`].
#[non_exhaustive]
pub struct FunctionSiteConfig {
    /// The project's name for the stage.
    pub stage: String,
    /// Programs of the functions, by function name.
    pub functions: BTreeMap<String, PathBuf>,
    /// The variables by which the functions find the stage's database, which may be secrets. No part of this
    /// crate shows them.
    pub variables: BTreeMap<String, String>,
    /// The project's own variables of the functions. Those of the stage override them.
    pub own_variables: BTreeMap<String, String>,
    /// Configuration of the site, as in netlify.toml.
    pub site: SiteConfig,
    /// Port of the site; 0 selects a free port.
    pub port: u16,
}

/// The functions of one stage behind Netlify's routes. Their database is not of this machine, so there
/// is nothing else: no clock runs the schedules, no fault can be injected, and no other command finds it.
///
/// Dropping it ends the processes; [`stop`](Self::stop) also waits for their end.
#[derive(Debug)]
pub struct FunctionSite {
    site: Site,
    stage: String,
    url: String,
    functions: Arc<StageFunctions>,
    programs: OnceCell<ProgramStore>,
    requests: RequestLog,
}

impl FunctionSiteConfig {
    /// Makes the configuration of a stage without functions, on a free port.
    pub fn new(stage: impl Into<String>, site: SiteConfig) -> Self {
        Self {
            stage: stage.into(),
            functions: BTreeMap::new(),
            variables: BTreeMap::new(),
            own_variables: BTreeMap::new(),
            site,
            port: 0,
        }
    }
}

impl fmt::Debug for FunctionSiteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionSiteConfig")
            .field("stage", &self.stage)
            .field("functions", &self.functions)
            .field("variables", &self.variables.keys())
            .field("own_variables", &self.own_variables.keys())
            .field("site", &self.site)
            .field("port", &self.port)
            .finish()
    }
}

impl FunctionSite {
    /// Starts the site at `localhost`. `log` is called for each line of a function's log.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PortInUse`] if the port is taken, and [`ErrorKind::Input`] if a program cannot be read or the
    /// published folder cannot be opened.
    pub async fn start(
        config: FunctionSiteConfig,
        log: impl Fn(LogLine) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let programs = OnceCell::new();
        let artifact = copy_programs(&programs, &config.functions).await?;
        let requests = RequestLog::default();
        let sink = {
            let (requests, stage) = (requests.clone(), config.stage.clone());
            move |line: LogLine| {
                requests.send_line(&stage, &line);
                log(line);
            }
        };
        let setup = StageSetup {
            host: HOST.to_owned(),
            variables: config.variables,
            log: Arc::new(sink),
            recorder: Recorder::new(&requests, &config.stage),
        };
        let content = StageContent {
            artifact,
            site: Arc::new(config.site),
            variables: Arc::new(config.own_variables),
        };
        let functions = Arc::new(StageFunctions::new(setup, content).await?);
        let finder = StageDeployer::new(vec![DeployedStage {
            name: config.stage.clone(),
            app: String::new(),
            functions: Arc::clone(&functions),
        }]);
        let site = BoundSite::bind_finder(config.port, Arc::new(finder) as _).await?;
        Ok(Self {
            url: site.url(HOST),
            site: site.serve(Timeouts::default()),
            stage: config.stage,
            functions,
            programs,
            requests,
        })
    }

    /// The project's name for the stage.
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// URL of the site, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The requests to the site.
    pub fn requests(&self) -> &RequestLog {
        &self.requests
    }

    /// Schedules of the site, by function. None of them runs.
    pub fn schedules(&self) -> BTreeMap<String, Schedule> {
        self.functions.site().schedules.clone()
    }

    /// Returns what sends events again and tells what is served. It does not keep the site running.
    pub fn view(&self) -> FunctionSiteView {
        FunctionSiteView(Arc::clone(&self.functions))
    }

    /// Changes what the site serves, as [`Cloud::update`](crate::Cloud::update) does.
    ///
    /// # Errors
    ///
    /// Those of [`Cloud::update`](crate::Cloud::update). The site serves what it served before then.
    pub async fn update(&self, update: CloudUpdate) -> Result<BTreeSet<String>, Error> {
        let changed = copy_programs(&self.programs, &update.programs).await?;
        update.change(&self.functions, &self.stage, &changed).await
    }

    /// Stops the site, then the functions. In this order no request is lost.
    pub async fn stop(self) {
        self.site.stop().await;
        self.functions.shutdown().await;
    }
}

/// The parts of a [`FunctionSite`] that a page shows.
#[derive(Clone, Debug)]
pub struct FunctionSiteView(Arc<StageFunctions>);

impl FunctionSiteView {
    /// Names of the functions.
    pub fn functions(&self) -> Vec<String> {
        self.0.names()
    }

    /// The time from which on the site serves what it serves now.
    pub fn served_since(&self) -> Timestamp {
        self.0.since()
    }

    /// Number of processes that run the functions.
    pub fn instance_count(&self) -> usize {
        self.0.instance_count()
    }

    /// Invokes the function of an earlier request again, with the same event. Returns the id of the new
    /// request; `None` if the record has no event, or the site no such function now.
    pub fn repeat(&self, record: &RequestRecord) -> Option<String> {
        self.0.repeat(record)
    }
}

const HOST: &str = "localhost";
