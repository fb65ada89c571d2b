//! `stagelink mark`: shows, sets or removes the stage mark of a database.

use anyhow::bail;
use serde::Serialize;
use stagelink::{DatabaseInfo, StageMark, one_line};

use crate::args::{MarkCommand, StageOptions};
use crate::failure::Failure;
use crate::output::{note, print, print_json};
use crate::stage_database::{advised, database_of};
use crate::table::Table;

/// Shows, sets or removes the mark of a stage's database.
///
/// # Errors
///
/// The SDK's error when the database cannot be reached, and an error when it is marked as another
/// stage's and `--replace` is not given.
pub async fn run(command: MarkCommand) -> anyhow::Result<()> {
    let options = match &command {
        MarkCommand::Show(options)
        | MarkCommand::Remove { options, .. }
        | MarkCommand::Set { options, .. } => options.clone(),
    };
    let report = match mark(&command, &options).await {
        Ok(report) => report,
        Err(error) => {
            if options.json {
                print_json(&Failure::new(&error))?;
            }
            return Err(error);
        }
    };
    if let Some(done) = report.done(&command) {
        note(done);
    }
    if options.json {
        return print_json(&report);
    }
    print(report.text(options.local.local.is_some()))
}

async fn mark(command: &MarkCommand, options: &StageOptions) -> anyhow::Result<Report> {
    let stage = options.stage.name();
    let database = database_of(&[], stage, &options.local).await?;
    let found = match *command {
        MarkCommand::Show(_) => database.inspect().await,
        MarkCommand::Set { replace, .. } => {
            ensure_own_mark(&advised(database.inspect().await, stage)?, replace)?;
            database.set_stage_mark().await
        }
        MarkCommand::Remove { replace, .. } => {
            ensure_own_mark(&advised(database.inspect().await, stage)?, replace)?;
            database.clear_stage_mark().await
        }
    };
    Ok(Report::of(&advised(found, stage)?))
}

/// Makes sure that no other stage loses its mark, unless that is wanted.
fn ensure_own_mark(found: &DatabaseInfo, replace: bool) -> anyhow::Result<()> {
    if found.is_of_another_stage() && !replace {
        bail!(
            "database {} on {} is already marked as stage {}'s: check the credentials of stage \
             {}, and add --replace if the mark is wrong, as after a copy",
            found.database,
            found.server,
            found.mark,
            found.stage
        );
    }
    Ok(())
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

    /// Returns the change that a command has made.
    fn done(&self, command: &MarkCommand) -> Option<String> {
        let (database, server) = (one_line(&self.database), one_line(&self.server));
        let place = format!("database {database} on {server}");
        match command {
            MarkCommand::Show(_) => None,
            MarkCommand::Set { .. } => {
                Some(format!("  {place} is now marked as stage {}'s", self.stage))
            }
            MarkCommand::Remove { .. } => Some(format!("  {place} has no stage mark now")),
        }
    }

    /// Returns a table with advice. `is_local` says that the database is one of the local clouds.
    fn text(&self, is_local: bool) -> String {
        let mut table = Table::new();
        let version = self.server_version.as_deref().unwrap_or("unknown");
        let mark = match &self.mark {
            Some(mark) if self.is_right => mark.clone(),
            Some(mark) => format!("{mark}: functions of stage {} refuse it", self.stage),
            None => {
                let local = if is_local { " --local" } else { "" };
                let command = format!("stagelink mark set --stage {}{local}", self.stage);
                format!("none: `{command}` sets it")
            }
        };
        let writes = match self.takes_writes {
            true => "",
            false => ", read-only",
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
                    .unwrap_or("not shown: nothing proves that it is the server's"),
            ),
        ] {
            table.add_row([name, value]);
        }
        let mut text = table.to_string();
        let mut lines = Vec::new();
        if self.is_right {
            lines.push((
                "STAGELINK_REQUIRE_MARK=true",
                "functions refuse a database without the mark",
            ));
        }
        let pin = self
            .pin
            .as_ref()
            .map(|pin| format!("STAGELINK_SERVER_PIN='{pin}'"));
        // With the wrong database these settings would confirm the mistake.
        let is_wrong = self.mark.is_some() && !self.is_right;
        if let Some(pin) = pin.as_ref().filter(|_| !is_wrong) {
            lines.push((
                pin,
                "proves the server, or a pooler with the same key, without roots",
            ));
        }
        if self.direct_tls && !is_wrong {
            lines.push(("STAGELINK_DIRECT_TLS=true", "saves a round trip"));
        }
        if !lines.is_empty() {
            text.push_str("\n\nSettings for functions of this stage:");
        }
        for (line, why) in lines {
            text.push_str(&format!("\n  {line}  # {why}"));
        }
        text
    }
}
