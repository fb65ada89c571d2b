//! Names from outside that hold line breaks and the sequences that a terminal obeys.
//!
//! Each run of the command in these tests checks that its output has no control character but line
//! breaks.

use stagelink_local::netlify_api::{Context, EnvVar};

use super::{LinkOutput, Site};

/// A line break, a line that looks like the command's own, and a sequence that clears the screen.
const ODD: &str = "a\nerror: forged\r\u{1b}[2J\u{9b}31m";

/// That name in a URL.
const ENCODED: &str = "a%0Aerror%3A%20forged%0D%1B%5B2J%C2%9B31m";

/// The text by which the output shows such a name.
const SHOWN: &str = r"a\nerror: forged\r\u{1b}[2J\u{9b}31m";

fn assert_no_line_is_forged(linked: &LinkOutput) {
    for text in [&linked.output, &linked.errors] {
        let forged = text.lines().find(|line| line.starts_with("error: forged"));
        assert_eq!(forged, None, "{text}");
    }
}

#[tokio::test]
async fn error_about_an_odd_name_is_one_line() {
    let site = Site::new().await;
    let url = site.staging.url();
    let (server, name) = url.rsplit_once('/').expect("a database");
    let (_, address) = server.rsplit_once('@').expect("a role");
    for (url, names_it) in [
        (format!("{server}/{ENCODED}"), true),
        (format!("postgres://{ENCODED}:p@{address}/{name}"), true),
        (format!("postgres://u:p@{ENCODED}:1/d"), false),
        (format!("{url}?{ENCODED}=x"), false),
    ] {
        let set = site
            .heroku
            .set_config_var("shop-staging", "DATABASE_URL", &url);
        set.expect("a config var");
        for words in [&["--yes"][..], &["--yes", "-v"]] {
            let linked = site.link(words).await;
            assert!(!linked.succeeded);
            assert_no_line_is_forged(&linked);
            let is_named = linked.errors.contains(SHOWN);
            assert!(is_named || !names_it, "{}", linked.errors);
        }
        // Here the error is a note of the plan.
        let words = ["--dry-run", "--stage=production"];
        let linked = site.link_successfully(&words).await;
        let noted = "stage staging was not compared";
        assert!(linked.output.contains(noted), "{}", linked.output);
        assert_no_line_is_forged(&linked);
    }
}

#[tokio::test]
async fn plan_with_odd_names_forges_no_line() {
    let site = Site::new().await;
    let url = site.production.url();
    let odd_branch = Context::Branch(ODD.to_owned());
    site.set_variable(EnvVar::new("ODD_BRANCH").value(odd_branch, &url));
    site.set_variable(
        EnvVar::new("SECRET")
            .value(Context::Branch(ODD.to_owned()), "x")
            .secret(),
    );
    let elsewhere = format!("postgres://u:p@127.0.0.1:1/{ENCODED}");
    site.set_variable(EnvVar::new("ELSEWHERE").value(Context::All, elsewhere));
    let linked = site.link(&["--yes"]).await;
    assert!(!linked.succeeded);
    assert!(linked.errors.contains(SHOWN), "{}", linked.errors);
    assert!(linked.output.contains(SHOWN), "{}", linked.output);
    assert_no_line_is_forged(&linked);
    let json = site.link_successfully(&["--dry-run", "--json"]).await;
    assert_no_line_is_forged(&json);
    let findings = json.json()["findings"].clone();
    let mut names = findings.as_array().expect("findings").iter();
    let branch = format!("branch:{ODD}");
    assert!(
        names.any(|finding| finding["context"] == branch),
        "{findings}"
    );
    let printed = site.link_successfully(&["--print"]).await;
    assert_no_line_is_forged(&printed);
    let removed = site.link_successfully(&["--yes", "--remove-leaks"]).await;
    assert!(removed.output.contains(SHOWN), "{}", removed.output);
    assert_no_line_is_forged(&removed);
}
