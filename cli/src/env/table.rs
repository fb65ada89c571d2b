//! The variables of functions as a table.

use stagelink::one_line;
use stagelink_pipeline::{FunctionEnvironment, FunctionVariableInfo};

use crate::table::Table;

/// Returns the variables as a table, and their size below it.
pub(super) fn text(found: &FunctionEnvironment) -> String {
    let mut table = Table::with_header(["variable", "from", "context", "bytes", "secret", "value"]);
    table.align_right(3);
    for variable in &found.variables {
        let secret = if variable.is_secret { "yes" } else { "no" };
        table.add_row([
            variable.name.as_str(),
            &variable.origin,
            &variable.context,
            &bytes(variable),
            secret,
            variable.value.as_deref().unwrap_or_default(),
        ]);
    }
    let variables = match found.variables.is_empty() {
        true => "no variables: `stagelink link` sets those by which functions find their database"
            .to_owned(),
        false => format!("{table}\n{}", size(found)),
    };
    let mut text = format!(
        "site {}, context {}\n{variables}",
        one_line(&found.site),
        one_line(&found.context),
    );
    for note in &found.notes {
        text.push_str(&format!("\n  note: {}", one_line(note)));
    }
    text
}

fn bytes(variable: &FunctionVariableInfo) -> String {
    match variable.value_bytes {
        Some(bytes) => (variable.name.len() + bytes).to_string(),
        None => format!("{} + ?", variable.name.len()),
    }
}

fn size(found: &FunctionEnvironment) -> String {
    let (total, limit) = (found.total_bytes, found.limit_bytes);
    let unknown = match found.unreadable_values {
        0 => String::new(),
        1 => ", and one value that Netlify does not show".to_owned(),
        count => format!(", and {count} values that Netlify does not show"),
    };
    let mark = if total > limit { "! " } else { "" };
    format!("{mark}{total} of {limit} bytes for names and values{unknown}")
}
