//! The demo of a rotation, as a script runs it.

use std::process::Command;

use serde_json::Value;

#[test]
fn rotation_demo_counts_failures_of_each_source() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo-rotation"))
        .args(["--cache-seconds", "12", "--rate", "5", "--instances", "2"])
        .arg("--json")
        .output()
        .expect("the demo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let [stagelink, cached, copied] = &report["sources"].as_array().expect("the sources")[..]
    else {
        panic!("three sources: {report}");
    };
    for (source, name) in [
        (stagelink, "stagelink"),
        (cached, "cached-url"),
        (copied, "copied-url"),
    ] {
        assert_eq!(source["source"], name);
        assert!(source["writes"].as_u64() > Some(0), "{report}");
    }

    // Each write is there once, or the demo would have said otherwise.
    assert_eq!(stagelink["failed"], 0, "{report}");
    assert_eq!(stagelink["kept_once"], stagelink["writes"], "{report}");
    assert!(
        stagelink["first_good_after_seconds"].is_number(),
        "{report}"
    );

    // The caches are 4 s old then, and have expired 8 s before the end.
    assert!(cached["failed"].as_u64() > Some(0), "{report}");
    assert!(cached["first_good_after_seconds"].is_number(), "{report}");

    // No request that was sent after the rotation succeeded.
    assert!(copied["failed"].as_u64() > Some(0), "{report}");
    assert!(copied["first_good_after_seconds"].is_null(), "{report}");
    assert_eq!(copied["heroku_calls"], 0, "{report}");
}
