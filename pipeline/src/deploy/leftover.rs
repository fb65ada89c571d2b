//! The state that a deploy keeps in its lease, and what an interrupted one has left.

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use stagelink::Stage;
use stagelink::self_check::SelfCheckKey;

use crate::error::{Error, ErrorKind};
use crate::netlify::{Deploy, Site};
use crate::promotion::{Lease, of_another_site, unreadable};

/// The state of a deploy, by which the next run of the same command goes on.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DeployState {
    /// The id of the site. `None` where an earlier version wrote it.
    #[serde(default)]
    pub(super) site: Option<String>,
    /// The digest of the artifact.
    pub(super) artifact: String,
    /// Netlify's id of the deploy, once it has one.
    pub(super) deploy: Option<String>,
    /// The number of its record in the database, once it has one.
    #[serde(default)]
    pub(super) record: Option<i64>,
    /// The migrations that were applied: number, and name as `V1__name`.
    #[serde(default)]
    pub(super) applied: Vec<(i64, String)>,
    /// The name of the step that has begun last.
    #[serde(default)]
    pub(super) step: Option<String>,
    /// The key of the deploy's self-checks. A deploy that was declared keeps it.
    key: String,
}

impl DeployState {
    /// Makes the state of a deploy that begins.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the system has no random bytes.
    pub(super) fn begin(artifact: String, site: &str) -> Result<Self, Error> {
        let key = SelfCheckKey::generate().map_err(|error| {
            let message = "could not make the key of the deploy's self-checks";
            Error::with_source(ErrorKind::Settings, message, error)
        })?;
        Ok(Self {
            site: Some(site.to_owned()),
            artifact,
            deploy: None,
            record: None,
            applied: Vec::new(),
            step: None,
            key: key.to_text().expose_secret().to_owned(),
        })
    }

    /// Reads what a run on a site has kept in its lease. `None` where it was killed before it kept anything,
    /// so that it has changed nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] for the progress of another platform, version or site.
    pub(super) fn of_lease(
        progress: &Json,
        stage: Stage,
        site: &str,
    ) -> Result<Option<Self>, Error> {
        if progress.is_null() {
            return Ok(None);
        }
        let state = Self::read(progress).ok_or_else(|| unreadable(COMMAND, stage))?;
        match &state.site {
            Some(other) if other != site => Err(of_another_site(COMMAND, stage, other)),
            _ => Ok(Some(state)),
        }
    }

    /// Reads the state of a run that was interrupted; `None` for one that cannot be gone on with.
    fn read(progress: &Json) -> Option<Self> {
        let state = Self::deserialize(progress).ok()?;
        SelfCheckKey::parse(&state.key).ok()?;
        Some(state)
    }

    pub(super) fn to_json(&self) -> Json {
        json!(self)
    }

    /// The numbers of the migrations that were applied.
    pub(super) fn versions(&self) -> Vec<i64> {
        self.applied.iter().map(|(version, _)| *version).collect()
    }

    /// The text of the key.
    pub(super) fn key(&self) -> secrecy::SecretString {
        self.key.clone().into()
    }
}

/// Returns the deploy that an interrupted run has begun, if it can be gone on with.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] where Netlify does not answer.
pub(super) async fn find(site: &Site, state: &DeployState) -> Result<Option<Deploy>, Error> {
    let Some(id) = &state.deploy else {
        return Ok(None);
    };
    let found = site.find_deploy(id).await?;
    Ok(found.filter(|deploy| !deploy.has_failed()))
}

/// Cancels the unfinished deploys of this title, but for the one to go on with. The lease says that no
/// other command works on them.
///
/// # Errors
///
/// Those of the lease, of the look-up, and of [`cancel`].
pub(super) async fn cancel_others(
    site: &Site,
    lease: &Lease,
    title: &str,
    kept: Option<&str>,
    tell: &(dyn Fn(String) + Sync),
) -> Result<(), Error> {
    for deploy in site.deploys_of_title(title).await? {
        if deploy.is_ready() || deploy.has_failed() || kept == Some(&*deploy.id) {
            continue;
        }
        lease.fence().await?;
        cancel(site, &deploy.id, tell).await?;
    }
    Ok(())
}

/// Cancels a deploy that no run goes on with. One that is ready by now stays.
///
/// # Errors
///
/// Those of Netlify, where the deploy's end is not known: it might become public later, in the place of the deploy
/// that the run makes. A refusal is told and is no error, since it would come again.
pub(super) async fn cancel(
    site: &Site,
    deploy: &str,
    tell: &(dyn Fn(String) + Sync),
) -> Result<(), Error> {
    match site.cancel_deploy(deploy).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Refused => {
            tell(not_cancelled(deploy, &error));
            Ok(())
        }
        Err(error) => Err(error.context(format!(
            "the unfinished deploy {deploy} of an earlier run may become public after that of this one: run the \
             command again once Netlify answers"
        ))),
    }
}

/// Returns the sentence about a deploy that stays under way.
pub(super) fn not_cancelled(deploy: &str, error: &Error) -> String {
    format!(
        "the deploy {deploy} could not be cancelled, and may become public: look at it in Netlify's list of \
         deploys ({})",
        error.report()
    )
}

/// The name of the command in the lease and in the records.
pub(super) const COMMAND: &str = "deploy";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_reads_back_and_another_form_is_not_gone_on_with() {
        let mut state = DeployState::begin("ab".to_owned(), "s").unwrap();
        state.deploy = Some("1".to_owned());
        let read = DeployState::read(&state.to_json()).unwrap();
        assert_eq!(
            (read.artifact, read.deploy),
            ("ab".to_owned(), Some("1".to_owned()))
        );
        assert_eq!(read.key, state.key);
        for progress in [
            json!(null),
            json!({"artifact": "ab"}),
            json!({"artifact": "ab", "deploy": null, "key": "x"}),
        ] {
            assert!(DeployState::read(&progress).is_none(), "{progress}");
        }
    }
}
