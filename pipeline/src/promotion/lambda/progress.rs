//! The progress of a change on Lambda, which the lease keeps: what a later run needs to go on or to
//! take back. It holds no secret.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use stagelink::Stage;

use crate::aws::AwsCaller;
use crate::error::{Error, ErrorKind};
use crate::promotion::function_versions::FunctionVersions;
use crate::promotion::lambda::stage::LambdaStage;
use crate::promotion::lease::{self, Lease};
use crate::promotion::unfinished::{of_another_account, unreadable};

/// The work that a change has done. It is kept before each call that it describes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LambdaProgress {
    /// The platform, which tells it from the progress of other ones.
    pub(super) on: Platform,
    /// The account and the region in which the functions are. `None` where an earlier version wrote it.
    #[serde(default)]
    pub(super) account: Option<String>,
    /// The artifact's digest.
    pub(super) artifact: String,
    /// The versions to which the aliases pointed before, by the functions on Lambda; `None` where there
    /// was no alias.
    pub(super) before: BTreeMap<String, Option<String>>,
    /// The versions to which they are moved, as far as they are published, and those of the stage's other functions.
    pub(super) versions: FunctionVersions,
    /// The versions that earlier runs of the command made, and that a later one has replaced.
    #[serde(default)]
    pub(super) replaced: Vec<(String, String)>,
    /// The functions whose settings were changed, in `$LATEST`; from before the call that changes them.
    #[serde(default)]
    pub(super) settings: BTreeSet<String>,
    /// The numbers of the migrations that were applied.
    pub(super) migrated: Vec<i64>,
    /// Their names, as `V5__add_mail`.
    pub(super) migrated_names: Vec<String>,
    /// True from before the first alias is moved.
    pub(super) moves: bool,
    /// The versions of all functions of the stage once the aliases are moved, as a record has them; from before the
    /// first alias is moved.
    #[serde(default)]
    pub(super) deploy: Option<String>,
    /// True once each alias has passed its test.
    #[serde(default)]
    pub(super) is_tested: bool,
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

    /// Looks at what an unfinished run of a command has kept in the lease of its stage. `None` where there is none,
    /// or what it kept is of a time before the database was restored.
    ///
    /// # Errors
    ///
    /// Those of [`Lease::look`] and [`read`](Self::read).
    pub(super) async fn look(
        command: &str,
        stage: &LambdaStage,
        caller: &AwsCaller,
    ) -> Result<Option<Self>, Error> {
        let row = Lease::look(&stage.database).await?;
        match row.filter(|row| row.command == command && !row.is_foreign) {
            Some(row) => Self::read(lease::Progress(row.progress), command, stage.stage, caller),
            None => Ok(None),
        }
    }

    /// Reads what an earlier run of a command in this account and region has kept. `None` where it was killed
    /// before it kept anything, so that it has changed nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] for the progress of another platform, version, account or region.
    pub(super) fn read(
        earlier: lease::Progress,
        command: &str,
        stage: Stage,
        caller: &AwsCaller,
    ) -> Result<Option<Self>, Error> {
        if earlier.0.is_null() {
            return Ok(None);
        }
        let read = serde_json::from_value::<Self>(earlier.0);
        let progress = read.map_err(|_| unreadable(command, stage))?;
        match &progress.account {
            Some(other) if *other != caller.to_string() => {
                Err(of_another_account(command, stage, other))
            }
            _ => Ok(Some(progress)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn caller(account: &str, region: &str) -> AwsCaller {
        AwsCaller {
            account: account.to_owned(),
            region: region.to_owned(),
        }
    }

    #[test]
    fn progress_of_another_account_region_or_form_is_refused() {
        let here = caller("123456789012", "eu-west-1");
        let kept = json!({
            "on": "lambda", "account": here.to_string(), "artifact": "ab", "before": { "shop": "1" },
            "versions": { "shop": "2" }, "migrated": [], "migrated_names": [], "moves": true, "record": 7,
        });
        let read = |kept: &serde_json::Value, caller: &AwsCaller| {
            let earlier = lease::Progress(kept.clone());
            LambdaProgress::read(earlier, "promote", Stage::PRODUCTION, caller)
        };
        let own = read(&kept, &here).unwrap().unwrap();
        assert_eq!(own.record, 7);
        assert!(read(&json!(null), &here).unwrap().is_none());
        for other in [
            caller("210987654321", "eu-west-1"),
            caller("123456789012", "us-east-1"),
        ] {
            let refused = read(&kept, &other).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Promotion);
            let text = refused.to_string();
            let words = "(account 123456789012, eu-west-1): run it there";
            assert!(text.contains(words), "{text}");
        }
        let of_netlify = json!({ "site": "s", "artifact": "ab", "record": 7 });
        let refused = read(&of_netlify, &here).unwrap_err();
        assert!(refused.to_string().contains("(--on)"), "{refused}");
    }
}
