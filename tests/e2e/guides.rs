//! The users' guides, executed as written: their files are created, their commands run, and the
//! commands' output is compared with the guide's.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;
use stagelink_tests::root;
use tokio::process::Command;

use crate::dev::Dev;
use crate::new::NewProject;

#[tokio::test]
async fn guide_to_a_function_does_as_it_says() {
    Reader::new().await.follow("write-a-function.md").await;
}

#[tokio::test]
async fn guide_to_a_test_does_as_it_says() {
    Reader::new().await.follow("test-a-function.md").await;
}

/// Step of a guide.
#[derive(Debug, PartialEq)]
enum Step {
    /// Creates a file, or appends to it.
    File {
        path: String,
        text: String,
        append: bool,
    },
    /// Runs commands in a shell.
    Shell(String),
    /// Compares the last commands' output, as JSON.
    Output(String),
}

/// Reads the steps of a guide from its Markdown.
///
/// A fenced block that follows a line with a file's path and a colon is that file, or is appended
/// to it where the line begins with "At the end of". A block of `sh` is run. A block of `json`
/// after it is its expected output. Other blocks are ignored.
fn steps(markdown: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut last = "";
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            if !line.trim().is_empty() {
                last = line;
            }
            continue;
        };
        let mut text = String::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            text.push_str(line);
            text.push('\n');
        }
        match (file(last), language) {
            (Some((path, append)), _) => steps.push(Step::File { path, text, append }),
            (None, "sh") => steps.push(Step::Shell(text)),
            (None, "json") if matches!(steps.last(), Some(Step::Shell(_))) => {
                steps.push(Step::Output(text));
            }
            _ => {}
        }
        last = "";
    }
    steps
}

/// Returns the file that a line names, and whether the block is appended to it.
fn file(line: &str) -> Option<(String, bool)> {
    let rest = line.strip_prefix("At the end of ");
    let path = rest.unwrap_or(line).strip_prefix('`')?.strip_suffix("`:")?;
    Some((path.to_owned(), rest.is_some()))
}

/// Reader of a guide, which runs its steps in a new project.
struct Reader {
    fixture: NewProject,
    project: PathBuf,
    path: String,
    dev: Option<Dev>,
    printed: String,
}

impl Reader {
    async fn new() -> Self {
        let fixture = NewProject::new();
        let project = fixture.new_project("shop").await;
        let path = fixture.path_with_a_built_command().await;
        Self {
            fixture,
            project,
            path,
            dev: None,
            printed: String::new(),
        }
    }

    async fn follow(mut self, guide: &str) {
        let markdown = fs::read_to_string(root().join("docs/guides").join(guide)).expect("a guide");
        let steps = steps(&markdown);
        assert!(steps.len() > 2, "{steps:?}");
        for step in steps {
            self.take(step).await;
        }
        if let Some(dev) = self.dev.take() {
            assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
        }
        drop(self.fixture);
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::File { path, text, append } => {
                let path = self.project.join(path);
                fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                let before = fs::read_to_string(&path).ok();
                assert_eq!(before.is_some(), append, "{}", path.display());
                let text = before.map_or(text.clone(), |before| format!("{before}\n{text}"));
                fs::write(&path, text).expect("a file");
            }
            // The test has created the project already.
            Step::Shell(text) if text.starts_with("cargo run -- new ") => {}
            Step::Shell(text) if text.trim() == "scripts/dev" => {
                let mut script = Command::new(self.project.join("scripts/dev"));
                script.env("PATH", &self.path);
                self.dev = Some(Dev::start_by(script).await);
            }
            Step::Shell(text) => self.run_commands(&text).await,
            Step::Output(text) => {
                let json = |text: &str| -> Value {
                    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
                };
                assert_eq!(json(&self.printed), json(&text));
            }
        }
    }

    async fn run_commands(&mut self, text: &str) {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &self.with_free_ports(text)])
            .current_dir(&self.project)
            .env("PATH", &self.path)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the shell starts");
        self.printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{text}\n{}{}",
            self.printed,
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Replaces the command's default port, which a guide uses, by a free one.
    fn with_free_ports(&self, text: &str) -> String {
        let Some(dev) = &self.dev else {
            return text.to_owned();
        };
        let url = |stage| dev.stage(stage)["url"].as_str().expect("a URL");
        text.replace("http://staging.localhost:8888", url("staging"))
            .replace("http://localhost:8888", url("production"))
    }
}

#[test]
fn steps_are_files_commands_and_what_they_print() {
    let markdown = "\
Make `a/b.rs`, which is said here and not done.

`a/b.rs`:

```rust
fn b() {}
```

At the end of `a/c.toml`:

```toml
[c]
```

Only to be read:

```toml
[d]
```

```sh
one
two
```

```json
[1]
```
";
    let file = |path: &str, text: &str, append| Step::File {
        path: path.to_owned(),
        text: text.to_owned(),
        append,
    };
    assert_eq!(
        steps(markdown),
        [
            file("a/b.rs", "fn b() {}\n", false),
            file("a/c.toml", "[c]\n", true),
            Step::Shell("one\ntwo\n".to_owned()),
            Step::Output("[1]\n".to_owned()),
        ]
    );
}
