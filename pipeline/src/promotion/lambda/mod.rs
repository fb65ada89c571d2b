//! Deploys, promotions and rollbacks on AWS Lambda, where a stage is the alias of its functions.

mod abort;
mod aliases;
mod change;
mod live;
mod progress;
mod promotion;
mod publish;
mod rollback;
mod self_check;
mod stage;
mod start;
mod take_back;
mod versions;

pub use self::abort::abort_on_lambda;
pub(crate) use self::change::{Change, FunctionChange, VersionSource, not_served};
pub use self::change::{LambdaFunctionReport, LambdaReport};
pub(crate) use self::live::look;
pub use self::promotion::{
    LambdaPlanSummary, LambdaPlannedFunction, LambdaPromotionPlan, LambdaPromotionRequest,
};
pub(crate) use self::promotion::{archive_path, migration_names, planned, running_record};
pub(crate) use self::publish::{Upload, no_function};
pub use self::rollback::{LambdaRollbackPlan, LambdaRollbackRequest, LambdaRollbackSummary};
pub use self::stage::LambdaStage;
