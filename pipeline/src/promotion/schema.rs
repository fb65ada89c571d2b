//! The schema that an artifact needs, held against the target's database: the gate, and the migrations
//! of the artifact that are applied first.

use stagelink::{Database, Stage};

use crate::artifact::Manifest;
use crate::error::{Error, ErrorKind};
use crate::migrations::{
    Disagreement, MigrationFile, MigrationFolder, MigrationOptions, MigrationPlan, PlannedMigration,
};
use crate::needs::{GateVerdict, ListedMigration, MigrationList, RecordedMigration, gate_site};
use crate::promotion::request::Checkout;
use crate::promotion::runnable::ensure_runnable;

/// The stage whose database an artifact is held against, and what the operator's machine can add.
pub(crate) struct SchemaTarget<'a> {
    /// The stage whose artifact it is.
    pub(crate) from: Stage,
    /// The stage of the database.
    pub(crate) to: Stage,
    /// The database itself, without a pooler.
    pub(crate) database: &'a Database,
    /// The migrations of the project's folder. `None` where there is no folder.
    pub(crate) migrations: Option<&'a MigrationFolder>,
    /// The limits of the run of migrations.
    pub(crate) options: &'a MigrationOptions,
    /// The project's Git repository.
    pub(crate) checkout: &'a dyn Checkout,
}

/// The needs of an artifact, held against the target's database.
#[derive(Debug)]
pub(crate) struct SchemaPlan {
    /// The run of the artifact's migrations.
    pub(crate) migrations: MigrationPlan,
    /// The options with which the plan was made, and with which it runs.
    pub(crate) options: MigrationOptions,
    /// The artifact's own files.
    folder: MigrationFolder,
}

impl SchemaPlan {
    /// Makes the plan. It changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Migration`] where the artifact cannot run on the database even after the plan's
    /// migrations, with what would have to happen first; [`ErrorKind::Database`] where the database
    /// cannot be read.
    pub(crate) async fn make(
        target: &SchemaTarget<'_>,
        manifest: &Manifest,
    ) -> Result<Self, Error> {
        let lists = manifest.migration_lists();
        let union = union(&lists);
        let folder = folder_of(
            &union,
            target.migrations,
            manifest.commit.name.as_deref(),
            target.checkout,
        )
        .await?;
        let history = RecordedMigration::read_all(target.database, Some(&folder)).await?;
        let verdict = gate_site(lists.iter().map(Option::as_ref), &history);
        let missing = match verdict {
            GateVerdict::Runs => Vec::new(),
            GateVerdict::NeedsFirst(missing) => missing,
            GateVerdict::Unknown(_) | GateVerdict::CannotRun(_) => {
                return Err(cannot_run(target, &verdict));
            }
        };
        let mut options = target.options.clone();
        // The gate has judged what the database has beyond the artifact's list.
        options.allowed = vec![Disagreement::Missing, Disagreement::Older];
        let migrations = MigrationPlan::make(target.database, &folder, &options).await?;
        migrations.ensure_admitted()?;
        ensure_in_plan(target.to, &missing, &migrations)?;
        Ok(Self {
            migrations,
            options,
            folder,
        })
    }

    /// Makes sure that the artifact runs on the database as it is now, after its migrations.
    ///
    /// # Errors
    ///
    /// Those of [`ensure_runnable`].
    pub(crate) async fn ensure_applied(
        &self,
        database: &Database,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        ensure_runnable(database, Some(&self.folder), manifest).await
    }

    /// Returns the migrations that the promotion applies.
    pub(crate) fn applying(&self) -> impl Iterator<Item = PlannedMigration<'_>> {
        self.migrations.applying()
    }

    /// Returns the migrations of *after* that become possible once the artifact runs alone.
    pub(crate) fn possible_after(&self) -> Vec<String> {
        let waiting = self.migrations.waiting();
        waiting
            .map(|migration| format!("V{}__{}", migration.version, migration.name))
            .collect()
    }
}

fn cannot_run(target: &SchemaTarget<'_>, verdict: &GateVerdict) -> Error {
    let (from, to) = (target.from, target.to);
    let message = match verdict {
        GateVerdict::CannotRun(_) => format!(
            "the artifact of stage {from} cannot run on the database of stage {to}: build and deploy \
             to {from} anew with all migrations that {to} has"
        ),
        _ => format!(
            "nothing tells whether the artifact of stage {from} can run on the database of stage {to}"
        ),
    };
    Error::new(ErrorKind::Migration, message).with_details(verdict.reasons())
}

/// Makes sure that all that is missing is applied by the plan.
fn ensure_in_plan(
    to: Stage,
    missing: &[ListedMigration],
    plan: &MigrationPlan,
) -> Result<(), Error> {
    let applied: Vec<i64> = plan.applying().map(|one| one.version).collect();
    let mut reasons = Vec::new();
    for listed in missing {
        if applied.contains(&listed.version) {
            continue;
        }
        // The plan's folder has all files: another command has applied this one since the look at
        // the history.
        let Some(one) = plan.pending().find(|one| one.version == listed.version) else {
            continue;
        };
        reasons.push(match (one.refusals, one.held_back) {
            ([_, ..], _) => format!("{listed} is refused: {}", one.refusals.join("; ")),
            ([], Some(because)) => format!("{listed} is held back: {because}"),
            ([], None) => format!(
                "{listed} is of class {} on this database, and is not applied by a promotion",
                one.class
            ),
        });
    }
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Migration,
            format!(
                "the artifact needs migrations that a promotion does not apply to stage {to}, so \
                 nothing was changed: apply them by `stagelink migrate {to}` first"
            ),
        )
        .with_details(reasons)),
    }
}

/// Returns the lists of all functions as one, in the order of their numbers.
fn union(lists: &[Option<MigrationList>]) -> MigrationList {
    let all = lists.iter().flatten().flat_map(MigrationList::migrations);
    all.cloned().collect()
}

/// Returns the files of the artifact's list: from the checkout where it has the same text, else from
/// the artifact's commit. A file of another text, or beyond the list, is not the artifact's.
async fn folder_of(
    list: &MigrationList,
    checkout: Option<&MigrationFolder>,
    commit: Option<&str>,
    git: &dyn Checkout,
) -> Result<MigrationFolder, Error> {
    let is_listed = |file: &MigrationFile| list.migrations().iter().any(|one| one.is_of(file));
    let missing_in = |folder: &MigrationFolder| -> Vec<String> {
        let is_missing =
            |listed: &&ListedMigration| !folder.files().iter().any(|file| listed.is_of(file));
        let missing = list.migrations().iter().filter(is_missing);
        missing.map(ToString::to_string).collect()
    };
    if let Some(folder) = checkout {
        if missing_in(folder).is_empty() {
            return Ok(folder.clone().only(is_listed));
        }
    } else if list.migrations().is_empty() {
        return Ok(MigrationFolder::default());
    }
    let advice = "check out the commit that the artifact was built from";
    let Some(commit) = commit else {
        return Err(Error::new(
            ErrorKind::Migration,
            format!(
                "the folder of migrations is not that of the artifact, whose commit is not known: \
                 {advice}"
            ),
        )
        .with_details(checkout.map(missing_in).unwrap_or_default()));
    };
    let folder = git.migrations_at(commit).await.map_err(|reason| {
        Error::new(
            ErrorKind::Migration,
            format!(
                "the folder of migrations is not that of the artifact, and its commit {commit} \
                 cannot be read ({reason}): fetch it, or {advice}"
            ),
        )
    })?;
    let missing = missing_in(&folder);
    match missing.is_empty() {
        true => Ok(folder.only(is_listed)),
        false => Err(Error::new(
            ErrorKind::Migration,
            format!(
                "neither this folder nor the artifact's commit {commit} has the migrations that it \
                 was built with: deploy a commit that has them"
            ),
        )
        .with_details(missing)),
    }
}
