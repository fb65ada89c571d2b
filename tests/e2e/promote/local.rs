//! `promote` and `rollback` with `--local`: the local clouds, as a running `stagelink dev` names them.

use serde_json::{Value, json};

use super::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn local_stages_are_judged_by_what_was_deployed_to_them() {
    let shop = Shop::new().await;
    shop.project.name_local_clouds();
    let checks = async |stage: &str| -> Vec<Value> {
        let run = shop.run(&["doctor", stage, "--local", "--json"]).await;
        let checks = run.json()["stages"][0]["checks"].clone();
        checks.as_array().expect("the checks").clone()
    };
    let has = |checks: &[Value], id: &str| checks.iter().any(|check| check["id"] == id);
    let staging = checks("staging").await;
    assert!(
        has(&staging, "artifacts") && has(&staging, "running-code"),
        "{staging:?}"
    );
    let text = words(&shop.run(&["status", "--local"]).await.output);
    for part in [
        "the project's own build, as `stagelink dev` serves it",
        "and on the local Netlify:",
        "of deploys on the local Netlify, by its variables:",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // What was built for production is no fault of a stage to which nothing is deployed.
    shop.production_sql("DELETE FROM stagelink_deploys; DELETE FROM refinery_schema_history")
        .await;
    let production = checks("production").await;
    assert!(!has(&production, "artifacts"), "{production:?}");
    assert!(!has(&production, "running-code"), "{production:?}");
    assert!(has(&checks("staging").await, "artifacts"));

    // Stages that only the file has.
    let settings = std::fs::read_to_string(shop.project.folder.path().join("stagelink.toml"));
    let settings = settings.expect("settings");
    let added = "[stages.qa]\nkind = \"staging\"\nbranch = \"qa\"\napp = \"shop-qa\"\n";
    shop.project
        .write("stagelink.toml", &format!("{settings}\n{added}"));
    for (words, part) in [
        (
            &["doctor", "review"][..],
            "belongs to its pull request, so `stagelink dev` has none",
        ),
        (
            &["status", "qa"],
            "stagelink.toml has it: restart `stagelink dev`",
        ),
        (
            &["psql", "qa"],
            "stagelink.toml has it: restart `stagelink dev`",
        ),
        (
            &["link", "--stage", "qa"],
            "stagelink.toml has it: restart `stagelink dev`",
        ),
    ] {
        let run = shop.run(&[words, &["--local"]].concat()).await;
        assert_eq!(run.code, Some(2), "{words:?}: {}", run.errors);
        assert!(run.errors.contains(part), "{part}: {}", run.errors);
        assert!(
            run.errors.contains("it has production and staging"),
            "{}",
            run.errors
        );
    }
    let run = shop.run(&["status", "--local"]).await;
    let note = "stagelink.toml has stage qa, and the running `stagelink dev` does not: restart";
    assert!(run.errors.contains(note), "{}", run.errors);
}

/// Returns a table's text with one space between its words.
fn words(text: &str) -> String {
    let text = text.replace(['│', '┆'], " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn local_clouds_are_promoted_and_taken_back_without_a_question() {
    let mut shop = Shop::new().await;
    let first = Shop::artifact_of(&shop.published());
    let artifact = shop.deploy_next("two", None).await;
    shop.project.name_local_clouds();
    // Nothing else names the clouds.
    for name in ["NETLIFY_AUTH_TOKEN", "NETLIFY_API_URL", "NETLIFY_SITE_ID"] {
        shop.project.variables.remove(name);
    }
    let run = shop.run(&["promote", "--plan", "--local", "--json"]).await;
    run.succeeds();
    assert_eq!(run.json()["artifact"], json!(artifact));
    let run = shop.run(&["promote", "--local"]).await;
    run.succeeds();
    // The way back is that of the same clouds.
    let back = "back: `stagelink rollback production --local`";
    assert!(run.output.contains(back), "{}", run.output);
    assert_eq!(Shop::artifact_of(&shop.published()), artifact);
    assert_eq!(shop.page().await, "<h1>two</h1>\n");
    // The status shows what was promoted, beside the build that `stagelink dev` serves itself.
    let status = shop.run(&["status", "--local"]).await;
    let digest = format!("artifact {}", &artifact[..12]);
    let live = format!("deploy {}", shop.published().id);
    for words in [&digest, &live] {
        assert!(status.output.contains(words), "{words}: {}", status.output);
    }
    shop.run(&["rollback", "--local"]).await.succeeds();
    assert_eq!(Shop::artifact_of(&shop.published()), first);
    // A site that is named would not be used, and the variable of another site is left out.
    let run = shop.run(&["status", "--local", "--site", "other"]).await;
    assert_eq!(run.code, Some(2), "{}", run.errors);
    assert!(
        run.errors.contains("cannot be used with '--site <SITE>'"),
        "{}",
        run.errors
    );
    shop.project.set("NETLIFY_SITE_ID", "other");
    shop.run(&["status", "--local"]).await.succeeds();
    // Of production, as a rollback.
    let run = shop.run(&["history", "--local"]).await;
    run.succeeds();
    assert!(run.output.contains("stage production"), "{}", run.output);
}
