//! `stagelink psql`: the real psql on the stage's database, and on no other.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use stagelink_tests::{
    Auth, Authority, CANARY, OwnServer, command_line, descendants_where, server,
};

use super::{Project, is_psql, mark};

impl Project {
    /// Puts a program in the place of psql that prints the variables of libpq but the password.
    fn replace_psql(&mut self) {
        self.replace_psql_with(
            "case \"$*\" in *'SHOW default_transaction_read_only') \
             echo \"${READ_ONLY_SESSION-on}\"; exit 0;; esac\n\
             env | grep '^PG' | grep -v '^PGPASSWORD=' | sort\n\
             [ -n \"$PGPASSWORD\" ] && echo has a password\nexit 7",
        );
    }

    /// Puts a script in the place of psql.
    pub(crate) fn replace_psql_with(&mut self, script: &str) {
        let folder = self.folder.path().join("bin");
        fs::create_dir(&folder).expect("a folder");
        let program = folder.join("psql");
        let script = format!("#!/bin/sh\n{script}\n");
        fs::write(&program, script).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
        let path = format!("{}:{}", folder.display(), self.variables["PATH"]);
        self.set("PATH", &path);
    }
}

#[tokio::test]
async fn production_is_read_only_unless_writing_is_confirmed() {
    let project = Project::new().await;
    project.mark().await;
    let create = ["--", "-X", "-c", "CREATE TABLE made ()"];
    let run = project
        .run(&[&["psql", "production"][..], &create].concat())
        .await;
    assert_eq!(run.code, Some(1), "{}\n{}", run.output, run.errors);
    for part in [
        "in a read-only transaction",
        "read-only: this only stops mistakes, since BEGIN READ WRITE undoes it",
        "proved by SCRAM channel binding",
    ] {
        assert!(run.errors.contains(part), "{part}:\n{}", run.errors);
    }
    let run = project
        .run(&[&["psql", "production", "--write"][..], &create].concat())
        .await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(run.errors.contains("add --yes"), "{}", run.errors);
    let words = ["psql", "production", "--write", "--yes"];
    let run = project.run(&[&words[..], &create].concat()).await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
    assert!(!run.errors.contains("read-only"), "{}", run.errors);
    // What the help says: it stops mistakes alone.
    let undone = [
        "--",
        "-X",
        "-c",
        "BEGIN READ WRITE; DROP TABLE made; COMMIT",
    ];
    let run = project
        .run(&[&["psql", "production"][..], &undone].concat())
        .await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
}

#[tokio::test]
async fn other_stages_may_write_and_the_exit_code_is_that_of_psql() {
    let project = Project::new().await;
    project.mark().await;
    let run = project
        .run(&[
            "psql",
            "staging",
            "--",
            "-XAtc",
            "CREATE TABLE made (); SELECT current_database()",
        ])
        .await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
    assert!(
        run.output.contains(project.staging.name()),
        "{}",
        run.output
    );
    let run = project
        .run(&[
            "psql",
            "staging",
            "--read-only",
            "--",
            "-Xc",
            "DROP TABLE made",
        ])
        .await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    project.write("wrong.sql", "SELECT 1/0;");
    let run = project
        .run(&[
            "psql",
            "staging",
            "--",
            "-X",
            "-v",
            "ON_ERROR_STOP=1",
            "-f",
            "wrong.sql",
        ])
        .await;
    assert_eq!(run.code, Some(3), "{}", run.errors);
}

/// It may be another stage's, and nothing would show that.
#[tokio::test]
async fn database_without_a_mark_is_written_only_by_who_says_so() {
    let mut project = Project::new().await;
    project.replace_psql();
    for words in [&["psql", "staging"][..], &["psql", "staging", "--write"]] {
        let run = project.run(&[words, &["--json"]].concat()).await;
        assert_eq!(run.code, Some(1), "{}", run.errors);
        let error = run.json()["error"].to_string();
        for part in [
            "the database has no stage mark",
            "`stagelink mark set --stage staging`",
            "--read-only",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
    let run = project.run(&["psql", "production", "--write"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    // What cannot write has a note alone.
    for words in [
        &["psql", "staging", "--read-only"][..],
        &["psql", "production"],
        &["psql", "staging", "--yes"],
        &["psql", "production", "--write", "--yes"],
    ] {
        let run = project.run(words).await;
        assert_eq!(run.code, Some(7), "{words:?}: {}", run.errors);
        assert!(
            run.errors.contains("! the database has no stage mark"),
            "{}",
            run.errors
        );
    }
    project
        .run(&["mark", "set", "--stage", "staging"])
        .await
        .succeeds();
    let run = project.run(&["psql", "staging"]).await;
    assert_eq!(run.code, Some(7), "{}", run.errors);
}

#[tokio::test]
async fn database_of_another_stage_is_refused_before_psql_starts() {
    let mut project = Project::new().await;
    mark(&project.staging, "production").await;
    project.replace_psql();
    let run = project.run(&["psql", "staging", "--json"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let error = run.json()["error"].to_string();
    assert!(error.contains("is marked as stage production's"), "{error}");
    assert!(!run.output.contains("has a password"), "{}", run.output);
}

#[tokio::test]
async fn environment_of_psql_demands_the_proof_and_nothing_of_the_operators_weakens_it() {
    let mut project = Project::new().await;
    project.mark().await;
    project.replace_psql();
    for (name, value) in [
        ("PGSSLMODE", "disable"),
        ("PGHOSTADDR", "192.0.2.1"),
        ("PGSERVICE", "other"),
        ("PGOPTIONS", "-c default_transaction_read_only=off"),
        ("PGREQUIREAUTH", "none"),
    ] {
        project.set(name, value);
    }
    let run = project.run(&["psql", "production"]).await;
    assert_eq!(run.code, Some(7), "{}", run.errors);
    let lines: Vec<_> = run.output.lines().collect();
    for line in [
        "PGCHANNELBINDING=require",
        "PGSSLMODE=require",
        "PGGSSENCMODE=disable",
        "PGOPTIONS=-c default_transaction_read_only=on",
        &format!("PGDATABASE={}", project.production.name()),
        "has a password",
    ] {
        assert!(lines.contains(&line), "{line}:\n{}", run.output);
    }
    for name in ["PGHOSTADDR", "PGSERVICE", "PGREQUIREAUTH"] {
        assert!(!run.output.contains(name), "{}", run.output);
    }
    // A proxy that drops the setting of a read-only session.
    project.set("READ_ONLY_SESSION", "off");
    let run = project.run(&["psql", "production"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(
        run.errors.contains("would not be read-only"),
        "{}",
        run.errors
    );
    let run = project
        .run(&["psql", "production", "--write", "--yes"])
        .await;
    assert_eq!(run.code, Some(7), "{}", run.errors);
}

#[tokio::test]
async fn environment_of_psql_holds_no_secret_of_other_programs() {
    let mut project = Project::new().await;
    project.mark().await;
    for name in [
        "NETLIFY_AUTH_TOKEN",
        "STAGELINK_CREDENTIALS",
        "DATABASE_URL",
        "NEON_API_KEY",
    ] {
        project.set(name, CANARY);
    }
    project.set("COPY_OF_A_TOKEN", "nfp_c4n4ryc4n4ryc4n4ry");
    let run = project
        .run(&["psql", "staging", "--", "-Xc", "\\! env | cut -d= -f1"])
        .await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
    assert!(run.output.contains("PGDATABASE"), "{}", run.output);
    for name in [
        "NETLIFY_AUTH_TOKEN",
        "STAGELINK_",
        "DATABASE_URL",
        "HEROKU_API_KEY",
        "NEON_API_KEY",
        "COPY_OF_A_TOKEN",
    ] {
        assert!(!run.output.contains(name), "{name}");
    }
}

#[tokio::test]
async fn password_is_on_no_command_line() {
    let project = Project::new().await;
    project.mark().await;
    // It waits for the lock until it has been seen.
    let statement = "SELECT pg_advisory_lock(600)";
    let holder = server().await.connect(&project.staging).await;
    let holder = holder.expect("a session");
    let held = holder.batch_execute(statement).await;
    held.expect("the lock");
    let words = ["psql", "staging", "--", "-Xc", statement];
    let child = project.command(&words).await.spawn().expect("it starts");
    let id = i32::try_from(child.id().expect("it runs")).expect("a process id");
    let check = |line: &str| assert!(!line.contains(CANARY), "{line}");
    let family = descendants_where(id, "psql", |line| {
        check(line);
        is_psql(line) && line.contains(statement)
    });
    for pid in family.await.into_iter().chain([id]) {
        check(&command_line(pid));
    }
    let free = holder.batch_execute("SELECT pg_advisory_unlock(600)").await;
    free.expect("the lock is free");
    let output = child.wait_with_output().await.expect("it ends");
    assert!(output.status.success());
}

#[tokio::test]
async fn arguments_and_a_missing_psql_are_refused_with_advice() {
    let mut project = Project::new().await;
    project.mark().await;
    let run = project
        .run(&["psql", "staging", "--", "-h", "example.com"])
        .await;
    assert_eq!(run.code, Some(2), "{}", run.errors);
    assert!(
        run.errors.contains("chooses the server (-h)"),
        "{}",
        run.errors
    );
    let run = project.run(&["psql", "prod", "--json"]).await;
    assert_eq!(run.code, Some(2), "{}", run.errors);
    let empty = project.folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    project.set("PATH", empty.to_str().expect("a path"));
    let run = project.run(&["psql", "staging"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(
        run.errors.contains("psql is not installed"),
        "{}",
        run.errors
    );
}

#[tokio::test]
async fn server_with_a_certificate_alone_is_verified_by_psql_too() {
    let authority = Authority::new("ours");
    let server = OwnServer::start(&authority.certify()).await;
    let database = server.database(Auth::Md5).await;
    let mut project = Project::new().await;
    project.write(
        "stagelink.toml",
        "[stages.staging]\nurl.variable = \"STAGING_URL\"\n",
    );
    project.set("STAGING_URL", &database.url());
    project.set("STAGELINK_ROOT_CERTIFICATES", &authority.pem());
    let run = project
        .run(&[
            "psql",
            "staging",
            "--yes",
            "--",
            "-XAtc",
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            "-c",
            "\\! echo ${STAGING_URL-none}",
        ])
        .await;
    assert_eq!(run.code, Some(0), "{}", run.errors);
    assert_eq!(run.output, "t\nnone\n", "the URL is no business of psql's");
    assert!(
        run.errors.contains("proved by a certificate"),
        "{}",
        run.errors
    );
}
