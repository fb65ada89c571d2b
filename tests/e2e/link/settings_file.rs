//! `stagelink.toml`, and the logins of the two command lines, in place of variables.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use stagelink_local::netlify_api::{Context, EnvVar};

use super::{LinkOutput, Site, staging};

impl Site {
    fn settings_file(&self) -> Option<String> {
        fs::read_to_string(self.folder.path().join("stagelink.toml")).ok()
    }

    fn write_settings_file(&self, text: &str) {
        fs::write(self.folder.path().join("stagelink.toml"), text).expect("a file");
    }

    /// Makes the command depend on the file for the site and the pipeline.
    fn forget_names(&mut self) {
        self.variables.remove("STAGELINK_HEROKU_PIPELINE");
        self.variables.remove("NETLIFY_SITE_ID");
    }

    async fn show_mark(&self, stage: &str) -> LinkOutput {
        self.stagelink(&["mark", "show", "--json", "--stage", stage])
            .await
    }

    /// Logs in at a Heroku command line that prints this token.
    fn log_in_at_heroku(&mut self, token: &str) {
        let program = self.folder.path().join("heroku");
        let script = format!(
            "#!/bin/sh\n[ \"$*\" = auth:token ] || exit 2\necho 'Warning: it expires' >&2\n\
             echo {token}\n"
        );
        fs::write(&program, script).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("permissions");
        let folder = self.folder.path().to_str().expect("a path").to_owned();
        self.set("PATH", &folder);
        let host = self.heroku.url().to_owned();
        self.set("HEROKU_HOST", &host);
    }

    fn log_in_at_netlify(&self, token: &str) {
        let folder = match cfg!(target_os = "macos") {
            true => "Library/Preferences/netlify",
            false => ".config/netlify",
        };
        let folder = self.folder.path().join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        let text = format!(r#"{{"userId":"u","users":{{"u":{{"auth":{{"token":"{token}"}}}}}}}}"#);
        fs::write(folder.join("config.json"), text).expect("a file");
    }
}

#[tokio::test]
async fn first_link_writes_the_file_and_other_commands_need_no_names_then() {
    let mut site = Site::new().await;
    let dry = site.link_successfully(&["--dry-run"]).await;
    assert!(
        dry.output.contains("stagelink.toml will be written"),
        "{}",
        dry.output
    );
    assert_eq!(site.settings_file(), None);
    site.link_successfully(&["--yes", "--stage", "staging"])
        .await;
    assert_eq!(site.settings_file(), None, "a file without production");

    site.link_successfully(&["--yes", "--staging-branch", "next"])
        .await;
    let written = site.settings_file().expect("the file");
    for line in [
        "site = \"shop-site\"",
        "pipeline = \"shop\"",
        "branch = \"next\"",
    ] {
        assert!(written.contains(line), "{written}");
    }

    site.forget_names();
    let again = site.link_successfully(&["--yes"]).await;
    assert!(again.output.contains("branch:next"), "{}", again.output);
    assert!(
        !again.output.contains("will be written"),
        "{}",
        again.output
    );
    let shown = site.show_mark("staging").await;
    assert!(shown.succeeded, "{}", shown.errors);
    assert_eq!(shown.json()["database"], site.staging.name());
}

#[tokio::test]
async fn stages_of_the_file_are_linked_and_no_others() {
    let mut site = Site::new().await;
    site.forget_names();
    site.write_settings_file(
        "netlify.site = \"shop-site\"\nheroku.pipeline = \"shop\"\n[stages.production]\n\
         [stages.staging]\nrender = { postgres = \"dpg-1\" }\n",
    );
    site.link_successfully(&["--yes"]).await;
    // Not even the stage of the other branches, on which the branch would fall back.
    assert!(site.functions_in(&staging()).is_empty());
    assert_eq!(
        site.functions_in(&Context::Production)["STAGELINK_STAGE"],
        "production"
    );
    site.assert_refused_again(
        &["--yes", "--stage", "staging"],
        &[
            "stage staging is at Render (stagelink.toml)",
            "remove its source from the table [stages.staging]",
        ],
    )
    .await;
    let shown = site.show_mark("development").await;
    assert!(!shown.succeeded);
    assert!(
        shown.errors.contains("add a table [stages.development]"),
        "{}",
        shown.errors
    );
}

#[tokio::test]
async fn production_elsewhere_by_the_file_is_not_compared_with_its_former_app() {
    let mut site = Site::new().await;
    site.forget_names();
    site.write_settings_file(
        "netlify.site = \"shop-site\"\nheroku.pipeline = \"shop\"\n[stages.staging]\n\
         [stages.production]\nurl = { variable = \"PRODUCTION_URL\" }\n",
    );
    let linked = site.link_successfully(&["--yes"]).await;
    for words in [
        "production is at a fixed URL (stagelink.toml)",
        "production was not compared",
    ] {
        assert!(linked.output.contains(words), "{words}: {}", linked.output);
    }
    assert_eq!(site.functions_in(&staging())["STAGELINK_STAGE"], "staging");
}

#[tokio::test]
async fn no_file_is_written_where_a_stage_was_moved_away() {
    let site = Site::new().await;
    let moved = EnvVar::new("STAGELINK_PROVIDER").value(staging(), "neon");
    site.netlify
        .set_variable("shop-site", moved)
        .expect("the site");
    site.link_successfully(&["--yes"]).await;
    assert_eq!(site.settings_file(), None);
}

#[tokio::test]
async fn site_is_added_to_the_file_of_a_new_project() {
    let mut site = Site::new().await;
    site.forget_names();
    let text = "# ours\nheroku.pipeline = \"shop\"\n[stages.production]\n[stages.staging]\n";
    site.write_settings_file(text);
    site.link_successfully(&["--yes", "--site", "shop-site"])
        .await;
    let written = site.settings_file().expect("the file");
    assert_eq!(
        written,
        format!("{text}\n[netlify]\nsite = \"shop-site\"\n")
    );
    site.link_successfully(&["--yes"]).await;
    assert_eq!(site.settings_file(), Some(written));
}

#[tokio::test]
async fn file_that_cannot_be_used_stops_each_command_before_any_request() {
    let mut site = Site::new().await;
    site.forget_names();
    site.record.forbid("c4n4ry".to_owned());
    site.write_settings_file("heroku.pipeline = \"shop\"\nheroku.token = \"c4n4ry\"");
    site.assert_refused(
        &["--yes"],
        &["stagelink.toml", "heroku.token looks like a secret"],
    )
    .await;
    let shown = site.show_mark("staging").await;
    assert!(
        shown.errors.contains("heroku.token looks like a secret"),
        "{}",
        shown.errors
    );
}

#[tokio::test]
async fn logins_of_the_command_lines_stand_in_for_tokens() {
    let mut site = Site::new().await;
    let (heroku, netlify) = (
        site.heroku.api_key().to_owned(),
        site.netlify.token().to_owned(),
    );
    site.variables.remove("HEROKU_API_KEY");
    site.assert_refused(&["--yes"], &["HEROKU_API_KEY is not set", "heroku login"])
        .await;
    site.log_in_at_heroku(&heroku);
    site.variables.remove("NETLIFY_AUTH_TOKEN");
    site.assert_refused(
        &["--yes"],
        &["NETLIFY_AUTH_TOKEN is not set", "netlify login"],
    )
    .await;
    site.log_in_at_netlify(&netlify);
    site.link_successfully(&["--yes"]).await;
    let shown = site.show_mark("production").await;
    assert_eq!(shown.json()["database"], site.production.name());

    // A token of the login goes to no other API than that of the login.
    site.set("HEROKU_HOST", "http://127.0.0.1:9");
    site.assert_refused_again(&["--yes"], &["has no login for this API"])
        .await;
}

#[tokio::test]
async fn missing_token_of_a_commands_stage_names_the_login_the_stage_and_the_pipeline() {
    let mut site = Site::new().await;
    site.variables.remove("HEROKU_API_KEY");
    fs::create_dir(site.folder.path().join("migrations")).expect("a folder");
    for words in [
        &["mark", "show", "--stage", "staging"][..],
        &["credentials", "--stage", "staging"],
        &["migrate", "staging", "--plan"],
    ] {
        let refused = site.stagelink(words).await;
        assert!(!refused.succeeded);
        for part in [
            "could not look up the database of stage staging in the Heroku pipeline shop",
            "HEROKU_API_KEY is not set",
            "`heroku login`",
        ] {
            assert!(
                refused.errors.contains(part),
                "{words:?}: {}",
                refused.errors
            );
        }
    }
}

#[tokio::test]
async fn url_of_another_variable_is_named_by_that_variable() {
    let mut site = Site::new().await;
    site.forget_names();
    site.write_settings_file("stages.staging.url = { variable = \"STAGING_URL\" }");
    for (url, expected) in [
        (
            "mysql://c4n4ry",
            "STAGING_URL in the environment is not a usable database URL",
        ),
        ("", "STAGING_URL is not set"),
    ] {
        site.set("STAGING_URL", url);
        let shown = site.show_mark("staging").await;
        assert!(shown.errors.contains(expected), "{}", shown.errors);
        assert!(!shown.errors.contains("DATABASE_URL"), "{}", shown.errors);
    }
    let url = site.staging.url();
    site.set("STAGING_URL", &url);
    let shown = site.show_mark("staging").await;
    assert_eq!(
        shown.json()["credentials"],
        "STAGING_URL in the environment",
        "{}",
        shown.errors
    );
}

#[tokio::test]
async fn all_settings_that_link_lacks_are_named_at_once() {
    let mut site = Site::new().await;
    site.forget_names();
    site.variables.remove("HEROKU_API_KEY");
    site.variables.remove("NETLIFY_AUTH_TOKEN");
    site.assert_refused(
        &["--yes", "--token-for", "staging=STAGING_TOKEN"],
        &[
            "error: 5 settings are missing",
            "\n  no site is named",
            "--site, with site in a table [netlify] of stagelink.toml, or",
            "\n  STAGELINK_HEROKU_PIPELINE is not set",
            "\n  HEROKU_API_KEY is not set",
            "\n  NETLIFY_AUTH_TOKEN is not set",
            "\n  STAGING_TOKEN is not set",
        ],
    )
    .await;
    // The options come first: they are judged without any of these.
    for (words, reason) in [
        (&["--stage", "prod"][..], "unknown stage \"prod\""),
        (
            &["--stage", "development"],
            "stage development has no deploy context",
        ),
        (
            &["--staging-branch", "production"],
            "no branch that a deploy context can be of",
        ),
        (&["--app", "prod=a"], "--app does not begin with a stage"),
        (
            &["--stage", "staging", "--app", "review=a"],
            "--app is for stage review, which is not linked",
        ),
        (
            &["--stage", "staging", "--token-for", "production=A"],
            "--token-for is for stage production, which is not linked",
        ),
        (&["--token-for", "staging=a-token"], "--token-for staging=…"),
    ] {
        let refused = site.link(words).await;
        assert!(refused.errors.contains(reason), "{}", refused.errors);
        assert!(!refused.errors.contains("missing"), "{}", refused.errors);
    }
}

#[tokio::test]
async fn refused_token_of_a_login_is_named_as_such() {
    let mut site = Site::new().await;
    site.variables.remove("HEROKU_API_KEY");
    site.log_in_at_heroku("wrong-token");
    site.assert_refused(
        &["--yes"],
        &[
            "the token for Heroku is that of the Heroku command line's login",
            "Heroku refused the token",
        ],
    )
    .await;
}
