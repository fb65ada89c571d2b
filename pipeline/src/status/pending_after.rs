//! The pending migrations of *after*: those that the stage's code bears by now, and what others wait for.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stagelink::Database;

use crate::migrations::MigrationFolder;
use crate::migrations::class::Class;
use crate::needs::MigrationList;
use crate::promotion::{CodeWindows, PublishedCode, running_code};
use crate::status::lookup::{Lookup, within};

/// A pending migration of *after*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingAfter {
    /// The migration, as `V1__name`.
    pub migration: String,
    /// The reasons for which it waits: the code that runs, or that a rollback may bring back. With none
    /// `stagelink migrate STAGE --after` can apply it.
    pub waits_for: Vec<String>,
}

/// Looks up the pending migrations of *after*, by the classes that they have without a database. `published`
/// is waited for where there is one.
pub(super) async fn look_up(
    database: &Database,
    folder: &MigrationFolder,
    pending: &[String],
    windows: CodeWindows,
    published: impl Future<Output = Vec<PublishedCode>>,
    limit: Duration,
) -> Lookup<Vec<PendingAfter>> {
    let list = MigrationList::of(folder);
    let is_of_after = |version: i64| {
        let mut listed = list.migrations().iter();
        listed.any(|one| one.version == version && one.class == Class::After)
    };
    let files: Vec<_> = folder
        .files()
        .iter()
        .filter(|file| is_of_after(file.version()) && pending.contains(&file.to_string()))
        .collect();
    if files.is_empty() {
        return Lookup::absent("no migration of after is pending");
    }
    let published = published.await;
    let code = running_code(database, Some(folder), windows, &published);
    match within(limit, code).await {
        Ok(Some(code)) => {
            let files = files.into_iter().map(|file| PendingAfter {
                migration: file.to_string(),
                waits_for: code.reasons(file),
            });
            Lookup::known(files.collect())
        }
        Ok(None) => Lookup::absent("no deploy is recorded, so which code runs is not known"),
        Err(error) => Lookup::not_known(error.report()),
    }
}
