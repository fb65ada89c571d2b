//! The report as a whole: a sound project, the exit codes, and stages against each other.

use stagelink_tests::at;

use super::{FEW, Patient, bound};

#[tokio::test]
async fn sound_project_has_no_finding_and_each_check_says_what_it_saw() {
    let (patient, ..) = Patient::new().await;
    patient.write(
        "migrations/V1__notes.sql",
        "CREATE TABLE notes (id bigint PRIMARY KEY);\n",
    );
    for stage in ["staging", "production"] {
        patient.succeeds(&["migrate", stage, "--yes"]).await;
    }
    let words = [&["doctor", "--json", "--strict"][..], &FEW].concat();
    let examined = patient.examine_with(&words).await;
    assert_eq!(examined.found(), [""; 0], "{}", examined.json);
    assert_eq!(examined.code, 0);
    assert_eq!(examined.json["not_checked"], 0, "{}", examined.json);
    assert_eq!(examined.json["stages"].as_array().expect("stages").len(), 2);
    for check in examined.checks() {
        assert!(
            !check["seen"].as_str().expect("a text").is_empty(),
            "{check}"
        );
    }
    for id in ["own-database", "migrations", "clock", "round-trips"] {
        examined.assert_sound(id);
    }

    let words = [&["doctor", "--all"][..], &FEW].concat();
    let shown = patient.stagelink(&words).await;
    assert_eq!(shown.code, 0, "{}{}", shown.output, shown.errors);
    assert!(
        shown.output.contains("  ✓ mark: stage staging\n"),
        "{}",
        shown.output
    );
    assert!(
        shown.output.contains("0 errors, 0 warnings, 0 not checked"),
        "{}",
        shown.output
    );
}

#[tokio::test]
async fn exit_code_tells_warnings_from_errors() {
    let (mut patient, ..) = Patient::new().await;
    // The concurrency by default is more than the role may have.
    for (words, expected) in [(&[][..], 0), (&["--strict"], 1)] {
        let examined = patient.examine("staging", words).await;
        assert_eq!(examined.found(), ["connections"]);
        assert_eq!(examined.code, expected);
    }
    patient.unset("STAGING_URL");
    for words in [&[][..], &["--strict"]] {
        assert_eq!(patient.examine("staging", words).await.code, 2);
    }
    // A report in 80 columns, with what was not checked.
    patient.set("COLUMNS", "80");
    let shown = patient.stagelink(&["doctor", "staging"]).await;
    assert_eq!(shown.code, 2);
    assert!(
        shown.output.lines().all(|line| line.chars().count() <= 80),
        "{}",
        shown.output
    );
    assert!(shown.output.contains("? not checked: "), "{}", shown.output);

    for (words, reason) in [
        (
            &["doctor", "nowhere", "--json"][..],
            "has no stage \"nowhere\"",
        ),
        (
            &["doctor", "--json", "--project", "none"],
            "no stage is named",
        ),
    ] {
        let ran = patient.stagelink(words).await;
        assert_eq!(ran.code, 2, "{}", ran.errors);
        assert!(ran.errors.contains(reason), "{}", ran.errors);
        let json: serde_json::Value = serde_json::from_str(&ran.output).expect("JSON");
        assert!(
            json["error"].as_str().expect("an error").contains(reason),
            "{json}"
        );
    }
    assert_eq!(patient.stagelink(&["doctor", "--nothing"]).await.code, 2);
}

#[tokio::test]
async fn stage_that_was_not_reached_is_not_called_another_database() {
    let (mut patient, ..) = Patient::new().await;
    patient.set(
        "PRODUCTION_URL",
        &bound("postgres://u:c4n4ry@127.0.0.1:1/d"),
    );
    let words = [&["doctor", "--json"][..], &FEW].concat();
    let examined = patient.examine_with(&words).await;
    assert_eq!(examined.of("own-database").len(), 2, "{}", examined.json);
    examined.assert_not_checked("own-database", "was not reached");
}

#[tokio::test]
async fn two_stages_on_one_database_are_found_by_whatever_name() {
    let (mut patient, staging, production) = Patient::new().await;
    // By another name of the server; neither has a mark that would tell.
    patient
        .succeeds(&["mark", "remove", "--stage", "staging"])
        .await;
    let port = stagelink_tests::server().await.port();
    let other_name = at(&staging.url(), port).replace("127.0.0.1", "localhost");
    let words = [&["doctor", "--json"][..], &FEW].concat();
    for url in [staging.url(), other_name] {
        patient.set("PRODUCTION_URL", &bound(&url));
        let examined = patient.examine_with(&words).await;
        let found = examined.of("own-database");
        assert_eq!(found.len(), 2, "{}", examined.json);
        for check in found {
            assert_eq!(check["result"], "error", "{check}");
            let text = check.to_string();
            assert!(text.contains("have one database"), "{text}");
            assert!(text.contains("addons:create"), "{text}");
        }
        assert_eq!(examined.code, 2);
    }
    // The mark alone keeps functions out, and they still have one database.
    patient
        .succeeds(&["mark", "set", "--stage", "staging"])
        .await;
    let examined = patient.examine_with(&words).await;
    assert!(
        examined.found().contains(&"own-database"),
        "{}",
        examined.json
    );
    assert!(examined.found().contains(&"mark"), "{}", examined.json);

    patient.set("PRODUCTION_URL", &bound(&production.url()));
    let examined = patient.examine_with(&words).await;
    examined.assert_sound("own-database");
    assert_eq!(examined.code, 0);
}
