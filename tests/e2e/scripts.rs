//! The scripts that others rely on for their exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use stagelink_tests::root;
use tokio::process::Command;

/// Runs `scripts/test-kit-docker` with these programs ahead of the machine's own.
async fn test_kit_docker(programs: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, body) in programs {
        let file = folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{body}\n")).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its rights");
    }
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let mut command = Command::new(root().join("scripts/test-kit-docker"));
    command.arg("an-image").env("PATH", path);
    command.output().await.expect("the script runs")
}

#[tokio::test]
async fn test_kit_without_a_docker_engine_is_skipped_loudly_and_with_a_code_of_its_own() {
    let without = [
        ("docker", "exit 1"),
        ("id", "echo 1000"),
        ("cargo", "exit 0"),
    ];
    let output = test_kit_docker(&without).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("\nSKIPPED: nothing was tested"), "{stderr}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("works"));
    // The CI goes on, and says so at its end.
    let ci = fs::read_to_string(root().join(".ci/run")).expect("the file");
    let (_, step) = ci
        .split_once("scripts/test-kit-docker || code=$?")
        .expect("the step");
    assert!(
        step.contains("3) skipped=") && step.contains("*) exit \"$code\""),
        "{step}"
    );
    assert!(step.contains("*** SKIPPED: %s ***"), "{step}");
}

#[tokio::test]
async fn test_kit_that_fails_on_a_docker_engine_fails_the_script() {
    let failing = [("docker", "exit 0"), ("cargo", "exit 101")];
    assert_eq!(test_kit_docker(&failing).await.status.code(), Some(101));
    let passing = [("docker", "exit 0"), ("cargo", "exit 0")];
    let output = test_kit_docker(&passing).await;
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("the test kit works"));
}
