//! The commands and options that messages and help texts advise.

use std::fs;
use std::path::Path;

use stagelink_tests::stagelink_command;
use tokio::process::Command;

use super::run;

#[tokio::test]
async fn command_outside_of_a_project_says_how_to_make_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [&[][..], &["dev"], &["build"]] {
        let output = run(stagelink_command().await, arguments, folder.path()).await;
        assert!(!output.status.success());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("is not a stagelink project"),
            "{arguments:?}: {stderr}"
        );
        assert!(stderr.contains("`stagelink new NAME`"), "{stderr}");
    }
}

#[tokio::test]
async fn installed_command_makes_a_project_that_names_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let installed = folder.path().join("stagelink");
    fs::copy(stagelink_command().await, &installed).expect("a copy");
    let mut new = Command::new(&installed);
    new.args(["new", "shop"]).current_dir(folder.path());
    // Cargo asks no one for the repository.
    let output = new.env("CARGO_NET_OFFLINE", "true").output().await;
    let output = output.expect("the command runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let note = "cargo could not complete Cargo.lock, so the first build changes it: commit it then";
    assert!(stderr.contains(note), "{stderr}");
    let manifest = folder.path().join("shop/Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("a manifest");
    for package in [
        "stagelink",
        "stagelink-local",
        "stagelink-local-postgres",
        "stagelink-test",
    ] {
        let line = format!("\n{package} = {{ git = \"https://");
        assert!(manifest.contains(&line), "{manifest}");
    }
    assert!(!manifest.contains("path = "), "{manifest}");
    // It says so, and how to have another.
    let stdout = String::from_utf8_lossy(&output.stdout);
    let words = "It uses the SDK of the repository https://";
    assert!(
        stdout.contains(words) && stdout.contains("--sdk names another source"),
        "{stdout}"
    );
}

#[tokio::test]
async fn command_of_a_clone_advises_commands_that_can_be_run_there() {
    let root = stagelink_tests::root();
    let command = stagelink_command().await;
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("stagelink");
    std::os::unix::fs::symlink(command, &link).expect("a link");
    let run = async |program: &str, folder: &Path, manifest: Option<&Path>| {
        let mut command = Command::new(program);
        command
            .args(["status", "--local=1"])
            .current_dir(folder)
            .env_clear();
        if let Some(manifest) = manifest {
            command.env("CARGO_MANIFEST_DIR", manifest);
        }
        let output = command.output().await.expect("the command runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    let stderr = run("../stagelink", &empty, None).await;
    assert!(
        stderr.contains("no `../stagelink dev` runs at port 1"),
        "{stderr}"
    );
    let by_cargo = run(
        command.to_str().expect("a path"),
        &root.join("cli"),
        Some(&root.join("cli")),
    )
    .await;
    assert!(
        by_cargo.contains("no `cargo run -- dev` runs at port 1"),
        "{by_cargo}"
    );
}

#[tokio::test]
async fn mark_advises_its_own_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().canonicalize().expect("a path");
    let here = here.display();
    for (arguments, words) in [
        (&["mark", "show"][..], "name it with --stage"),
        (&["credentials"], "name it with --stage"),
        (
            &["mark", "show", "--stage", "prod"],
            "error: unknown stage \"prod\": use review, development",
        ),
        (&["mark", "show", "prod"], "did you mean production?"),
        (
            &["link", "--token-for", "bogus=T"],
            "and STAGE is review, development, staging or production",
        ),
        (
            &["mark", "show", "--local", "--stage", "staging"],
            &format!("no `stagelink dev` runs in the project folder {here}: start"),
        ),
        (
            &["mark", "show", "--local", "--stage=staging", "--project=x"],
            "could not open the project folder x",
        ),
        (
            &["mark", "set", "--local"],
            &format!("no `stagelink dev` runs in the project folder {here}: start"),
        ),
    ] {
        let output = run(stagelink_command().await, arguments, folder.path()).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn messages_advise_commands_by_the_name_of_this_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, words) in [
        ("scripts/stagelink", "run `scripts/stagelink build`"),
        ("two words", "run `stagelink build`"),
    ] {
        let mut command = Command::new(stagelink_command().await);
        command
            .args(["needs", "--json"])
            .current_dir(folder.path())
            .env_clear()
            .env("STAGELINK_COMMAND", name);
        let output = command.output().await.expect("the command runs");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(json.to_string().contains(words), "{json}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(words), "{stderr}");
        assert!(!stderr.contains("STAGELINK_COMMAND"), "{stderr}");
    }
}

#[tokio::test]
async fn option_that_excludes_others_says_so_in_its_help() {
    let folder = tempfile::tempdir().expect("a folder");
    for (command, words) in [
        ("link", "excludes --yes, --dry-run, --json and --local"),
        ("build", "excludes --target, which names the processor too"),
        ("build", "excludes --arch, since it names the processor"),
    ] {
        let arguments = [command, "--help"];
        let output = run(stagelink_command().await, &arguments, folder.path()).await;
        let help = String::from_utf8_lossy(&output.stdout);
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(words), "{words}: {help}");
    }
}
