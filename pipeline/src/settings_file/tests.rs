//! `stagelink.toml` as people write it, right and wrong.

use std::path::PathBuf;

use stagelink::Stage;

use super::*;

fn read(text: &str) -> Result<SettingsFile, String> {
    SettingsFile::parse(PathBuf::from("stagelink.toml"), text).map_err(|error| error.report())
}

fn variables(text: &str, stage: Stage) -> Vec<(&'static str, String)> {
    let file = read(text).unwrap();
    let set = |name: &str| (name == "QA_URL").then(|| "postgres://q".to_owned());
    file.stage(stage).unwrap().variables(set).unwrap()
}

const WHOLE: &str = r#"
[netlify]
site = "guestbook"

[heroku]
pipeline = "guestbook"

[stages.production]
app = "guestbook-eu"

[stages.staging]
branch = "next"

[stages.development]
neon = { project = "p", branch = "b", database = "d", role = "r" }

[stages.review]
url = { variable = "QA_URL" }

[migrations]
folder = "db/migrations"

[policy]
rollback_window = "36h"
"#;

#[test]
fn whole_file_is_read() {
    let file = read(WHOLE).unwrap();
    assert_eq!(file.site(), Some("guestbook"));
    assert_eq!(file.pipeline(), Some("guestbook"));
    assert_eq!(file.migrations(), Path::new("db/migrations"));
    assert_eq!(file.rollback_window(), Duration::from_hours(36));
    let without = read("[stages.staging]").unwrap();
    assert_eq!(without.rollback_window(), Duration::from_hours(24));
    assert_eq!(file.stages().len(), 4);
    let staging = file.stage(Stage::STAGING).unwrap();
    assert_eq!(
        (staging.branch(), staging.heroku_app()),
        (Some("next"), None)
    );
    let production = file.stage(Stage::PRODUCTION).unwrap();
    assert_eq!(production.heroku_app(), Some("guestbook-eu"));
}

#[test]
fn each_provider_becomes_the_variables_of_a_function() {
    let owned = |pairs: &[(&'static str, &str)]| -> Vec<_> {
        pairs
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect()
    };
    for (stage, expected) in [
        (
            Stage::PRODUCTION,
            &[
                ("STAGELINK_PROVIDER", "heroku"),
                ("STAGELINK_HEROKU_PIPELINE", "guestbook"),
                ("STAGELINK_HEROKU_APP", "guestbook-eu"),
            ][..],
        ),
        (
            Stage::DEVELOPMENT,
            &[
                ("STAGELINK_PROVIDER", "neon"),
                ("STAGELINK_NEON_PROJECT", "p"),
                ("STAGELINK_NEON_BRANCH", "b"),
                ("STAGELINK_NEON_DATABASE", "d"),
                ("STAGELINK_NEON_ROLE", "r"),
            ],
        ),
        (
            Stage::REVIEW,
            &[
                ("STAGELINK_PROVIDER", "url"),
                ("DATABASE_URL", "postgres://q"),
            ],
        ),
    ] {
        assert_eq!(variables(WHOLE, stage), owned(expected), "{stage}");
    }
    let render = "[stages.staging]\nrender = { postgres = \"dpg-1\" }";
    assert_eq!(
        variables(render, Stage::STAGING),
        owned(&[
            ("STAGELINK_PROVIDER", "render"),
            ("STAGELINK_RENDER_POSTGRES", "dpg-1")
        ])
    );
    let config_var = "heroku = { pipeline = \"a\", config_var = \"B_URL\" }\nstages.staging = {}";
    assert!(
        variables(config_var, Stage::STAGING).contains(&("STAGELINK_CONFIG_VAR", "B_URL".into()))
    );
    assert!(variables("[stages.staging]", Stage::STAGING).is_empty());
}

#[test]
fn url_whose_variable_is_not_set_is_an_error_that_names_it() {
    let file = read(WHOLE).unwrap();
    let review = file.stage(Stage::REVIEW).unwrap();
    let error = review.variables(|_| None).unwrap_err().to_string();
    assert!(error.contains("QA_URL is not set"), "{error}");
}

#[test]
fn stage_that_is_missing_is_named_with_those_that_are_there() {
    let error = read("[stages.staging]")
        .unwrap()
        .stage(Stage::PRODUCTION)
        .unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("no stage \"production\": it has staging"),
        "{error}"
    );
    // Without a pipeline the table alone would lead to the next error.
    assert!(error.contains("[stages.production]"), "{error}");
    assert!(error.contains("pipeline in a table [heroku]"), "{error}");
    let error = read("[heroku]\npipeline = \"shop\"").unwrap();
    let error = error.stage(Stage::PRODUCTION).unwrap_err().to_string();
    assert!(error.contains("the Heroku pipeline shop"), "{error}");
    assert!(!error.contains("[heroku]"), "{error}");
}

#[test]
fn mistakes_are_named_with_their_key_or_line() {
    for (text, expected) in [
        (
            "\n[stages.staging]\n[stages.prod]",
            "line 3: a stage with a name of its own needs a kind: add kind = \"review\", \
             \"development\", \"staging\" or \"production\" to \"prod\"",
        ),
        (
            "[stages.qa]\nkind = \"prod\"",
            "line 2: a stage has an unknown kind of stage \"prod\": use review, development, staging or \
             production; did you mean production?",
        ),
        (
            "[stages.qa]\nkind = \"stagin\"",
            "staging or production; did you mean staging?",
        ),
        (
            "[stages.staging]\n\nkind = \"production\"",
            "line 3: stages.staging is named after one kind and has another, production",
        ),
        (
            "[stages.QA]\nkind = \"staging\"",
            "line 1: a table of stages: \"QA\" is no name for a stage of kind staging",
        ),
        (
            "[stages.dev]\nkind = \"staging\"",
            "it is a deploy context of Netlify's",
        ),
        (
            "[stages.staging]\nbranch = \"qa\"\n[stages.qa]\nkind = \"staging\"",
            "line 3: stages staging and qa have one branch, qa: give each its own",
        ),
        (
            "[heroku]\npipeline = \"p\"\n[stages.staging]\napp = \"a\"\n[stages.qa]\n\
             kind = \"staging\"\napp = \"a\"",
            "line 7: stages staging and qa have one app, a",
        ),
        (
            "[stages.live]\nkind = \"production\"\nbranch = \"main\"",
            "line 3: stages.live.branch is set, and only staging has a branch",
        ),
        (
            "\n[heroku]\npipline = \"a\"",
            "line 3: unknown key `pipline`, expected `pipeline` or `config_var`",
        ),
        ("[stagse.staging]", "line 1: unknown key `stagse`"),
        (
            "heroku = 1",
            "line 1: expected a table with the keys pipeline and config_var, and found another \
             kind of value",
        ),
        ("stages = 1", "line 1: expected a table, and found"),
        ("stages.staging = 1", "expected a table [stages.STAGE], and"),
        (
            "[stages.staging]\nurl = \"STAGING_URL\"",
            "line 2: expected a table { variable = \"STAGING_DATABASE_URL\" }",
        ),
        (
            "[stages.staging]\nneon = \"a\"",
            "line 2: expected a table { project = \"…\", branch",
        ),
        (
            "[stages.staging]\nrender = \"a\"",
            "line 2: expected a table { postgres = ",
        ),
        ("netlify = []", "line 1: expected a table with the key site"),
        ("migrations.folder = 1", "line 1: expected a string"),
        (
            "\n[policy]\nrollback_window = \"5m\"",
            "line 3: policy.rollback_window is less than 15m",
        ),
        (
            "policy.rollback_window = \"1 day\"",
            "line 1: policy.rollback_window wants a number with a unit",
        ),
        ("policy.rollback_window = 24", "line 1: expected a string"),
        (
            "policy.tested_paths = [\"/\"]",
            "line 1: expected a table { path = ",
        ),
        (
            "[policy]\ntested_paths = [{ path = \"api\" }]",
            "line 2: policy.tested_paths wants paths that begin with one slash",
        ),
        (
            "policy.tested_paths = [{ path = \"/\", status = 99 }]",
            "line 1: policy.tested_paths wants statuses of HTTP",
        ),
        (
            "[policy]\nrollback = \"1h\"",
            "line 2: unknown key `rollback`",
        ),
        (
            "policy = 1",
            "line 1: expected a table with the keys rollback_window and tested_paths",
        ),
        (
            "[heroku]\npipeline = \"a\"\n[stages.staging\n",
            "line 3: unclosed table, expected `]`",
        ),
        ("\"\\u001b]0;x\\u0007\" = 1", "unknown key `…`"),
        ("\"a`b c\" = 1", "unknown key `…`, expected"),
        (
            "\n[heroku]\npipeline = \" \"",
            "line 3: heroku.pipeline is empty",
        ),
        (
            "[heroku]\npipeline = \"p\"\n\n[stages.staging]\nurl = { variable = \"a b\" }",
            "line 5: stages.staging.url.variable is not",
        ),
        (
            "[heroku]\npipeline = \"p\"\n[a]\n\"b.c\".password = 1",
            "line 4: a.\"…\".password looks like a secret",
        ),
        (
            "[netlify]\nsite = \"a\\u001bb\"",
            "netlify.site is empty or has a control character",
        ),
        (
            "[stages.production]\nbranch = \"main\"",
            "line 2: stages.production.branch is set, and only staging has a branch",
        ),
        (
            "[stages.staging]\napp = \"a\"",
            "line 2: stages.staging.app is set without heroku.pipeline",
        ),
        (
            "[stages.staging]\nurl = { variable = \"A\" }\nrender = { postgres = \"b\" }",
            "line 1: stages.staging names several sources",
        ),
        (
            "[heroku]\npipeline = \"p\"\n[stages.staging]\napp = \"a\"\nrender = { postgres = \"b\" }",
            "several sources",
        ),
        (
            "[stages.staging]\nneon = { project = \"p\" }",
            "missing field",
        ),
        (
            "[lambda]\nfunctions = { \"a b\" = \"c4n4ry\" }",
            "line 2: lambda.functions has a key that is no name of a function",
        ),
        (
            "[lambda.functions]\nhealth = \"c4n4ry:staging\"",
            "line 2: lambda.functions.health is no name of a function on AWS Lambda",
        ),
        (
            "[stages.production]\nlambda = { health = \"\" }",
            "line 2: stages.production.lambda.health is no name of a function on AWS Lambda",
        ),
        (
            "[lambda.functions]\na = \"x\"\nb = \"x\"",
            "line 1: the functions a and b are one function on Lambda, x: give each its own",
        ),
        (
            "lambda.functions = { a = \"x\" }\n[stages.production]\nlambda.b = \"x\"",
            "line 3: stage production: the functions a and b are one function on Lambda",
        ),
        ("a = ", "line 1"),
        ("a = 1\na = 2", "line 2"),
    ] {
        let error = read(text).unwrap_err();
        assert!(
            error.contains(expected) && !error.contains('\n'),
            "{text:?}: {error}"
        );
    }
}

#[test]
fn stage_with_its_own_name_is_found_by_it() {
    let file = read(
        "heroku.pipeline = \"p\"\n[stages.staging]\napp = \"a\"\n[stages.qa]\n\
         kind = \"staging\"\napp = \"b\"\n[stages.review]\napp = \"a\"\n\
         [stages.production]\nkind = \"production\"",
    )
    .unwrap();
    let qa: Stage = "staging/qa".parse().unwrap();
    for text in ["qa", "staging/qa"] {
        assert_eq!(file.find_stage(text).unwrap(), qa);
    }
    assert_eq!(file.find_stage("production").unwrap(), Stage::PRODUCTION);
    assert_eq!(file.find_stage("development").unwrap(), Stage::DEVELOPMENT);
    assert_eq!(file.stage(qa).unwrap().branch(), Some("qa"));
    assert_eq!(
        file.stage(Stage::STAGING).unwrap().branch(),
        Some("staging")
    );
    let error = file.find_stage("q").unwrap_err().report();
    assert!(
        error.contains("no stage \"q\": it has review, staging, qa and production"),
        "{error}"
    );
    assert!(error.contains("unknown stage \"q\""), "{error}");
    // Of another kind it is another stage.
    let other = file
        .stage("production/qa".parse().unwrap())
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("[stages.qa] and kind = \"production\""),
        "{other}"
    );
}

#[test]
fn stage_has_its_own_functions_on_lambda_and_those_that_stages_share() {
    let file = read(
        "lambda.functions = { guestbook = \"shop-guestbook\", health = \"shop-health\" }\n\
         [stages.production]\nlambda = { guestbook = \"shop-guestbook-prod\" }\n[stages.staging]",
    );
    let file = file.unwrap();
    assert!(file.is_on_lambda());
    let named = |stage| {
        file.lambda_functions(stage)
            .into_values()
            .collect::<Vec<_>>()
    };
    assert_eq!(named(Stage::STAGING), ["shop-guestbook", "shop-health"]);
    assert_eq!(
        named(Stage::PRODUCTION),
        ["shop-guestbook-prod", "shop-health"]
    );
    let file = read(WHOLE).unwrap();
    assert!(!file.is_on_lambda() && file.lambda_functions(Stage::STAGING).is_empty());
    let of_one = read("[stages.production]\nlambda = { health = \"h\" }").unwrap();
    assert!(of_one.is_on_lambda() && of_one.lambda_functions(Stage::STAGING).is_empty());
}

#[test]
fn app_is_needed_where_the_pipeline_has_several_of_the_kind() {
    let needs = |stages: &str| {
        let file = read(&format!("heroku.pipeline = \"p\"\n{stages}")).unwrap();
        let stages = file.stages().keys().copied();
        let missing = stages.filter(|stage| file.ensure_app(*stage).is_err());
        missing
            .map(|stage| stage.name().to_owned())
            .collect::<Vec<_>>()
    };
    let qa = "[stages.qa]\nkind = \"staging\"\n";
    assert_eq!(needs(&format!("[stages.staging]\n{qa}")), ["staging", "qa"]);
    assert_eq!(
        needs(&format!("[stages.staging]\napp = \"a\"\n{qa}")),
        ["qa"]
    );
    // The only app of the kind may be another stage's that the file does not have.
    assert_eq!(needs(qa), ["qa"]);
    assert_eq!(
        needs(&format!(
            "[stages.staging]\n{qa}render = {{ postgres = \"d\" }}"
        )),
        [""; 0]
    );
    assert_eq!(
        needs("[stages.staging]\n[stages.production]\n[stages.review]"),
        [""; 0]
    );
    assert_eq!(
        needs("[stages.demo]\nkind = \"review\"\n[stages.review]"),
        [""; 0]
    );
}

#[test]
fn secret_is_refused_wherever_it_stands_and_not_repeated() {
    for text in [
        "token = \"c4n4ry\"",
        "[heroku]\napi-key = \"c4n4ry\"",
        "[heroku]\nHEROKU_API_KEY = \"c4n4ry\"",
        "[stages.staging]\ndatabase_url = \"c4n4ry\"",
        "[heroku]\npipeline = \"HRKU-c4n4ry-c4n4ry-c4n4ry\"",
        "[netlify]\nsite = \"nfp_c4n4ryc4n4ryc4n4ry\"",
        "[stages.staging]\nurl = { variable = \"postgres://u:c4n4ry@h/d\" }",
        "[stages.staging]\nurl = { variable = \"c4n4ry!\" }",
        "a = [[\"x\", { b = \"postgres://u:c4n4ry@h/d\" }]]",
        "[\"postgres://u:c4n4ry@h/d\"]",
        "heroku = \"c4n4ry\"",
        "[stages.staging]\nurl = { variable = \"npg_c4n4ry\" }",
        "[\"c4n4ry c4n4ry\"]",
        "[\"a`c4n4ry c4n4ry\"]",
        "[\"a`, expected c4n4ry`, b\"]",
        "[heroku]\npipeline = c4n4ry c4n4ry",
        "[netlify]\nsite = \"postgres://u:pa/c4n4ry@h/db\"",
        "[netlify]\nsite = \"postgres://u:pa?c4n4ry@h/db\"",
        "[netlify]\nsite = \"postgres://u:c4n4ry%40h/db\"",
        "[netlify]\nsite = \"https://c4n4ry.netlify.app\"",
        "[netlify]\nsite = \"POSTGRESQL://h/db?user=a&password=c4n4ry\"",
        "[heroku]\npipeline = \"host=h password=c4n4ry\"",
        "[heroku]\npipeline = \"host=h Password = 'c4n4ry'\"",
        "[heroku]\npipeline = \"u:c4n4ry@h:5432/db\"",
        "[heroku]\nconfig_var = \"redis://h/c4n4ry\"",
        "[stages.staging]\nbranch = \"postgres://h/db?user=a&password=c4n4ry\"",
        "[stages.staging]\nbranch = \"postgres://h/c4n4ry\"\n[stages.qa]\nkind = \"staging\"\n\
         branch = \"postgres://h/c4n4ry\"",
        "[stages.staging]\nneon = { project = \"npg_c4n4ryc4n4ry\", branch = \"b\", database = \"d\", role = \"r\" }",
        "[migrations]\nfolder = \"postgres://u:c4n4ry@h/d\"",
        "[heroku]\npipeline = \"c4n4ry",
    ] {
        let error = read(text).unwrap_err();
        assert!(!error.contains("c4n4ry"), "{text:?}: {error}");
    }
    // Names that hold a part of such a text are no secrets.
    for text in [
        "[stages.staging]\nbranch = \"feature/password-reset\"",
        "[stages.staging]\nbranch = \"fix@2\"",
        "[heroku]\npipeline = \"postgres\"",
        "[migrations]\nfolder = \"db/postgres/v1:2\"",
    ] {
        assert_eq!(read(text).map(drop), Ok(()), "{text:?}");
    }
    let named = read("[a.b]\npassword = \"x\"").unwrap_err();
    assert!(
        named.contains("a.b.password looks like a secret"),
        "{named}"
    );
}

#[test]
fn written_file_is_read_back() {
    let new = |stage, branch: Option<&str>, app: Option<&str>| NewStage {
        stage,
        branch: branch.map(str::to_owned),
        app: app.map(str::to_owned),
    };
    let text = NewSettingsFile {
        site: "guest\"book".to_owned(),
        pipeline: "guestbook".to_owned(),
        stages: vec![
            new(Stage::PRODUCTION, None, Some("guestbook-eu")),
            new(Stage::STAGING, Some("next"), None),
            new(
                "staging/qa".parse().unwrap(),
                Some("q\"a"),
                Some("guestbook-qa"),
            ),
            new(Stage::REVIEW, None, None),
        ],
    }
    .to_string();
    let file = read(&text).unwrap();
    assert_eq!(file.site(), Some("guest\"book"));
    assert_eq!(file.stages().len(), 4);
    assert_eq!(file.stage(Stage::STAGING).unwrap().branch(), Some("next"));
    let qa = file.stage("staging/qa".parse().unwrap()).unwrap();
    assert_eq!(
        (qa.branch(), qa.heroku_app()),
        (Some("q\"a"), Some("guestbook-qa"))
    );
    assert_eq!(
        file.stage(Stage::PRODUCTION).unwrap().heroku_app(),
        Some("guestbook-eu")
    );
}

#[test]
fn site_and_pipeline_are_added_to_a_file_that_names_none() {
    let new = NewSettingsFile {
        site: "shop-site".to_owned(),
        pipeline: "shop".to_owned(),
        stages: Vec::new(),
    };
    let added = |text: &str| new.added_to(text);
    let text = "# ours\nheroku.pipeline = \"p\"\n[stages.staging]\nbranch = \"a\"";
    let both = added(text).unwrap();
    let file = read(&both).unwrap();
    assert!(both.starts_with(text), "{both}");
    assert_eq!(
        (file.site(), file.pipeline()),
        (Some("shop-site"), Some("p"))
    );
    assert_eq!(added(&both), None);
    assert_eq!(read(&added("").unwrap()).unwrap().pipeline(), Some("shop"));
    let one = read(&added("[netlify]\n").unwrap()).unwrap();
    assert_eq!((one.site(), one.pipeline()), (None, Some("shop")));
    assert_eq!(added("[netlify]\n[heroku]\n"), None);
    let policy = read(&added("[policy]\nrollback_window = \"36h\"\n").unwrap()).unwrap();
    assert_eq!(policy.rollback_window(), Duration::from_hours(36));
}

#[test]
fn project_without_a_file_has_no_settings() {
    let folder = std::env::temp_dir().join("stagelink-no-such-project");
    assert!(SettingsFile::load(&folder).unwrap().is_none());
}

#[test]
fn file_that_cannot_be_read_is_no_missing_one() {
    let folder = std::env::temp_dir().join(format!("stagelink-unread-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(SETTINGS_FILE);
    let error = || SettingsFile::load(&folder).unwrap_err().report();
    std::os::unix::fs::symlink("nowhere", &file).unwrap();
    assert!(error().contains("could not read"), "{}", error());
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, [0xff, 0xfe, b'[', 0]).unwrap();
    assert!(
        error().contains("not text in UTF-8: save it"),
        "{}",
        error()
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn file_of_a_folder_above_counts_up_to_the_repository() {
    let folder = std::env::temp_dir().join(format!("stagelink-above-{}", std::process::id()));
    let deep = folder.join("repository/apps/shop/functions/notes");
    std::fs::create_dir_all(&deep).unwrap();
    let found = || {
        let file = SettingsFile::load(&deep).unwrap();
        file.map(|file| (file.pipeline().unwrap().to_owned(), file.migrations()))
    };
    let write = |at: &str| {
        let text = format!("heroku.pipeline = {at:?}");
        std::fs::write(folder.join(at).join(SETTINGS_FILE), text).unwrap();
    };
    write("repository");
    assert_eq!(found(), None, "nothing says where the project ends");
    std::fs::create_dir(folder.join("repository/.git")).unwrap();
    write("");
    assert_eq!(found().unwrap().0, "repository");
    write("repository/apps/shop");
    let (nearest, migrations) = found().unwrap();
    assert_eq!(nearest, "repository/apps/shop");
    assert!(migrations.ends_with("repository/apps/shop/migrations"));
    std::fs::remove_dir_all(&folder).unwrap();
}
