//! The migrations that an artifact needs: the list in its program, and the gate that compares the
//! list with a database's history.

mod gate;
mod listed_migration;
mod migration_list;
mod recorded_migration;
mod section;

pub use self::gate::{GateReason, GateVerdict, gate, gate_after, gate_site};
pub use self::listed_migration::ListedMigration;
pub use self::migration_list::MigrationList;
pub use self::recorded_migration::RecordedMigration;
pub use self::section::NEEDS_SECTION;
