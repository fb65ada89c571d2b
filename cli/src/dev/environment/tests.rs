//! Tests of the project's own variables.

use super::*;

const CANARY: &str = "c4n4ry";

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn read(
    files: &[(&str, &str)],
    options: &[&str],
    of_command: &[(&str, &str)],
) -> anyhow::Result<StageVariables> {
    let folder = project(files);
    let options: Vec<_> = options
        .iter()
        .map(|text| SecretString::from(*text))
        .collect();
    let of_command = |name: &str| {
        let found = of_command.iter().find(|(of, _)| *of == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let of = VariablesOf::LocalStages;
    OwnVariables::new(folder.path(), of, &options, of_command)?.of_stage("staging")
}

fn refused(files: &[(&str, &str)], options: &[&str]) -> String {
    match read(files, options, &[]) {
        Ok(_) => panic!("it is not refused"),
        Err(error) => {
            let text = format!("{error:?}");
            assert!(!text.contains(CANARY), "{text}");
            text
        }
    }
}

#[test]
fn later_source_overrides_an_earlier_one() {
    let files = [
        (
            ".env",
            "A='of all'\nB=all\nC='of # all'\nD=all\nRUST_LOG=error\n",
        ),
        (
            ".env.staging",
            "B='of staging'\nC=staging\nexport D=\"two\\nlines\"\n",
        ),
        (".env.production", "A=production\n"),
    ];
    let found = read(
        &files,
        &["C=of the option", "EMPTY=", "TOKEN"],
        &[("RUST_LOG", "debug"), ("TOKEN", "of the command")],
    )
    .unwrap();
    let expected = [
        ("A", "of all"),
        ("B", "of staging"),
        ("C", "of the option"),
        ("D", "two\nlines"),
        ("EMPTY", ""),
        ("RUST_LOG", "debug"),
        ("TOKEN", "of the command"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(found.variables, expected.into());
    assert!(found.notes.is_empty());
    assert_eq!(
        read(&files, &["RUST_LOG=trace"], &[("RUST_LOG", "debug")])
            .unwrap()
            .variables["RUST_LOG"],
        "trace"
    );
    assert!(read(&[], &[], &[]).unwrap() == StageVariables::default());
}

#[test]
fn variable_that_leads_to_a_database_is_refused_by_name() {
    for name in [
        "STAGELINK_STAGE",
        "STAGELINK_CREDENTIALS",
        "STAGELINK_HEROKU_PIPELINE",
        "STAGELINK_NEON_PROJECT",
        "STAGELINK_DANGER_UNAUTHENTICATED",
        "HEROKU_API_KEY",
    ] {
        let line = format!("{name}={CANARY}\n");
        let error = refused(&[(".env.staging", &line)], &[]);
        let expected = format!(".env.staging sets {name}, which says whose database");
        assert!(error.contains(&expected), "{error}");
        let error = refused(&[], &[&line]);
        assert!(error.contains(&format!("--env sets {name}")), "{error}");
    }
    let misspelled = refused(&[(".env", &format!("STAGELINK_CREDENTIAL={CANARY}"))], &[]);
    assert!(misspelled.contains("STAGELINK_CREDENTIALS"), "{misspelled}");
}

#[test]
fn address_beyond_this_machine_is_refused_without_its_value() {
    for value in [
        format!("REDIS=redis://:{CANARY}@cache.example.com"),
        format!("DATABASE_URL=postgres://app:{CANARY}@db.example.com/app"),
        format!("JSON='{{\"url\":\"postgres://app:{CANARY}@db.example.com/app\"}}'"),
        format!("OPTIONS=\"--url=postgres://app:{CANARY}@db.example.com/app\""),
        format!("QUOTED=\"<postgres://app:{CANARY}@db.example.com/app>\""),
        format!("PGHOST={CANARY}.example.com\nPGUSER=app\nPGPASSWORD={CANARY}"),
        "PGHOSTADDR=10.0.0.7".to_owned(),
    ] {
        let error = refused(&[(".env", &value)], &[]);
        let name = value.split('=').next().unwrap();
        let expected = format!(".env sets {name} to an address beyond this machine");
        assert!(error.contains(&expected), "{error}");
    }
    let text = "LINK=https://medium.com/@ada\nPGHOST=localhost\nPGPASSWORD=app\n";
    assert_eq!(
        read(&[(".env", text)], &[], &[]).unwrap().variables.len(),
        3
    );
}

#[test]
fn remote_stage_gets_addresses_and_nothing_of_the_local_stages_file() {
    let cache = format!("redis://:{CANARY}@cache.example.com");
    let folder = project(&[
        (
            ".env",
            &format!("CACHE={cache}\nDATABASE_URL=postgres://db.example.com/app\n"),
        ),
        (".env.production", "ONLY=local\n"),
    ]);
    let of = VariablesOf::RemoteStage;
    let own = OwnVariables::new(folder.path(), of, &[], |_| None).unwrap();
    assert_eq!(own.file_names("production"), [".env"]);
    let found = own.of_stage("production").unwrap();
    let variables: Vec<_> = found.variables.into_iter().collect();
    assert_eq!(variables, [("CACHE".to_owned(), cache)]);
    let notes = found.notes.into_iter().collect::<Vec<_>>();
    assert_eq!(
        notes,
        [
            ".env.production is of the local stage, and not read with --remote",
            ".env: DATABASE_URL is left out, since functions find their stage's database by themselves",
        ]
    );
    // The database is never a variable's.
    let folder = project(&[(".env", "STAGELINK_CREDENTIALS=x\n")]);
    let own = OwnVariables::new(folder.path(), of, &[], |_| None).unwrap();
    assert!(own.of_stage("production").is_err());
}

#[test]
fn variable_that_no_function_reads_is_left_out_with_a_note() {
    let text = "DATABASE_URL=postgres://localhost/app\nAWS_REGION=eu-west-1\n\
                AWS_LAMBDA_MAX_CONCURRENCY=2\nAWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH=1\n\
                STAGELINK_POSTGRES=docker\nSTAGELINK_LOG_DETAIL=true\n";
    let found = read(&[(".env", text)], &[], &[]).unwrap();
    let names: Vec<_> = found.variables.keys().collect();
    assert_eq!(
        names,
        [
            "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH",
            "STAGELINK_LOG_DETAIL"
        ]
    );
    let notes = found.notes.iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(
        notes,
        [
            ".env: AWS_LAMBDA_MAX_CONCURRENCY is left out, since AWS Lambda sets it",
            ".env: AWS_REGION is left out, since AWS Lambda sets it",
            ".env: DATABASE_URL is left out, since functions find their stage's database by themselves",
            ".env: STAGELINK_POSTGRES is left out, since no function reads it",
        ]
    );
}

#[test]
fn line_that_is_no_variable_is_named_by_its_number() {
    let text = format!("A=1\n\n# a comment\n  B = {CANARY} and more\n");
    let error = refused(&[(".env", &text)], &[]);
    assert!(
        error.contains("could not read .env: line 4 is not NAME=VALUE"),
        "{error}"
    );
    let error = refused(&[], &[&format!("{CANARY} without a name")]);
    assert!(error.contains("--env takes NAME=VALUE"), "{error}");
    let error = refused(&[], &["MISSING"]);
    assert!(error.contains("--env MISSING has no value"), "{error}");
    let error = refused(&[(".env", &format!("A.B={CANARY}"))], &[]);
    assert!(error.contains(".env has a variable whose name"), "{error}");
}

#[test]
fn reference_reaches_variables_of_the_files_and_none_of_the_command() {
    let files = [
        (".env", "A=one\nB=\"$A two\"\n"),
        (".env.staging", "C=${B}-$A\n"),
    ];
    let found = read(&files, &[], &[]).unwrap();
    assert_eq!(found.variables["C"], "one two-one");
    // The tests' own environment has these.
    for text in ["X=$PATH", "X=\"${HOME}\"", "X=$CARGO_MANIFEST_DIR"] {
        let error = refused(&[(".env", text)], &[]);
        assert!(error.contains("X refers by $ to a variable"), "{error}");
    }
}
