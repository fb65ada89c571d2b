//! The changes of a running cloud: new builds, another configuration of the site, other variables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::cloud::{Cloud, copy_programs};
use crate::netlify::SiteConfig;
use crate::program_store::Artifact;
use crate::stage_functions::StageFunctions;
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

impl CloudUpdate {
    fn changes_programs(&self) -> bool {
        !self.programs.is_empty() || !self.removed.is_empty()
    }

    /// Changes what one stage serves, with copies of the programs that were built anew. Returns the names of the
    /// functions that have new processes.
    ///
    /// # Errors
    ///
    /// Those of [`StageFunctions::update`], with the stage's name.
    pub(crate) async fn change(
        &self,
        functions: &StageFunctions,
        stage: &str,
        changed: &Artifact,
    ) -> Result<BTreeSet<String>, Error> {
        let updated = functions.update(|content| {
            if self.changes_programs() {
                content.artifact = content.artifact.with_changes(changed, &self.removed);
            }
            if let Some(site) = &self.site {
                content.site = Arc::new(site.clone());
            }
            if let Some(variables) = self.variables.get(stage) {
                content.variables = Arc::new(variables.clone());
            }
        });
        updated.await.map_err(|error| {
            let message = format!("could not change what the stage {stage} serves");
            Error::new(error.kind(), message).with_source(error)
        })
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
        let changed = copy_programs(&self.programs, &update.programs).await?;
        let (update, changed) = (Arc::new(update), Arc::new(changed));
        let mut updates = JoinSet::new();
        for (number, stage) in self.stages.iter().enumerate() {
            let (functions, name) = (Arc::clone(&stage.functions), stage.name.clone());
            let (update, changed) = (Arc::clone(&update), Arc::clone(&changed));
            updates.spawn(async move {
                let updated = update.change(&functions, &name, &changed).await;
                (number, updated)
            });
        }
        let mut started = BTreeSet::new();
        let updated = each_ends(updates, |(number, updated)| {
            let stage = &self.stages[number];
            started.extend(updated?);
            let artifact = stage.functions.artifact();
            if update.changes_programs() && !artifact.programs().is_empty() {
                let slug = self.deployer.register(artifact);
                self.heroku.deploy_slug(&stage.app, slug)?;
            }
            Ok(())
        });
        let updated = updated.await;
        // The copies of programs that no stage runs any more go with their last process.
        self.deployer.forget_unused();
        updated.map(|()| started)
    }
}

/// Waits until each update has ended, and hands on its result. What fails stops none of the others.
///
/// # Errors
///
/// The first error, once all have ended.
async fn each_ends<T: 'static>(
    mut updates: JoinSet<T>,
    mut ended: impl FnMut(T) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut failed = None;
    while let Some(updated) = updates.join_next().await {
        let result = match updated {
            Ok(value) => ended(value),
            Err(cause) => {
                let message = "could not change what a stage serves";
                Err(Error::new(ErrorKind::Process, message).with_source(cause))
            }
        };
        failed = failed.or(result.err());
    }
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn update_that_fails_stops_none_of_the_others() {
        for panics in [true, false] {
            let mut updates = JoinSet::new();
            updates.spawn(async move {
                assert!(!panics, "a fault");
                1
            });
            updates.spawn(async {
                for _ in 0..100 {
                    yield_now().await;
                }
                2
            });
            let mut ended = Vec::new();
            let result = each_ends(updates, |number| {
                ended.push(number);
                match number {
                    1 => Err(Error::new(ErrorKind::Input, "no such app")),
                    _ => Ok(()),
                }
            });
            let kind = result.await.unwrap_err().kind();
            assert_eq!(
                kind,
                [ErrorKind::Input, ErrorKind::Process][usize::from(panics)]
            );
            assert_eq!(ended.last(), Some(&2));
        }
    }
}
