//! The locks that a statement takes on tables that exist before its file.

use std::fmt;

use crate::migrations::statement::ObjectName;

/// A lock on a table, which the transaction holds to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableLock {
    /// The table, with its schema.
    pub table: ObjectName,
    /// The strongest lock of the statement on it.
    pub mode: LockMode,
    /// The statement works through the table's rows meanwhile.
    pub is_long: bool,
}

/// Postgres's table-level locks, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockMode {
    /// Of `SELECT`.
    AccessShare,
    /// Of `SELECT FOR UPDATE`.
    RowShare,
    /// Of `INSERT`, `UPDATE` and `DELETE`.
    RowExclusive,
    /// Of `CREATE INDEX CONCURRENTLY` and `VALIDATE CONSTRAINT`: other DDL waits.
    ShareUpdateExclusive,
    /// Of `CREATE INDEX`: writers wait.
    Share,
    /// Of `CREATE TRIGGER` and foreign keys: writers wait.
    ShareRowExclusive,
    /// Of `REFRESH MATERIALIZED VIEW CONCURRENTLY`: writers wait.
    Exclusive,
    /// Of most of `ALTER TABLE`: readers and writers wait.
    AccessExclusive,
}

impl LockMode {
    /// All modes, the weakest first.
    pub const ALL: [Self; 8] = [
        Self::AccessShare,
        Self::RowShare,
        Self::RowExclusive,
        Self::ShareUpdateExclusive,
        Self::Share,
        Self::ShareRowExclusive,
        Self::Exclusive,
        Self::AccessExclusive,
    ];

    /// Returns whether writers or readers wait for the lock.
    pub fn is_strong(self) -> bool {
        self >= Self::Share
    }

    /// Returns whether readers wait for the lock.
    pub fn blocks_readers(self) -> bool {
        self == Self::AccessExclusive
    }

    /// Returns the name in `pg_locks.mode`.
    pub fn catalog_name(self) -> &'static str {
        match self {
            Self::AccessShare => "AccessShareLock",
            Self::RowShare => "RowShareLock",
            Self::RowExclusive => "RowExclusiveLock",
            Self::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Self::Share => "ShareLock",
            Self::ShareRowExclusive => "ShareRowExclusiveLock",
            Self::Exclusive => "ExclusiveLock",
            Self::AccessExclusive => "AccessExclusiveLock",
        }
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        })
    }
}
