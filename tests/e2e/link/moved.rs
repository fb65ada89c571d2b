//! Stages whose database is at Neon or Render, and variables that are too large for a function.

use stagelink_local::netlify_api::{Context, EnvVar};

use super::{Site, staging};

fn set(site: &Site, variable: EnvVar) {
    site.netlify
        .set_variable("shop-site", variable)
        .expect("the site");
}

#[tokio::test]
async fn stage_at_neon_or_render_is_left_as_it_is() {
    for provider in ["neon", "render"] {
        let site = Site::new().await;
        let moved = EnvVar::new("STAGELINK_PROVIDER").value(staging(), provider);
        set(&site, moved);
        let before = site.functions_in(&staging());
        let linked = site.link_successfully(&["--yes"]).await;
        let note = format!("the database of stage staging is at {}", {
            let (first, rest) = provider.split_at(1);
            first.to_uppercase() + rest
        });
        assert!(linked.output.contains(&note), "{}", linked.output);
        // Not even by the stage of the other branches, on which this one would fall back.
        assert_eq!(site.functions_in(&staging()), before);
        let production = site.functions_in(&Context::Production);
        assert_eq!(production["STAGELINK_STAGE"], "production");

        let reasons = [note.as_str(), "would put it back to Heroku", "--stage"];
        site.assert_refused_again(&["--yes", "--stage", "staging"], &reasons)
            .await;
        assert_eq!(site.functions_in(&staging()), before);
    }
}

#[tokio::test]
async fn moved_production_without_a_database_on_heroku_does_not_stop_the_others() {
    let site = Site::new().await;
    set(
        &site,
        EnvVar::new("STAGELINK_NEON_BRANCH").value(Context::Production, "br-1"),
    );
    site.heroku.uncouple("shop-production").expect("a coupling");
    let linked = site.link_successfully(&["--yes"]).await;
    for words in ["stage production is at Neon", "production was not compared"] {
        assert!(linked.output.contains(words), "{words}: {}", linked.output);
    }
    assert_eq!(site.functions_in(&staging())["STAGELINK_STAGE"], "staging");
}

#[tokio::test]
async fn moved_site_has_nothing_to_link() {
    let site = Site::new().await;
    set(
        &site,
        EnvVar::new("STAGELINK_PROVIDER").value(Context::All, "render"),
    );
    let advice = "remove STAGELINK_PROVIDER with `netlify env:unset STAGELINK_PROVIDER` first";
    site.assert_refused(&["--yes"], &["is at Render", "back to Heroku", advice])
        .await;
}

#[tokio::test]
async fn site_that_its_account_moves_is_told_where_the_variable_is() {
    let site = Site::new().await;
    let moved = EnvVar::new("STAGELINK_PROVIDER").value(Context::All, "render");
    site.netlify
        .set_account_variable(moved)
        .expect("the account");
    let reasons = [
        "is at Render (STAGELINK_PROVIDER of the account for the context all)",
        "remove STAGELINK_PROVIDER from the account's environment variables",
    ];
    site.assert_refused(&["--yes"], &reasons).await;
    let linked = site.link(&["--yes"]).await;
    assert!(!linked.errors.contains("env:unset"), "{}", linked.errors);
}

#[tokio::test]
async fn variables_beyond_the_limit_of_a_function_are_warned_of_before_they_are_set() {
    let site = Site::new().await;
    let fits = site.link_successfully(&["--dry-run"]).await;
    assert!(
        !fits.output.contains("AWS Lambda allows"),
        "{}",
        fits.output
    );
    let large = EnvVar::new("LARGE").value(Context::Production, "x".repeat(4000));
    set(&site, large);
    let warned = site.link_successfully(&["--dry-run"]).await;
    let about: Vec<_> = warned
        .output
        .lines()
        .filter(|line| line.contains("AWS Lambda allows 4096"))
        .collect();
    let [line] = about.as_slice() else {
        panic!("{}", warned.output);
    };
    for words in [
        "context production would get",
        "LARGE 4005",
        "STAGELINK_CREDENTIALS",
    ] {
        assert!(line.contains(words), "{line}");
    }
}
