//! `stagelink needs`: the migrations that a built program needs, held against a real database.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use stagelink_cli::build::{Artifact, Build, count_symbols, zip};
use stagelink_pipeline::{ListedMigration, MigrationList, NEEDS_SECTION};
use stagelink_tests::{CANARY, artifacts_target, built_artifacts, write_small_function};

use crate::migrations::Project;

/// The artifacts of this repository list its migrations.
#[tokio::test]
async fn artifact_lists_the_migrations_of_its_project() {
    for artifact in built_artifacts().await.values() {
        let program = fs::read(&artifact.program).unwrap();
        let list = MigrationList::read_from(&program).unwrap().expect("a list");
        let names: Vec<_> = list.migrations().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["V1__guestbook", "V2__idempotency"]);
        let mut migrations = list.migrations().iter();
        assert!(migrations.all(ListedMigration::is_needed));
    }
}

#[tokio::test]
async fn list_follows_a_migration_without_a_new_compilation_and_nothing_else_changes() {
    let project = function().await;
    project.write("V1__a.sql", "CREATE TABLE a (b int);");
    let first = build(&project).await;
    let executable = fs::read(&first.program).unwrap();
    assert_eq!(build(&project).await.sha256, first.sha256, "the same again");

    project.write("V2__b.sql", "ALTER TABLE a DROP COLUMN b;");
    let second = build(&project).await;
    let program = fs::read(&second.program).unwrap();
    assert_eq!(count_symbols(&program).unwrap(), 1);
    let list = MigrationList::read_from(&program).unwrap().expect("a list");
    let classes: Vec<_> = list
        .migrations()
        .iter()
        .map(|one| one.class.name())
        .collect();
    assert_eq!(classes, ["before", "after"]);

    project.remove("V2__b.sql");
    assert!(fs::read(build(&project).await.program).unwrap() == executable);
    project.write("V1__a.sql", "CREATE TABLE a (b text);");
    assert_ne!(build(&project).await.sha256, first.sha256, "an edited one");

    project.write("2_b.sql", "");
    let program = fs::read(build(&project).await.program).unwrap();
    assert_eq!(MigrationList::read_from(&program).unwrap(), None);
    let name = NEEDS_SECTION.as_bytes();
    assert!(!program.windows(name.len()).any(|bytes| bytes == name));
}

#[tokio::test]
async fn stage_runs_an_artifact_once_its_migrations_are_applied() {
    let project = function().await;
    project.write("V1__a.sql", "CREATE TABLE a (b int, c int);");
    project.write("V2__b.sql", "ALTER TABLE a ADD COLUMN d int;");
    build(&project).await;
    // Artifacts alone need no database.
    let output = needs(&project, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        "hello (./dist/functions/hello, ./dist/lambda/x86_64/hello.zip): built with 2 migrations",
        "V2__b",
        "before",
    ] {
        assert!(text.contains(part), "{text}");
    }

    let output = needs(&project, &["hello", "--stage", "staging"]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(
        text.contains("needs migrations first\n  V1__a is not applied\n  V2__b"),
        "{text}"
    );
    assert!(
        stderr(&output).contains("`stagelink migrate staging` applies them"),
        "{}",
        stderr(&output)
    );
    let report = json(&needs(&project, &["--stage", "staging", "--json"]).await);
    assert_eq!(report["verdict"], "needs-first");
    assert_eq!(report["first"], serde_json::json!(["V1__a", "V2__b"]));
    assert_eq!(report["artifacts"][0]["function"], "hello");
    assert_eq!(report["artifacts"][0]["migrations"][1]["class"], "before");

    project.apply().await.expect("it ends well");
    let output = needs(&project, &["hello", "--stage", "staging"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("can run this"),
        "{}",
        stdout(&output)
    );
    // A database that is ahead by a migration of before runs it; one by a migration of after does not.
    project.write("V3__c.sql", "CREATE TABLE c ();");
    project.apply().await.expect("it ends well");
    let output = needs(&project, &["hello", "--stage", "staging"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let old = fs::read(project.root().join("dist/functions/hello")).unwrap();
    project.write("V4__d.sql", "ALTER TABLE a DROP COLUMN b;");
    build(&project).await;
    // The new artifact runs before and after it.
    let output = needs(&project, &["hello", "--stage", "staging"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    project.apply().await.expect("it ends well");
    let output = needs(&project, &["hello", "--stage", "staging"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // A rollback to the old one is refused; as a program, as a zip, and as one of two of a site.
    let [program, zipped] = ["old", "old.zip"].map(|name| project.root().join(name));
    fs::write(&program, &old).unwrap();
    fs::write(&zipped, zip(&old).unwrap()).unwrap();
    for artifacts in [&["old"][..], &["old.zip"], &["hello", "old"]] {
        let arguments = [artifacts, &["--stage", "staging"]].concat();
        let output = needs(&project, &arguments).await;
        assert_eq!(output.status.code(), Some(1), "{artifacts:?}");
        let text = stdout(&output);
        assert!(
            text.contains("cannot run this\n  V4__d is applied"),
            "{text}"
        );
    }
}

/// A function has up to three artifacts, and a deploy may take the one that was not built again.
#[tokio::test]
async fn artifact_of_another_processor_that_is_out_of_date_is_shown_with_its_file() {
    let project = function().await;
    project.write("V1__a.sql", "CREATE TABLE a (b int);");
    let old = fs::read(build(&project).await.zip).unwrap();
    let arm64 = project.root().join("dist/lambda/arm64");
    fs::create_dir_all(&arm64).unwrap();
    fs::write(arm64.join("hello.zip"), old).unwrap();
    // Both processors have the same list.
    let output = needs(&project, &[]).await;
    let text = stdout(&output);
    let line = text.lines().next().expect("a line");
    for file in ["functions/hello", "x86_64/hello.zip", "arm64/hello.zip"] {
        assert!(line.contains(file), "{text}");
    }
    assert!(!text.contains("different migrations"), "{text}");

    project.write("V2__b.sql", "ALTER TABLE a DROP COLUMN b;");
    build(&project).await;
    for arguments in [&[][..], &["hello"]] {
        let output = needs(&project, arguments).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = stdout(&output);
        for part in [
            "hello (./dist/functions/hello, ./dist/lambda/x86_64/hello.zip): built with 2 migrations",
            "hello (./dist/lambda/arm64/hello.zip): built with 1 migration\n",
            "! the artifacts of hello were built with different migrations: build each again",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }
    let report = json(&needs(&project, &["--json"]).await);
    let artifacts = report["artifacts"].as_array().expect("artifacts");
    let [new, stale] = artifacts.as_slice() else {
        panic!("{report}");
    };
    assert_eq!(new["files"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        stale["files"],
        serde_json::json!(["./dist/lambda/arm64/hello.zip"])
    );
    assert_eq!(stale["migrations"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&new["has_others"], &stale["has_others"]),
        (&true.into(), &true.into())
    );

    // After the migration of after, the old one cannot run, and a deploy of it would break the stage.
    project.apply().await.expect("it ends well");
    let output = needs(&project, &["hello", "--stage", "staging", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let report = json(&output);
    assert_eq!(report["verdict"], "cannot-run");
    assert_eq!(report["artifacts"][0]["verdict"], "runs");
    assert_eq!(report["artifacts"][1]["verdict"], "cannot-run");
    // The file alone is another question.
    let path = "dist/lambda/x86_64/hello.zip";
    let output = needs(&project, &[path, "--stage", "staging"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[tokio::test]
async fn what_is_not_known_is_said_and_never_taken_for_no_need() {
    let project = function().await;
    build(&project).await;
    // The program that cargo built, before `stagelink build` finished it.
    let own = std::env::current_exe().expect("a program");
    fs::copy(own, project.root().join("other")).expect("a copy");
    let output = needs(&project, &["other"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("does not say which migrations it needs"));
    let output = needs(
        &project,
        &["hello", "other", "--stage", "staging", "--json"],
    )
    .await;
    assert_eq!(output.status.code(), Some(1));
    let report = json(&output);
    assert_eq!(report["artifacts"][0]["verdict"], "runs");
    assert_eq!(report["artifacts"][1]["migrations"], Value::Null);
    assert_eq!(report["verdict"], "unknown");
    let reason = report["reasons"][0].as_str().expect("a reason");
    assert!(
        reason.contains("other means than stagelink build"),
        "{reason}"
    );

    // A migration of another source: the history records no class, and no file is there.
    project.write("V1__a.sql", "CREATE TABLE a ();");
    project.apply().await.expect("it ends well");
    project.remove("V1__a.sql");
    let output = needs(&project, &["--stage", "staging"]).await;
    assert_eq!(output.status.code(), Some(0), "its record says before");
    project.run("DELETE FROM stagelink_migration_records").await;
    let output = needs(&project, &["--stage", "staging"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("nothing tells its class"),
        "{}",
        stdout(&output)
    );
    // An edited one.
    project.write("V1__a.sql", "CREATE TABLE a (b int);");
    build(&project).await;
    let output = needs(&project, &["--stage", "staging"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("V1__a is applied with another content"));
}

#[tokio::test]
async fn errors_have_advice_and_json() {
    let project = function().await;
    for (arguments, code, words) in [
        (
            &[][..],
            2,
            "there is no artifact in ./dist: run `stagelink build`",
        ),
        (&["absent"], 2, "has no function of that name"),
        (
            &["migrations/V1__a.sql"],
            2,
            "could not read the artifact migrations/V1__a.sql",
        ),
        (&["--local"], 2, "there is no artifact"),
        (&["--nonsense"], 2, "unexpected argument"),
    ] {
        project.write("V1__a.sql", "");
        let output = needs(&project, arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    let error = json(&needs(&project, &["absent", "--json"]).await);
    assert!(
        error["error"]
            .as_str()
            .is_some_and(|text| text.contains("no file absent"))
    );
    build(&project).await;
    let output = needs(&project, &["--local"]).await;
    assert!(
        stderr(&output).contains("add --stage to --local"),
        "{}",
        stderr(&output)
    );
    let output = needs(&project, &["--stage", "stagin"]).await;
    assert!(stderr(&output).contains("stagin"), "{}", stderr(&output));
}

/// Makes a project with a small function, which depends on nothing.
async fn function() -> Project {
    let project = Project::new().await;
    write_small_function(project.root());
    project
}

async fn build(project: &Project) -> Artifact {
    let build = Build {
        project: project.root().to_owned(),
        target: artifacts_target(),
        output: PathBuf::from(project.root()).join("dist"),
    };
    let (mut artifacts, _) = build.run(|_| ()).await.expect("it builds");
    artifacts.remove(0)
}

async fn needs(project: &Project, arguments: &[&str]) -> Output {
    let output = project.stagelink("needs", arguments).await.output().await;
    let output = output.expect("the command runs");
    for text in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(text).contains(CANARY));
    }
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    let text = stdout(output);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("JSON")
}
