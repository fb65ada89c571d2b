//! `stagelink credentials`: prints a stage's deploy-time credentials.

use secrecy::ExposeSecret as _;
use stagelink_pipeline::ensure_own_stage;

use crate::args::CredentialsOptions;
use crate::output::print;
use crate::stage_database::{advised, database_of};

/// Finds a stage's database by a provider, connects to it, and prints the value of
/// `STAGELINK_CREDENTIALS`: a secret.
///
/// # Errors
///
/// The SDK's error when the database cannot be reached, and
/// [`ErrorKind::Isolation`](stagelink_pipeline::ErrorKind::Isolation) when it is marked as another
/// stage's.
pub async fn run(options: CredentialsOptions) -> anyhow::Result<()> {
    // The older value may be the one to be replaced.
    let stage = options.stage.as_deref();
    let database = database_of(&["STAGELINK_CREDENTIALS"], stage, &options.local).await?;
    let found = advised(database.inspect().await, stage)?;
    ensure_own_stage(&found)?;
    print(found.credentials.to_variable(found.stage).expose_secret())
}
