//! The stages of a project by app and by host, for the local Heroku's promotions and for the site.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use crate::heroku::{DeployFuture, Deployer, Deployment};
use crate::lock::lock;
use crate::netlify::{FindDeploy, FoundDeploy};
use crate::program_store::Artifact;
use crate::stage_functions::StageFunctions;
use crate::{Error, ErrorKind};

/// A promotion at the local Heroku that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StagePromotion {
    /// Name of the stage whose functions were promoted.
    pub from: String,
    /// Name of the stage that was to run them.
    pub to: String,
    /// Names of the functions.
    pub functions: Vec<String>,
    /// The error of a promotion that failed; the stage runs the same functions as before.
    pub error: Option<String>,
}

/// Deploys artifacts to stages.
pub(crate) struct StageDeployer {
    stages: Vec<DeployedStage>,
    /// The artifacts that have been deployed, by slug.
    artifacts: Mutex<BTreeMap<Uuid, Artifact>>,
    on_promotion: Mutex<Arc<PromotionCallback>>,
}

type PromotionCallback = dyn Fn(&StagePromotion) + Send + Sync;

/// A stage with the names by which it is known elsewhere.
#[derive(Debug)]
pub(crate) struct DeployedStage {
    pub(crate) name: String,
    pub(crate) app: String,
    pub(crate) functions: Arc<StageFunctions>,
}

impl StageDeployer {
    pub(crate) fn new(stages: Vec<DeployedStage>) -> Self {
        Self {
            stages,
            artifacts: Mutex::default(),
            on_promotion: Mutex::new(Arc::new(|_| ())),
        }
    }

    /// Makes an artifact known by its slug, which is returned.
    pub(crate) fn register(&self, artifact: Artifact) -> Uuid {
        let slug = artifact.slug();
        lock(&self.artifacts).insert(slug, artifact);
        slug
    }

    /// Forgets the artifacts that no stage runs: none of them can be promoted.
    pub(crate) fn forget_unused(&self) {
        let stages = self.stages.iter();
        let used: BTreeSet<Uuid> = stages.map(|of| of.functions.artifact().slug()).collect();
        lock(&self.artifacts).retain(|slug, _| used.contains(slug));
    }

    /// Sets what is called after each promotion.
    pub(crate) fn set_callback(&self, callback: Arc<PromotionCallback>) {
        *lock(&self.on_promotion) = callback;
    }

    fn stage_name<'a>(&'a self, app: &'a str) -> &'a str {
        let stage = self.stages.iter().find(|stage| stage.app == app);
        stage.map_or(app, |stage| &stage.name)
    }

    async fn promote(&self, deployment: &Deployment) -> Result<Vec<String>, Error> {
        let Deployment { app, output, .. } = deployment;
        let stage = self.stages.iter().find(|stage| stage.app == *app);
        let artifact = lock(&self.artifacts).get(&deployment.slug).cloned();
        let (Some(stage), Some(artifact)) = (stage, artifact) else {
            let message = format!(
                "could not promote to the app {app}: app and slug must be those of a stage that \
                 runs here"
            );
            return Err(Error::new(ErrorKind::Input, message));
        };
        let functions: Vec<_> = artifact.programs().keys().cloned().collect();
        let report = |step: &str| output.write_line(step);
        stage.functions.replace(&artifact, report).await?;
        output.write_line(&format!("{} runs them on its own database", stage.name));
        Ok(functions)
    }
}

impl Deployer for StageDeployer {
    fn deploy<'a>(&'a self, deployment: &'a Deployment) -> DeployFuture<'a> {
        Box::pin(async move {
            let promoted = self.promote(deployment).await;
            let event = StagePromotion {
                from: self.stage_name(&deployment.source).to_owned(),
                to: self.stage_name(&deployment.app).to_owned(),
                functions: promoted.as_ref().cloned().unwrap_or_default(),
                error: promoted.as_ref().err().map(Error::to_string),
            };
            let callback = Arc::clone(&lock(&self.on_promotion));
            callback(&event);
            Ok(promoted.map(drop)?)
        })
    }
}

impl FindDeploy for StageDeployer {
    fn find<'a>(&'a self, host: &'a str) -> FoundDeploy<'a> {
        let mut stages = self.stages.iter();
        let stage = stages.find(|stage| stage.functions.host() == host);
        Box::pin(ready(Ok(stage.map(|stage| stage.functions.deploy()))))
    }

    fn hosts(&self) -> Vec<String> {
        let hosts = self.stages.iter().map(|stage| stage.functions.host());
        hosts.map(str::to_owned).collect()
    }
}

impl fmt::Debug for StageDeployer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageDeployer")
            .field("stages", &self.stages)
            .finish_non_exhaustive()
    }
}
