//! `promote` and `rollback` with `--local`: the local clouds, as a running `stagelink dev` names them.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use super::Shop;

/// Writes the file by which `--local` finds a running site.
fn name_local_clouds(shop: &Shop) {
    let project = &shop.project;
    let variables = |stage: &'static str| {
        BTreeMap::from([
            ("STAGELINK_STAGE", stage),
            ("STAGELINK_HEROKU_PIPELINE", "shop"),
            ("STAGELINK_HEROKU_API_URL", project.heroku.url()),
            ("HEROKU_API_KEY", project.heroku.api_key()),
        ])
    };
    let site = json!({
        "process": std::process::id(),
        "port": 8888,
        "stages": {"staging": variables("staging"), "production": variables("production")},
        "clouds": {
            "pipeline": "shop",
            "heroku_url": project.heroku.url(),
            "heroku_token": project.heroku.api_key(),
            "site": "shop-site",
            "netlify_url": project.netlify.url(),
            "netlify_token": project.netlify.token(),
        },
    });
    let folder = project.folder.path().join("target/stagelink");
    fs::create_dir_all(folder).expect("a folder");
    project.write("target/stagelink/dev-8888.json", &site.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn local_clouds_are_promoted_and_taken_back_without_a_question() {
    let mut shop = Shop::new().await;
    let first = Shop::artifact_of(&shop.published());
    let artifact = shop.deploy_next("two", None).await;
    name_local_clouds(&shop);
    // Nothing else names the clouds.
    for name in ["NETLIFY_AUTH_TOKEN", "NETLIFY_API_URL", "NETLIFY_SITE_ID"] {
        shop.project.variables.remove(name);
    }
    let run = shop.run(&["promote", "--plan", "--local", "--json"]).await;
    run.succeeds();
    assert_eq!(run.json()["artifact"], json!(artifact));
    shop.run(&["promote", "--local"]).await.succeeds();
    assert_eq!(Shop::artifact_of(&shop.published()), artifact);
    assert_eq!(shop.page().await, "<h1>two</h1>\n");
    shop.run(&["rollback", "--local"]).await.succeeds();
    assert_eq!(Shop::artifact_of(&shop.published()), first);
    let run = shop.run(&["history", "production", "--local"]).await;
    run.succeeds();
    assert!(run.output.contains("rollback"), "{}", run.output);
}
