//! The changes of a running cloud: new builds, another configuration of the site, other variables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::cloud::{Cloud, copy_programs};
use crate::netlify::SiteConfig;
use crate::{Error, ErrorKind};

/// A change of what the stages of a running [`Cloud`] serve. The default changes nothing.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct CloudUpdate {
    /// Programs that were built anew, by function name. A name that is new adds a function.
    pub programs: BTreeMap<String, PathBuf>,
    /// Names of the functions that the project has no longer.
    pub removed: BTreeSet<String>,
    /// Configuration of the site.
    pub site: Option<SiteConfig>,
    /// The project's variables of the functions, by stage name. A stage that is not here keeps its own.
    pub variables: BTreeMap<String, BTreeMap<String, String>>,
}

impl fmt::Debug for CloudUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudUpdate")
            .field("programs", &self.programs)
            .field("removed", &self.removed)
            .field("site", &self.site)
            // The values may be secrets.
            .field("variables", &self.variables.keys())
            .finish()
    }
}

impl Cloud {
    /// Changes what all stages serve, and returns the names of the functions that have new processes.
    ///
    /// A function whose program and variables stay the same goes on with its processes. Each other one
    /// has a new process that waits for its first event before the first request goes to it, and the
    /// old ones end after their last request: no request is lost, and from the change on none is
    /// answered by the old program.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if a program cannot be read or the published folder cannot be opened,
    /// [`ErrorKind::Process`] if a function does not start. A stage that fails serves what it served
    /// before, whatever the others do.
    pub async fn update(&self, update: CloudUpdate) -> Result<BTreeSet<String>, Error> {
        let CloudUpdate {
            programs,
            removed,
            site,
            mut variables,
        } = update;
        let changes_programs = !programs.is_empty() || !removed.is_empty();
        let changed = copy_programs(&self.programs, &programs).await?;
        let site = site.map(Arc::new);
        let removed = Arc::new(removed);
        let mut updates = JoinSet::new();
        for (number, stage) in self.stages.iter().enumerate() {
            let functions = Arc::clone(&stage.functions);
            let (changed, removed) = (changed.clone(), Arc::clone(&removed));
            let (site, variables) = (site.clone(), variables.remove(&stage.name));
            updates.spawn(async move {
                let updated = functions.update(|content| {
                    if changes_programs {
                        content.artifact = content.artifact.with_changes(&changed, &*removed);
                    }
                    if let Some(site) = site {
                        content.site = site;
                    }
                    if let Some(variables) = variables {
                        content.variables = Arc::new(variables);
                    }
                });
                (number, updated.await)
            });
        }
        let (mut started, mut failed) = (BTreeSet::new(), None);
        while let Some(updated) = updates.join_next().await {
            match updated {
                Ok((number, Ok(names))) => {
                    started.extend(names);
                    let stage = &self.stages[number];
                    let artifact = stage.functions.artifact();
                    if changes_programs && !artifact.programs().is_empty() {
                        let slug = self.deployer.register(artifact);
                        self.heroku.deploy_slug(&stage.app, slug)?;
                    }
                }
                Ok((number, Err(error))) => {
                    let stage = &self.stages[number].name;
                    let message = format!("could not change what the stage {stage} serves");
                    let error = Error::new(error.kind(), message).with_source(error);
                    failed = failed.or(Some(error));
                }
                Err(cause) => {
                    let message = "could not change what a stage serves";
                    return Err(Error::new(ErrorKind::Process, message).with_source(cause));
                }
            }
        }
        // The copies of programs that no stage runs any more go with their last process.
        self.deployer.forget_unused();
        failed.map_or(Ok(started), Err)
    }
}
