//! The plan of `stagelink link` as tables.

use stagelink::{Stage, one_line};
use stagelink_pipeline::{LinkPlan, VariableChange};

use crate::table::Table;

/// Returns the plan as tables and notes.
pub(super) fn text(plan: &LinkPlan) -> String {
    let mut stages = Table::with_header(["stage", "database", "server", "mark", "proved by"]);
    for row in &plan.stages {
        let mark = if row.is_marked { "its own" } else { "none" };
        stages.add_row([
            row.stage.as_str(),
            &row.database,
            &row.server,
            mark,
            &row.proved_by,
        ]);
    }
    let mut variables = Table::with_header(["context", "stage", "variable", "value", "change"]);
    for row in &plan.variables {
        let value = match &row.value {
            Some(value) => shortened(value),
            None if row.change == VariableChange::Kept => "(as it is)".to_owned(),
            None if row.is_secret => "(a secret)".to_owned(),
            None => String::new(),
        };
        let stage = row.stage.as_ref().map_or("", Stage::as_str);
        variables.add_row([
            &row.context.to_string(),
            stage,
            &row.variable,
            &value,
            row.change.as_str(),
        ]);
    }
    let mut text = String::new();
    if !plan.stages.is_empty() {
        text.push_str(&format!("{stages}\n\n"));
    }
    let reach = match plan.scopes {
        Some(_) => "only for its functions",
        None => "for its functions and its builds",
    };
    text.push_str(&format!(
        "variables of the site {}, {reach}:\n{variables}",
        one_line(&plan.site)
    ));
    for finding in &plan.findings {
        let (title, end) = match (finding.is_leak(), finding.is_removed) {
            (true, true) => ("leak", ": it is removed"),
            (true, false) => ("leak", ""),
            _ => ("note", ""),
        };
        text.push_str(&format!("\n  {title}: {}{end}", one_line(finding)));
    }
    for note in &plan.notes {
        text.push_str(&format!("\n  note: {}", one_line(note)));
    }
    text
}

/// Returns a value as one line that is short enough for a table.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", value[..end].replace('\n', " ")),
        None => value.replace('\n', " "),
    }
}
