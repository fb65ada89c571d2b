//! The progress of a change on Lambda, which the lease keeps: what a later run needs to go on or to
//! take back. It holds no secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::promotion::lambda::versions::FunctionVersions;
use crate::promotion::lease::{self, Lease};

/// The work that a change has done. It is kept before each call that it describes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LambdaProgress {
    /// The platform, which tells it from the progress of other ones.
    pub(super) on: Platform,
    /// The artifact's digest.
    pub(super) artifact: String,
    /// The versions to which the aliases pointed before, by the functions on Lambda; `None` where there
    /// was no alias.
    pub(super) before: BTreeMap<String, Option<String>>,
    /// The versions to which they are moved, as far as they are published.
    pub(super) versions: FunctionVersions,
    /// The versions that earlier runs of the command made, and that a later one has replaced.
    #[serde(default)]
    pub(super) replaced: Vec<(String, String)>,
    /// The numbers of the migrations that were applied.
    pub(super) migrated: Vec<i64>,
    /// Their names, as `V5__add_mail`.
    pub(super) migrated_names: Vec<String>,
    /// True from before the first alias is moved.
    pub(super) moves: bool,
    /// The number of the deploy record.
    pub(super) record: i64,
    /// The name of the step that has begun last.
    #[serde(default)]
    pub(super) step: Option<String>,
}

/// The platform of a [`LambdaProgress`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Platform {
    Lambda,
}

impl LambdaProgress {
    /// Keeps it in the lease.
    ///
    /// # Errors
    ///
    /// Those of [`Lease::save`].
    pub(super) async fn save(&self, lease: &Lease) -> Result<(), Error> {
        let value = serde_json::to_value(self).map_err(|error| {
            let message = "could not write down the progress";
            Error::with_source(ErrorKind::Promotion, message, error)
        })?;
        lease.save(&value).await
    }

    /// Keeps the version that a function gets. That of an earlier run stays known: an alias may point to it.
    pub(super) fn set_version(&mut self, function: &str, version: &str) {
        if let Some(earlier) = self.versions.of(function)
            && earlier != version
        {
            let replaced = (function.to_owned(), earlier.to_owned());
            self.replaced.push(replaced);
        }
        self.versions.insert(function, version);
    }

    /// Returns whether a version of a function is one that the command gives it, or gave it in an earlier
    /// run.
    pub(super) fn has_made(&self, function: &str, version: &str) -> bool {
        let is_replaced = |(of, one): &(String, String)| of == function && one == version;
        self.versions.of(function) == Some(version) || self.replaced.iter().any(is_replaced)
    }

    /// Reads what an earlier run has kept. `None` for that of another platform or version.
    pub(super) fn read(earlier: &lease::Progress) -> Option<Self> {
        serde_json::from_value(earlier.0.clone()).ok()
    }
}
