//! Promotion: what a command that changes a stage keeps in the stage's own database.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the steps of a promotion use it")
)]
mod deploy_record;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the steps of a promotion use it")
)]
mod lease;
mod own_table;
#[cfg(test)]
mod test_database;

pub use self::deploy_record::{DeployOutcome, DeployRecord, deploy_records};
