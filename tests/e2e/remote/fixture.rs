//! A project whose stages have real databases.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use stagelink_tests::{
    CANARY, Record, ShopClouds, SmallProject, TLS_LIBRARY, as_superuser, migrate, root, server,
    stagelink_command,
};
use tokio::process::Command;
use tokio::time::timeout;

use crate::dev::Dev;
use crate::status::{Run, mark};

/// The clouds of a project whose stages have real databases, with a role that reads staging's alone.
pub(super) struct Remote {
    pub(super) clouds: ShopClouds,
    pub(super) reader: String,
    pub(super) record: Record,
}

impl Remote {
    pub(super) async fn new() -> Self {
        let clouds = ShopClouds::with_config_vars().await;
        let secrets = [clouds.heroku.api_key(), clouds.netlify.token()];
        let remote = Self {
            record: Record::new(secrets.map(str::to_owned)),
            reader: format!("reader_{}", clouds.staging.name()),
            clouds,
        };
        let variables: BTreeMap<_, _> = [
            ("STAGELINK_STAGE", "staging"),
            ("STAGELINK_PROVIDER", "url"),
            ("DATABASE_URL", &remote.clouds.staging.url()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        migrate(&variables).await;
        let reader = &remote.reader;
        remote
            .in_staging(&format!(
                "INSERT INTO guestbook (name, message) VALUES ('Ada', 'm'); \
                 CREATE ROLE {reader} LOGIN; GRANT CONNECT ON DATABASE {} TO {reader}; \
                 GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}",
                remote.clouds.staging.name()
            ))
            .await;
        remote.set_reader_password("first").await;
        remote
    }

    pub(super) async fn marked() -> Self {
        let remote = Self::new().await;
        mark(&remote.clouds.staging, "staging").await;
        mark(&remote.clouds.production, "production").await;
        remote
    }

    pub(super) async fn in_staging(&self, sql: &str) {
        let server = server().await;
        let client = server.connect_as_superuser_to(&self.clouds.staging).await;
        let client = client.expect("a superuser");
        client.batch_execute(sql).await.expect(sql);
    }

    pub(super) async fn entries(&self) -> i64 {
        let server = server().await;
        let client = server.connect_as_superuser_to(&self.clouds.staging).await;
        let client = client.expect("a superuser");
        let row = client.query_one("SELECT count(*) FROM guestbook", &[]);
        row.await.expect("a count").get(0)
    }

    /// Gives the reading role another password, as a rotation does, and the app its URL.
    pub(super) async fn set_reader_password(&self, password: &str) {
        let (staging, reader) = (&self.clouds.staging, &self.reader);
        let password = format!("{CANARY}-{password}");
        as_superuser(&format!("ALTER ROLE {reader} PASSWORD '{password}'")).await;
        let (host, port) = (staging.host(), staging.port());
        let url = format!(
            "postgres://{reader}:{password}@{host}:{port}/{}",
            staging.name()
        );
        self.clouds
            .heroku
            .set_config_var("shop-staging", "READER_URL", &url)
            .expect("a config var");
    }

    /// Returns `stagelink dev` in a project, with the operator's environment.
    pub(super) async fn dev(&self, project: &str, words: &[&str]) -> Command {
        let mut command = Command::new(stagelink_command().await);
        command
            .args(["dev", "--project", project])
            .args(words)
            .current_dir(root())
            .envs(self.clouds.variables())
            .env("STAGELINK_HEROKU_PIPELINE", "shop")
            // It builds the functions without the platform's library.
            .env_remove(TLS_LIBRARY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(super) async fn start(&self, words: &[&str]) -> Dev {
        let root = root().to_str().expect("a path in UTF-8").to_owned();
        Dev::start_by(self.dev(&root, words).await).await
    }

    /// Runs `stagelink dev`, which is to end by itself.
    pub(super) async fn refused(&self, project: &SmallProject, words: &[&str]) -> String {
        let mut command = self.dev(project.path(), words).await;
        if !words.contains(&"--port") {
            command.args(["--port", "0"]);
        }
        let output = timeout(Duration::from_secs(120), command.output()).await;
        let run = Run::new(&output.expect("it ends").expect("it runs"), &self.record);
        assert_ne!(run.code, Some(0), "{}", run.errors);
        run.errors
    }
}
