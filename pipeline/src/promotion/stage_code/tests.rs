//! The decision about files of *after*, as a table: records of deploys, and what they say.

use serde_json::json;

use super::*;
use crate::artifact::{Content, FunctionContent, Manifest, SourceCommit};
use crate::promotion::published_code::CodePlatform;

/// Noon.
const NOW: &str = "2026-11-27T12:00:00Z";

fn file(version: i64) -> MigrationFile {
    let sql = format!("ALTER TABLE a DROP COLUMN c{version}");
    MigrationFile::new(version, "f", format!("V{version}__f.sql"), sql)
}

/// A function that was built with the files up to this number.
fn built_with(newest: i64) -> Value {
    let listed = |version| {
        let class = if version == 1 {
            Class::Before
        } else {
            Class::After
        };
        ListedMigration::new(&file(version), class)
    };
    let listed: Vec<_> = (1..=newest).map(listed).collect();
    json!({ "migrations": listed })
}

/// A record of an artifact whose function was built with the files up to a number; the time of its end
/// on the day of [`NOW`], or on the one before.
fn record(
    artifact: &str,
    newest: i64,
    ended_at: &str,
    outcome: Option<DeployOutcome>,
) -> DeployRecord {
    let functions = json!({ "guestbook": built_with(newest) });
    let mut record = without_manifest(artifact, ended_at, outcome);
    record.manifest = json!({ "format": 1, "content": { "functions": functions } });
    record
}

fn without_manifest(
    artifact: &str,
    ended_at: &str,
    outcome: Option<DeployOutcome>,
) -> DeployRecord {
    let ended_at = match ended_at {
        "" => None,
        time => Some(format!("2026-11-{time}:00Z")),
    };
    serde_json::from_value(json!({
        "id": 1,
        "stage": "production",
        "command": "promote",
        "artifact": artifact,
        "deploy": null,
        "previous": null,
        "commit": null,
        "applied_migrations": [],
        "by": "ann@desk",
        "started_at": "2026-11-27T11:58:00Z",
        "finished_at": ended_at,
        "outcome": outcome,
    }))
    .unwrap()
}

/// Returns the reasons against the file with a number, where the first is applied.
fn reasons_of(records: &[DeployRecord], version: i64) -> Vec<String> {
    let now = NOW.parse().unwrap();
    let artifacts = artifacts(
        records,
        now,
        CodeWindows::of_stage(Duration::from_hours(24)),
        &[],
    );
    reasons(&artifacts, &[applied(1)], &file(version))
}

fn applied(version: i64) -> RecordedMigration {
    let listed = built_with(version);
    let listed: Vec<ListedMigration> =
        serde_json::from_value(listed["migrations"].clone()).unwrap();
    let listed = &listed[usize::try_from(version).unwrap() - 1];
    RecordedMigration {
        version,
        name: listed.name.clone(),
        checksum: listed.checksums[0].clone(),
        class: Some(listed.class),
    }
}

#[test]
fn file_of_after_waits_for_the_code_that_runs_and_for_the_rollback_window() {
    use DeployOutcome::{Aborted, Failed, Other, Restored, Succeeded, Untested};
    let done = Some(Succeeded);
    let waits = "artifact new runs since 2026-11-27 10:00 UTC; its function guestbook was built without \
                 V2__f: deploy code that was built with it first";
    let back = "artifact old ran until 2026-11-27 10:00 UTC, and a rollback may bring it back until \
                2026-11-28 10:00 UTC; its function guestbook was built without V2__f: run the command again \
                after 2026-11-28 10:00 UTC (policy.rollback_window)";
    for (records, expected) in [
        (&[][..], &[][..]),
        // What runs lists the file, or not.
        (&[record("new", 2, "27T10:00", done)], &[]),
        (&[record("new", 1, "27T10:00", done)], &[waits]),
        // What ran before it may come back, within the window.
        (
            &[
                record("new", 2, "27T10:00", done),
                record("old", 1, "20T10:00", done),
            ],
            &[back],
        ),
        (
            &[
                record("new", 2, "26T12:00", done),
                record("old", 1, "20T10:00", done),
            ],
            &[],
        ),
        (
            &[
                record("new", 1, "27T10:00", done),
                record("old", 1, "20T10:00", done),
            ],
            &[waits, back],
        ),
        // A rollback brought the old one back.
        (
            &[
                record("new", 1, "27T10:00", done),
                record("other", 2, "27T09:00", done),
                record("new", 1, "20T10:00", done),
            ],
            &[waits],
        ),
        // One that stayed live runs, whatever its test said.
        (
            &[
                record("new", 1, "27T10:00", Some(Untested)),
                record("old", 2, "26T12:00", done),
            ],
            &[waits],
        ),
        // One that never was live does not count, and none is replaced by it.
        (
            &[
                record("bad", 1, "27T11:59", Some(Failed)),
                record("new", 2, "26T10:00", done),
                record("old", 1, "20T10:00", done),
            ],
            &[],
        ),
        // One that was live for a moment, while its background functions may run.
        (
            &[
                record("bad", 1, "27T11:50", Some(Restored)),
                record("new", 2, "26T10:00", done),
            ],
            &[
                "artifact bad may have run until 2026-11-27 11:50 UTC, and its background functions until \
               2026-11-27 12:05 UTC; its function guestbook was built without V2__f: run the command again \
               after 2026-11-27 12:05 UTC",
            ],
        ),
        (
            &[
                record("bad", 1, "27T11:45", Some(Aborted)),
                record("new", 2, "26T10:00", done),
            ],
            &[],
        ),
        // One that has not ended, or whose end this version does not know.
        (
            &[
                record("next", 1, "", None),
                record("new", 2, "26T10:00", done),
            ],
            &[
                "artifact next may run, since `stagelink promote` of 2026-11-27 11:58 UTC has not ended or \
               was interrupted; its function guestbook was built without V2__f: let that command end, or \
               run it again",
            ],
        ),
        (
            &[
                record("next", 2, "27T11:00", Some(Other)),
                record("new", 2, "26T10:00", done),
            ],
            &[],
        ),
    ] {
        assert_eq!(reasons_of(records, 2), expected, "{records:?}");
    }
}

/// The records have the manifest of the artifact as a promotion writes it.
#[test]
fn manifest_of_an_artifact_is_read() {
    let listed: Vec<ListedMigration> =
        serde_json::from_value(built_with(1)["migrations"].clone()).unwrap();
    let content = |migrations| FunctionContent {
        program: "a".repeat(64),
        archive: "b".repeat(64),
        migrations,
        schedule: None,
        background: false,
        settings: BTreeMap::new(),
    };
    let manifest = Manifest {
        commit: SourceCommit::default(),
        content: Content {
            functions: BTreeMap::from([
                ("guestbook".to_owned(), content(Some(listed.clone()))),
                ("old".to_owned(), content(None)),
            ]),
            files: BTreeMap::new(),
        },
    };
    let found = functions(&manifest.to_json()).expect("a manifest");
    assert_eq!(found["guestbook"], Some(listed.into_iter().collect()));
    assert_eq!(found["old"], None);
}

#[test]
fn function_of_which_nothing_is_known_is_a_reason() {
    let done = Some(DeployOutcome::Succeeded);
    let mut unlisted = record("new", 2, "27T10:00", done);
    unlisted.manifest = json!({ "format": 1, "content": { "functions": {
        "a": built_with(2), "b": { "migrations": null }, "c": built_with(1), "d": built_with(1) } } });
    let found = reasons_of(&[unlisted], 2);
    assert_eq!(found.len(), 1);
    let words = "its function b (and 2 other functions) has no list of migrations";
    assert!(found[0].contains(words), "{found:?}");
    let mut newer = record("new", 2, "27T10:00", done);
    newer.manifest["format"] = json!(2);
    for record in [newer, without_manifest("new", "27T10:00", done)] {
        let found = reasons_of(&[record], 2);
        assert!(
            found[0].contains("UTC; what it needs is not known: "),
            "{found:?}"
        );
    }
}

/// The code before the first promotion was deployed by other means.
#[test]
fn code_without_a_record_is_a_reason_while_its_background_functions_may_run() {
    let done = Some(DeployOutcome::Succeeded);
    let first = |ended_at: &str| {
        let mut record = record("new", 2, ended_at, done);
        record.previous = Some("6744f0c2".to_owned());
        record
    };
    let found = reasons_of(&[first("27T11:50")], 2);
    assert_eq!(
        found,
        [
            "the deploy 6744f0c2, which has no record, ran until 2026-11-27 11:50 UTC, and its background \
          functions may until 2026-11-27 12:05 UTC; what it needs is not known: run the command again after \
          2026-11-27 12:05 UTC"
        ]
    );
    assert_eq!(reasons_of(&[first("27T11:45")], 2), Vec::<String>::new());
    let mut recorded = record("old", 2, "20T10:00", done);
    recorded.deploy = Some("6744f0c2".to_owned());
    let both = [first("27T11:50"), recorded];
    assert_eq!(reasons_of(&both, 2), Vec::<String>::new());
}

#[test]
fn file_with_another_content_than_the_artifact_lists_is_a_reason() {
    let done = Some(DeployOutcome::Succeeded);
    let now = NOW.parse().unwrap();
    let records = [record("new", 2, "27T10:00", done)];
    let artifacts = artifacts(&records, now, CodeWindows::of_stage(Duration::ZERO), &[]);
    let edited = MigrationFile::new(2, "f", "V2__f.sql", "DROP TABLE a");
    let found = reasons(&artifacts, &[applied(1)], &edited);
    let words = "was built with another content of V2__f than the file has";
    assert!(found[0].contains(words), "{found:?}");
}

/// A rollback to code that an earlier migration has broken is impossible, so another one changes nothing.
#[test]
fn artifact_that_cannot_come_back_is_no_reason_and_one_that_runs_is() {
    let done = Some(DeployOutcome::Succeeded);
    let now = NOW.parse().unwrap();
    let records = [
        record("new", 3, "27T10:00", done),
        record("old", 1, "20T10:00", done),
    ];
    let past = artifacts(
        &records,
        now,
        CodeWindows::of_stage(Duration::from_hours(24)),
        &[],
    );
    let history = [applied(1), applied(2)];
    assert_eq!(reasons(&past, &history, &file(3)), Vec::<String>::new());
    assert_eq!(reasons(&past, &history[..1], &file(3)).len(), 1);
    let runs = artifacts(
        &[record("old", 1, "20T10:00", done)],
        now,
        CodeWindows::of_stage(Duration::ZERO),
        &[],
    );
    assert_eq!(reasons(&runs, &history, &file(3)).len(), 1);
}

#[test]
fn window_is_never_shorter_than_a_background_function_runs() {
    let done = Some(DeployOutcome::Succeeded);
    let records = |since: &str| {
        [
            record("new", 2, since, done),
            record("old", 1, "20T10:00", done),
        ]
    };
    let count = |since: &str| {
        let found = artifacts(
            &records(since),
            NOW.parse().unwrap(),
            CodeWindows::of_stage(Duration::ZERO),
            &[],
        );
        found.len()
    };
    assert_eq!((count("27T11:46"), count("27T11:45")), (2, 1));
}

#[test]
fn local_stage_has_no_window_and_what_runs_there_counts() {
    let done = Some(DeployOutcome::Succeeded);
    let now = NOW.parse().unwrap();
    // The one before, and one that was undone, ended a minute ago.
    let records = [
        record("undone", 3, "27T11:59", Some(DeployOutcome::Restored)),
        record("new", 2, "27T11:59", done),
        record("old", 1, "20T10:00", done),
    ];
    let windows = CodeWindows::of_local_stage();
    let found = artifacts(&records, now, windows, &[]);
    let states: Vec<_> = found.iter().map(|one| &*one.state).collect();
    assert!(
        matches!(*states, [only] if only.starts_with("artifact new runs since")),
        "{states:?}"
    );
    assert_eq!(
        reasons(&found, &[applied(1), applied(2)], &file(3)).len(),
        1
    );
    assert_eq!(
        artifacts(&records, now, CodeWindows::of_stage(Duration::ZERO), &[]).len(),
        3
    );
}

/// A record of a deploy on Netlify.
fn deployed(artifact: &str, newest: i64, ended_at: &str, outcome: DeployOutcome) -> DeployRecord {
    let mut record = record(artifact, newest, ended_at, Some(outcome));
    record.deploy = Some(format!("d-{artifact}"));
    record
}

fn published(id: &str, since: Option<&str>) -> PublishedCode {
    PublishedCode {
        platform: CodePlatform::Netlify,
        found: Ok(PublishedDeploy {
            id: id.to_owned(),
            address: None,
            since: since.map(|time| time.parse().unwrap()),
        }),
    }
}

/// Returns the reasons against the second file, with what is published now.
async fn reasons_beside(records: &[DeployRecord], published: &[PublishedCode]) -> Vec<String> {
    let now = NOW.parse().unwrap();
    let windows = CodeWindows::of_stage(Duration::from_hours(24));
    let found = stage_artifacts(records, now, windows, published).await;
    reasons(&found, &[applied(1)], &file(2))
}

#[tokio::test]
async fn deploy_that_was_not_published_is_not_live_and_may_become_so() {
    use DeployOutcome::{Succeeded, Unpublished};
    let live = deployed("live", 1, "20T10:00", Succeeded);
    let next = deployed("next", 2, "27T11:00", Unpublished);
    let waits = "artifact live runs since 2026-11-20 10:00 UTC; its function guestbook was built without \
                 V2__f: deploy code that was built with it first";
    let records = [next, live];
    assert_eq!(reasons_beside(&records, &[]).await, [waits]);
    let locked = [published("d-live", None)];
    assert_eq!(reasons_beside(&records, &locked).await, [waits]);
    // A person publishes it.
    let since = published("d-next", Some("2026-11-27T11:30:00Z"));
    let back = "artifact live ran until 2026-11-27 11:30 UTC, and a rollback may bring it back until \
                2026-11-28 11:30 UTC; its function guestbook was built without V2__f: run the command again \
                after 2026-11-28 11:30 UTC (policy.rollback_window)";
    assert_eq!(reasons_beside(&records, &[since]).await, [back]);
    let long_ago = published("d-next", Some("2026-11-25T11:30:00Z"));
    assert_eq!(
        reasons_beside(&records, &[long_ago]).await,
        Vec::<String>::new()
    );
    let some_time = published("d-next", None);
    assert_eq!(
        reasons_beside(&records, &[some_time]).await,
        [
            "artifact live went live at 2026-11-20 10:00 UTC, and may be published again; its function \
              guestbook was built without V2__f: deploy code that was built with it first"
        ]
    );
    let old = deployed("old", 1, "27T11:00", Unpublished);
    let live = deployed("live", 2, "20T10:00", Succeeded);
    assert_eq!(
        reasons_beside(&[old.clone(), live.clone()], &[]).await,
        [
            "artifact old is ready since 2026-11-27 11:00 UTC, and may be published; its function guestbook \
              was built without V2__f: deploy code that was built with it first"
        ]
    );
    let newer = deployed("newer", 2, "27T11:30", Succeeded);
    assert_eq!(
        reasons_beside(&[newer, old, live], &[]).await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn what_a_platform_publishes_runs_whatever_the_records_say() {
    use DeployOutcome::{Failed, Succeeded};
    let records = [
        deployed("new", 2, "26T10:00", Succeeded),
        deployed("old", 1, "20T10:00", Succeeded),
    ];
    let none = Vec::<String>::new();
    assert_eq!(reasons_beside(&records, &[]).await, none);
    let newest = published("d-new", Some("2026-11-26T09:59:00Z"));
    assert_eq!(reasons_beside(&records, &[newest]).await, none);
    assert_eq!(
        reasons_beside(&records, &[published("d-old", None)]).await,
        [
            "artifact old runs, since Netlify publishes its deploy d-old now; its function guestbook was \
              built without V2__f: deploy code that was built with it first"
        ]
    );
    assert_eq!(
        reasons_beside(&records, &[published("push", None)]).await,
        [
            "Netlify publishes push now, which has no record in the stage's database; what it needs is not \
              known: deploy code that was built with it first"
        ]
    );
    let not_known = PublishedCode {
        platform: CodePlatform::Netlify,
        found: Err("no token".to_owned()),
    };
    assert_eq!(
        reasons_beside(&records, std::slice::from_ref(&not_known)).await,
        [
            "it could not be looked up which code Netlify publishes now (no token); what it needs is not \
              known: run the command again where that can be looked up"
        ]
    );
    // A platform on which no record is of code that was live says nothing.
    let mut on_lambda = deployed("new", 2, "26T10:00", Succeeded);
    on_lambda.deploy = Some("shop-guestbook:7".to_owned());
    let failed = deployed("old", 1, "20T10:00", Failed);
    let records = [on_lambda, failed];
    assert_eq!(reasons_beside(&records, &[not_known]).await, none);
    let versions = |id: &str| PublishedCode {
        platform: CodePlatform::Lambda,
        ..published(id, None)
    };
    let now = versions("shop-guestbook:7");
    assert_eq!(reasons_beside(&records, &[now]).await, none);
    let found = reasons_beside(&records, &[versions("shop-guestbook:6")]).await;
    let words =
        "the aliases on AWS Lambda point to shop-guestbook:6 now, which has no record in the";
    assert!(found[0].starts_with(words), "{found:?}");
}

/// A person had published the old one again before the newest went live.
#[tokio::test]
async fn deploy_that_the_newest_replaced_may_come_back_also_where_it_is_older() {
    use DeployOutcome::Succeeded;
    let mut newest = deployed("newest", 2, "27T10:00", Succeeded);
    newest.previous = Some("d-old".to_owned());
    let records = [
        newest,
        deployed("new", 2, "22T10:00", Succeeded),
        deployed("old", 1, "20T10:00", Succeeded),
    ];
    let found = reasons_beside(&records, &[published("d-newest", None)]).await;
    let words =
        "artifact old ran until 2026-11-27 10:00 UTC, and a rollback may bring it back until ";
    assert!(
        matches!(found.as_slice(), [only] if only.starts_with(words)),
        "{found:?}"
    );
}
