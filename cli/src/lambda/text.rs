//! Plans and results on AWS Lambda as text.

use std::fmt::Write as _;

use stagelink::one_line;
use stagelink_pipeline::{
    LambdaPlanSummary, LambdaPlannedFunction, LambdaReport, LambdaRollbackSummary,
};

use crate::table::Table;

/// Returns the plan of a deploy or a promotion as a table with its notes below.
pub(crate) fn plan(plan: &LambdaPlanSummary) -> String {
    let mut table = match &plan.from {
        Some(from) => Table::with_header(["promote", &format!("{from} → {}", plan.to)]),
        None => Table::with_header(["deploy", &plan.to]),
    };
    let commit = plan.commit.as_deref().map_or("not known", short);
    let commit = match plan.has_uncommitted_changes {
        true => format!("{commit}, with changes that are in no commit"),
        false => commit.to_owned(),
    };
    let artifact = match plan.is_promoted {
        true => format!("{}, which the stage runs already", short(&plan.artifact)),
        false => short(&plan.artifact).to_owned(),
    };
    let migrations = match plan.migrations.is_empty() {
        true => "none".to_owned(),
        false => plan.migrations.join(", "),
    };
    table.add_row(["AWS Lambda", &plan.account]);
    table.add_row(["artifact", &artifact]);
    table.add_row(["commit", &commit]);
    for function in &plan.functions {
        table.add_row([&function.name, &change(function)]);
    }
    table.add_row(["migrations", &migrations]);
    let test = "the self-check of each new version, before its alias points to it";
    table.add_row(["test", test]);
    let mut text = table.to_string();
    for name in &plan.possible_after {
        let _ = write!(
            text,
            "\n  {} becomes possible: `stagelink migrate {} --after`, once the rollback window is over",
            one_line(name),
            plan.to
        );
    }
    with_notes(text, &plan.notes)
}

/// Returns the plan of a rollback as a table with its notes below.
pub(crate) fn rollback_plan(plan: &LambdaRollbackSummary) -> String {
    let mut table = Table::with_header(["roll back", &plan.stage]);
    table.add_row(["AWS Lambda", &plan.account]);
    table.add_row(["artifact", short(&plan.artifact)]);
    let commit = plan.commit.as_deref().map_or("not known", short);
    table.add_row(["commit", commit]);
    let since = plan.deployed_at.as_deref().unwrap_or("not known");
    table.add_row(["live since", since]);
    for function in &plan.functions {
        table.add_row([&function.name, &change(function)]);
    }
    with_notes(table.to_string(), &plan.notes)
}

fn change(function: &LambdaPlannedFunction) -> String {
    let new = match &function.version {
        Some(version) => format!("version {version}"),
        None => "a new version".to_owned(),
    };
    let current = match &function.current {
        Some(version) => format!("from version {version}"),
        None => "a new alias".to_owned(),
    };
    format!("{}: {new}, {current}", function.function)
}

fn with_notes(mut text: String, notes: &[String]) -> String {
    for note in notes {
        let _ = write!(text, "\n  ! {}", one_line(note));
    }
    text
}

/// Returns the result as lines.
pub(crate) fn report(report: &LambdaReport) -> String {
    let stage = &report.stage;
    let mut text = format!("{stage} runs artifact {}", short(&report.artifact));
    for function in &report.functions {
        let before = function.previous.as_deref();
        let before = before.map_or("the first".to_owned(), |version| {
            format!("before it version {version}")
        });
        let _ = write!(
            text,
            "\n  {}: version {}, {before}",
            function.function, function.version
        );
        if let Some(url) = &function.url {
            let _ = write!(text, "\n    {}", one_line(url));
        }
    }
    if !report.migrations.is_empty() {
        let _ = write!(text, "\n  applied: {}", report.migrations.join(", "));
    }
    for name in &report.possible_after {
        let _ = write!(
            text,
            "\n  possible once the rollback window is over: {}, by `stagelink migrate {stage} --after`",
            one_line(name)
        );
    }
    let _ = write!(text, "\n  {} s", report.seconds);
    if report
        .functions
        .iter()
        .any(|function| function.previous.is_some())
    {
        let _ = write!(text, "; back: `stagelink rollback {stage}`");
    }
    text
}

/// Returns the beginning of a digest or commit, as people read it.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
