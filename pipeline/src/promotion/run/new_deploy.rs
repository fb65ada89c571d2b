//! The step that makes the new deploy, or finds that of an earlier run.

use stagelink::self_check;

use super::Run;
use crate::artifact::ArtifactContent;
use crate::error::{Error, ErrorKind};
use crate::netlify::{Deploy, DeployEvent, DeployVariable};
use crate::promotion::event::PromotionEvent;
use crate::promotion::start::short;

impl Run<'_> {
    pub(super) async fn deploy(&mut self) -> Result<String, Error> {
        let site = &self.plan.site;
        let manifest = &self.plan.source.manifest;
        let earlier = match self.find_earlier().await? {
            Some(deploy) if deploy.is_ready() => {
                let text = format!("{} is ready since an earlier run", deploy.id);
                self.progress.deploy = Some(deploy.id.clone());
                self.save().await?;
                self.new_deploy = Some(deploy);
                return Ok(text);
            }
            earlier => earlier.filter(|deploy| !deploy.has_failed()),
        };
        self.lease.fence().await?;
        let deploy = match earlier {
            Some(deploy) => deploy,
            None => site.create_deploy(&self.progress.title, None).await?,
        };
        self.progress.deploy = Some(deploy.id.clone());
        self.save().await?;
        self.new_deploy = Some(deploy.clone());
        // Where Netlify has all files already, the declaration alone makes the deploy ready.
        self.ensure_locked().await?;
        let key = DeployVariable {
            key: self_check::VARIABLE,
            value: self.progress.key.clone().into(),
            is_secret: true,
        };
        let declared = site.declare(&deploy.id, manifest, &[key]).await?;
        let content = ArtifactContent::of_deployed(manifest, Some(&self.request.project));
        let content = content.with_deploy(&self.plan.source.address)?;
        let content = self.with_missing(content, &declared).await?;
        self.ensure_locked().await?;
        let listener = self.listener;
        let tell = move |event: &DeployEvent<'_>| {
            listener(&PromotionEvent::Tells(&event.to_string()));
        };
        site.upload(&declared, manifest, &content, &tell).await?;
        let ready = site.wait_until_ready(&deploy.id, &tell).await?;
        let text = format!("{} is ready", ready.id);
        self.new_deploy = Some(ready);
        Ok(text)
    }

    /// Returns the deploy of an earlier run. It has the title of the progress, which no other one has.
    async fn find_earlier(&self) -> Result<Option<Deploy>, Error> {
        match &self.progress.deploy {
            Some(id) => self.site().find_deploy(id).await,
            None if self.is_resumed => {
                let found = self.site().deploys_of_title(&self.progress.title).await?;
                Ok(found.into_iter().next())
            }
            None => Ok(None),
        }
    }

    /// Adds what Netlify asks for and the local build does not have: the programs, built anew from the
    /// artifact's commit. Their digests decide.
    async fn with_missing(
        &self,
        content: ArtifactContent,
        declared: &Deploy,
    ) -> Result<ArtifactContent, Error> {
        let manifest = &self.plan.source.manifest;
        let required = declared.required_functions.as_deref().unwrap_or_default();
        let missing = content.missing_programs(required, manifest);
        if missing.is_empty() {
            return Ok(content);
        }
        let names = missing.join(", ");
        let not_here = |reason: String| {
            Error::new(
                ErrorKind::Promotion,
                format!(
                    "Netlify asks for the programs of {names}, and dist/functions does not hold those \
                     of the artifact: {reason}"
                ),
            )
        };
        let commit = match &manifest.commit.name {
            Some(commit) if !manifest.commit.is_dirty => commit,
            _ => {
                return Err(not_here(
                    "it was built with changes that are in no commit, so they cannot be built anew; \
                     promote from the machine that built it, or deploy a commit"
                        .to_owned(),
                ));
            }
        };
        self.tell(&format!("building {} anew", short(commit)));
        let rebuilt = self.request.checkout.rebuild(commit).await;
        let rebuilt = rebuilt.map_err(|reason| {
            not_here(format!("building commit {commit} anew failed ({reason})"))
        })?;
        let content = content.with_programs_of(&rebuilt);
        let missing = content.missing_programs(required, manifest);
        match missing.is_empty() {
            true => Ok(content),
            false => Err(not_here(format!(
                "built anew from commit {commit}, the programs of {} are other ones: other compilers \
                 built those of the artifact, or another source than the commit's; promote from the \
                 machine that built them, or deploy to the source stage again",
                missing.join(", ")
            ))),
        }
    }
}
