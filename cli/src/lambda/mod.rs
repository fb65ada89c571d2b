//! AWS Lambda for `stagelink deploy`, `promote` and `rollback`: the choice of the platform, the stage and
//! its functions, and the tables.

mod abort;
mod platform;
mod stage;
mod text;

pub(crate) use self::abort::abort;
pub(crate) use self::platform::platform_of;
pub(crate) use self::stage::{access, database, stage, url_access};
pub(crate) use self::text::{plan, report, rollback_plan};
