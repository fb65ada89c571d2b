//! Promotion: publishes the artifact of one stage in another one after a test, or undoes that. The
//! target's own database keeps the lease and the records of the commands that change the stage.

mod abort;
mod abort_rollback;
mod ancestry;
mod deploy_record;
mod event;
mod function_versions;
mod lambda;
mod lease;
mod own_table;
mod plan;
mod progress;
mod proof;
mod published_code;
mod request;
mod rollback;
mod run;
mod runnable;
mod schema;
mod self_check;
mod smoke;
mod source;
mod stage_after_stop;
mod stage_code;
mod start;
mod step;
mod stop;
mod take_back;
#[cfg(test)]
mod test_database;
mod unfinished;
mod unfinished_change;
mod visitor;
mod waiting;

pub(crate) use self::abort::ensure_is_of;
pub use self::abort::{AbortReport, abort};
pub use self::abort_rollback::abort_rollback;
pub use self::deploy_record::{DeployOutcome, DeployRecord, deploy_records, forget_deploys};
pub(crate) use self::deploy_record::{NewDeploy, begin, finish, read as read_deploy_records};
pub use self::event::{PromotionEvent, PromotionListener};
pub(crate) use self::lambda::{
    Change, ChangeSchema, FunctionChange, LiveFunction, MOST_RECORDS as MOST_LAMBDA_RECORDS,
    Upload, VersionSource, archive_path, look, look_at_aliases, migration_names, no_function,
    not_served, planned, record_of, unpublished_settings, versions_of,
};
pub use self::lambda::{
    LambdaFunctionReport, LambdaPlanSummary, LambdaPlannedFunction, LambdaPromotionPlan,
    LambdaPromotionRequest, LambdaReport, LambdaRollbackPlan, LambdaRollbackRequest,
    LambdaRollbackSummary, LambdaStage, abort_on_lambda,
};
pub(crate) use self::lease::{Lease, Progress, Taken};
pub use self::plan::{PlanSummary, PromotionPlan};
pub(crate) use self::proof::{Unproved, advice};
pub use self::published_code::PublishedCode;
pub(crate) use self::published_code::{CodePlatform, PublishedDeploy};
pub use self::request::{Checkout, CheckoutFuture, PromotionRequest};
pub use self::rollback::{RollbackPlan, RollbackReport, RollbackRequest, RollbackSummary};
pub use self::run::PromotionReport;
pub(crate) use self::runnable::ensure_runnable;
pub(crate) use self::schema::{SchemaPlan, SchemaTarget};
pub(crate) use self::self_check::AskedDeploy;
pub(crate) use self::smoke::SmokeTest;
pub(crate) use self::source::address_of;
pub use self::stage_after_stop::StageAfterStop;
pub use self::stage_code::{CodeWindows, local_enforcement, running_code};
pub use self::step::Step;
pub use self::stop::{LeaseEnd, OrderlyStop};
pub(crate) use self::unfinished::{of_another_site, unreadable};
pub use self::unfinished_change::UnfinishedChange;
pub(crate) use self::unfinished_change::ensure_none_is_interrupted;
pub(crate) use self::visitor::Visitor;
pub(crate) use self::waiting::take_when_free;
