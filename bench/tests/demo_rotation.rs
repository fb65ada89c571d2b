//! The demo of a rotation, as a script runs it.

use std::process::Command;

use serde_json::Value;

/// How many requests failed, and how many were sent, in each second from this one.
fn seconds(way: &Value, from: usize) -> Vec<(u64, u64)> {
    let seconds = way["seconds"].as_array().expect("the seconds");
    let number = |value: &Value| value.as_u64().expect("a number");
    seconds[from..]
        .iter()
        .map(|one| (number(&one["failed"]), number(&one["requests"])))
        .collect()
}

#[test]
fn demo_of_a_rotation_shows_who_survives_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo-rotation"))
        .args(["--cache-seconds", "3", "--instances", "2", "--json"])
        .output()
        .expect("the demo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let [stagelink, cached, copied] = &report["ways"].as_array().expect("the ways")[..] else {
        panic!("three ways: {report}");
    };
    for (way, name) in [
        (stagelink, "stagelink"),
        (cached, "cached-url"),
        (copied, "copied-url"),
    ] {
        assert_eq!(way["way"], name);
        assert!(way["writes"].as_u64() > Some(0), "{report}");
    }

    // Each write is there once, or the demo would have said otherwise.
    assert_eq!(stagelink["failed"], 0, "{report}");
    assert_eq!(stagelink["kept_once"], stagelink["writes"], "{report}");
    assert!(
        stagelink["first_good_after_seconds"].is_number(),
        "{report}"
    );

    // Its time is over after 3 of 5 seconds.
    assert!(cached["failed"].as_u64() > Some(0), "{report}");
    assert!(cached["first_good_after_seconds"].is_number(), "{report}");
    assert_eq!(seconds(cached, 4)[0].0, 0, "{report}");

    assert!(copied["first_good_after_seconds"].is_null(), "{report}");
    // The rotation was somewhere in the second second.
    for (failed, requests) in seconds(copied, 2) {
        assert!(requests > 0 && failed == requests, "{report}");
    }
    assert_eq!(copied["heroku_calls"], 0, "{report}");
}
