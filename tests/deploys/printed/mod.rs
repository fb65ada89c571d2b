//! `stagelink link --print`: a shell runs the lines with the Netlify command line, and the site has
//! the variables that `stagelink link` gives it.

mod linked_sites;

use std::collections::BTreeSet;
use std::fs;

use stagelink_local::netlify_api::{Context, EnvScope, EnvVar};

use crate::loopback::only_with_command;
use crate::tools;

use linked_sites::{BRANCH, LinkedSites};

#[test]
fn lines_give_a_site_the_variables_that_link_gives_it() {
    let test = async {
        let sites = LinkedSites::new().await;
        let mut known = variables();
        known.extend(leaks(&sites));
        // The real command line takes a second for each call, so it is called for one site: the others
        // make no request that this one does not make.
        let (real, quick) = (tools::programs(), sites.quick_programs());
        let mut calls_of_real = BTreeSet::new();
        for (name, has_token, before, programs) in [
            ("known", true, known, &real),
            ("unknown", false, variables(), &quick),
            ("new", false, Vec::new(), &quick),
        ] {
            let (linked, printed) = (format!("linked-{name}"), format!("printed-{name}"));
            sites.create(&linked, &before);
            sites.create(&printed, &before);
            let applied = sites
                .link(&linked, true, &["--yes", "--remove-leaks"])
                .await;
            assert!(applied.success, "{}", applied.stderr);
            let lines = sites.print(&printed, has_token).await;
            sites.writes();
            let output = sites.run("dash", &lines, programs, &[]).await;
            assert!(output.success, "{}", output.stderr);
            assert_eq!(sites.state(&printed), sites.state(&linked), "{name}");
            let calls: BTreeSet<String> = sites.writes().iter().map(|of| call(of)).collect();
            assert!(!calls.is_empty());
            match name {
                "known" => calls_of_real = calls,
                _ => assert!(calls.is_subset(&calls_of_real), "{name}: {calls:?}"),
            }
        }
    };
    only_with_command(
        "printed::lines_give_a_site_the_variables_that_link_gives_it",
        test,
    );
}

#[test]
fn lines_that_run_again_set_the_secrets_alone() {
    let test = async {
        let sites = LinkedSites::new().await;
        let programs = sites.quick_programs();
        let mut before = variables();
        before.extend(leaks(&sites));
        for (shell, has_token) in [("dash", true), ("bash", false), ("dash", false)] {
            let site = format!("again-{shell}-{has_token}");
            let before = if has_token {
                before.clone()
            } else {
                variables()
            };
            sites.create(&site, &before);
            let lines = sites.print(&site, has_token).await;
            let first = sites.run(shell, &lines, &programs, &[]).await;
            assert!(first.success, "{}", first.stderr);
            let state = sites.state(&site);
            sites.writes();
            let second = sites.run(shell, &lines, &programs, &[]).await;
            assert!(second.success, "{}", second.stderr);
            assert_eq!(sites.state(&site), state);
            let secrets = ["STAGELINK_CREDENTIALS", "HEROKU_API_KEY"];
            for write in sites.writes() {
                let is_secret = secrets.iter().any(|secret| write.ends_with(secret));
                assert!(write.starts_with("PATCH") && is_secret, "{write}");
            }
        }
    };
    only_with_command("printed::lines_that_run_again_set_the_secrets_alone", test);
}

#[test]
fn lines_that_failed_in_the_middle_go_on() {
    let test = async {
        let sites = LinkedSites::new().await;
        let programs = sites.quick_programs();
        let writes = programs.join("writes");
        let mut before = variables();
        before.extend(leaks(&sites));
        sites.create("linked", &before);
        let applied = sites
            .link("linked", true, &["--yes", "--remove-leaks"])
            .await;
        assert!(applied.success, "{}", applied.stderr);
        let mut number = 1;
        loop {
            let site = format!("printed-{number}");
            sites.create(&site, &before);
            let lines = sites.print(&site, true).await;
            let when = if number % 2 == 0 { "before" } else { "after" };
            let run = async |fail_at: &str| {
                fs::write(&writes, "").expect("a file");
                let variables = [("FAIL_AT", fail_at), ("FAIL_WHEN", when)];
                sites.run("sh", &lines, &programs, &variables).await
            };
            let failed = run(&number.to_string()).await;
            if failed.success {
                assert!(number > 10, "{number} is more than all calls");
                break;
            }
            assert_ne!(sites.state(&site), sites.state("linked"), "{number}");
            let output = run("0").await;
            assert!(output.success, "{number}: {}", output.stderr);
            assert_eq!(sites.state(&site), sites.state("linked"), "{number}");
            number += 4;
        }
    };
    only_with_command("printed::lines_that_failed_in_the_middle_go_on", test);
}

#[test]
fn lines_for_an_unknown_site_refuse_what_they_cannot_keep() {
    let test = async {
        let sites = LinkedSites::new().await;
        let programs = sites.quick_programs();
        let secret = EnvVar::new("STAGELINK_STAGE")
            .value(Context::Dev, "development")
            .value(Context::DeployPreview, "review")
            .secret();
        for (name, variable, reason) in [
            (
                "moved",
                EnvVar::new("STAGELINK_PROVIDER").value(Context::Production, " Neon"),
                "STAGELINK_PROVIDER for production says that its stage was moved",
            ),
            (
                "moved-all",
                EnvVar::new("STAGELINK_NEON_BRANCH").value(Context::All, "br-1"),
                "STAGELINK_NEON_BRANCH for production",
            ),
            ("secret", secret, "its secret for dev cannot be read"),
            (
                "all",
                EnvVar::new("HEROKU_API_KEY").value(Context::All, "old"),
                "has a value for all contexts",
            ),
        ] {
            sites.create(name, std::slice::from_ref(&variable));
            let before = sites.state(name);
            let lines = sites.print(name, false).await;
            let output = sites.run("dash", &lines, &programs, &[]).await;
            assert!(
                !output.success && output.stderr.contains(reason),
                "{}",
                output.stderr
            );
            let after = sites.state(name);
            assert_eq!(after[variable.key()], before[variable.key()]);
            assert_eq!(name.starts_with("moved"), after == before);
            // It leaves production alone, and has nothing to link where all stages are moved.
            let linked = sites.link(name, true, &["--yes"]).await;
            assert_eq!(linked.success, name == "moved", "{}", linked.stderr);
        }
        sites.create("shop-two", &[]);
        let lines = sites.print("shop", false).await;
        let output = sites.run("dash", &lines, &programs, &[]).await;
        assert!(
            !output.success,
            "the lines took another site: {}",
            output.stdout
        );
        assert!(sites.state("shop-two").is_empty());
    };
    only_with_command(
        "printed::lines_for_an_unknown_site_refuse_what_they_cannot_keep",
        test,
    );
}

/// Returns the call of a request: its method, and its path without names and ids.
fn call(request: &str) -> String {
    let (before, after) = request.split_once("/env").expect("a variable's request");
    let method = before.split(' ').next().expect("a method");
    let parts = after.split('/').map(|part| match part {
        "" | "value" => part,
        _ => "*",
    });
    format!("{method} env{}", parts.collect::<Vec<_>>().join("/"))
}

/// Variables of stagelink and of other tools in several contexts and scopes. No value leads to a
/// database.
fn variables() -> Vec<EnvVar> {
    let functions = || [EnvScope::Functions];
    let staging = || Context::Branch(BRANCH.to_owned());
    vec![
        EnvVar::new("GREETING")
            .value(Context::All, "-hello")
            .value(staging(), "it's $HOME"),
        EnvVar::new("OLD_SECRET")
            .value(Context::Production, "a secret")
            .value(Context::Dev, "a developer's")
            .scopes([EnvScope::Builds])
            .secret(),
        // Of all scopes, with a wrong value and two that stay.
        EnvVar::new("STAGELINK_STAGE")
            .value(Context::Production, "staging")
            .value(Context::Dev, "development")
            .value(Context::Branch("Feature".to_owned()), "development"),
        // Right already.
        EnvVar::new("STAGELINK_PROVIDER")
            .value(staging(), "heroku")
            .scopes(functions()),
        // Of an earlier run with --pin.
        EnvVar::new("STAGELINK_SERVER_PIN")
            .value(Context::Production, "sha256//AAAA")
            .value(Context::Dev, "sha256//BBBB")
            .scopes(functions()),
        // It has to become a secret, without its value for all contexts.
        EnvVar::new("STAGELINK_CREDENTIALS")
            .value(Context::All, "an old one")
            .value(Context::Branch("Feature".to_owned()), "a kept one"),
        EnvVar::new("HEROKU_API_KEY")
            .value(staging(), "an old token")
            .value(Context::Dev, "a developer's token")
            .scopes(functions())
            .secret(),
        EnvVar::new("STAGELINK_SEALED")
            .value(Context::Production, "a secret")
            .value(Context::Branch("Old".to_owned()), "a secret")
            .value(Context::Dev, "a secret")
            .secret(),
        // One value to set, and one that stays.
        EnvVar::new("STAGELINK_ROOT_CERTIFICATES")
            .value(Context::Production, "-----BEGIN")
            .value(Context::DevServer, "")
            .scopes(functions()),
    ]
}

/// Variables of another tool that lead functions of one stage to another stage's database.
fn leaks(sites: &LinkedSites) -> Vec<EnvVar> {
    let production = sites.production.url();
    vec![
        EnvVar::new("DATABASE_URL")
            .value(Context::All, &production)
            .value(Context::DeployPreview, &production)
            .value(Context::Dev, "")
            .scopes([EnvScope::Builds, EnvScope::Functions]),
        EnvVar::new("STAGING_URL")
            .value(Context::BranchDeploy, sites.staging.url())
            .value(Context::All, "none")
            .scopes([EnvScope::Runtime, EnvScope::Functions]),
    ]
}
