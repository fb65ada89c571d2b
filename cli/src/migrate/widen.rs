//! `stagelink migrate widen-history`: makes a stage's history take timestamps as numbers.

use anyhow::Context as _;
use serde_json::json;
use stagelink_pipeline::{
    MigrationFolder, MigrationOptions, WidenedHistory, ensure_own_stage, widen_history,
};

use crate::args::WidenHistoryOptions;
use crate::failure::{Failure, print_failure};
use crate::output::{print_json, print_wrapped};
use crate::planned_change::confirm;
use crate::progress::Step;

/// Asks, and widens the history of a stage's database.
pub(super) async fn run(options: &WidenHistoryOptions) -> anyhow::Result<()> {
    let done = widen(options).await;
    if let Err(error) = &done
        && options.json
    {
        print_failure(&Failure::new(error));
    }
    done
}

async fn widen(options: &WidenHistoryOptions) -> anyhow::Result<()> {
    let local = &options.local;
    let folder = super::folder(&local.project, options.migrations.as_deref())?;
    let folder = MigrationFolder::read(&folder)?;
    let database = super::database("migrate widen-history", options.stage.name(), local).await?;
    let step = Step::begin("database");
    let found = database
        .inspect()
        .await
        .context("could not connect to the database whose history is to be widened")?;
    ensure_own_stage(&found)?;
    step.done(&format!("{} at {}", found.database, found.server));
    let stage = found.stage;
    confirm(
        options.yes || local.local.is_some(),
        &format!(
            "Widen the history of stage {stage} to int8? refinery reads it afterwards only with its \
             feature int8-versions."
        ),
        "nothing was widened: add --yes to widen it without a question",
    )
    .await?;
    let step = Step::begin("history");
    let listener = super::listener(&step);
    let limits = MigrationOptions::default();
    let widened = widen_history(&database, &folder, &limits, &listener).await?;
    step.done("looked at");
    if options.json {
        let history = match widened {
            WidenedHistory::None => "none",
            WidenedHistory::WasWide => "was wide",
            WidenedHistory::Widened => "widened",
        };
        return print_json(&json!({ "stage": stage.to_string(), "history": history }));
    }
    print_wrapped(match widened {
        WidenedHistory::None => {
            format!("stage {stage} has no history: its first run makes one that fits the files")
        }
        WidenedHistory::WasWide => format!("the history of stage {stage} takes timestamps already"),
        WidenedHistory::Widened => format!(
            "the history of stage {stage} takes timestamps now; refinery without its feature \
             int8-versions cannot read it"
        ),
    })
}
