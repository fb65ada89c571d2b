//! Values of the site that lead functions of one stage to another stage's database.

use std::fs::File;
use std::io::Write as _;

use nix::pty::openpty;
use serde_json::{Value, json};
use stagelink_local::netlify_api::{Context, EnvScope, EnvVar};
use stagelink_tests::{as_superuser, proxy, stagelink_command, through};
use tokio::process::Command;

use super::{LinkOutput, Site, contexts, database, mark, staging};

/// The contexts in which a variable has a value.
fn contexts_with(site: &Site, name: &str) -> Vec<String> {
    let has_it = |context: &&Context| site.functions_in(context).contains_key(name);
    let found = contexts();
    found
        .iter()
        .filter(has_it)
        .map(Context::to_string)
        .collect()
}

/// The findings of a run in JSON about a variable.
fn findings<'a>(linked: &'a Value, name: &str) -> Vec<&'a Value> {
    let all = linked["findings"].as_array().expect("findings");
    all.iter().filter(|of| of["variable"] == name).collect()
}

#[tokio::test]
async fn production_url_for_all_contexts_is_refused_and_removed_on_request() {
    let site = Site::new().await;
    let url = site.production.url();
    site.set_variable(EnvVar::new("DATABASE_URL").value(Context::All, &url));
    let reasons = [
        "DATABASE_URL of the site for the context all holds",
        "of stage production",
        "reaches branch:staging, deploy-preview, branch-deploy",
        "add --remove-leaks",
    ];
    site.assert_refused(&["--yes"], &reasons).await;
    site.assert_refused(&["--yes", "--json"], &reasons).await;
    site.assert_refused(&[], &reasons).await;

    let shown = site.link_successfully(&["--dry-run"]).await;
    for words in ["leak: DATABASE_URL", "it is removed", "nothing was set"] {
        assert!(shown.output.contains(words), "{words}\n{}", shown.output);
    }
    let linked = site.link_successfully(&["--yes", "--remove-leaks"]).await;
    assert!(linked.output.contains("removed"), "{}", linked.output);
    let row = |context: &str| {
        let rows = linked.output.lines();
        let mut rows = rows.filter(|line| line.contains("DATABASE_URL") && line.contains('│'));
        let row = rows.find(|line| line.contains(context));
        row.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(
        row("production").as_deref(),
        Some("│ production ┆ production ┆ DATABASE_URL ┆ (as it is) ┆ kept │")
    );
    // Production's other functions keep it, and a developer's machine does not.
    assert_eq!(contexts_with(&site, "DATABASE_URL"), ["production"]);
    assert_eq!(site.functions_in(&Context::Production)["DATABASE_URL"], url);
    site.link_successfully(&["--yes"]).await;
}

#[tokio::test]
async fn operator_is_asked_for_a_removal_after_the_plan() {
    let site = Site::new().await;
    let url = site.production.url();
    site.set_variable(EnvVar::new("DATABASE_URL").value(staging(), &url));
    let before = site.all();
    let refused = site.link_on_a_terminal("n\n").await;
    assert!(!refused.succeeded && site.all() == before);
    let question = "and remove the value that leads to another stage? [y/N]";
    assert!(refused.errors.contains(question), "{}", refused.errors);
    assert!(refused.output.contains("leak: DATABASE_URL"));
    let linked = site.link_on_a_terminal("y\n").await;
    assert!(linked.succeeded, "{}", linked.errors);
    assert!(contexts_with(&site, "DATABASE_URL").is_empty());
    // One that stays is refused without a question.
    let shared = EnvVar::new("SHARED_URL").value(Context::All, &url);
    let set = site.netlify.set_account_variable(shared);
    set.expect("the account");
    let refused = site.link_on_a_terminal("y\n").await;
    assert!(!refused.succeeded && !refused.errors.contains("[y/N]"));
    let reason = "SHARED_URL of the account";
    assert!(refused.errors.contains(reason), "{}", refused.errors);
}

#[tokio::test]
async fn url_is_found_in_any_variable_context_and_form() {
    let encode = |text: &str| {
        text.replace(':', "%3A")
            .replace('/', "%2F")
            .replace('@', "%40")
    };
    let site = Site::new().await;
    let (url, proxy) = (site.production.url(), proxy().await);
    let (role, rest) = url.split_once('@').expect("a role");
    let (server, _) = rest.split_once('/').expect("a database");
    let (host, port) = server.split_once(':').expect("a port");
    let (_, password) = role.rsplit_once(':').expect("a password");
    let name = site.production.name();
    let old = format!("postgres://{name}:an-old-password@{rest}");
    let reader = format!("{name}_reader");
    as_superuser(&format!(
        "CREATE ROLE {reader} LOGIN PASSWORD 'c4n4ry-{reader}';
         GRANT CONNECT ON DATABASE {name} TO {reader}"
    ))
    .await;
    for (form, value) in [
        ("second scheme", url.replace("postgres://", "postgresql://")),
        (
            "of a driver",
            url.replace("postgres://", "postgresql+asyncpg://"),
        ),
        (
            "JDBC",
            format!("jdbc:postgresql://{rest}?user=u&password=p"),
        ),
        (
            "weaker TLS",
            format!("{url}?sslmode=disable&pgbouncer=true"),
        ),
        ("old password", old),
        ("percent-encoded", encode(&url)),
        ("twice", encode(&encode(&url).replace('%', "%25"))),
        ("several", format!("postgres://u:p@example.invalid/d,{url}")),
        ("JSON", json!({"pools": [{"url": url}]}).to_string()),
        (
            "keywords",
            format!("host={host} port={port} dbname={name} user=x"),
        ),
        (
            "ADO.NET",
            format!("Host={host};Port={port};Database={name};Password=x"),
        ),
        (
            "password alone",
            password.replace("%2D", "-").replace("%5F", "_"),
        ),
        ("credentials", format!("production={url}")),
        ("proxy's port", through(&proxy, &url)),
        ("second name", url.replace("127.0.0.1", "LOCALHOST")),
        (
            "another role by a second name",
            format!("postgres://{reader}:c4n4ry-{reader}@localhost:{port}/{name}"),
        ),
        (
            "an address without a password",
            format!("postgres://u@localhost:{port}/{name}"),
        ),
    ] {
        site.set_variable(EnvVar::new("ANY_NAME").value(Context::DeployPreview, value));
        let reasons = [
            "ANY_NAME of the site for the context deploy-preview",
            "--remove-leaks",
        ];
        println!("{form}");
        site.assert_refused(&["--yes"], &reasons).await;
    }
    site.link_successfully(&["--yes", "--remove-leaks"]).await;
    assert!(contexts_with(&site, "ANY_NAME").is_empty());
}

#[tokio::test]
async fn value_stays_where_it_is_the_contexts_own() {
    let site = Site::new().await;
    let (production, own) = (site.production.url(), site.staging.url());
    let unknown = database().await;
    site.set_variable(EnvVar::new("DATABASE_URL").value(Context::Production, &production));
    site.set_variable(EnvVar::new("STAGING_URL").value(staging(), &own));
    site.set_variable(EnvVar::new("ANALYTICS").value(Context::All, unknown.url()));
    site.set_variable(EnvVar::new("ADDRESS").value(Context::All, "https://u:p@example.com/x"));
    let odd = "postgres://u:p@x/c4n4ry@example.invalid/d";
    site.set_variable(EnvVar::new("ODD").value(Context::All, odd));
    let encoded = "postgres://u:p%2Fx@127.0.0.1:1/d";
    site.set_variable(EnvVar::new("ENCODED").value(Context::All, encoded));
    let secret = EnvVar::new("STRIPE_KEY").value(Context::DeployPreview, "x");
    site.set_variable(secret.secret());
    let before = site.all();
    let linked = site
        .link_successfully(&["--dry-run", "--json"])
        .await
        .json();
    for name in ["DATABASE_URL", "STAGING_URL", "ADDRESS"] {
        assert!(findings(&linked, name).is_empty(), "{name}: {linked}");
    }
    let [analytics] = findings(&linked, "ANALYTICS")[..] else {
        panic!("{linked}");
    };
    let named = analytics["kind"]["unknown_database"].to_string();
    assert!(
        named.contains(unknown.name()) && !named.contains("checked"),
        "{named}"
    );
    let odd = findings(&linked, "ODD")[0]["kind"]["unknown_database"].to_string();
    assert!(odd.contains("read in two ways"), "{odd}");
    let encoded = findings(&linked, "ENCODED")[0]["kind"]["unknown_database"].to_string();
    assert!(
        encoded.contains("d on 127.0.0.1:1, which was not checked"),
        "{encoded}"
    );
    assert!(!encoded.contains("two ways"), "{encoded}");
    assert_eq!(findings(&linked, "STRIPE_KEY")[0]["kind"], "not_checked");
    let shown = site.link_successfully(&["--yes"]).await.output;
    for words in [
        "ANALYTICS of the site for the context all leads to a database of which no stage is known",
        "STRIPE_KEY of the site for the context deploy-preview was not checked",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    for (before, after) in before.iter().zip(site.all()) {
        assert!(
            before
                .iter()
                .all(|(name, value)| after.get(name) == Some(value))
        );
    }
}

#[tokio::test]
async fn database_that_is_marked_is_its_stages_whatever_its_url() {
    let site = Site::new().await;
    let second = database().await;
    site.set_variable(EnvVar::new("SECOND_URL").value(Context::All, second.url()));
    site.link_successfully(&["--dry-run"]).await;
    for stage in ["production", "development"] {
        mark(&second, stage).await;
        let owner = format!("holds the database URL or a secret of stage {stage}");
        let reasons = ["SECOND_URL of the site for the context all", &owner];
        site.assert_refused(&["--yes"], &reasons).await;
    }
    mark(&second, "review").await;
    let preview = EnvVar::new("SECOND_URL").value(Context::DeployPreview, second.url());
    site.set_variable(preview);
    let linked = site.link_successfully(&["--dry-run", "--json"]).await;
    assert!(findings(&linked.json(), "SECOND_URL").is_empty());
}

#[tokio::test]
async fn staging_url_of_branches_and_all_contexts_stays_with_staging_and_developers() {
    let site = Site::new().await;
    let url = site.staging.url();
    let feature = Context::Branch("feature".to_owned());
    site.set_variable(
        EnvVar::new("A")
            .value(Context::All, &url)
            .value(Context::Production, "none")
            .scopes([EnvScope::Builds, EnvScope::Functions]),
    );
    site.set_variable(EnvVar::new("B").value(Context::BranchDeploy, &url));
    site.set_variable(EnvVar::new("C").value(feature, &url));
    let reasons = [
        "A of the site for the context all",
        "B of the site for the context branch-deploy",
        "C of the site for the context branch:feature",
    ];
    site.assert_refused(&["--yes"], &reasons).await;
    site.link_successfully(&["--yes", "--remove-leaks"]).await;
    assert_eq!(
        contexts_with(&site, "A"),
        ["production", "branch:staging", "dev"]
    );
    assert_eq!(site.functions_in(&Context::Production)["A"], "none");
    assert_eq!(site.functions_in(&staging())["A"], url);
    assert_eq!(contexts_with(&site, "B"), ["branch:staging"]);
    assert!(contexts_with(&site, "C").is_empty());
    // Its scopes are not changed.
    assert_eq!(site.environment(&staging(), EnvScope::Builds)["A"], url);
}

#[tokio::test]
async fn value_of_the_account_or_of_another_stages_context_is_refused_with_the_place() {
    let site = Site::new().await;
    let url = site.production.url();
    let shared = EnvVar::new("SHARED_URL").value(Context::All, &url);
    let set = site.netlify.set_account_variable(shared);
    set.expect("the account");
    let reasons = [
        "SHARED_URL of the account for the context all",
        "changes the site's own",
    ];
    for words in [
        &["--yes", "--remove-leaks"][..],
        &["--dry-run"],
        &["--dry-run", "--json", "--remove-leaks"],
        &["--print"],
    ] {
        site.assert_refused(words, &reasons).await;
    }
    // A value of the site's own hides the account's.
    let hidden = EnvVar::new("SHARED_URL").value(Context::All, "none");
    site.set_variable(hidden);
    let preview = EnvVar::new("DATABASE_URL").value(Context::DeployPreview, &url);
    site.set_variable(preview);
    let words = ["--yes", "--remove-leaks", "--stage", "staging"];
    let reasons = [
        "DATABASE_URL of the site",
        "deploy-preview",
        "link the stage of these contexts too",
    ];
    site.assert_refused(&words, &reasons).await;
    site.link_successfully(&["--yes", "--remove-leaks"]).await;
    site.link_successfully(&words).await;
}

#[tokio::test]
async fn single_stage_is_protected_from_the_url_of_a_stage_that_is_not_linked() {
    let site = Site::new().await;
    let url = site.production.url();
    site.set_variable(EnvVar::new("DATABASE_URL").value(Context::All, &url));
    let words = ["--yes", "--stage", "staging"];
    site.assert_refused(&words, &["of stage production", "--remove-leaks"])
        .await;
    let words = [&words[..], &["--remove-leaks"]].concat();
    site.link_successfully(&words).await;
    assert_eq!(contexts_with(&site, "DATABASE_URL"), ["production"]);
}

#[tokio::test]
async fn token_of_another_stage_or_the_operators_own_is_a_leak() {
    let mut site = Site::new().await;
    let token = site.token("PRODUCTION_TOKEN", &["shop-production"]);
    let given = ["--token-for", "production=PRODUCTION_TOKEN"];
    for value in [token, site.heroku.api_key().to_owned()] {
        site.set_variable(EnvVar::new("ANY_NAME").value(staging(), value));
        let words = [&["--yes"], &given[..]].concat();
        let reasons = [
            "ANY_NAME of the site for the context branch:staging",
            "stage production",
        ];
        site.assert_refused(&words, &reasons).await;
    }
}

#[tokio::test]
async fn printed_lines_remove_a_leak_without_its_value() {
    let mut site = Site::new().await;
    let url = site.production.url();
    let leak = EnvVar::new("DATABASE_URL")
        .value(Context::All, &url)
        .value(Context::DeployPreview, &url);
    site.set_variable(leak);
    site.set_variable(
        EnvVar::new("STAGING_URL")
            .value(Context::BranchDeploy, site.staging.url())
            .value(Context::All, "none"),
    );
    let secret = EnvVar::new("OLD_SECRET").value(Context::Production, "a secret");
    site.set_variable(secret.secret());
    site.set_variable(EnvVar::new("STAGELINK_REQUIRE_MARKS").value(Context::All, "true"));
    let printed = site.link_successfully(&["--print"]).await.output;
    let of_variable = |name: &str| {
        let begins = format!("netlify_link variable \"$site\" {name} ");
        let lines = printed.lines();
        let lines = lines.filter_map(|line| line.strip_prefix(&begins));
        lines.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        of_variable("DATABASE_URL"),
        ["keep production remove all remove deploy-preview"]
    );
    assert_eq!(
        of_variable("STAGING_URL"),
        ["keep branch:staging remove branch-deploy"]
    );
    assert!(!printed.contains(&url));
    for words in [
        "# DATABASE_URL of the site for the context all",
        "# OLD_SECRET of the site for the context production was not checked",
        "# the database of stage staging is not marked",
        "# functions of the site do not start: misspelled variables",
    ] {
        assert!(printed.contains(words), "{words}\n{printed}");
    }
    assert!(site.writes().is_empty());
    site.variables.remove("NETLIFY_AUTH_TOKEN");
    let printed = site.link_successfully(&["--print"]).await.output;
    for words in [
        "were not read",
        "would also remove other stages' database URLs",
    ] {
        assert!(printed.contains(words), "{words}\n{printed}");
    }
}

impl Site {
    /// Runs `stagelink link` on a terminal whose user types this.
    async fn link_on_a_terminal(&self, answer: &str) -> LinkOutput {
        let terminal = openpty(None, None).expect("a terminal");
        let mut keyboard = File::from(terminal.master);
        keyboard.write_all(answer.as_bytes()).expect("an answer");
        let output = Command::new(stagelink_command().await)
            .arg("link")
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.variables)
            .stdin(terminal.slave)
            .output()
            .await
            .expect("the command runs");
        LinkOutput::new(&output, &self.record)
    }
}
