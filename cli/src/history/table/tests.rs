//! Snapshots of the table at 80 and 120 columns.

use std::path::Path;

use super::*;

/// The digest of an artifact.
const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn record(id: i64, command: &str, outcome: Option<&str>) -> DeployRecord {
    serde_json::from_value(serde_json::json!({
        "id": id,
        "stage": "production",
        "command": command,
        "artifact": DIGEST,
        "deploy": outcome.map(|_| format!("6744f0c2a8b1d90008c2e1f{id}")),
        "previous": null,
        "commit": (id != 2).then_some("c0ffee254729296a45a3885639ac7e10f9d54979"),
        "applied_migrations": [],
        "by": if id == 3 { "a-person@a-machine-with-a-long-name" } else { "ann@desk" },
        "started_at": format!("2026-11-2{id}T14:02:30Z"),
        "finished_at": outcome.map(|_| format!("2026-11-2{id}T14:04:00Z")),
        "outcome": outcome,
    }))
    .unwrap()
}

fn history() -> History {
    History {
        stage: "production".to_owned(),
        deploys: vec![
            record(5, "promote", None),
            record(4, "rollback", Some("succeeded")),
            record(3, "promote", Some("restored")),
            record(2, "deploy", Some("failed")),
            record(1, "promote", Some("succeeded")),
        ],
    }
}

#[test]
fn table_is_as_its_snapshots() {
    let mut history = history();
    check("deploys-80", &text(&history, 80), 80);
    check("deploys-120", &text(&history, 120), 120);
    history.deploys.clear();
    check("none", &text(&history, 80), 200);
}

/// Compares a text with the snapshot of this name. `UPDATE_SNAPSHOTS=write` writes it.
fn check(name: &str, text: &str, width: usize) {
    for line in text.lines() {
        assert!(console::measure_text_width(line) <= width, "{line}");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/history/table");
    let file = folder.join(format!("{name}.txt"));
    if std::env::var("UPDATE_SNAPSHOTS").is_ok_and(|value| value == "write") {
        std::fs::write(&file, format!("{text}\n")).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(format!("{text}\n"), expected, "{name}");
}

#[test]
fn names_from_outside_stay_in_their_line() {
    let mut history = history();
    for record in &mut history.deploys {
        record.command = "a\n\u{1b}[2J".to_owned();
        record.by = "b\n".to_owned();
    }
    for width in [80, 120] {
        let text = text(&history, width);
        assert!(
            !text.contains('\u{1b}') && text.contains("a\\n\\u{1b}[2J"),
            "{text}"
        );
    }
}
