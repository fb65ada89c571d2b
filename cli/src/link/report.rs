//! What is planned or done, as tables for people and as a line of JSON.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use secrecy::SecretString;
use serde::Serialize;
use stagelink::Stage;

use super::context::Context;
use super::netlify::Variable;
use super::plan::{Change, Wanted};
use super::stages::Found;
use super::wanted::shown;

/// What is linked.
pub(crate) struct Facts<'a> {
    pub(crate) site: &'a str,
    /// Whether variables are for functions alone.
    pub(crate) scopes: bool,
    pub(crate) stages: &'a [Found],
    pub(crate) contexts: &'a [(Context, Stage)],
}

impl Facts<'_> {
    /// The stage that a context serves, where it is linked.
    pub(crate) fn stage_of(&self, context: &Context) -> Option<Stage> {
        let own = self.contexts.iter().find(|(own, _)| own == context);
        own.map(|(_, stage)| *stage)
    }
}

/// All that is said of it. No secret is.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    site: &'a str,
    /// Whether the site has these variables now.
    pub(crate) is_set: bool,
    scopes: Option<&'static str>,
    stages: Vec<StageRow>,
    variables: Vec<Row>,
    /// What a person should know.
    notes: Vec<String>,
}

#[derive(Serialize)]
struct StageRow {
    stage: String,
    database: String,
    server: String,
    credentials: String,
    is_marked: bool,
    proved_by: String,
}

#[derive(Serialize)]
struct Row {
    context: Context,
    stage: Option<String>,
    variable: String,
    /// `None` for a secret and for what is removed.
    value: Option<String>,
    is_secret: bool,
    change: &'static str,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        facts: &Facts<'a>,
        wanted: &[Wanted],
        changes: &[Change],
        has: &[Variable],
        notes: Vec<String>,
    ) -> Self {
        let stages = facts.stages.iter().map(|found| StageRow {
            stage: found.examination.stage.to_string(),
            database: found.examination.database.clone(),
            server: found.examination.server.clone(),
            credentials: found.origin.clone(),
            is_marked: found.is_marked(),
            proved_by: found.examination.server_auth.to_string(),
        });
        let mut variables = Vec::new();
        let stage_of = |context: &Context| facts.stage_of(context).map(|stage| stage.to_string());
        for (context, _) in facts.contexts {
            for of in wanted {
                let Some((_, value)) = of.values.iter().find(|(own, _)| own == context) else {
                    continue;
                };
                let before = has.iter().find(|variable| variable.key == of.key);
                let is_sent = changes.iter().any(|change| {
                    change.key() == of.key && change.sends().iter().any(|(own, _)| *own == context)
                });
                variables.push(Row {
                    context: context.clone(),
                    stage: stage_of(context),
                    variable: of.key.to_owned(),
                    value: (!of.is_secret).then(|| text(value)),
                    is_secret: of.is_secret,
                    change: match before.and_then(|variable| variable.value_for(context)) {
                        _ if !is_sent => "unchanged",
                        None => "new",
                        Some(_) if of.is_secret => "set anew",
                        Some(_) => "changed",
                    },
                });
            }
        }
        for change in changes {
            if let Change::Unset { key, context, .. } = change {
                variables.push(Row {
                    context: context.clone(),
                    stage: stage_of(context),
                    variable: key.clone(),
                    value: None,
                    is_secret: false,
                    change: "removed",
                });
            }
        }
        Self {
            site: facts.site,
            is_set: false,
            scopes: facts.scopes.then_some("functions"),
            stages: stages.collect(),
            variables,
            notes,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut stages = table(["stage", "database", "server", "mark", "proved by"]);
        for row in &self.stages {
            let mark = if row.is_marked { "its own" } else { "none" };
            stages.add_row([&row.stage, &row.database, &row.server, mark, &row.proved_by]);
        }
        let mut variables = table(["context", "stage", "variable", "value", ""]);
        for row in &self.variables {
            let value = match &row.value {
                Some(value) => value.as_str(),
                None if row.is_secret => "(a secret)",
                None => "",
            };
            let stage = row.stage.as_deref().unwrap_or_default();
            let context = row.context.to_string();
            variables.add_row([&context, stage, &row.variable, value, row.change]);
        }
        let mut text = String::new();
        if !self.stages.is_empty() {
            text.push_str(&format!("{stages}\n\n"));
        }
        let reach = match self.scopes {
            Some(_) => "for its functions alone",
            None => "for its functions and its builds",
        };
        text.push_str(&format!(
            "variables of the site {}, {reach}:\n{variables}",
            self.site
        ));
        for note in &self.notes {
            text.push_str(&format!("\n  note: {note}"));
        }
        text
    }
}

/// A value that is no secret, short enough for a table.
fn text(value: &SecretString) -> String {
    let text = shown(false, value);
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text[..end].replace('\n', " ")),
        None => text.replace('\n', " "),
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    table
}
