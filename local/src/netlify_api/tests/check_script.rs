//! Tests of `scripts/netlify-check`, which asks Netlify what this stand-in assumes.

use std::path::Path;
use std::process::Output;

use serde_json::json;
use tokio::process::Command;

use super::{deploy, start};
use crate::netlify_api::{Context, LockAfterRestore, NetlifyApi};

/// Runs the script on the site `shop`.
async fn check(netlify: &NetlifyApi) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/netlify-check");
    Command::new(script)
        .arg("shop")
        .env("NETLIFY_API_URL", netlify.url())
        .env("NETLIFY_AUTH_TOKEN", netlify.token())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the script runs: apt-get install python3")
}

fn text(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn answers_are_those_of_this_stand_in() {
    let netlify = start().await;
    let hosting = netlify.host(|_| ()).await.expect("a hosting");
    // The second run finds the site as the first one has left it.
    for _ in 0..2 {
        let output = check(&netlify).await;
        let text = text(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(
            text.contains("\n18 answers, 0 of them other than the stand-in's\n"),
            "{text}"
        );
        assert!(!text.contains(netlify.token()), "{text}");
    }
    assert!(netlify.variables("shop").expect("the site").is_empty());
    hosting.stop().await;
}

#[tokio::test]
async fn other_behavior_is_found_with_what_sets_it_here() {
    let netlify = start().await;
    netlify.set_draft_context(Context::Production);
    netlify.set_lock_after_restore(LockAfterRestore::Released);
    netlify.set_unlock_publishes_newest(true);
    netlify.set_restores_any_context(true);
    netlify.set_forgets_functions(true);
    let hosting = netlify.host(|_| ()).await.expect("a hosting");
    let output = check(&netlify).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for (question, setter) in [
        ("context of a draft's functions", "set_draft_context"),
        (
            "a function's archive of an earlier deploy",
            "set_forgets_functions",
        ),
        ("restore of a draft", "set_restores_any_context"),
        ("restore of a branch deploy", "set_restores_any_context"),
        ("lock after that restore", "set_lock_after_restore"),
        ("unlock", "set_unlock_publishes_newest"),
    ] {
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with(&format!("{question}  ")));
        let line = line.unwrap_or_else(|| panic!("{question}: {text}"));
        assert!(line.ends_with(setter), "{line}");
    }
    assert!(text.contains("\n18 answers, 6 of them other"), "{text}");
    hosting.stop().await;
}

#[tokio::test]
async fn site_with_deploys_of_others_is_left_alone() {
    let netlify = start().await;
    let theirs = deploy(&netlify, json!({}), "page").await;
    let before = netlify.deploys();
    let output = check(&netlify).await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert_eq!(netlify.deploys().len(), before.len(), "{theirs}");
}
