//! The pages about doctor have each check, and none that is gone.

use std::fs;

use stagelink_pipeline::CHECKS;
use stagelink_tests::root;

#[test]
fn guide_has_the_table_of_checks() {
    let guide = fs::read_to_string(root().join("docs/guides/doctor.md")).expect("the guide");
    let rows: Vec<_> = guide
        .lines()
        .skip_while(|line| !line.starts_with("| id | level |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let expected = CHECKS.iter().map(|check| {
        let (id, levels) = (check.id, check.levels);
        format!(
            "| `{id}` | {levels} | {} | {} |",
            check.looks_at, check.advice
        )
    });
    assert_eq!(rows, expected.collect::<Vec<_>>());
}

#[test]
fn troubleshooting_has_a_section_for_each_check() {
    let guide = root().join("docs/guides/troubleshooting.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    let (_, part) = guide
        .split_once("\n## What `stagelink doctor` finds\n")
        .expect("the part");
    let part = part.split("\n## ").next().expect("its text");
    let headings: Vec<_> = part
        .lines()
        .filter_map(|line| line.strip_prefix("### doctor: "))
        .collect();
    let ids: Vec<_> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(headings, ids);
}
