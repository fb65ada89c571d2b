//! `stagelink history`: the recorded deploys of a stage, from a real database.

use serde_json::{Value, json};

use crate::migrations::Project;

/// The table as a command that deploys makes it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS stagelink_deploys (\
     id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stage text NOT NULL, command text NOT NULL, \
     artifact text NOT NULL, deploy text, previous text, commit text, \
     applied_migrations int8[] NOT NULL, by text NOT NULL, started_at timestamptz NOT NULL, \
     finished_at timestamptz, outcome text, manifest jsonb NOT NULL, self_check_key text)";

/// A deploy in the records of a stage's database.
pub(crate) struct Deploy<'a> {
    pub(crate) stage: &'a str,
    pub(crate) artifact: &'a str,
    /// The time since its end, as Postgres reads it.
    pub(crate) age: &'a str,
    pub(crate) outcome: &'a str,
    /// The lists of its functions' migrations, by name.
    pub(crate) functions: Value,
}

impl Deploy<'_> {
    pub(crate) async fn record(&self, project: &Project) {
        project.run(&self.sql()).await;
    }

    /// Returns the statements that make the record.
    pub(crate) fn sql(&self) -> String {
        let Self {
            stage,
            artifact,
            age,
            outcome,
            functions,
        } = self;
        let manifest = json!({ "format": 1, "digest": artifact, "content": {
            "functions": functions, "files": {} } });
        let insert = format!(
            "INSERT INTO stagelink_deploys (stage, command, artifact, deploy, commit, \
             applied_migrations, by, started_at, finished_at, outcome, manifest, self_check_key) \
             VALUES ('{stage}', 'promote', '{artifact}', 'd-{artifact}', \
             'c0ffee254729296a45a3885639ac7e10f9d54979', '{{}}', 'ann@desk', now() - interval '{age}', \
             now() - interval '{age}', '{outcome}', '{manifest}', 'c4n4ry-key')"
        );
        format!("{TABLE}; {insert}")
    }
}

#[tokio::test]
async fn history_has_the_deploys_of_the_stage_newest_first_and_no_key() {
    let project = Project::new().await;
    let (text, _) = history(&project, &["staging"]).await;
    assert!(
        text.contains("stage staging: no deploy is recorded"),
        "{text}"
    );
    for (stage, artifact, age, outcome) in [
        ("staging", "aaaaaaaaaaaaaaaa", "3 days", "succeeded"),
        ("staging", "bbbbbbbbbbbbbbbb", "2 days", "failed"),
        ("production", "cccccccccccccccc", "1 day", "succeeded"),
    ] {
        let functions = json!({});
        let deploy = Deploy {
            stage,
            artifact,
            age,
            outcome,
            functions,
        };
        deploy.record(&project).await;
    }
    let (text, log) = history(&project, &["staging"]).await;
    let [a, b] = ["aaaaaaaaaaaa ", "bbbbbbbbbbbb "].map(|part| text.find(part));
    assert!(b.is_some() && b < a, "{text}");
    for part in [
        "✓ succeeded",
        "✗ failed",
        "c0ffee25 ",
        "ann@desk",
        "d-aaaaaaaaaaaaaaaa",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // The database was copied from production's.
    assert!(!text.contains("cccc"), "{text}");
    let (json, more) = history(&project, &["staging", "--json", "--limit", "1"]).await;
    let found: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(found["stage"], "staging");
    assert_eq!(found["deploys"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["deploys"][0]["outcome"], "failed");
    for text in [text, log, json, more] {
        assert!(!text.contains("c4n4ry-key"), "{text}");
    }
}

#[tokio::test]
async fn records_that_another_session_has_locked_end_the_command_with_the_reason() {
    let project = Project::new().await;
    project.run(TABLE).await;
    let other = project.session().await;
    let lock = "BEGIN; LOCK TABLE stagelink_deploys";
    other.batch_execute(lock).await.expect("the lock");
    let mut command = project.stagelink("history", &["staging"]).await;
    let output = command.output().await.expect("it runs");
    let log = String::from_utf8(output.stderr).expect("a text");
    assert_eq!(output.status.code(), Some(1), "{log}");
    let reason = "could not read the records of deploys: the server has not answered for 10s";
    assert!(log.contains(reason), "{log}");
}

/// Runs the command, and returns its output and its log.
async fn history(project: &Project, arguments: &[&str]) -> (String, String) {
    let command = project.stagelink("history", arguments).await.output().await;
    let output = command.expect("it runs");
    let log = String::from_utf8(output.stderr).expect("a text");
    assert!(output.status.success(), "{log}");
    (String::from_utf8(output.stdout).expect("a text"), log)
}
