//! `stagelink migrate drift`: shows what differs between a stage's schema and its migrations, or
//! between two stages.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use serde::Serialize;
use stagelink::{Database, DatabaseInfo, one_line};
use stagelink_pipeline::{
    Drift, SchemaDifference, accept_drift, drift, ensure_own_stage, read_schema,
};

use crate::args::{DriftOptions, LocalOptions};
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::planned_change::confirm;
use crate::progress::Step;
use crate::usage_error::of_usage;

/// Compares the schemas, and prints the differences. The exit code is 1 if there are some, or nothing
/// is known.
///
/// # Errors
///
/// When a database cannot be looked at, or the schema is not accepted.
pub async fn run(options: &DriftOptions) -> anyhow::Result<ExitCode> {
    let compared = compare(options).await;
    if let Err(error) = &compared
        && options.json
    {
        print_json(&Failure::new(error))?;
    }
    compared
}

async fn compare(options: &DriftOptions) -> anyhow::Result<ExitCode> {
    let local = &options.local;
    let (database, found) = open(options.stage.name(), local).await?;
    let stage = found.stage.to_string();
    if options.accept {
        if let Drift::Compared {
            differences,
            accepted_at,
            ..
        } = drift(&database).await?
            && differences.is_empty()
        {
            let state = "nothing-to-accept";
            return Report::of_migrations(&stage, accepted_at.as_deref(), &[], state).show(options);
        }
        confirm(
            options.yes || local.local.is_some(),
            &format!("Take the schema of stage {stage} as it is for what its migrations made?"),
            "nothing was accepted: add --yes to accept the schema without a question; without \
             --accept the differences are shown",
        )
        .await?;
        accept_drift(&database).await?;
        return Report::of_migrations(&stage, None, &[], "accepted").show(options);
    }
    if let Some(other) = options.with.as_deref() {
        let (other, info) = open(Some(other), local).await?;
        if info.stage == found.stage {
            return Err(of_usage(anyhow!(
                "--with names stage {stage} itself: name another stage, or leave --with out to compare {stage} \
                 with its migrations"
            )));
        }
        let is_same = database.is_same_database_as(&other).await;
        if is_same.context("could not tell whether the two stages have one database")? {
            bail!(
                "the two stages lead to one database, so there is nothing to compare: name the source of \
             each in stagelink.toml"
            );
        }
        let expected = read_schema(&other).await?;
        let differences = expected.differences(&read_schema(&database).await?);
        let report = Report {
            compared_with: &format!("stage {}", info.stage),
            ..Report::of_migrations(&stage, None, &differences, "compared")
        };
        return report.show(options);
    }
    let (mut found, mut accepted_at) = (Vec::new(), None);
    let state = match drift(&database).await? {
        Drift::Compared {
            differences,
            accepted_at: at,
            ..
        } => {
            (found, accepted_at) = (differences, at);
            "compared"
        }
        Drift::NotKept => "not-kept",
        Drift::Outdated { .. } => "outdated",
        Drift::OtherFormat { is_newer: true, .. } => "newer-format",
        Drift::OtherFormat { .. } => "older-format",
        Drift::Changing => "changing",
    };
    Report::of_migrations(&stage, accepted_at.as_deref(), &found, state).show(options)
}

/// Opens a stage's database.
async fn open(
    stage: Option<&str>,
    local: &LocalOptions,
) -> anyhow::Result<(Database, DatabaseInfo)> {
    let database = super::database("migrate drift", stage, local).await?;
    let step = Step::begin("database");
    let found = database
        .inspect()
        .await
        .context("could not connect to the database whose schema is compared")?;
    ensure_own_stage(&found)?;
    step.done(&format!(
        "{} at {}, stage {}",
        found.database, found.server, found.stage
    ));
    Ok((database, found))
}

#[derive(Serialize)]
struct Report<'a> {
    stage: &'a str,
    /// The other side: `its migrations`, or the other stage.
    compared_with: &'a str,
    /// `compared`, `not-kept`, `outdated`, `older-format`, `newer-format`, `changing`, `accepted` or
    /// `nothing-to-accept`.
    state: &'a str,
    /// When a person accepted what the other side has beside the migrations, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<&'a str>,
    differences: &'a [SchemaDifference],
}

impl<'a> Report<'a> {
    fn of_migrations(
        stage: &'a str,
        accepted_at: Option<&'a str>,
        differences: &'a [SchemaDifference],
        state: &'a str,
    ) -> Self {
        Self {
            stage,
            compared_with: "its migrations",
            state,
            accepted_at,
            differences,
        }
    }

    fn show(&self, options: &DriftOptions) -> anyhow::Result<ExitCode> {
        match options.json {
            true => print_json(self)?,
            false => print(text(self))?,
        }
        Ok(match (self.state, self.differences) {
            ("compared", []) | ("accepted" | "nothing-to-accept", _) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

fn text(report: &Report<'_>) -> String {
    let stage = report.stage;
    let accepted = report
        .accepted_at
        .map(|at| format!(" and what was accepted on {at}"));
    let other = format!(
        "{}{}",
        report.compared_with,
        accepted.as_deref().unwrap_or_default()
    );
    match (report.state, report.differences) {
        ("accepted", _) => format!(
            "stage {stage}: accepted; from now on drift is what differs from the schema as it is now, whether \
             migrations made it or not"
        ),
        ("nothing-to-accept", _) => {
            format!("stage {stage}: nothing to accept: no difference from {other}")
        }
        ("not-kept", _) => format!(
            "stage {stage}: not known, since no run of migrations has kept its schema yet: the next \
             one that applies a file does, or `stagelink migrate drift {stage} --accept`"
        ),
        ("outdated", _) => format!(
            "stage {stage}: not known, since migrations were recorded after its schema was kept, by \
             an interrupted run or another tool: the next run that applies a file keeps it, or \
             `stagelink migrate drift {stage} --accept`"
        ),
        ("older-format", _) => format!(
            "stage {stage}: not known, since an older stagelink kept its schema, in a format that this \
             one does not compare: the next run that applies a migration keeps it again, or `stagelink \
             migrate drift {stage} --accept`"
        ),
        ("newer-format", _) => format!(
            "stage {stage}: not known, since a newer stagelink kept its schema, in a format that this \
             one does not read: update stagelink"
        ),
        ("changing", _) => format!(
            "stage {stage}: not known, since the schema changes at the moment, as by a run of \
             `stagelink migrate`: try again later"
        ),
        (_, []) => format!("stage {stage}: no difference from {other}"),
        (_, differences) => {
            let lines = differences.iter().map(|difference| {
                let line = one_line(difference);
                format!("\n  {line}")
            });
            let lines: String = lines.collect();
            format!("stage {stage}: differs from {other}{lines}")
        }
    }
}
