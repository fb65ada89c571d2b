//! Drift: changes of a database's schema by other means than its migrations.
//!
//! A run of migrations keeps a [`SchemaSnapshot`] in the database. Later the snapshot is compared with
//! the schema as it is then, or that of one stage with another's.

mod baseline;
mod catalog;
mod deparsed_sql;
mod difference;
mod kept;
mod report;
mod snapshot;
mod view_query;

pub(crate) use self::baseline::Baseline;
pub use self::difference::{SchemaChange, SchemaDifference};
pub(crate) use self::report::compare;
pub use self::report::{Drift, accept_drift, drift, read_schema};
pub use self::snapshot::{SchemaObject, SchemaSnapshot};
