//! The steps that publish the versions, and test each one before and after its alias points to it.

use super::{Change, VersionSource};
use crate::artifact::FunctionContent;
use crate::error::{Error, ErrorKind};
use crate::promotion::lambda::live::LiveFunction;
use crate::promotion::lambda::publish;
use crate::promotion::lambda::self_check::AskedFunction;
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::lambda::start::Started;

impl Change<'_> {
    pub(super) async fn publish(&self, started: &mut Started) -> Result<String, Error> {
        for change in self.functions {
            let function = &change.live.lambda;
            let entry = self.entry(&change.live)?;
            self.tell(function);
            let version = match &change.source {
                VersionSource::Published(version) => {
                    publish::verify(self.lambda, function, version, entry).await?;
                    version.clone()
                }
                // Also where an earlier run has published one: its variables may be other ones than those of
                // now. Lambda answers with the newest version where nothing has changed since.
                VersionSource::Upload(upload) => {
                    if !upload.settings.is_empty() {
                        started.progress.settings.insert(function.clone());
                        started.progress.save(&started.lease).await?;
                    }
                    let lambda = self.lambda.hiding(upload.settings.secrets());
                    let description = format!("stagelink {}", self.manifest.short_digest());
                    upload
                        .publish(&lambda, function, entry, &description)
                        .await?
                }
            };
            self.ensure_serves(function, &version).await?;
            started.progress.set_version(function, &version);
            started.progress.save(&started.lease).await?;
        }
        Ok(started.progress.versions.to_string())
    }

    /// Makes sure that a version does not serve another stage whatever its alias.
    async fn ensure_serves(&self, function: &str, version: &str) -> Result<(), Error> {
        let found = self.lambda.configuration(function, Some(version)).await?;
        let variable = found.and_then(|found| found.stage);
        match self.stage.is_served_with(variable.as_deref()) {
            true => Ok(()),
            false => Err(not_served(self.stage, function, variable.as_deref())),
        }
    }

    pub(super) async fn test(&self, started: &mut Started) -> Result<String, Error> {
        for change in self.functions {
            let function = &change.live.lambda;
            let version = started.progress.versions.of(function).unwrap_or_default();
            self.check(&change.live, version, version).await?;
        }
        Ok("each version answers for the stage".to_owned())
    }

    pub(super) async fn test_live(&self, started: &mut Started) -> Result<String, Error> {
        for change in self.functions {
            let function = &change.live.lambda;
            let version = started.progress.versions.of(function).unwrap_or_default();
            self.check(&change.live, self.stage.alias(), version)
                .await?;
        }
        started.progress.is_tested = true;
        started.progress.save(&started.lease).await?;
        Ok(format!("each alias {} answers", self.stage.alias()))
    }

    async fn check(
        &self,
        live: &LiveFunction,
        qualifier: &str,
        version: &str,
    ) -> Result<(), Error> {
        self.tell(&live.lambda);
        let asked = AskedFunction {
            stage: self.stage.stage,
            lambda: &live.lambda,
            qualifier,
            version,
            entry: self.entry(live)?,
        };
        asked.check(self.lambda, self.test_limit).await
    }

    fn entry(&self, live: &LiveFunction) -> Result<&FunctionContent, Error> {
        let functions = &self.manifest.content.functions;
        functions.get(&live.name).ok_or_else(|| {
            Error::new(
                ErrorKind::Promotion,
                format!("the artifact has no function {}", live.name),
            )
        })
    }
}

/// Returns the error of a version that would not serve the stage.
pub(crate) fn not_served(stage: &LambdaStage, function: &str, variable: Option<&str>) -> Error {
    let wanted = stage.stage;
    let message = match variable {
        Some(variable) => format!(
            "a version of {function} has STAGELINK_STAGE set to {}, so it serves that stage whatever its \
             alias, and not {wanted}: leave the variable out, or give {wanted} functions of its own \
             (lambda in [stages.{}] of stagelink.toml)",
            stagelink::one_line(variable),
            wanted.name()
        ),
        None => format!(
            "the alias {} does not say the kind of stage {wanted}: set STAGELINK_STAGE={wanted} in the \
             variables of {function}",
            wanted.name()
        ),
    };
    Error::new(ErrorKind::Promotion, message)
}
