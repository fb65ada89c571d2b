//! Texts from outside that a terminal would obey, or that look like the command's own lines: names of people,
//! titles, branches, commits, Netlify's words, and what a database holds.

use stagelink_local::api::{Failure, Fault};
use stagelink_local::netlify_api::{Context, GitBuild};

use super::{SITE, Shop};
use crate::status::Run;

const ODD: &str = "x\u{1b}]0;title\u{7}\u{1b}[2J\r\nFORGED line\u{202e}\u{9b}31m | x";

/// Makes sure that no line is one of the text's. That none is obeyed each [`Run`] does.
fn ensure_none_is_forged(run: &Run, what: &str) {
    let lines = run.output.lines().chain(run.errors.lines());
    for line in lines {
        assert!(
            !line.starts_with("FORGED"),
            "{what}: {}{}",
            run.output,
            run.errors
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_from_outside_is_obeyed_or_taken_for_a_line_of_the_command() {
    let mut shop = Shop::new().await;
    shop.project.set("USER", ODD);
    shop.deploy_next("two", None).await;
    shop.promote().await.succeeds();
    for words in [&["history"][..], &["history", "--json"]] {
        let run = shop.run(words).await;
        run.succeeds();
        ensure_none_is_forged(&run, &format!("{words:?}"));
    }
    // What the database holds may be another program's.
    let held = "UPDATE stagelink_deploys SET command = E'promote\\nFORGED', \
                commit = E'a\\nFORGED\\x1b[2J', deploy = E'd\\nFORGED' WHERE id = 1";
    shop.production_sql(held).await;
    let run = shop.run(&["history", "production"]).await;
    ensure_none_is_forged(&run, "history");
    // A deploy by Git, of a branch and a commit of that name.
    let push = GitBuild {
        context: Context::Production,
        branch: ODD.to_owned(),
        commit: ODD.to_owned(),
        title: ODD.to_owned(),
    };
    shop.project.netlify.build(SITE, push).expect("a deploy");
    let run = shop.run(&["status", "production"]).await;
    ensure_none_is_forged(&run, "status");
    // A commit that is none is never given to git as an option or a revision.
    let run = shop.run(&["promote", "--plan"]).await;
    ensure_none_is_forged(&run, "promote");
    // Netlify's own words.
    let refused = Failure::Words {
        status: 422,
        words: ODD,
    };
    shop.project
        .netlify
        .control()
        .inject(Fault::new(refused).on("GET", "/api/v1/sites/**"));
    for command in ["promote", "rollback", "deploy"] {
        let words = match command {
            "deploy" => vec!["deploy", "production", "--no-build", "--yes"],
            _ => vec![command, "--yes"],
        };
        let run = shop.run(&words).await;
        assert_eq!(run.code, Some(1), "{command}: {}", run.output);
        ensure_none_is_forged(&run, command);
    }
}
