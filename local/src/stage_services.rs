//! The services of the stages besides the site: a port for each one, the clock of the schedules, and the
//! endpoint for invocations.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use crate::invoke_api::{InvokeApi, InvokedStage};
use crate::netlify::{BoundSite, FindDeploy, FoundDeploy, Site, Timeouts};
use crate::scheduler::Scheduler;
use crate::stage_functions::StageFunctions;
use crate::{Error, ErrorKind};

/// The running services. Dropping them closes their ports and ends the clock.
#[derive(Debug)]
pub(crate) struct StageServices {
    scheduler: Option<Scheduler>,
    invoke_api: InvokeApi,
    ports: Vec<Site>,
}

/// A stage with the names that its services need.
pub(crate) struct ServedStage {
    pub(crate) name: String,
    /// URL of the stage's site.
    pub(crate) url: String,
    pub(crate) functions: Arc<StageFunctions>,
    /// True for the stage whose schedules run: that of the published deploy.
    pub(crate) is_published: bool,
}

/// The deploy of one stage at a port of its own, whatever loopback name leads there.
#[derive(Debug)]
struct StagePort(Arc<StageFunctions>);

/// Listens for one stage on the port, or on a free one if that is taken; 0 selects a free one.
///
/// # Errors
///
/// [`ErrorKind::System`] if there is no free port.
pub(crate) async fn bind_stage_port(
    port: u16,
    functions: Arc<StageFunctions>,
) -> Result<BoundSite, Error> {
    let finder: Arc<dyn FindDeploy> = Arc::new(StagePort(functions));
    match BoundSite::bind_finder(port, Arc::clone(&finder)).await {
        Err(error) if error.kind() == ErrorKind::PortInUse => {
            BoundSite::bind_finder(0, finder).await
        }
        bound => bound,
    }
}

impl StageServices {
    /// Starts the services. `ports` are those of the stages.
    pub(crate) async fn start(
        stages: Vec<ServedStage>,
        ports: Vec<BoundSite>,
    ) -> Result<Self, Error> {
        let mut invoked = BTreeMap::new();
        let mut scheduler = None;
        for stage in stages {
            let authority = stage.url.trim_start_matches("http://").to_owned();
            if stage.is_published {
                let functions = Arc::clone(&stage.functions);
                scheduler = Some(Scheduler::start(functions, authority.clone()));
            }
            let functions = stage.functions;
            invoked.insert(
                stage.name,
                InvokedStage {
                    functions,
                    authority,
                },
            );
        }
        let invoke_api = InvokeApi::start(invoked).await?;
        let ports = ports.into_iter();
        Ok(Self {
            scheduler,
            invoke_api,
            ports: ports.map(|port| port.serve(Timeouts::default())).collect(),
        })
    }

    /// The endpoint for invocations.
    pub(crate) fn invoke_api(&self) -> &InvokeApi {
        &self.invoke_api
    }

    /// Stops the clock and the endpoint, and waits for the running requests at the ports.
    pub(crate) async fn stop(self) {
        drop(self.scheduler);
        self.invoke_api.stop().await;
        for port in self.ports {
            port.stop().await;
        }
    }
}

impl FindDeploy for StagePort {
    fn find<'a>(&'a self, host: &'a str) -> FoundDeploy<'a> {
        // Another name may be a page's that points to this machine.
        let is_own = host == LOCALHOST || host == self.0.host();
        Box::pin(ready(Ok(is_own.then(|| self.0.deploy()))))
    }

    fn hosts(&self) -> Vec<String> {
        vec![LOCALHOST.to_owned()]
    }
}

const LOCALHOST: &str = "localhost";
