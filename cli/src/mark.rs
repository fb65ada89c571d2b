//! `stagelink mark`: the stage that a database says it belongs to.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use stagelink::{Database, DatabaseInfo, Settings, StageMark};

use crate::args::{MarkCommand, StageOptions};

/// Shows, sets or removes the mark of a stage's database.
///
/// # Errors
///
/// When the database cannot be reached, or has another stage's mark already.
pub async fn run(command: MarkCommand) -> anyhow::Result<()> {
    let (found, options) = match command {
        MarkCommand::Show(options) => (link(&options).inspect().await?, options),
        MarkCommand::Set { options, replace } => {
            let link = link(&options);
            let found = link.inspect().await?;
            if found.is_of_another_stage() && !replace {
                bail!(
                    "database {} on {} is marked as stage {}'s already: look whether the credentials \
                     of stage {} are the right ones, and add --replace if it is the mark that is \
                     wrong, as after a copy",
                    found.database,
                    found.server,
                    found.mark,
                    found.stage
                );
            }
            (link.set_stage_mark().await?, options)
        }
        MarkCommand::Remove(options) => (link(&options).clear_stage_mark().await?, options),
    };
    let report = Report::of(&found);
    let text = if options.json {
        serde_json::to_string(&report)?
    } else {
        report.text()
    };
    writeln!(std::io::stdout().lock(), "{text}").context("could not write to standard output")
}

fn link(options: &StageOptions) -> Database {
    link_without(&[], options.stage.as_deref())
}

/// The link that a function of the stage would have, by the variables that it would have; some
/// of them may be left out.
pub(crate) fn link_without(left_out: &[&str], stage: Option<&str>) -> Database {
    let named = stage.map(|stage| ("STAGELINK_STAGE".to_owned(), stage.to_owned()));
    let own = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| named.is_none() || name != "STAGELINK_STAGE")
        .filter(|(name, _)| !left_out.contains(&name.as_str()));
    Database::new(Settings::from_vars(own.chain(named.clone())))
}

#[derive(Serialize)]
struct Report {
    stage: String,
    database: String,
    role: String,
    server: String,
    server_version: Option<String>,
    credentials: String,
    takes_writes: bool,
    mark: Option<String>,
    is_right: bool,
    proved_by: String,
    pin: Option<String>,
    direct_tls: bool,
}

impl Report {
    fn of(found: &DatabaseInfo) -> Self {
        Self {
            stage: found.stage.to_string(),
            database: found.database.clone(),
            role: found.role.clone(),
            server: found.server.clone(),
            server_version: found.server_version.clone(),
            credentials: found.origin.clone(),
            takes_writes: !found.is_read_only,
            mark: match &found.mark {
                StageMark::None => None,
                mark => Some(mark.to_string()),
            },
            is_right: found.mark == StageMark::Of(found.stage),
            proved_by: found.server_auth.to_string(),
            pin: found.pin.map(|pin| pin.to_string()),
            direct_tls: found.direct_tls,
        }
    }

    fn text(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Disabled);
        let version = self.server_version.as_deref().unwrap_or("unknown");
        let mark = match &self.mark {
            Some(mark) if self.is_right => mark.clone(),
            Some(mark) => format!("{mark}: functions of stage {} refuse it", self.stage),
            None => "none".to_owned(),
        };
        let writes = match self.takes_writes {
            true => "",
            false => ", takes no writes",
        };
        for (name, value) in [
            ("stage", self.stage.as_str()),
            ("credentials", &self.credentials),
            (
                "database",
                &format!("{} as role {}", self.database, self.role),
            ),
            ("server", &self.server),
            ("version", &format!("{version}{writes}")),
            ("mark", &mark),
            ("proved by", &self.proved_by),
            (
                "public key",
                self.pin
                    .as_deref()
                    .unwrap_or("not to be trusted: nothing proves it"),
            ),
        ] {
            table.add_row([name, value]);
        }
        let mut text = table.to_string();
        let mut lines = Vec::new();
        if self.is_right {
            lines.push(("STAGELINK_REQUIRE_MARK=true", "no other database is let in"));
        }
        let pin = self
            .pin
            .as_ref()
            .map(|pin| format!("STAGELINK_SERVER_PIN='{pin}'"));
        // Who has the wrong database needs another one first.
        let is_wrong = self.mark.is_some() && !self.is_right;
        if let Some(pin) = pin.as_ref().filter(|_| !is_wrong) {
            lines.push((pin, "for a pooler with the same key, or to skip roots"));
        }
        if self.direct_tls && !is_wrong {
            lines.push(("STAGELINK_DIRECT_TLS=true", "one round trip less"));
        }
        if !lines.is_empty() {
            text.push_str("\n\nWhat a function of this stage may be given:");
        }
        for (line, why) in lines {
            text.push_str(&format!("\n  {line}  # {why}"));
        }
        text
    }
}
