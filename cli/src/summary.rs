//! The output of `stagelink dev` when everything runs: a table for people, a line of JSON for
//! scripts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use stagelink::one_line;
use stagelink_local::{Cloud, FunctionSite, StageSite};

use crate::remote_facts::RemoteFacts;
use crate::table::Table;

/// Addresses and credentials of everything that runs.
#[derive(Debug, Serialize)]
pub(crate) struct DevSummary<'a> {
    /// Tells the line from those of requests.
    r#type: &'static str,
    stages: Vec<Stage<'a>>,
    schedules: Vec<ScheduledFunction<'a>>,
    heroku: Heroku<'a>,
    board: Option<Board>,
}

#[derive(Debug, Serialize)]
struct Stage<'a> {
    name: &'a str,
    app: &'a str,
    url: &'a str,
    /// Address of the same site at a port of its own, for programs that do not resolve names beneath
    /// `localhost`.
    port_url: &'a str,
    database_url: String,
}

#[derive(Debug, Serialize)]
struct ScheduledFunction<'a> {
    function: String,
    schedule: String,
    stage: &'a str,
    next_run: Option<String>,
}

#[derive(Debug, Serialize)]
struct Board {
    /// Has the token that the page needs.
    url: String,
}

#[derive(Debug, Serialize)]
struct Heroku<'a> {
    host: &'a str,
    api_key: &'a str,
    pipeline: &'a str,
}

impl<'a> DevSummary<'a> {
    /// `board` is the address of the board, if there is one.
    pub(crate) fn of(cloud: &'a Cloud, board: Option<String>) -> Self {
        Self {
            r#type: "started",
            stages: cloud
                .stages()
                .iter()
                .map(|stage| Stage {
                    name: stage.name(),
                    app: stage.app(),
                    url: stage.url(),
                    port_url: stage.port_url(),
                    database_url: stage.database().url(),
                })
                .collect(),
            schedules: cloud.stages().iter().flat_map(scheduled).collect(),
            heroku: Heroku {
                host: cloud.heroku().url(),
                api_key: cloud.heroku().api_key(),
                pipeline: cloud.pipeline(),
            },
            board: board.map(|url| Board { url }),
        }
    }

    /// Returns a table, and commands to copy.
    pub(crate) fn text(&self, functions: &[&str]) -> String {
        let mut table =
            Table::with_header(["stage", "site", "at a port", "functions", "Heroku app"]);
        for stage in &self.stages {
            let at_port = match stage.port_url == stage.url {
                true => "",
                false => stage.port_url,
            };
            let functions = functions.join(", ");
            table.add_row([stage.name, stage.url, at_port, &functions, stage.app]);
        }
        let mut text = format!("{table}\n\n");
        if let Some(board) = &self.board {
            text.push_str(&format!("board: {}\n", board.url));
        }
        for run in &self.schedules {
            let next = match &run.next_run {
                Some(next) => format!("next {next}"),
                None => "no time left".to_owned(),
            };
            text.push_str(&format!(
                "schedule of {} in stage {} (UTC): {}, {next}\n",
                run.function, run.stage, run.schedule
            ));
        }
        // Not their URLs: those have passwords, and a rotation changes them.
        let databases = self
            .stages
            .iter()
            .map(|stage| format!("`stagelink psql {} --local`", stage.name));
        let databases: Vec<_> = databases.collect();
        text.push_str(&format!("databases:\n  {}\n", databases.join("\n  ")));
        text.push_str(&format!(
            "Heroku, with its official command line:\n  HEROKU_HOST={} HEROKU_API_KEY={} HEROKU_DATA_HOST=127.0.0.1 heroku pipelines:info {}\n",
            self.heroku.host, self.heroku.api_key, self.heroku.pipeline
        ));
        text
    }
}

/// The addresses of `stagelink dev --remote`. They hold no credential of the stage.
#[derive(Debug, Serialize)]
pub(crate) struct RemoteSummary<'a> {
    r#type: &'static str,
    /// The stage, whose database is a real one.
    remote: &'a RemoteFacts,
    url: &'a str,
    board: Option<Board>,
}

impl<'a> RemoteSummary<'a> {
    /// `board` is the address of the board, if there is one.
    pub(crate) fn of(
        site: &'a FunctionSite,
        remote: &'a RemoteFacts,
        board: Option<String>,
    ) -> Self {
        Self {
            r#type: "started",
            remote,
            url: site.url(),
            board: board.map(|url| Board { url }),
        }
    }

    /// Returns a table, and what does not run.
    pub(crate) fn text(&self, functions: &[&str]) -> String {
        let remote = self.remote;
        let mut table = Table::with_header(["stage", "site", "functions", "real database"]);
        let stage = format!("{} (remote)", remote.stage);
        let database = format!("{} of {}", remote.database, remote.app);
        table.add_row([&stage, self.url, &functions.join(", "), &database]);
        let mut text = format!("{table}\n\n");
        if let Some(board) = &self.board {
            text.push_str(&format!("board: {}\n", board.url));
        }
        text.push_str(&format!(
            "REMOTE: functions of this machine read the real data of stage {}.\n  {}\n  credential: {}, \
             role {}\n  no local cloud runs: no migration is applied, no schedule fires, no fault is injected\n",
            one_line(&remote.stage),
            one_line(&remote.access),
            one_line(&remote.origin),
            one_line(&remote.role),
        ));
        text
    }
}

/// Returns the schedules that run in a stage.
fn scheduled(stage: &StageSite) -> impl Iterator<Item = ScheduledFunction<'_>> {
    let schedules = match stage.runs_schedules() {
        true => stage.schedules(),
        false => BTreeMap::new(),
    };
    schedules
        .into_iter()
        .map(|(function, schedule)| ScheduledFunction {
            function,
            schedule: schedule.expression().to_owned(),
            stage: stage.name(),
            next_run: schedule
                .next_after(Timestamp::now())
                .map(|next| next.to_string()),
        })
}
