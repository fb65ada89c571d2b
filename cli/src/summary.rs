//! The output of `stagelink dev` when everything runs: a table for people, a line of JSON for
//! scripts.

use serde::Serialize;
use stagelink_local::Cloud;

use crate::table::Table;

/// Addresses and credentials of everything that runs.
#[derive(Debug, Serialize)]
pub(crate) struct DevSummary<'a> {
    /// Tells the line from those of requests.
    r#type: &'static str,
    stages: Vec<Stage<'a>>,
    heroku: Heroku<'a>,
}

#[derive(Debug, Serialize)]
struct Stage<'a> {
    name: &'a str,
    app: &'a str,
    url: &'a str,
    database_url: String,
}

#[derive(Debug, Serialize)]
struct Heroku<'a> {
    host: &'a str,
    api_key: &'a str,
    pipeline: &'a str,
}

impl<'a> DevSummary<'a> {
    pub(crate) fn of(cloud: &'a Cloud) -> Self {
        Self {
            r#type: "started",
            stages: cloud
                .stages()
                .iter()
                .map(|stage| Stage {
                    name: stage.name(),
                    app: stage.app(),
                    url: stage.url(),
                    database_url: stage.database().url(),
                })
                .collect(),
            heroku: Heroku {
                host: cloud.heroku().url(),
                api_key: cloud.heroku().api_key(),
                pipeline: cloud.pipeline(),
            },
        }
    }

    /// Returns a table, and commands to copy.
    pub(crate) fn text(&self, functions: &[&str]) -> String {
        let mut table = Table::with_header(["stage", "site", "functions", "Heroku app"]);
        for stage in &self.stages {
            table.add_row([stage.name, stage.url, &functions.join(", "), stage.app]);
        }
        let mut text = format!("{table}\n\n");
        for stage in &self.stages {
            text.push_str(&format!(
                "{} database:\n  psql '{}?sslmode=require'\n",
                stage.name, stage.database_url
            ));
        }
        text.push_str(&format!(
            "Heroku, with its official command line:\n  HEROKU_HOST={} HEROKU_API_KEY={} HEROKU_DATA_HOST=127.0.0.1 heroku pipelines:info {}\n",
            self.heroku.host, self.heroku.api_key, self.heroku.pipeline
        ));
        text
    }
}
