//! `heroku pipelines:promote` of the real Heroku command line, against the local Heroku.

use std::sync::Arc;
use std::time::Duration;

use stagelink_local::heroku::{DeployFuture, Deployer, Deployment, Heroku, Stage};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use uuid::Uuid;

use crate::heroku::heroku;
use crate::loopback::only_with_heroku;

/// A deployer that waits for a permit, and then fails for the app `shop-eu`.
struct GatedDeployer(Semaphore);

impl Deployer for GatedDeployer {
    fn deploy<'a>(&'a self, deployment: &'a Deployment) -> DeployFuture<'a> {
        Box::pin(async move {
            let app = &deployment.app;
            deployment
                .output
                .write_line(&format!("running {app}'s release command"));
            self.0.acquire().await.expect("it is open").forget();
            deployment
                .output
                .write_line("the release command has ended");
            if app == "shop-eu" {
                return Err("it did not start".into());
            }
            Ok(())
        })
    }
}

/// Starts the pipeline `shop`: two apps of staging, one of which has a slug, and apps of production.
async fn start(production: &[&str]) -> (Heroku, Arc<GatedDeployer>) {
    let heroku = Heroku::start(0).await.expect("a free port");
    heroku.create_pipeline("shop").expect("a pipeline");
    let staging = ["shop-staging", "shop-empty"].map(|app| (app, Stage::Staging));
    let production = production.iter().map(|app| (*app, Stage::Production));
    for (app, stage) in staging.into_iter().chain(production) {
        heroku.create_app(app).expect("an app");
        heroku.couple("shop", app, stage).expect("a coupling");
    }
    heroku
        .deploy_slug("shop-staging", Uuid::new_v4())
        .expect("a release");
    let deployer = Arc::new(GatedDeployer(Semaphore::new(0)));
    heroku.set_deployer(deployer.clone());
    (heroku, deployer)
}

#[test]
fn promotion_to_one_app_prints_the_output_of_its_release_phase() {
    let test = async {
        let home = tempfile::tempdir().expect("a folder");
        let (local, deployer) = start(&["shop-production"]).await;
        // The release phase ends when the command line reads its output.
        let reader = async {
            let is_read = || {
                let requests = local.requests();
                requests.iter().any(|of| of.path.starts_with("/streams/"))
            };
            while !is_read() {
                sleep(Duration::from_millis(20)).await;
            }
            deployer.0.add_permits(1);
        };
        let promote = ["pipelines:promote", "-a", "shop-staging"];
        let (promoted, ()) = tokio::join!(heroku(home.path(), &local, &promote), reader);
        assert_eq!(promoted.code, Some(0), "{}", promoted.stderr);
        let lines: Vec<_> = promoted.stdout.lines().map(str::trim_end).collect();
        let lines: Vec<_> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(
            lines,
            [
                "Fetching app info...",
                "Fetching apps from shop...",
                "Starting promotion to production...",
                "Waiting for promotion to complete...",
                "Fetching release info...",
                "Running release command...",
                "running shop-production's release command",
                "the release command has ended",
                "Promotion successful",
                "shop-production: succeeded",
            ]
        );
        let releases = heroku(home.path(), &local, &["releases", "-a", "shop-production"]).await;
        let described = "Promote shop-staging v2 ";
        assert!(releases.stdout.contains(described), "{}", releases.stdout);
        let output = ["releases:output", "-a", "shop-production"];
        let output = heroku(home.path(), &local, &output).await;
        assert!(output.stdout.ends_with("the release command has ended\n"));
    };
    only_with_heroku(
        "promotions::promotion_to_one_app_prints_the_output_of_its_release_phase",
        test,
    );
}

#[test]
fn promotion_to_several_apps_succeeds_or_exits_with_1_where_one_fails() {
    let test = async {
        let home = tempfile::tempdir().expect("a folder");
        let (local, deployer) = start(&["shop-production", "shop-usa", "shop-eu"]).await;
        deployer.0.add_permits(100);
        let two = [
            "pipelines:promote",
            "-a",
            "shop-staging",
            "-t",
            "shop-production,shop-usa",
        ];
        let promoted = heroku(home.path(), &local, &two).await;
        assert_eq!(promoted.code, Some(0), "{}", promoted.stderr);
        for line in [
            "Starting promotion to apps: shop-production,shop-usa...",
            "Promotion successful",
            "shop-production: succeeded",
            "shop-usa:        succeeded",
        ] {
            assert!(
                promoted.stdout.contains(line),
                "{line}: {}",
                promoted.stdout
            );
        }
        let promoted = heroku(
            home.path(),
            &local,
            &["pipelines:promote", "-a", "shop-staging"],
        )
        .await;
        assert_eq!(promoted.code, Some(1), "{}", promoted.stdout);
        assert!(
            promoted.stderr.contains("Promotion to some apps failed"),
            "{}",
            promoted.stderr
        );
        for line in [
            "shop-production: succeeded",
            "shop-usa:        succeeded",
            "it did not start",
        ] {
            assert!(
                promoted.stdout.contains(line),
                "{line}: {}",
                promoted.stdout
            );
        }
    };
    only_with_heroku(
        "promotions::promotion_to_several_apps_succeeds_or_exits_with_1_where_one_fails",
        test,
    );
}

#[test]
fn promotion_that_is_refused_names_the_reason() {
    let test = async {
        let home = tempfile::tempdir().expect("a folder");
        let (local, _) = start(&["shop-production"]).await;
        let promote =
            async |app: &str| heroku(home.path(), &local, &["pipelines:promote", "-a", app]).await;
        let empty = promote("shop-empty").await;
        assert!(!empty.success);
        assert!(
            empty.stderr.contains("no release to promote"),
            "{}",
            empty.stderr
        );
        assert!(
            empty.stderr.contains("Error ID: invalid_params"),
            "{}",
            empty.stderr
        );
        let last = promote("shop-production").await;
        assert!(!last.success);
        assert!(
            last.stderr.contains("from 'production' stage"),
            "{}",
            last.stderr
        );
    };
    only_with_heroku(
        "promotions::promotion_that_is_refused_names_the_reason",
        test,
    );
}
