//! `netlify deploy --env --secret-env`: variables of one deploy, and `netlify api restoreSiteDeploy`.

use serde_json::json;
use stagelink_local::netlify_api::Context;
use stagelink_tests::send;

use crate::loopback::only;
use crate::project::Project;
use crate::stages::Stages;
use crate::tools::netlify;

/// Arguments of a deploy with finished artifacts.
const DEPLOY: [&str; 9] = [
    "deploy",
    "--no-build",
    "--dir",
    "public",
    "--functions",
    "dist/functions",
    "--site",
    "shop",
    "--json",
];

/// A draft gets the context's variables of reviews, and by its own ones it is staging.
#[test]
fn variables_of_a_draft_reach_its_functions_and_its_secret_no_output() {
    let test = async {
        let (stages, project) = (Stages::new().await, Project::new());
        let staging = stages.variables("staging");
        let token = &staging["HEROKU_API_KEY"];
        let stage = format!("STAGELINK_STAGE={}", staging["STAGELINK_STAGE"]);
        let secret = format!("HEROKU_API_KEY={token}");
        let own = ["--env", &stage, "--secret-env", &secret];
        let output = netlify(
            project.path(),
            Some(&stages.netlify),
            &[&DEPLOY[..], &own, &["--env", "STAGELINK_HEROKU_APP="]].concat(),
        )
        .await;
        let id = output.json()["deploy_id"]
            .as_str()
            .expect("an id")
            .to_owned();
        for text in [&output.stdout, &output.stderr] {
            assert!(!text.contains(token.as_str()), "a secret is in the output");
        }

        let deploy = stages.deploy(&id);
        assert_eq!(deploy.context, Context::DeployPreview);
        let own = deploy.environment.iter();
        let own: Vec<_> = own
            .map(|it| (it.key.as_str(), it.value.as_str(), it.is_secret))
            .collect();
        assert_eq!(
            own,
            [
                ("STAGELINK_STAGE", "staging", false),
                ("STAGELINK_HEROKU_APP", "", false),
                ("HEROKU_API_KEY", token.as_str(), true),
            ]
        );
        let environment = stages.netlify.function_environment(&id);
        let environment = environment.expect("a ready deploy");
        assert_eq!(environment.get("STAGELINK_HEROKU_APP"), None);
        assert_eq!(environment["STAGELINK_HEROKU_PIPELINE"], "shop");

        let hosting = stages.host().await;
        let host = format!("{id}--shop.localhost");
        stages.answers_as(&hosting, &host, "staging").await;
        hosting.stop().await;
        stages.no_secret_was_uploaded();
        stages.record.text();
    };
    only(
        "deploy_variables::variables_of_a_draft_reach_its_functions_and_its_secret_no_output",
        test,
    );
}

#[test]
fn restored_deploy_is_live_at_once_with_the_variables_that_it_had() {
    let test = async {
        let (stages, project) = (Stages::new().await, Project::new());
        let deploy = async |mark: &str| {
            std::fs::write(project.at("public/mark.txt"), mark).expect("a file");
            let variable = format!("MARK={mark}");
            let arguments = [&DEPLOY[..], &["--prod", "--env", &variable]].concat();
            let output = netlify(project.path(), Some(&stages.netlify), &arguments).await;
            let id = output.json()["deploy_id"]
                .as_str()
                .expect("an id")
                .to_owned();
            assert_eq!(stages.deploy(&id).context, Context::Production);
            id
        };
        let hosting = stages.host().await;
        let live = async |id: &str, mark: &str| {
            let published = stages.netlify.published_deploy("shop").expect("a deploy");
            assert_eq!(published.id, id);
            let environment = stages.netlify.function_environment(id);
            assert_eq!(environment.expect("a ready deploy")["MARK"], mark);
            let url = format!("{}/mark.txt", hosting.url("shop.localhost"));
            assert_eq!(send("GET", &url, &[], "").await.text(), mark);
            stages
                .answers_as(&hosting, "shop.localhost", "production")
                .await;
        };
        let first = deploy("first").await;
        live(&first, "first").await;
        let second = deploy("second").await;
        live(&second, "second").await;

        let data = json!({"site_id": stages.site, "deploy_id": first}).to_string();
        let restore = ["api", "restoreSiteDeploy", "--data", &data];
        let output = netlify(project.path(), Some(&stages.netlify), &restore).await;
        assert_eq!(output.json()["id"], json!(first));
        live(&first, "first").await;
        assert_eq!(
            stages.netlify.publications("shop"),
            [&first, &second, &first].map(String::as_str)
        );
        hosting.stop().await;
    };
    only(
        "deploy_variables::restored_deploy_is_live_at_once_with_the_variables_that_it_had",
        test,
    );
}

#[test]
fn command_line_publishes_nothing_on_a_locked_site() {
    let test = async {
        let (stages, project) = (Stages::new().await, Project::new());
        let deploy = async |more: &[&str]| {
            let arguments = [&DEPLOY[..], more].concat();
            netlify(project.path(), Some(&stages.netlify), &arguments).await
        };
        let output = deploy(&["--prod"]).await;
        let live = output.json()["deploy_id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let data = json!({"deploy_id": live}).to_string();
        let lock = ["api", "lockDeploy", "--data", &data];
        let output = netlify(project.path(), Some(&stages.netlify), &lock).await;
        assert_eq!(output.json()["locked"], true);

        let refused = deploy(&["--prod"]).await;
        assert!(!refused.success, "{}", refused.stdout);
        assert_eq!(stages.netlify.deploys().len(), 1);
        // Here the command line makes a draft of it.
        let draft = deploy(&["--prod-if-unlocked"]).await;
        let id = draft.json()["deploy_id"]
            .as_str()
            .expect("an id")
            .to_owned();
        assert!(stages.deploy(&id).draft);
        assert_eq!(stages.netlify.publications("shop"), [live]);
    };
    only(
        "deploy_variables::command_line_publishes_nothing_on_a_locked_site",
        test,
    );
}
