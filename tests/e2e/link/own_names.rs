//! A site whose stages have names of their own, in `stagelink.toml`.

use std::fs;

use stagelink_local::heroku::Stage;
use stagelink_local::netlify_api::{Context, EnvVar};
use stagelink_local_postgres::Database;
use stagelink_tests::{database, stagelink_command};
use tokio::process::Command;

use super::{Site, mark, staging};

/// The two stages of kind staging, each with its app.
const TWO: &str = "[stages.staging]\napp = \"shop-staging\"\n\
                   [stages.qa]\nkind = \"staging\"\napp = \"shop-qa\"\n";

fn qa() -> Context {
    Context::Branch("qa".to_owned())
}

impl Site {
    /// Creates a site whose pipeline has the app `shop-qa` beside `shop-staging`, with a database of
    /// its own.
    async fn with_qa() -> (Self, Database) {
        let site = Self::new().await;
        let database = database().await;
        site.add_app("shop-qa", Stage::Staging, &database.url());
        (site, database)
    }

    fn add_app(&self, app: &str, stage: Stage, url: &str) {
        self.heroku.create_app(app).expect("an app");
        let coupled = self.heroku.couple("shop", app, stage);
        coupled.expect("a coupling");
        let set = self.heroku.set_config_var(app, "DATABASE_URL", url);
        set.expect("a config var");
    }

    /// Returns the output of `stagelink credentials`, which is a secret.
    async fn credentials(&self, stage: &str) -> String {
        let output = Command::new(stagelink_command().await)
            .args(["credentials", "--stage", stage])
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.variables)
            .output()
            .await
            .expect("the command runs");
        String::from_utf8(output.stdout).expect("text")
    }

    fn write_migration(&self) {
        let folder = self.folder.path().join("migrations");
        fs::create_dir(&folder).expect("a folder");
        let file = folder.join("V1__notes.sql");
        fs::write(file, "CREATE TABLE notes (id int);").expect("a file");
    }

    fn write_stages(&self, stages: &str) {
        let text =
            format!("[netlify]\nsite = \"shop-site\"\n[heroku]\npipeline = \"shop\"\n{stages}");
        fs::write(self.folder.path().join("stagelink.toml"), text).expect("a file");
    }
}

#[tokio::test]
async fn each_stage_of_a_kind_has_its_branch_and_its_database() {
    let (site, qa_database) = Site::with_qa().await;
    site.write_stages(&format!("{TWO}[stages.production]\n"));
    for stage in ["staging", "qa", "production"] {
        let set = site.stagelink(&["mark", "set", "--stage", stage]).await;
        assert!(set.succeeded, "{}", set.errors);
    }
    let linked = site.link_successfully(&["--yes"]).await;
    assert!(linked.output.contains("branch:qa"), "{}", linked.output);
    for (context, stage, database, mark) in [
        (qa(), "staging/qa", &qa_database, "staging/qa"),
        (staging(), "staging", &site.staging, "staging"),
        (
            Context::Production,
            "production",
            &site.production,
            "production",
        ),
    ] {
        let has = site.functions_in(&context);
        assert_eq!(has["STAGELINK_STAGE"], stage);
        assert_eq!(has["STAGELINK_REQUIRE_MARK"], "true");
        let own = format!("{stage}={}", database.url());
        assert!(has["STAGELINK_CREDENTIALS"].starts_with(&own), "{context}");
        // A function with these variables is served, and its database is its own.
        let info = stagelink::Database::new(stagelink::Settings::from_vars(&has));
        let info = info.inspect().await.expect("the database");
        assert_eq!(
            (info.mark.to_string(), &*info.database),
            (mark.to_owned(), database.name())
        );
    }
    site.link_successfully(&["--yes"]).await;
}

#[tokio::test]
async fn commands_take_the_stages_name_or_its_written_form() {
    let (site, qa_database) = Site::with_qa().await;
    site.write_stages(TWO);
    for name in ["qa", "staging/qa"] {
        let shown = site
            .stagelink(&["mark", "show", "--json", "--stage", name])
            .await;
        assert!(shown.succeeded, "{}", shown.errors);
        assert_eq!(shown.json()["database"], qa_database.name());
        assert_eq!(shown.json()["stage"], "staging/qa");
    }
    let printed = site.credentials("qa").await;
    let own = format!("staging/qa={}", qa_database.url());
    assert!(
        printed.starts_with(&own),
        "the credentials are another stage's"
    );

    site.write_migration();
    let migrated = site.stagelink(&["migrate", "qa", "--yes", "--json"]).await;
    assert!(migrated.succeeded, "{}", migrated.errors);
    assert_eq!(migrated.json()["database"], qa_database.name());

    // Another name is no stage, and no kind is guessed for it.
    let unknown = site.stagelink(&["mark", "show", "--stage", "q"]).await;
    assert!(
        unknown
            .errors
            .contains("has no stage \"q\": it has staging and qa"),
        "{}",
        unknown.errors
    );
}

#[tokio::test]
async fn database_of_another_stage_of_the_kind_is_refused() {
    let (site, qa_database) = Site::with_qa().await;
    site.write_stages(&format!("{TWO}[stages.production]\n"));
    site.write_migration();
    // By the mark.
    mark(&qa_database, "staging").await;
    let reasons = [
        "the database of stage staging/qa",
        "is marked as stage staging's",
    ];
    site.assert_refused(&["--yes"], &reasons).await;
    for command in [
        &["mark", "set", "--stage", "qa"][..],
        &["credentials", "--stage", "qa"],
        &["migrate", "qa", "--yes"],
    ] {
        let refused = site.stagelink(command).await;
        assert!(!refused.succeeded, "{}", refused.output);
        assert!(
            refused.errors.contains("marked as stage staging's"),
            "{}",
            refused.errors
        );
    }
    // By comparison, whether the other one is linked or not.
    mark(&qa_database, "staging/qa").await;
    let copied = site
        .heroku
        .set_config_var("shop-qa", "DATABASE_URL", &site.staging.url());
    copied.expect("a config var");
    for words in [&["--yes"][..], &["--yes", "--stage", "qa"]] {
        site.assert_refused(words, &["have one database", "staging/qa"])
            .await;
    }
}

#[tokio::test]
async fn value_of_a_stage_in_the_context_of_another_of_its_kind_is_a_leak() {
    let (site, qa_database) = Site::with_qa().await;
    site.write_stages(&format!("{TWO}[stages.production]\n"));
    let url = site.staging.url();
    site.set_variable(EnvVar::new("OTHER_URL").value(qa(), &url));
    let reasons = [
        "OTHER_URL of the site for the context branch:qa",
        "of stage staging",
    ];
    site.assert_refused(&["--yes"], &reasons).await;
    // Its own stays, also where its stage is not linked.
    let own = EnvVar::new("OTHER_URL").value(qa(), qa_database.url());
    site.set_variable(own);
    site.link_successfully(&["--yes", "--stage", "staging"])
        .await;
    site.link_successfully(&["--yes"]).await;
    assert_eq!(site.functions_in(&qa())["OTHER_URL"], qa_database.url());
}

#[tokio::test]
async fn stage_whose_app_is_not_known_is_refused_before_any_request() {
    let (mut site, _) = Site::with_qa().await;
    site.variables.remove("STAGELINK_HEROKU_PIPELINE");
    site.write_stages("[stages.staging]\n[stages.qa]\nkind = \"staging\"\napp = \"shop-qa\"\n");
    let reasons = ["does not name the app of stage staging", "[stages.staging]"];
    site.assert_refused(&["--yes"], &reasons).await;
    let shown = site
        .stagelink(&["mark", "show", "--stage", "staging"])
        .await;
    assert!(shown.errors.contains(reasons[0]), "{}", shown.errors);
    assert!(site.heroku.requests().is_empty());
    site.link_successfully(&["--yes", "--app", "staging=shop-staging"])
        .await;
}

#[tokio::test]
async fn production_by_another_name_has_the_guards_of_production() {
    let mut site = Site::new().await;
    let live = "[stages.live]\nkind = \"production\"\napp = \"shop-production\"\n";
    site.write_stages(&format!("[stages.staging]\n{live}"));
    // No token outside of production reads its config vars.
    site.token("WIDE", &["shop-staging", "shop-production"]);
    let wide = ["--yes", "--token-for", "staging=WIDE"];
    site.assert_refused(&wide, &["reads production's config vars"])
        .await;
    // Its URL for all contexts is removed for all but its own.
    let url = site.production.url();
    site.set_variable(EnvVar::new("DATABASE_URL").value(Context::All, &url));
    let reasons = [
        "DATABASE_URL of the site for the context all",
        "of stage production/live",
    ];
    site.assert_refused(&["--yes"], &reasons).await;
    site.link_successfully(&["--yes", "--remove-leaks"]).await;
    let has = site.functions_in(&Context::Production);
    assert_eq!(has["STAGELINK_STAGE"], "production/live");
    assert_eq!(has["DATABASE_URL"], url);
    assert!(!site.functions_in(&staging()).contains_key("DATABASE_URL"));
    assert!(
        !site
            .functions_in(&Context::Dev)
            .contains_key("DATABASE_URL")
    );
    // A database of its own is compared also where it is not linked.
    let copied = site
        .heroku
        .set_config_var("shop-staging", "DATABASE_URL", &url);
    copied.expect("a config var");
    let alone = ["--yes", "--stage", "staging"];
    site.assert_refused_again(&alone, &["have one database", "production/live"])
        .await;
    // A site has one production context.
    site.write_stages(&format!("{live}[stages.production]\napp = \"other\"\n"));
    let reasons = ["production and live have one deploy context, production"];
    site.assert_refused_again(&["--yes"], &reasons).await;
}

#[tokio::test]
async fn script_for_the_netlify_command_line_names_the_secrets_of_each_stage() {
    let (site, _) = Site::with_qa().await;
    site.write_stages(
        "[stages.staging]\napp = \"shop-staging\"\n\
         [stages.qa-2]\nkind = \"staging\"\napp = \"shop-qa\"\n",
    );
    let printed = site.link_successfully(&["--print"]).await;
    for words in [
        "STAGELINK_CREDENTIALS_QA_2",
        "stagelink credentials --stage staging/qa-2",
        "branch:qa-2",
        "STAGELINK_CREDENTIALS_STAGING",
    ] {
        assert!(
            printed.output.contains(words),
            "{words}: {}",
            printed.output
        );
    }
}
