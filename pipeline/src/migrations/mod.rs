//! Migrations: the SQL files that bring a stage's database to the schema that the code needs.
//!
//! The steps, in this order: a [`MigrationFolder`], whose names are judged before anything starts;
//! a [`MigrationPlan`], which compares it with the database's history and is shown; and its
//! [`apply`](MigrationPlan::apply), which takes the lock and applies each file by itself.

mod alone;
mod changed_facts;
pub(crate) mod class;
mod comparison;
mod concurrent_index;
mod context;
mod demands;
pub(crate) mod drift;
mod enforcement;
mod event;
mod file;
mod file_name;
mod folder;
mod history;
mod history_entry;
mod in_transaction;
mod index_build;
mod judged;
mod lock;
mod new_file;
mod observer;
mod one_object;
mod options;
mod overrides;
mod pauses;
mod plan;
mod read_error;
mod records;
mod reindex;
mod rule_override;
mod run;
mod running_code;
mod script;
mod second_judgement;
mod server_words;
mod session;
mod state;
pub(crate) mod statement;
mod version_type;
mod widen;

pub use self::comparison::{Disagreement, HistoryProblem};
pub use self::enforcement::{Admission, DeployPhase, Enforcement};
pub use self::event::{MigrationEvent, MigrationListener, OtherSession};
pub use self::file::MigrationFile;
pub use self::folder::MigrationFolder;
pub(crate) use self::history::History;
pub use self::history_entry::HistoryEntry;
pub use self::judged::{PlannedDismissal, PlannedFinding, PlannedStatement};
pub use self::options::MigrationOptions;
pub use self::plan::{MigrationPlan, PlannedMigration};
pub(crate) use self::read_error::ReadError;
pub(crate) use self::records::read as read_records;
pub use self::records::{MigrationRecord, records};
pub use self::rule_override::RuleOverride;
pub use self::run::MigrationReport;
pub use self::running_code::{AFTER_CODE_RUNS, RunningCode};
pub(crate) use self::server_words::describe as describe_driver_error;
pub(crate) use self::server_words::sqlstate;
pub(crate) use self::session::{Session, SessionWork};
pub(crate) use self::state::MigrationState;
pub use self::version_type::VersionType;
pub use self::widen::{WidenedHistory, widen_history};
