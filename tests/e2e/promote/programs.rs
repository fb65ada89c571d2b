//! Promotions whose programs Netlify asks for, since it has them no longer.

use std::fs;

use super::Shop;

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
