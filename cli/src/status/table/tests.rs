//! Snapshots of the table at 80 and 120 columns, with colours and without.

use std::path::Path;

use super::*;

const BOARD: &str = include_str!("board.json");

#[test]
fn table_is_as_its_snapshots() {
    let mut board: StatusBoard = serde_json::from_str(BOARD).unwrap();
    check("three-stages-80", &text(&board, 80, false), 80);
    check("three-stages-120", &text(&board, 120, false), 120);
    board.stages.retain(|stage| stage.stage != "development");
    check("two-stages-80", &text(&board, 80, false), 80);
    check("two-stages-120", &text(&board, 120, false), 120);
    let colors = text(&board, 120, true);
    assert_eq!(console::strip_ansi_codes(&colors), text(&board, 120, false));
    let painted: String = colors.chars().filter(|c| *c != '\u{1b}').collect();
    for mark in ["[32m✓", "[33m!", "[31m✗", "[35m?"] {
        assert!(painted.contains(mark), "{mark}: {painted}");
    }
}

/// Compares a text with the snapshot of this name. `UPDATE_SNAPSHOTS=write` writes it.
fn check(name: &str, text: &str, width: usize) {
    for line in text
        .lines()
        .filter(|line| line.starts_with(['│', '┌', '└']))
    {
        assert!(console::measure_text_width(line) <= width, "{line}");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/status/table");
    let file = folder.join(format!("{name}.txt"));
    if std::env::var("UPDATE_SNAPSHOTS").is_ok_and(|value| value == "write") {
        std::fs::write(&file, format!("{text}\n")).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(format!("{text}\n"), expected, "{name}");
}

#[test]
fn names_from_outside_stay_in_their_line() {
    let mut board: StatusBoard = serde_json::from_str(BOARD).unwrap();
    for stage in &mut board.stages {
        if let Lookup::Known { value } = &mut stage.code {
            value.title = Some("a\n\u{1b}[2J".to_owned());
        }
    }
    let text = text(&board, 120, false);
    assert!(
        !text.contains('\u{1b}') && text.contains("a\\n\\u{1b}[2J"),
        "{text}"
    );
}

#[test]
fn unfinished_command_is_told_with_its_step_its_author_and_the_ways_on() {
    let mut board: StatusBoard = serde_json::from_str(BOARD).unwrap();
    let change = |lease_until: &str| {
        let json = format!(
            r#"{{"stage":"production","command":"promote","by":"ann@desk","since":"2026-11-26T10:00:00Z",
            "artifact":"9f86d081884c7d65","commit":null,"step":"test","deploy":null,"previous":null,
            "lease_until":{lease_until},"has_locked":true,"is_tested":false,"is_foreign":false}}"#
        );
        Lookup::Known {
            value: serde_json::from_str(&json).unwrap(),
        }
    };
    board.stages.retain(|stage| stage.stage == "production");
    assert_eq!(board.stages.len(), 1);
    let words = |board: &StatusBoard| {
        let text = text(board, 120, false);
        let text = text.replace(['│', '┆'], " ");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(!words(&board).contains("not finished"));
    let way = "`stagelink promote --to production` goes on with it, and `stagelink promote --to production \
               --abort` takes back what it did";
    for (lease_until, way) in [
        ("null", way.to_owned()),
        (
            r#""2026-11-26T10:01:00.5Z""#,
            "it runs, or was killed a moment ago and has the stage until 2026-11-26 10:01:00 UTC: after that \
             `stagelink promote --to production` goes on with it; `stagelink promote --to production --abort` \
             takes back what it did, now too"
                .to_owned(),
        ),
    ] {
        board.stages[0].unfinished = change(lease_until);
        let text = words(&board);
        for part in [
            "! promotion of artifact 9f86d081884c not finished, since 2026-11-26 10:00 UTC",
            "in the step test",
            "by ann@desk",
            &way,
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    board.stages[0].unfinished = Lookup::NotKnown {
        reason: "permission denied".to_owned(),
    };
    let text = words(&board);
    assert!(
        text.contains("? unfinished commands not known: permission denied"),
        "{text}"
    );
    assert!(!board.is_complete());
}
