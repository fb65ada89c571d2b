//! Promotions whose programs Netlify asks for, since it has them no longer.

use std::fs;

use stagelink_local::netlify_api::Context;
use stagelink_tests::{answering, write_answering_functions};

use super::{NETLIFY_TOML, Shop};

/// Removes what this machine has built, as on another machine.
fn forget_programs(shop: &Shop) {
    let programs = shop.project.folder.path().join("dist/functions");
    fs::remove_dir_all(&programs).expect("the programs");
    fs::create_dir_all(programs).expect("a folder");
}

async fn ensure_unchanged(shop: &Shop, before: &str) {
    assert_eq!((&*shop.published().id, shop.is_locked()), (before, false));
    assert_eq!(shop.page().await, "<h1>one</h1>\n");
    let trees = shop.git(&["worktree", "list", "--porcelain"]);
    assert_eq!(trees.matches("worktree ").count(), 1, "{trees}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_a_build_of_the_commit_does_not_give_again_are_never_promoted() {
    let shop = Shop::new().await;
    let before = shop.published().id;
    let artifact = shop.deploy_next("two", None).await;
    let commit = shop.git(&["rev-parse", "HEAD"]);
    shop.project.netlify.set_forgets_functions(true);
    let plan = shop.project.folder.path().join("dist/functions");
    let built: Vec<_> = ["guestbook", "health"]
        .map(|name| (name, fs::read(plan.join(name)).expect("a program")))
        .into();

    // The commit's source is another program than the one that was deployed.
    forget_programs(&shop);
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    for part in [
        "Netlify asks for the programs of guestbook, health",
        &format!(
            "built anew from commit {commit}, the programs of guestbook, health are other ones"
        ),
    ] {
        assert!(run.errors.contains(part), "{part}: {}", run.errors);
    }
    ensure_unchanged(&shop, &before).await;

    // On the machine that built them.
    for (name, program) in built {
        fs::write(plan.join(name), program).expect("a program");
    }
    let run = shop.run(&["promote", "--yes", "--json"]).await;
    run.succeeds();
    assert_eq!(Shop::artifact_of(&shop.published()), artifact);
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_no_commit_are_promoted_where_they_were_built_alone() {
    let shop = Shop::new().await;
    let before = shop.published().id;
    // A change that is in no commit.
    shop.project.write("public/index.html", "<h1>dirty</h1>\n");
    let run = shop
        .run(&["deploy", "staging", "--no-build", "--yes"])
        .await;
    run.succeeds();
    shop.project.netlify.set_forgets_functions(true);
    forget_programs(&shop);
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(
        run.errors.contains("changes that are in no commit"),
        "{}",
        run.errors
    );
    ensure_unchanged(&shop, &before).await;
}

/// Gives the project a function whose source is built, in place of those that are only deployed. It runs on
/// a schedule, so its archive's digest proves it, and no self-check.
async fn deploy_from_source(shop: &Shop) -> String {
    let root = shop.project.folder.path();
    fs::remove_dir_all(root.join("functions")).expect("the functions");
    write_answering_functions(root, &["hello"]);
    let schedule = format!("{NETLIFY_TOML}\n[functions.hello]\nschedule = \"@daily\"\n");
    shop.project.write("netlify.toml", &schedule);
    let settings = fs::read_to_string(root.join("stagelink.toml")).expect("settings");
    let of_page = settings.replace("/api/guestbook", "/");
    assert_ne!(of_page, settings);
    shop.project.write("stagelink.toml", &of_page);
    let ignored = "dist\ntarget\n.netlify\n.config\n.cache\n.cargo\n";
    shop.project.write(".gitignore", ignored);
    // It writes Cargo.lock.
    forget_programs(shop);
    shop.run(&["build"]).await.succeeds();
    shop.commit("from source");
    let run = shop.run(&["deploy", "staging", "--yes", "--json"]).await;
    run.succeeds();
    let json = run.json();
    json["artifact"].as_str().expect("a digest").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_no_machine_has_are_built_anew_from_the_commit() {
    let shop = Shop::new().await;
    let artifact = deploy_from_source(&shop).await;
    shop.project.netlify.set_forgets_functions(true);
    forget_programs(&shop);
    // What is not committed, and the commits since, are no part of the artifact.
    let main = "functions/hello/src/main.rs";
    shop.project.write(main, &answering("later"));
    shop.commit("later");
    shop.project.write(main, "not a program");

    let run = shop.promote().await;
    run.succeeds();
    let live = shop.published();
    assert_eq!(Shop::artifact_of(&live), artifact);
    let staging = Context::Branch("staging".to_owned());
    let mut deploys = shop.project.netlify.deploys().into_iter();
    let staging = deploys.rfind(|deploy| deploy.context == staging);
    assert_eq!(live.functions, staging.expect("a deploy").functions);
    let trees = shop.git(&["worktree", "list", "--porcelain"]);
    assert_eq!(trees.matches("worktree ").count(), 1, "{trees}");

    // A commit whose build gives another program than the one that was deployed.
    shop.project.write(main, &answering("other"));
    shop.run(&["build"]).await.succeeds();
    shop.project.write(main, &answering("changed since"));
    let commit = shop.commit("changed since");
    shop.deploy_to("staging").await;
    forget_programs(&shop);
    let page = shop.page().await;
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    for part in [
        &*format!("built anew from commit {commit}, the programs of hello are other ones"),
        "promote from the machine that built them, or deploy to the source stage again",
    ] {
        assert!(run.errors.contains(part), "{part}: {}", run.errors);
    }
    assert_eq!((shop.published().id, shop.is_locked()), (live.id, false));
    assert_eq!(
        (shop.page().await, shop.production_deploys().len()),
        (page, 2)
    );
    let trees = shop.git(&["worktree", "list", "--porcelain"]);
    assert_eq!(trees.matches("worktree ").count(), 1, "{trees}");

    // What the message says to do.
    shop.run(&["deploy", "staging", "--yes"]).await.succeeds();
    shop.promote().await.succeeds();
}
