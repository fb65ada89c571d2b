//! `stagelink fault`: injects faults into the local clouds of a running `stagelink dev`.

use anyhow::anyhow;
use serde::Serialize;
use stagelink_local::faults::{ActiveFault, Fault};
use stagelink_local::{Error as LocalError, ErrorKind};
use stagelink_pipeline::no_stage;

use crate::args::{FaultCommand, FaultOptions};
use crate::failure::Failure;
use crate::local_clouds::{self, RunningStages};
use crate::output::{print, print_json};
use crate::port_hint::port_hint;
use crate::table::Table;
use crate::usage_error::of_usage;

/// The changes of a command, and the faults that last.
#[derive(Debug, Serialize)]
struct Report {
    /// The fault that was injected.
    injected: Option<Fault>,
    /// The faults that were ended.
    ended: Vec<Fault>,
    faults: Vec<ActiveFault>,
}

/// Injects, lists or clears faults.
///
/// # Errors
///
/// When no `stagelink dev` runs, it has no such stage, or the fault cannot be injected.
pub async fn run(options: FaultOptions) -> anyhow::Result<()> {
    let done = act(&options).await;
    match &done {
        Ok(report) if options.json => print_json(report)?,
        Ok(report) => print(text(report, &options))?,
        Err(error) if options.json => print_json(&Failure::new(error))?,
        Err(_) => {}
    }
    done.map(drop)
}

async fn act(options: &FaultOptions) -> anyhow::Result<Report> {
    let running = local_clouds::running(&options.local)?;
    if let (None, Some(_)) = (options.command.fault(), options.duration) {
        return Err(of_usage(anyhow!("--for is for a fault: leave it out")));
    }
    let stage = options.stage.as_deref();
    if let Some(stage) = stage {
        ensure_stage(&running, stage)?;
    }
    let (mut injected, mut ended) = (None, Vec::new());
    match &options.command {
        FaultCommand::List => {}
        FaultCommand::Clear => ended = running.faults.clear(stage).await.map_err(classed)?,
        FaultCommand::Thaw => ended = running.faults.thaw(stage).await.map_err(classed)?,
        command => {
            let fault = command.fault();
            let fault = fault.ok_or_else(|| anyhow!("the command injects no fault"))?;
            let stage = stage_of(&running, stage, &fault)?;
            let done = running.faults.inject(stage, &fault, options.duration).await;
            done.map_err(classed)?;
            injected = Some(fault);
        }
    }
    let mut faults = running.faults.active().await?;
    faults.retain(|fault| {
        stage.is_none() || fault.stage.is_none() || fault.stage.as_deref() == stage
    });
    Ok(Report {
        injected,
        ended,
        faults,
    })
}

/// Returns the stage that a fault is for: the only one, if none is named.
fn stage_of<'a>(
    running: &'a RunningStages,
    named: Option<&'a str>,
    fault: &Fault,
) -> anyhow::Result<&'a str> {
    match (named, running.names.as_slice()) {
        (Some(_), [_, _, ..]) if fault.is_of_all_stages() => Err(of_usage(anyhow!(
            "{fault} is a fault of all stages, which share the server and the API: leave --stage out"
        ))),
        (Some(stage), _) => Ok(stage),
        (None, [only]) => Ok(only),
        (None, [first, ..]) if fault.is_of_all_stages() => Ok(first),
        (None, names) => Err(of_usage(anyhow!(
            "name the local stage with --stage: {}",
            names.join(" or ")
        ))),
    }
}

/// Makes sure that a stage runs.
pub(crate) fn ensure_stage(running: &RunningStages, stage: &str) -> anyhow::Result<()> {
    if running.names.iter().any(|name| name == stage) {
        return Ok(());
    }
    let names = running.names.iter().map(String::as_str);
    let hint = port_hint(stage).unwrap_or_default();
    let unknown = no_stage("the running `stagelink dev`", stage, names);
    Err(of_usage(anyhow!("{unknown}{hint}")))
}

/// Marks an error of the command's arguments.
fn classed(error: LocalError) -> anyhow::Error {
    match error.kind() {
        ErrorKind::Input | ErrorKind::Unsupported => of_usage(error),
        _ => error.into(),
    }
}

fn text(report: &Report, options: &FaultOptions) -> String {
    let mut lines = Vec::new();
    if let Some(fault) = &report.injected {
        lines.push(format!("injected: {fault}"));
    }
    for fault in &report.ended {
        lines.push(format!("ended: {fault}"));
    }
    if report.faults.is_empty() {
        lines.push("no fault lasts".to_owned());
    } else {
        let mut table = Table::with_header(["stage", "fault", "ends"]);
        for active in &report.faults {
            let ends = match active.ends_in_ms {
                Some(left) => format!("in {:.1} s", left as f64 / 1000.0),
                None => "with `stagelink fault clear`".to_owned(),
            };
            let stage = active.stage.as_deref().unwrap_or("all");
            table.add_row([stage, &active.fault.to_string(), &ends]);
        }
        lines.push(table.to_string());
    }
    if options.command == FaultCommand::Clear && report.ended.is_empty() {
        lines.insert(0, "nothing to clear".to_owned());
    }
    lines.join("\n")
}
