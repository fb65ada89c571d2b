//! The events of a run, for progress lines.

use std::fmt;
use std::time::Duration;

use stagelink::one_line;

use crate::migrations::file::MigrationFile;

/// Another session of the database, as `pg_stat_activity` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtherSession {
    /// The number of its server process.
    pub pid: i32,
    /// Its `application_name`; empty where it has none or the role may not see it.
    pub application_name: String,
    /// Its state, such as `active` or `idle in transaction`.
    pub state: String,
    /// The time since its transaction began, or its session where it is in none.
    pub since: Option<Duration>,
}

impl fmt::Display for OtherSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.pid)?;
        let since = self.since.map(|since| format!("for {} s", since.as_secs()));
        let facts = [
            &self.application_name,
            &self.state,
            &since.unwrap_or_default(),
        ];
        let facts: Vec<_> = facts
            .into_iter()
            .filter(|fact| !fact.is_empty())
            .map(|fact| one_line(fact).to_string())
            .collect();
        match facts.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", facts.join(", ")),
        }
    }
}

/// Joins the names of sessions.
pub(super) fn list(sessions: &[OtherSession]) -> String {
    let names: Vec<_> = sessions.iter().map(ToString::to_string).collect();
    names.join(" and ")
}

/// A step of a run. Its `Display` is a line for a terminal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MigrationEvent<'a> {
    /// Another migration holds the lock of the database.
    WaitsForMigration {
        /// Its session, where it can be seen.
        holder: Option<&'a OtherSession>,
    },
    /// A file begins.
    Begins {
        /// The file.
        file: &'a MigrationFile,
    },
    /// A file waits for locks of other sessions.
    WaitsFor {
        /// The file.
        file: &'a MigrationFile,
        /// The sessions.
        sessions: &'a [OtherSession],
    },
    /// The server tells how far it is, as for an index.
    Progress {
        /// The file.
        file: &'a MigrationFile,
        /// The server's name of the phase.
        phase: &'a str,
        /// The part of the phase that is done, where it is known.
        percent: Option<u8>,
    },
    /// A table was busy for longer than the lock time-out. The file was rolled back, and begins
    /// again after a pause.
    TriesAgain {
        /// The file.
        file: &'a MigrationFile,
        /// The number of attempts that were made.
        attempts: u32,
        /// The pause.
        pause: Duration,
        /// The sessions that were in the way, as far as they were seen.
        sessions: &'a [OtherSession],
    },
    /// An invalid index that an earlier run of the file left is dropped.
    DropsInvalidIndex {
        /// The file.
        file: &'a MigrationFile,
        /// The index.
        index: &'a str,
    },
    /// The file's index is there already, and valid: the file counts as applied.
    IndexExists {
        /// The file.
        file: &'a MigrationFile,
        /// The index.
        index: &'a str,
    },
    /// The server says that the statement of an earlier run, which was interrupted, is done: the file
    /// counts as applied.
    WasDone {
        /// The file.
        file: &'a MigrationFile,
    },
    /// An earlier run began to detach a partition. It is detached to the end.
    FinishesDetach {
        /// The file.
        file: &'a MigrationFile,
    },
    /// A file is applied and recorded.
    Applied {
        /// The file.
        file: &'a MigrationFile,
        /// The time that it took, with its waits.
        elapsed: Duration,
    },
}

impl MigrationEvent<'_> {
    /// Returns whether the run waits for another session.
    pub fn is_a_wait(&self) -> bool {
        matches!(
            self,
            Self::WaitsForMigration { .. } | Self::WaitsFor { .. } | Self::TriesAgain { .. }
        )
    }
}

impl fmt::Display for MigrationEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WaitsForMigration { holder: None } => {
                f.write_str("waiting for another migration of this database")
            }
            Self::WaitsForMigration {
                holder: Some(holder),
            } => {
                write!(
                    f,
                    "waiting for another migration of this database: {holder}"
                )
            }
            Self::Begins { file } => write!(f, "{file}"),
            Self::WaitsFor { file, sessions } => {
                write!(f, "{file}: waiting for {}", list(sessions))
            }
            Self::Progress {
                file,
                phase,
                percent,
            } => {
                write!(f, "{file}: {phase}")?;
                match percent {
                    Some(percent) => write!(f, ", {percent} %"),
                    None => Ok(()),
                }
            }
            Self::TriesAgain {
                file,
                attempts,
                pause,
                sessions,
            } => {
                write!(f, "{file}: the table is busy")?;
                if !sessions.is_empty() {
                    write!(f, " ({})", list(sessions))?;
                }
                write!(
                    f,
                    ", attempt {} in {:.1} s",
                    attempts + 1,
                    pause.as_secs_f64()
                )
            }
            Self::DropsInvalidIndex { file, index } => {
                write!(
                    f,
                    "{file}: dropping the invalid index {index} of an earlier run"
                )
            }
            Self::IndexExists { file, index } => {
                write!(f, "{file}: the index {index} is there already and valid")
            }
            Self::WasDone { file } => {
                write!(
                    f,
                    "{file}: an earlier run has done it, and did not record it"
                )
            }
            Self::FinishesDetach { file } => {
                write!(f, "{file}: ending the DETACH PARTITION of an earlier run")
            }
            Self::Applied { file, elapsed } => {
                write!(f, "{file} applied ({:.1} s)", elapsed.as_secs_f64())
            }
        }
    }
}

/// A listener to the events of a run.
pub type MigrationListener<'a> = dyn Fn(&MigrationEvent<'_>) + Send + Sync + 'a;
