//! The progress of a promotion, which the lease keeps: what a later run needs to go on or to take back.

use serde::{Deserialize, Serialize};
use stagelink::Stage;

use crate::error::{Error, ErrorKind};
use crate::netlify::Site;
use crate::promotion::lease::{self, Lease};
use crate::promotion::unfinished::{of_another_site, unreadable};

/// The progress of a promotion. It is kept before each call that it describes.
///
/// It holds the key of the self-check, a secret, so it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The id of the site. `None` where an earlier version wrote it.
    #[serde(default)]
    pub(crate) site: Option<String>,
    /// The artifact's digest.
    pub(crate) artifact: String,
    /// The deploy that was published before.
    pub(crate) previous: String,
    /// True if it was locked before.
    pub(crate) was_locked: bool,
    /// The title of the new deploy, by which it is found where the answer to its creation was lost.
    pub(crate) title: String,
    /// The key of the new deploy's self-check.
    pub(crate) key: String,
    /// The new deploy.
    #[serde(default)]
    pub(crate) deploy: Option<String>,
    /// The numbers of the migrations that were applied.
    #[serde(default)]
    pub(crate) migrated: Vec<i64>,
    /// Their names, as `V5__add_mail`.
    #[serde(default)]
    pub(crate) migrated_names: Vec<String>,
    /// True from before the call that publishes the new deploy.
    #[serde(default)]
    pub(crate) publishes: bool,
    /// True once the deploy has passed its test at the stage's address: it is not taken back any more.
    #[serde(default)]
    pub(crate) is_tested: bool,
    /// The number of the deploy record.
    pub(crate) record: i64,
    /// The name of the step that has begun last.
    #[serde(default)]
    pub(crate) step: Option<String>,
}

impl Progress {
    /// Keeps it in the lease.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] where the lease is another command's by now; [`ErrorKind::Database`].
    pub(crate) async fn save(&self, lease: &Lease) -> Result<(), Error> {
        let value = serde_json::to_value(self)
            .map_err(|_| Error::new(ErrorKind::Promotion, "could not write down the progress"))?;
        lease.save(&value).await
    }

    /// Reads what an earlier run on a site has kept. `None` where it was killed before it kept anything, so
    /// that it has changed nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] for the progress of another platform, version or site.
    pub(crate) fn read(
        earlier: lease::Progress,
        stage: Stage,
        site: &Site,
    ) -> Result<Option<Self>, Error> {
        if earlier.0.is_null() {
            return Ok(None);
        }
        let read = serde_json::from_value::<Self>(earlier.0);
        let progress = read.map_err(|_| unreadable(COMMAND, stage))?;
        match &progress.site {
            Some(other) if other != site.id() => Err(of_another_site(COMMAND, stage, other)),
            _ => Ok(Some(progress)),
        }
    }
}

/// The name of the command in the lease and in the records.
pub(super) const COMMAND: &str = "promote";
