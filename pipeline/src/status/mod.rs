//! The status of a pipeline: the code, database, migrations and credentials of each stage, and the
//! differences between the stages.
//!
//! A [`StatusRequest`] names the stages and their sources. [`StatusBoard::look_up`] asks the services
//! and the databases side by side, each within a time limit, and changes nothing. It never fails as
//! a whole: what cannot be known is a [`Lookup::NotKnown`] with its reason.

mod board;
mod credentials;
mod database;
mod deploy;
mod difference;
mod lambda;
mod lookup;
mod migrations;
mod pending_after;
mod plan;
mod published_code;
mod request;
mod running;
mod site;
mod stage;

pub use self::board::StatusBoard;
pub use self::credentials::FunctionCredentials;
pub(crate) use self::credentials::credentials_of_functions;
pub use self::database::{DatabaseStatus, LoginStatus};
pub use self::deploy::DeployStatus;
pub use self::difference::{Difference, DifferenceKind};
pub use self::lambda::{LambdaFunctionStatus, LambdaStatus};
pub use self::lookup::Lookup;
pub(crate) use self::lookup::within;
pub use self::migrations::{MigrationStatus, OverriddenRule};
pub use self::pending_after::PendingAfter;
pub use self::plan::ProviderStatus;
pub use self::request::{SiteSource, StageSource, StatusRequest};
pub(crate) use self::running::RunningQuestion;
pub use self::running::{RunningAnswer, RunningDeploy, RunningFunction, RunningNeeds};
pub use self::stage::StageStatus;
