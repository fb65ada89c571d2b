//! `stagelink doctor`: each finding is provoked, and mended by its own advice.

mod connection;
mod failing_calls;
mod migrations;
mod pages;
mod server;
mod site;
mod stages;
mod way;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use stagelink_local_postgres::Database;
use stagelink_tests::{Record, database, stagelink_command};
use tempfile::{TempDir, tempdir};
use tokio::process::Command;

/// A project whose stages staging and production have their databases at URLs.
pub(super) struct Patient {
    pub(super) folder: TempDir,
    /// Environment variables that the command runs with.
    variables: BTreeMap<String, String>,
    record: Record,
}

impl Patient {
    /// Makes a project that is sound.
    pub(super) async fn new() -> (Self, Database, Database) {
        let (staging, production) = (database().await, database().await);
        let mut patient = Self::without_stages();
        patient.write(
            "stagelink.toml",
            "[stages.staging]\nurl = { variable = \"STAGING_URL\" }\n\
             [stages.production]\nurl = { variable = \"PRODUCTION_URL\" }\n",
        );
        for (stage, database) in [("staging", &staging), ("production", &production)] {
            let name = format!("{}_URL", stage.to_uppercase());
            patient.set(&name, &bound(&database.url()));
            patient.succeeds(&["mark", "set", "--stage", stage]).await;
        }
        (patient, staging, production)
    }

    /// Makes an empty project.
    pub(super) fn without_stages() -> Self {
        Self {
            folder: tempdir().expect("a folder"),
            variables: BTreeMap::new(),
            record: Record::new([]),
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `stagelink` with these arguments, and checks that it succeeds.
    pub(super) async fn succeeds(&self, words: &[&str]) {
        let ran = self.stagelink(words).await;
        assert_eq!(ran.code, 0, "{words:?}: {}{}", ran.output, ran.errors);
    }

    /// Runs the command that a piece of advice has in backticks.
    pub(super) async fn follow(&self, advice: &str) {
        let command = advice.split('`').nth(1).expect("a command");
        let mut words: Vec<_> = command.split(' ').collect();
        assert_eq!(words.remove(0), "stagelink", "{advice}");
        if matches!(words[0], "migrate" | "link") {
            words.push("--yes");
        }
        self.succeeds(&words).await;
    }

    /// Examines a stage.
    pub(super) async fn examine(&self, stage: &str, words: &[&str]) -> Examined {
        let words = [&["doctor", stage, "--json"], words].concat();
        self.examine_with(&words).await
    }

    /// Examines with these arguments, which say `--json`.
    pub(super) async fn examine_with(&self, words: &[&str]) -> Examined {
        let ran = self.stagelink(words).await;
        let json = serde_json::from_str(&ran.output);
        Examined {
            json: json.unwrap_or_else(|error| panic!("{error}: {}{}", ran.output, ran.errors)),
            code: ran.code,
        }
    }

    pub(super) async fn stagelink(&self, words: &[&str]) -> Ran {
        let output = Command::new(stagelink_command().await)
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .envs(&self.variables)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the command runs");
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let is_odd = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(is_odd), "a terminal would obey: {text:?}");
            text
        };
        let ran = Ran {
            code: output.status.code().expect("a code"),
            output: text(&output.stdout),
            errors: text(&output.stderr),
        };
        self.record.add(&ran.output);
        self.record.add(&ran.errors);
        // Neither has a secret.
        self.record.text();
        ran
    }

    pub(super) fn forbid(&self, secret: &str) {
        self.record.forbid(secret);
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }
}

/// Output and exit code of a run.
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) output: String,
    pub(super) errors: String,
}

/// A report as JSON, and the exit code.
pub(super) struct Examined {
    pub(super) json: Value,
    pub(super) code: i32,
}

impl Examined {
    /// All checks.
    pub(super) fn checks(&self) -> Vec<&Value> {
        let stages = self.json["stages"].as_array().expect("stages");
        let of_stages = stages
            .iter()
            .flat_map(|stage| &stage["checks"].as_array().expect("checks")[..]);
        let of_project = self.json["project"].as_array().expect("checks");
        of_stages.chain(of_project).collect()
    }

    /// The checks of this id.
    pub(super) fn of(&self, id: &str) -> Vec<&Value> {
        let checks = self.checks().into_iter();
        checks.filter(|check| check["id"] == id).collect()
    }

    /// Checks that a check has one finding of this level with these words, and returns its advice.
    pub(super) fn finding(&self, id: &str, level: &str, words: &[&str]) -> String {
        let mut found = self.of(id);
        // Beside it may be what could not be looked at.
        found.retain(|check| check["result"] != "not_checked");
        let [check] = found.as_slice() else {
            panic!("{id}: {}", self.json);
        };
        let [finding] = check["findings"].as_array().expect("findings").as_slice() else {
            panic!("{id}: {check}");
        };
        assert_eq!(finding["level"], level, "{check}");
        let message = finding["message"].as_str().expect("a message");
        for word in words {
            assert!(message.contains(word), "{word:?} is not in {message:?}");
        }
        assert_eq!(
            check["guide"],
            format!("docs/guides/troubleshooting.md#doctor-{id}")
        );
        finding["advice"].as_str().expect("advice").to_owned()
    }

    /// Checks that each check of this id is sound.
    pub(super) fn assert_sound(&self, id: &str) {
        let found = self.of(id);
        assert!(!found.is_empty(), "no {id}: {}", self.json);
        for check in found {
            assert_eq!(check["result"], "sound", "{check}");
        }
    }

    /// Checks that a check was not made, and says why.
    pub(super) fn assert_not_checked(&self, id: &str, reason: &str) {
        let found = self.of(id);
        assert!(!found.is_empty(), "no {id}: {}", self.json);
        for check in found {
            assert_eq!(check["result"], "not_checked", "{check}");
            let text = check["reason"].as_str().expect("a reason");
            assert!(text.contains(reason), "{check}");
        }
    }

    /// The ids of the checks that have findings.
    pub(super) fn found(&self) -> Vec<&str> {
        let checks = self.checks().into_iter();
        let with = checks.filter(|check| check.get("findings").is_some());
        with.map(|check| check["id"].as_str().expect("an id"))
            .collect()
    }
}

/// Returns a URL that makes each client authenticate the server.
pub(super) fn bound(url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}channel_binding=require")
}

/// The options with which a sound stage of these tests has no warning: its role may have 20
/// connections.
pub(super) const FEW: [&str; 2] = ["--concurrency", "5"];
