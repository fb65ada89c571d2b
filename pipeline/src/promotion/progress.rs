//! The progress of a promotion, which the lease keeps: what a later run needs to go on or to take back.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::promotion::lease::{self, Lease};

/// The progress of a promotion. It is kept before each call that it describes.
///
/// It holds the key of the self-check, a secret, so it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Progress {
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

    /// Reads what an earlier run has kept. `None` for another version's.
    pub(crate) fn read(earlier: lease::Progress) -> Option<Self> {
        serde_json::from_value::<Self>(earlier.0).ok()
    }
}
