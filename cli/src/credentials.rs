//! `stagelink credentials`: prints a stage's deploy-time credentials.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use stagelink::DatabaseInfo;
use stagelink_pipeline::ensure_own_stage;

use crate::args::CredentialsOptions;
use crate::failure::Failure;
use crate::output::{print, print_json};
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
    match find(&options).await {
        Ok((_, value)) if !options.json => print(value.expose_secret()),
        Ok((found, value)) => print_json(&Report {
            stage: found.stage.to_string(),
            database: &found.database,
            role: &found.role,
            server: &found.server,
            credentials: &found.origin,
            variable: VARIABLE,
            value: value.expose_secret(),
        }),
        Err(error) => {
            if options.json {
                print_json(&Failure::new(&error))?;
            }
            Err(error)
        }
    }
}

/// Returns the database and the value of the variable.
async fn find(options: &CredentialsOptions) -> anyhow::Result<(DatabaseInfo, SecretString)> {
    // The older value may be the one to be replaced.
    let stage = options.stage.name();
    let database = database_of(&[VARIABLE], stage, &options.local).await?;
    let found = advised(database.inspect().await, stage)?;
    ensure_own_stage(&found)?;
    let value = found.credentials.to_variable(found.stage);
    Ok((found, value))
}

/// The variable of a function that has deploy-time credentials.
const VARIABLE: &str = "STAGELINK_CREDENTIALS";

#[derive(Serialize)]
struct Report<'a> {
    stage: String,
    database: &'a str,
    role: &'a str,
    server: &'a str,
    /// The source of the credentials.
    credentials: &'a str,
    variable: &'static str,
    /// The value of the variable: a secret.
    value: &'a str,
}
