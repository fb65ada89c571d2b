use serde_json::{Value, json};
use stagelink::ErrorKind;
use stagelink::self_check::SelfCheckInvocation;

use super::*;
use crate::migrations::MigrationFolder;

/// The list of a folder with these migrations, as a program and a record have it.
fn list(files: &[(&str, &str)]) -> MigrationList {
    let folder = tempfile::tempdir().unwrap();
    for (name, sql) in files {
        std::fs::write(folder.path().join(name), sql).unwrap();
    }
    MigrationList::of(&MigrationFolder::read(folder.path()).unwrap())
}

fn first() -> MigrationList {
    list(&[("V1__a.sql", "CREATE TABLE a (b int)")])
}

fn report(list: &MigrationList) -> SelfCheckReport {
    let invocation = SelfCheckInvocation::new(Stage::STAGING, "n0nce");
    let mut report = SelfCheckReport::answering_invocation(&invocation, "hello");
    report.stage = Some(Stage::STAGING);
    report.program = Some("ab".repeat(32));
    report.migrations = Some(json!(list.migrations()));
    report.set_database_ok();
    report
}

fn entry(list: &MigrationList) -> FunctionContent {
    let entry = json!({
        "program": "ab".repeat(32), "archive": "cd".repeat(32), "migrations": list.migrations(),
        "schedule": null, "background": false, "settings": {},
    });
    serde_json::from_value(entry).unwrap()
}

fn recorded(list: &MigrationList) -> Vec<RecordedMigration> {
    let recorded = list.migrations().iter().map(|of| RecordedMigration {
        version: of.version,
        name: of.name.clone(),
        checksum: of.checksums[0].clone(),
        class: Some(of.class),
    });
    recorded.collect()
}

fn judged(report: &SelfCheckReport, history: &[RecordedMigration]) -> RunningAnswer {
    let history = Ok(history.to_vec());
    RunningAnswer::of(report, Stage::STAGING, &entry(&first()), &history)
}

#[test]
fn function_that_runs_what_the_record_says_agrees() {
    let answer = judged(&report(&first()), &recorded(&first()));
    assert_eq!(answer.differs, Vec::<String>::new());
    assert_eq!(answer.needs.value().unwrap().verdict, "runs");
    assert!(answer.is_database_ok());
}

#[test]
fn each_difference_is_said() {
    let differs = |change: &dyn Fn(&mut SelfCheckReport)| {
        let mut report = report(&first());
        change(&mut report);
        let answer = judged(&report, &recorded(&first()));
        answer.differs.join("; ")
    };
    for (change, expected) in [
        (
            &(|of: &mut SelfCheckReport| of.stage = Some(Stage::PRODUCTION))
                as &dyn Fn(&mut SelfCheckReport),
            "serves production, and not staging",
        ),
        (&|of| of.stage = None, "serves no stage, and not staging"),
        (
            &|of| of.program = Some("ef".repeat(32)),
            "runs the program efefefefefef, and not abababababab of the record",
        ),
        (
            &|of| of.program = None,
            "cannot read its own program, which is abababababab by the record",
        ),
        (
            &|of| of.migrations = None,
            "lists other migrations than the record has of its program",
        ),
        (
            &|of| of.mark = Some(Stage::PRODUCTION),
            "reaches a database that is marked as production's, and not as staging's",
        ),
    ] {
        assert_eq!(differs(change), expected);
    }
    assert_eq!(differs(&|of| of.mark = Some(Stage::STAGING)), "");
}

#[test]
fn needs_are_those_of_the_list_that_the_function_names() {
    let two = list(&[
        ("V1__a.sql", "CREATE TABLE a (b int)"),
        ("V2__c.sql", "CREATE TABLE c (d int)"),
    ]);
    // The record is of the first list: what runs counts, and not what should run.
    let answer = judged(&report(&two), &recorded(&first()));
    let needs = answer.needs.value().unwrap();
    assert_eq!(needs.verdict, "needs-first");
    assert_eq!(needs.reasons, ["V2__c is not applied"]);
    let mut without = report(&first());
    without.migrations = None;
    let answer = judged(&without, &recorded(&first()));
    assert_eq!(answer.needs.value().unwrap().verdict, "unknown");
    let reason = Err("the server did not answer".to_owned());
    let answer = RunningAnswer::of(&report(&two), Stage::STAGING, &entry(&two), &reason);
    assert_eq!(answer.needs, Lookup::not_known("the server did not answer"));
}

#[test]
fn list_of_another_form_is_not_known_and_never_taken_for_none() {
    let mut odd = report(&first());
    odd.migrations = Some(json!([{"version": 1}]));
    let answer = judged(&odd, &recorded(&first()));
    assert!(answer.needs.is_not_known(), "{answer:?}");
    let mut listed: Value = json!(first().migrations());
    listed[0]["sha256"] = json!("x");
    odd.migrations = Some(listed);
    let answer = judged(&odd, &recorded(&first()));
    assert!(answer.needs.is_not_known(), "{answer:?}");
}

#[test]
fn failure_of_the_database_is_told_beside_what_runs() {
    let mut refused = report(&first());
    refused.set_database_failure(ErrorKind::DatabaseRefused, false);
    let answer = judged(&refused, &recorded(&first()));
    assert_eq!(answer.database, "database-refused");
    assert!(!answer.is_database_ok());
    assert_eq!(answer.differs, Vec::<String>::new());
}

#[test]
fn deploy_is_complete_where_each_function_has_answered() {
    let function = |answer| RunningFunction {
        name: "hello".to_owned(),
        answer,
    };
    let known = || Lookup::known(judged(&report(&first()), &recorded(&first())));
    let deploy = |functions| RunningDeploy {
        url: "https://shop.example".to_owned(),
        functions,
        uncallable: Vec::new(),
        not_asked: Vec::new(),
    };
    assert!(deploy(vec![function(known())]).is_complete());
    let silent = function(Lookup::not_known("does not answer"));
    assert!(!deploy(vec![function(known()), silent]).is_complete());
}
