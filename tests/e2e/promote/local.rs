//! `promote` and `rollback` with `--local`: the local clouds, as a running `stagelink dev` names them.

use serde_json::json;

use super::Shop;

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
    // Of production, as a rollback.
    let run = shop.run(&["history", "--local"]).await;
    run.succeeds();
    assert!(run.output.contains("stage production"), "{}", run.output);
}
