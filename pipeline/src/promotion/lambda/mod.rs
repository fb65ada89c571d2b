//! Deploys, promotions and rollbacks on AWS Lambda, where a stage is the alias of its functions.

mod abort;
mod aliases;
mod change;
mod choice;
mod live;
mod progress;
mod promotion;
mod publish;
mod records;
mod report;
mod rollback;
mod rollback_target;
mod self_check;
mod stage;
mod start;
mod summary;
mod take_back;

pub use self::abort::abort_on_lambda;
pub(crate) use self::change::{Change, ChangeSchema, FunctionChange, VersionSource, not_served};
pub(crate) use self::choice::archive_path;
pub(crate) use self::live::{LiveFunction, look, look_at_aliases, versions_of};
pub use self::promotion::{LambdaPromotionPlan, LambdaPromotionRequest};
pub(crate) use self::publish::{Upload, no_function};
pub(crate) use self::records::{MOST_RECORDS, record_of, unpublished_settings};
pub use self::report::{LambdaFunctionReport, LambdaReport};
pub use self::rollback::{LambdaRollbackPlan, LambdaRollbackRequest, LambdaRollbackSummary};
pub use self::stage::LambdaStage;
pub use self::summary::{LambdaPlanSummary, LambdaPlannedFunction};
pub(crate) use self::summary::{migration_names, planned};
