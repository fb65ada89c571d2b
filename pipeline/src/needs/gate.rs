//! The gate: whether an artifact may run on a database, by its list and the database's history.
//!
//! One pure function answers promotion (the new artifact on production's database), rollback (an older
//! artifact on the database as it is) and `migrate --after` (each artifact that runs, or that a
//! rollback would bring back, once the files of *after* are applied).

use std::fmt;

use crate::migrations::class::Class;
use crate::needs::listed_migration::ListedMigration;
use crate::needs::migration_list::MigrationList;
use crate::needs::recorded_migration::RecordedMigration;

/// The answer of the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateVerdict {
    /// All that the artifact needs is applied, and nothing that breaks it.
    Runs,
    /// These migrations have to be applied first. None of them is of *after*. They are in the order of
    /// their numbers.
    NeedsFirst(Vec<ListedMigration>),
    /// The database, or what the artifact needs, is not known well enough.
    Unknown(Vec<GateReason>),
    /// The database has a migration that breaks the artifact.
    CannotRun(Vec<GateReason>),
}

/// A reason against an artifact on a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateReason {
    /// A migration of *after* is applied that the artifact was built without.
    AppliedAfter(RecordedMigration),
    /// A migration is applied that the artifact was built without, and nothing tells its class.
    AppliedOfUnknownClass(RecordedMigration),
    /// A migration is applied that the artifact was built without. It was judged as *stop* or *ask*.
    AppliedUnjudged(RecordedMigration),
    /// The number of a listed migration is that of another one, or of another content, in the history.
    Differs {
        /// The migration of the list.
        listed: ListedMigration,
        /// The row of the history.
        recorded: RecordedMigration,
    },
    /// The program has no list.
    NoList,
}

/// Returns whether an artifact may run on a database with this history. `None` is an artifact
/// without a list, about which nothing is known.
///
/// It needs the migrations of its list that are not of *after*. It may run where these are applied
/// and each migration of *after* that is applied is in its list.
pub fn gate(artifact: Option<&MigrationList>, history: &[RecordedMigration]) -> GateVerdict {
    let Some(list) = artifact else {
        return GateVerdict::Unknown(vec![GateReason::NoList]);
    };
    let listed = list.migrations();
    let mut breaks = Vec::new();
    let mut unknown = Vec::new();
    for recorded in history {
        let same_number = |listed: &&ListedMigration| listed.version == recorded.version;
        let Some(listed) = listed.iter().find(same_number) else {
            let recorded = recorded.clone();
            match recorded.class {
                Some(Class::Before) => {}
                Some(Class::After) => breaks.push(GateReason::AppliedAfter(recorded)),
                Some(Class::Stop | Class::Ask) => {
                    unknown.push(GateReason::AppliedUnjudged(recorded));
                }
                None => unknown.push(GateReason::AppliedOfUnknownClass(recorded)),
            }
            continue;
        };
        if !recorded.is_of(listed) {
            unknown.push(GateReason::Differs {
                listed: listed.clone(),
                recorded: recorded.clone(),
            });
        }
    }
    if !breaks.is_empty() {
        return GateVerdict::CannotRun(breaks);
    }
    if !unknown.is_empty() {
        return GateVerdict::Unknown(unknown);
    }
    let is_applied =
        |listed: &ListedMigration| history.iter().any(|row| row.version == listed.version);
    let missing = listed
        .iter()
        .filter(|listed| listed.is_needed() && !is_applied(listed));
    let missing: Vec<_> = missing.cloned().collect();
    match missing.is_empty() {
        true => GateVerdict::Runs,
        false => GateVerdict::NeedsFirst(missing),
    }
}

/// Returns whether all artifacts of a site may run on a database with this history. The site needs
/// what any of them needs.
pub fn gate_site<'a>(
    artifacts: impl IntoIterator<Item = Option<&'a MigrationList>>,
    history: &[RecordedMigration],
) -> GateVerdict {
    let verdicts = artifacts
        .into_iter()
        .map(|artifact| gate(artifact, history));
    verdicts.fold(GateVerdict::Runs, GateVerdict::and)
}

/// Returns whether an artifact may run on a database once these migrations of *after* are applied to
/// it, too.
pub fn gate_after(
    artifact: Option<&MigrationList>,
    history: &[RecordedMigration],
    after: &[ListedMigration],
) -> GateVerdict {
    let is_recorded =
        |listed: &&ListedMigration| history.iter().any(|row| row.version == listed.version);
    let applied = after
        .iter()
        .filter(|listed| !is_recorded(listed))
        .map(|listed| RecordedMigration {
            version: listed.version,
            name: listed.name.clone(),
            checksum: listed.checksums.first().cloned().unwrap_or_default(),
            class: Some(Class::After),
        });
    let history: Vec<_> = history.iter().cloned().chain(applied).collect();
    gate(artifact, &history)
}

impl GateVerdict {
    /// Returns whether the artifact may run on the database as it is.
    pub fn is_runnable(&self) -> bool {
        *self == Self::Runs
    }

    /// Returns the name of the answer: `runs`, `needs-first`, `unknown` or `cannot-run`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::NeedsFirst(_) => "needs-first",
            Self::Unknown(_) => "unknown",
            Self::CannotRun(_) => "cannot-run",
        }
    }

    /// Returns the reasons against the artifact, each as a sentence about it.
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::Runs => Vec::new(),
            Self::NeedsFirst(missing) => {
                let sentence = |migration| format!("{migration} is not applied");
                missing.iter().map(sentence).collect()
            }
            Self::Unknown(reasons) | Self::CannotRun(reasons) => {
                reasons.iter().map(ToString::to_string).collect()
            }
        }
    }

    /// Returns the answer for two artifacts that run side by side: the worse one, with the reasons of
    /// both where they are of one kind.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::CannotRun(one), Self::CannotRun(other)) => Self::CannotRun(union(one, other)),
            (one @ Self::CannotRun(_), _) | (_, one @ Self::CannotRun(_)) => one,
            (Self::Unknown(one), Self::Unknown(other)) => Self::Unknown(union(one, other)),
            (one @ Self::Unknown(_), _) | (_, one @ Self::Unknown(_)) => one,
            (Self::NeedsFirst(one), Self::NeedsFirst(other)) => {
                let mut missing = union(one, other);
                missing.sort_by_key(|migration| migration.version);
                Self::NeedsFirst(missing)
            }
            (one @ Self::NeedsFirst(_), Self::Runs) | (Self::Runs, one) => one,
        }
    }
}

/// Returns the items of both, each once.
fn union<T: PartialEq>(mut one: Vec<T>, other: Vec<T>) -> Vec<T> {
    for item in other {
        if !one.contains(&item) {
            one.push(item);
        }
    }
    one
}

impl fmt::Display for GateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AppliedAfter(recorded) => write!(
                f,
                "{recorded} is applied, a migration of after, and it was built without it"
            ),
            Self::AppliedOfUnknownClass(recorded) => write!(
                f,
                "{recorded} is applied, it was built without it, and nothing tells its class"
            ),
            Self::AppliedUnjudged(recorded) => write!(
                f,
                "{recorded} is applied, it was built without it, and its class does not tell \
                 whether code built before it bears it ({})",
                recorded.class.map_or("none", Class::name)
            ),
            Self::Differs { listed, recorded } if listed.name == recorded.name => write!(
                f,
                "{listed} is applied with another content than it was built with"
            ),
            Self::Differs { listed, recorded } => write!(
                f,
                "{recorded} is applied, and it was built with {listed} of that number"
            ),
            Self::NoList => f.write_str(
                "it has no list of migrations: it was built by other means than stagelink build, or \
                 by an older version",
            ),
        }
    }
}

#[cfg(test)]
mod tests;
