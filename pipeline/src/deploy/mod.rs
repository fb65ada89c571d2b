//! `stagelink deploy`: deploys the artifact of a project to one stage.

mod abort;
mod event;
mod lambda;
mod leftover;
mod plan;
mod report;
mod request;
mod run;
mod site_build;
mod stage_variable;
mod stale_credentials;

pub use self::abort::abort;
pub use self::event::DeployProgress;
pub use self::lambda::{
    LambdaDeployPlan, LambdaDeployRequest, LambdaSettings, LambdaVariables,
    is_lambda_runtime_variable, look_at_lambda_stage,
};
pub use self::plan::{DeployPlan, DeployTarget};
pub use self::report::{DeployReport, DeploySummary};
pub use self::request::DeployRequest;
pub use self::site_build::SiteBuild;
pub use self::stale_credentials::HerokuDatabase;
