//! `netlify deploy` with finished artifacts: a draft, an alias, production.

use crate::artifacts::{self, NAMES};
use crate::loopback::only;
use crate::project::Project;
use crate::stages::Stages;
use crate::tools::netlify;

/// Arguments that the deploy script passes.
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

#[test]
fn manual_deploys_use_the_database_of_their_stage() {
    let test = async {
        let (stages, project) = (Stages::new().await, Project::new());
        let mut hosts = Vec::new();
        for (more, stage) in [
            (&[][..], "review"),
            (&["--alias", "staging"][..], "staging"),
            (&["--prod"][..], "production"),
        ] {
            let arguments = [&DEPLOY, more].concat();
            let output = netlify(project.path(), Some(&stages.netlify), &arguments).await;
            let id = output.json()["deploy_id"]
                .as_str()
                .expect("an id")
                .to_owned();
            let deploy = stages.deploy(&id);
            let names: Vec<_> = deploy.functions.keys().collect();
            assert_eq!(names, NAMES);
            for function in deploy.functions.values() {
                assert_eq!(function.runtime.as_deref(), Some("rs"));
                let files = function.unpack().expect("a good archive");
                let program = &files["bootstrap"];
                assert_eq!(program[..4], *b"\x7fELF");
            }
            assert!(
                deploy.files.contains_key("index.html"),
                "{:?}",
                deploy.files.keys()
            );
            hosts.push((format!("{id}--shop.localhost"), stage));
        }
        hosts.push(("staging--shop.localhost".to_owned(), "staging"));
        hosts.push(("shop.localhost".to_owned(), "production"));

        let hosting = stages.host().await;
        for (host, stage) in &hosts {
            stages.answers_as(&hosting, host, stage).await;
        }
        hosting.stop().await;
        stages.no_secret_was_uploaded();
        stages.record.text();
    };
    only(
        "by_hand::manual_deploys_use_the_database_of_their_stage",
        test,
    );
}

/// The reason for the script's check: a deploy without its functions must not pass as successful.
#[test]
fn stripped_program_is_silently_dropped_by_netlify() {
    let test = async {
        let (stages, project) = (Stages::new().await, Project::new());
        artifacts::copy_stripped("guestbook", &project.at("dist/functions/guestbook"));
        let output = netlify(project.path(), Some(&stages.netlify), &DEPLOY).await;
        let id = output.json()["deploy_id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let functions = stages.deploy(&id).functions;
        assert_eq!(functions.keys().collect::<Vec<_>>(), ["health"]);
    };
    only(
        "by_hand::stripped_program_is_silently_dropped_by_netlify",
        test,
    );
}

#[test]
fn deploy_with_a_bad_token_uploads_nothing_and_prints_no_token() {
    let test = async {
        let (stages, project) = (Stages::new().await, Project::new());
        assert!(stages.netlify.revoke_token(stages.netlify.token()));
        let output = netlify(project.path(), Some(&stages.netlify), &DEPLOY).await;
        assert!(!output.success);
        assert!(!format!("{}{}", output.stdout, output.stderr).contains(stages.netlify.token()));
        assert!(stages.netlify.deploys().is_empty());
    };
    only(
        "by_hand::deploy_with_a_bad_token_uploads_nothing_and_prints_no_token",
        test,
    );
}
