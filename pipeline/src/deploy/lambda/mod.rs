//! A deploy to AWS Lambda: archives that were built on this machine become versions, and a stage's
//! aliases get them.

mod artifact;
mod environment_file;
mod plan;

pub use self::environment_file::{LambdaVariables, is_lambda_runtime_variable};
pub use self::plan::{LambdaDeployPlan, LambdaDeployRequest, LambdaSettings, look_at_lambda_stage};
