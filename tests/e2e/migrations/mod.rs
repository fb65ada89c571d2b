//! Migrations of a real Postgres: the runner of the pipeline, and `stagelink migrate`.

mod busy;
mod command;
mod commit_limits;
mod drift;
mod enforcement;
mod histories;
mod hostile;
mod indexes;
mod interrupted;
mod interrupted_alone;
mod limits;
mod odd_histories;
mod outdated;
mod overrides;
mod poolers;
mod running_code;
mod runs;
mod session_changes;
mod test_kit;
mod under_load;
mod unrecorded;

use std::fs;
use std::future::Future;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stagelink::tokio_postgres::Client;
use stagelink::{Database, Settings};
use stagelink_local_postgres::Database as OwnDatabase;
use stagelink_pipeline::{
    Enforcement, Error, MigrationEvent, MigrationFolder, MigrationOptions, MigrationPlan,
    MigrationReport,
};
use stagelink_tests::{CANARY, database, server, stagelink_command};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// A folder of migrations, and a database of its own.
pub(crate) struct Project {
    folder: TempDir,
    pub(crate) database: OwnDatabase,
    url: String,
    events: Arc<Mutex<Vec<String>>>,
}

impl Project {
    pub(crate) async fn new() -> Self {
        let database = database().await;
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("migrations")).expect("a folder");
        Self {
            url: database.url(),
            folder,
            database,
            events: Arc::default(),
        }
    }

    /// Makes a project with these files.
    pub(crate) async fn with(files: &[(&str, &str)]) -> Self {
        let project = Self::new().await;
        for (name, sql) in files {
            project.write(name, sql);
        }
        project
    }

    /// Leads to the database by another URL from now on.
    pub(crate) fn set_url(&mut self, url: String) {
        self.url = url;
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, sql: &str) {
        let path = self.folder.path().join("migrations").join(name);
        fs::write(path, sql).expect("a file");
    }

    pub(crate) fn remove(&self, name: &str) {
        let path = self.folder.path().join("migrations").join(name);
        fs::remove_file(path).expect("a file");
    }

    pub(crate) fn files(&self) -> Result<MigrationFolder, Error> {
        MigrationFolder::read(&self.folder.path().join("migrations"))
    }

    /// Returns the stage's database as the command finds it.
    pub(crate) fn stage(&self) -> Database {
        let settings = Settings::from_vars([
            ("STAGELINK_STAGE", "staging"),
            ("STAGELINK_PROVIDER", "url"),
            ("DATABASE_URL", &self.url),
        ]);
        Database::new(settings.map(Settings::without_pooler))
    }

    /// Makes the plan and applies it, and keeps the lines of the events.
    pub(crate) async fn apply(&self) -> Result<MigrationReport, Error> {
        self.apply_with(&options()).await
    }

    pub(crate) async fn apply_with(
        &self,
        options: &MigrationOptions,
    ) -> Result<MigrationReport, Error> {
        let plan = MigrationPlan::make(&self.stage(), &self.files()?, options).await?;
        self.apply_plan(&plan, options).await
    }

    pub(crate) async fn apply_plan(
        &self,
        plan: &MigrationPlan,
        options: &MigrationOptions,
    ) -> Result<MigrationReport, Error> {
        let listener = |event: &MigrationEvent<'_>| {
            let mut events = self.events.lock().expect("the events");
            events.push(event.to_string());
        };
        let result = plan.apply(&self.stage(), options, &listener).await;
        if let Err(error) = &result {
            assert!(!error.to_string().contains(CANARY), "{error}");
        }
        result
    }

    /// Applies, and returns the names of the files that were applied.
    pub(crate) async fn applied(&self) -> Vec<String> {
        let report = self.apply().await;
        let report = report.unwrap_or_else(|error| panic!("{error}: {:?}", self.events()));
        names(&report)
    }

    /// Applies, and returns the text of the error.
    pub(crate) async fn refused(&self) -> String {
        match self.apply().await {
            Ok(report) => panic!("it was applied: {:?}", names(&report)),
            Err(error) => error.to_string(),
        }
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.events.lock().expect("the events").clone()
    }

    pub(crate) fn has_event(&self, part: &str) -> bool {
        self.events().iter().any(|event| event.contains(part))
    }

    /// Opens a session of the database's own role.
    pub(crate) async fn session(&self) -> Client {
        let session = server().await.connect(&self.database).await;
        session.expect("a session")
    }

    pub(crate) async fn run(&self, sql: &str) {
        let done = self.session().await.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Returns the first column of a query's rows as texts.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        texts(&self.session().await, sql).await
    }

    /// Returns the history, as `V1__a`.
    pub(crate) async fn history(&self) -> Vec<String> {
        let exists = "SELECT 'yes' WHERE to_regclass('refinery_schema_history') IS NOT NULL";
        if self.rows(exists).await.is_empty() {
            return Vec::new();
        }
        self.rows(
            "SELECT 'V' || version || '__' || name FROM refinery_schema_history ORDER BY version",
        )
        .await
    }

    /// Returns the tables, but those of the history.
    pub(crate) async fn tables(&self) -> Vec<String> {
        self.rows(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' \
             AND tablename NOT IN ('refinery_schema_history', 'stagelink_migration_records', 'stagelink_schema_snapshot', 'stagelink_leases', 'stagelink_deploys') \
             ORDER BY 1",
        )
        .await
    }

    /// Waits until a statement of the runner's runs that contains the text.
    pub(crate) async fn wait_for_statement(&self, part: &str) {
        wait_for_statement(&self.session().await, part).await;
    }

    /// Returns `stagelink migrate` with these arguments, which finds the database by its URL.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Command {
        self.stagelink("migrate", arguments).await
    }

    /// Returns a command of stagelink, which finds the database by its URL.
    pub(crate) async fn stagelink(&self, command: &str, arguments: &[&str]) -> Command {
        let name = command;
        let mut command = Command::new(stagelink_command().await);
        command
            .arg(name)
            .args(arguments)
            .current_dir(self.root())
            .env_clear()
            .env("STAGELINK_PROVIDER", "url")
            .env("DATABASE_URL", &self.url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// Options for tests of the runner: they wait for less than a user does, and files of each class are
/// applied.
pub(crate) fn options() -> MigrationOptions {
    let mut options = MigrationOptions::default();
    options.enforcement = Enforcement::Nothing;
    options.wait = Duration::from_secs(60);
    options
}

pub(crate) fn names(report: &MigrationReport) -> Vec<String> {
    let applied = report.applied.iter();
    applied.map(|(file, _)| file.to_string()).collect()
}

pub(crate) async fn texts(client: &Client, sql: &str) -> Vec<String> {
    let rows = client.query(sql, &[]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// Waits, by a session, until a statement of the runner's runs that contains the text.
pub(crate) async fn wait_for_statement(session: &Client, part: &str) {
    let find = format!(
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() \
         AND state = 'active' AND pid <> pg_backend_pid() \
         AND application_name LIKE 'stagelink migrate%' AND query LIKE '%{part}%'"
    );
    until(part, async || !texts(session, &find).await.is_empty()).await;
}

/// Waits until a condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waited = timeout(Duration::from_secs(30), async {
        while !holds().await {
            sleep(Duration::from_millis(20)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("waited in vain: {what}"));
}
