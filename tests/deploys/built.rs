//! `netlify build`, and `netlify deploy` that builds first.

use std::fs;

use crate::artifacts::NAMES;
use crate::loopback::only;
use crate::project::Project;
use crate::stages::Stages;
use crate::tools::netlify;

/// Build command that copies the finished artifacts, and records the context that it was given.
const COPY: &str = r#"command = "mkdir -p dist/functions && cp artifacts/* dist/functions/ && printf '%s %s' $CONTEXT $BRANCH >public/context.txt""#;

#[test]
fn deploy_with_a_build_gets_context_production_and_serves_its_own_stage() {
    let test = async {
        let (stages, project) = (Stages::new().await, Project::with_build(COPY));
        for (more, expected, host, stage) in [
            (&[][..], "production", None, "review"),
            (
                &["--alias", "staging"][..],
                "production staging",
                Some("staging--shop.localhost"),
                "staging",
            ),
        ] {
            let arguments = [&["deploy", "--site", "shop"], more].concat();
            let output = netlify(project.path(), Some(&stages.netlify), &arguments).await;
            let deploy = stages.newest(&output);
            let id = &deploy.id;
            assert_eq!(deploy.functions.keys().collect::<Vec<_>>(), NAMES);
            // A build that relied on this would take a draft for production.
            let context = String::from_utf8_lossy(&deploy.files["context.txt"]).into_owned();
            assert!(context.starts_with(expected), "{context}");
            let hosting = stages.host().await;
            let own = format!("{id}--shop.localhost");
            stages
                .answers_as(&hosting, host.unwrap_or(&own), stage)
                .await;
            hosting.stop().await;
        }
        stages.no_secret_was_uploaded();
    };
    only(
        "built::deploy_with_a_build_gets_context_production_and_serves_its_own_stage",
        test,
    );
}

/// The reason that no secret may be in netlify.toml.
#[test]
fn variables_of_netlify_toml_are_uploaded_and_reach_no_function() {
    let test = async {
        let (stages, project) = (Stages::new().await, Project::with_build(COPY));
        project.append(
            "netlify.toml",
            "\n[build.environment]\nSTAGELINK_STAGE = \"nowhere\"\nPASSWORD = \"visible to all\"\n",
        );
        let arguments = ["deploy", "--site", "shop"];
        let output = netlify(project.path(), Some(&stages.netlify), &arguments).await;
        let deploy = stages.newest(&output);
        let (id, toml) = (&deploy.id, &deploy.files["netlify.toml"]);
        let toml = String::from_utf8_lossy(toml).into_owned();
        assert!(toml.contains("visible to all"), "{toml}");
        let hosting = stages.host().await;
        let host = format!("{id}--shop.localhost");
        stages.answers_as(&hosting, &host, "review").await;
        hosting.stop().await;
    };
    only(
        "built::variables_of_netlify_toml_are_uploaded_and_reach_no_function",
        test,
    );
}

#[test]
fn build_without_any_network_finds_both_functions() {
    let test = async {
        let project = Project::with_build(COPY);
        let output = netlify(project.path(), None, &["build", "--offline"]).await;
        assert!(output.success, "{}\n{}", output.stdout, output.stderr);
        let manifest = fs::read(project.at(".netlify/functions/manifest.json"));
        let manifest: serde_json::Value =
            serde_json::from_slice(&manifest.expect("a manifest")).expect("a manifest");
        let functions = manifest["functions"].as_array().expect("functions");
        let mut names: Vec<_> = functions
            .iter()
            .map(|function| (function["name"].as_str(), function["runtime"].as_str()))
            .collect();
        names.sort_unstable();
        assert_eq!(names, NAMES.map(|name| (Some(name), Some("rs"))));
    };
    only(
        "built::build_without_any_network_finds_both_functions",
        test,
    );
}
