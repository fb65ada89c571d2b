//! `stagelink history`: shows the deploys that are recorded in a stage's database.

mod table;

use anyhow::Context as _;
use serde::Serialize;
use stagelink_pipeline::{DeployRecord, deploy_records, ensure_own_stage};

use crate::args::HistoryOptions;
use crate::failure::Failure;
use crate::output::{print_json, print_wrapped};
use crate::progress::Step;
use crate::stage_database::database_of;
use crate::table::terminal_width;

/// The deploys of a stage.
#[derive(Debug, Serialize)]
struct History {
    stage: String,
    /// The newest first.
    deploys: Vec<DeployRecord>,
}

/// Shows the recorded deploys of a stage.
///
/// # Errors
///
/// When the stage's database cannot be found or read, or is another stage's.
pub async fn run(options: HistoryOptions) -> anyhow::Result<()> {
    let found = look_up(&options).await;
    match &found {
        Ok(history) if options.json => print_json(history)?,
        Ok(history) => print_wrapped(table::text(history, terminal_width()))?,
        Err(error) if options.json => print_json(&Failure::new(error))?,
        Err(_) => {}
    }
    found.map(|_| ())
}

async fn look_up(options: &HistoryOptions) -> anyhow::Result<History> {
    let database = database_of(&[], Some(&options.stage), &options.local).await?;
    let step = Step::begin("database");
    let found = database.inspect().await;
    let found =
        found.context("could not connect to the database that has the records of deploys")?;
    ensure_own_stage(&found)?;
    let deploys = deploy_records(&database, options.limit).await?;
    step.done(&format!(
        "{} at {}, stage {}",
        found.database, found.server, found.stage
    ));
    Ok(History {
        stage: found.stage.to_string(),
        deploys,
    })
}
