//! Tests of promotions: their states, releases and output, and what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::super::{Access, DeployFuture, Deployer, Deployment, Heroku, Stage};
use super::{TestResponse, get, guestbook, send};

/// A deployer whose deployments wait for a permit, and which fails for one app.
struct GatedDeployer {
    permits: Semaphore,
    failing: Option<&'static str>,
}

impl GatedDeployer {
    fn set(heroku: &Heroku, failing: Option<&'static str>) -> Arc<Self> {
        let permits = Semaphore::new(0);
        let deployer = Arc::new(Self { permits, failing });
        heroku.set_deployer(deployer.clone());
        deployer
    }
}

impl Deployer for GatedDeployer {
    fn deploy<'a>(&'a self, deployment: &'a Deployment) -> DeployFuture<'a> {
        Box::pin(async move {
            assert_eq!(deployment.source, "guestbook-staging");
            let app = &*deployment.app;
            deployment.output.write_line(&format!("deploying to {app}"));
            self.permits.acquire().await.expect("it is open").forget();
            deployment.output.write_line("done");
            match self.failing == Some(app) {
                true => Err("it did not start".into()),
                false => Ok(()),
            }
        })
    }
}

/// Starts the guestbook with a slug on staging, and with these apps in production.
async fn deployed(production: &[&str]) -> (Heroku, Uuid) {
    let heroku = guestbook().await;
    for app in production {
        heroku.create_app(app).expect("an app");
        heroku
            .couple("guestbook", app, Stage::Production)
            .expect("a coupling");
    }
    let slug = Uuid::new_v4();
    heroku
        .deploy_slug("guestbook-staging", slug)
        .expect("a release");
    (heroku, slug)
}

/// Returns the body of a promotion from staging.
async fn body(heroku: &Heroku, targets: &[&str]) -> Value {
    let id = async |path: String| get(heroku, &path).await.json()["id"].clone();
    let mut apps = Vec::new();
    for app in targets {
        apps.push(json!({"app": {"id": id(format!("/apps/{app}")).await}}));
    }
    json!({
        "pipeline": {"id": id("/pipelines/guestbook".to_owned()).await},
        "source": {"app": {"id": id("/apps/guestbook-staging".to_owned()).await}},
        "targets": apps,
    })
}

async fn post(heroku: &Heroku, headers: &[(&str, &str)], body: &Value) -> TestResponse {
    send(heroku, "POST", PATH, headers, &body.to_string())
        .await
        .expect("a response")
}

/// Starts a promotion from staging and returns the path of it.
async fn promote(heroku: &Heroku, targets: &[&str]) -> String {
    let response = post(heroku, &[], &body(heroku, targets).await).await;
    let promotion = response.json();
    assert_eq!(
        (response.status, &promotion["status"]),
        (201, &json!("pending"))
    );
    format!("{PATH}/{}", promotion["id"].as_str().expect("an id"))
}

async fn targets(heroku: &Heroku, promotion: &str) -> Vec<Value> {
    let targets = get(heroku, &format!("{promotion}/promotion-targets")).await;
    targets.json().as_array().expect("a list").clone()
}

/// Waits for the end of a promotion and returns its targets.
async fn completed(heroku: &Heroku, promotion: &str) -> Vec<Value> {
    while get(heroku, promotion).await.json()["status"] == "pending" {
        tokio::task::yield_now().await;
    }
    targets(heroku, promotion).await
}

/// Returns the target with this app.
async fn target_of(heroku: &Heroku, targets: &[Value], app: &str) -> Value {
    let id = get(heroku, &format!("/apps/{app}")).await.json()["id"].clone();
    let target = targets.iter().find(|target| target["app"]["id"] == id);
    target.expect("a target").clone()
}

async fn newest_release(heroku: &Heroku, app: &str) -> Value {
    let releases = get(heroku, &format!("/apps/{app}/releases")).await.json();
    releases
        .as_array()
        .expect("a list")
        .last()
        .expect("one")
        .clone()
}

#[tokio::test]
async fn promotion_copies_the_slug_and_leaves_the_config_vars() {
    let (heroku, slug) = deployed(&[]).await;
    let source = newest_release(&heroku, "guestbook-staging").await;
    assert_eq!(source["slug"], json!({"id": slug}));
    // A config var makes a release with the same slug, which is the one that is promoted.
    heroku
        .set_config_var("guestbook-staging", "GREETING", "hi")
        .expect("a config var");
    let source = newest_release(&heroku, "guestbook-staging").await;
    let promotion = promote(&heroku, &["guestbook-production"]).await;
    let targets = completed(&heroku, &promotion).await;
    assert_eq!(targets.len(), 1);
    for field in "app error_message id pipeline_promotion release status".split_whitespace() {
        assert!(
            targets[0].get(field).is_some(),
            "no {field}: {}",
            targets[0]
        );
    }
    assert_eq!(targets[0]["status"], "succeeded");
    assert_eq!(targets[0]["error_message"], Value::Null);
    let json = get(&heroku, &promotion).await.json();
    for field in "created_at id pipeline source status updated_at".split_whitespace() {
        assert!(json.get(field).is_some(), "no {field}: {json}");
    }
    assert_eq!(json["status"], "completed");
    assert_eq!(json["source"]["release"]["id"], source["id"]);

    let release = newest_release(&heroku, "guestbook-production").await;
    assert_eq!(release["id"], targets[0]["release"]["id"]);
    assert_eq!(release["slug"], json!({"id": slug}));
    assert_eq!(release["artifacts"], json!([{"type": "slug", "id": slug}]));
    assert_eq!(release["status"], "succeeded");
    assert_eq!(release["current"], true);
    // Without a deployer there is no release phase.
    assert_eq!(release["output_stream_url"], Value::Null);
    let described = release["description"].as_str().expect("a text");
    assert!(
        described.starts_with("Promote guestbook-staging v5 "),
        "{described}"
    );
    let vars = get(&heroku, "/apps/guestbook-production/config-vars").await;
    assert_eq!(vars.json(), json!({}));
}

#[tokio::test]
async fn release_is_pending_until_its_phase_ends_and_its_output_is_a_stream() {
    let (heroku, slug) = deployed(&[]).await;
    let before = Uuid::new_v4();
    heroku
        .deploy_slug("guestbook-production", before)
        .expect("a release");
    let deployer = GatedDeployer::set(&heroku, None);
    let promotion = promote(&heroku, &["guestbook-production"]).await;
    let target = targets(&heroku, &promotion).await.remove(0);
    assert_eq!(target["status"], "pending");
    let release = newest_release(&heroku, "guestbook-production").await;
    assert_eq!(release["id"], target["release"]["id"]);
    assert_eq!(
        (&release["status"], &release["current"]),
        (&json!("pending"), &json!(false))
    );
    // Meanwhile the app has its old slug.
    heroku
        .set_config_var("guestbook-production", "COLOR", "blue")
        .expect("a config var");
    let changed = newest_release(&heroku, "guestbook-production").await;
    assert_eq!(
        (&changed["slug"]["id"], &changed["current"]),
        (&json!(before), &json!(true))
    );

    let url = release["output_stream_url"].as_str().expect("a URL");
    let path = url
        .strip_prefix(heroku.url())
        .expect("a URL of this Heroku");
    // The command line sends no token and no version.
    let no_token = [("authorization", ""), ("accept", "")];
    let stream = async {
        let response = send(&heroku, "GET", path, &no_token, "").await;
        response.expect("a whole response")
    };
    let (stream, ()) = tokio::join!(stream, async { deployer.permits.add_permits(1) });
    assert_eq!(stream.status, 200);
    assert_eq!(stream.body, "deploying to guestbook-production\ndone\n");
    assert_eq!(
        completed(&heroku, &promotion).await[0]["status"],
        "succeeded"
    );
    let changed = newest_release(&heroku, "guestbook-production").await;
    assert_eq!(changed["slug"]["id"], json!(slug));
    let again = send(&heroku, "GET", path, &no_token, "").await;
    assert_eq!(again.expect("a response").body, stream.body);
    let other = format!("/streams/{}", Uuid::new_v4());
    assert_eq!(get(&heroku, &other).await.error().0, 404);
}

#[tokio::test]
async fn target_that_fails_does_not_keep_the_others_from_succeeding() {
    let (heroku, slug) = deployed(&["shop-eu", "shop-usa"]).await;
    let deployer = GatedDeployer::set(&heroku, Some("shop-eu"));
    let apps = ["guestbook-production", "shop-eu", "shop-usa"];
    let promotion = promote(&heroku, &apps).await;
    deployer.permits.add_permits(apps.len());
    let targets = completed(&heroku, &promotion).await;
    for app in ["guestbook-production", "shop-usa"] {
        let target = target_of(&heroku, &targets, app).await;
        assert_eq!(target["status"], "succeeded", "{app}");
        assert_eq!(
            newest_release(&heroku, app).await["slug"]["id"],
            json!(slug)
        );
    }
    let target = target_of(&heroku, &targets, "shop-eu").await;
    assert_eq!(target["status"], "failed");
    assert_eq!(target["error_message"], "it did not start");
    let failed = newest_release(&heroku, "shop-eu").await;
    assert_eq!(
        (&failed["status"], &failed["current"]),
        (&json!("failed"), &json!(false))
    );
    // A failed release is no source, and what runs is the release before it.
    heroku
        .set_config_var("shop-eu", "COLOR", "blue")
        .expect("a config var");
    assert_eq!(
        newest_release(&heroku, "shop-eu").await["slug"],
        Value::Null
    );
}

#[tokio::test]
async fn promotion_is_limited_to_the_apps_of_the_token() {
    let (heroku, _) = deployed(&["shop-eu"]).await;
    let token = |apps: &[&str]| {
        let apps = apps.iter().map(|app| (*app).to_owned()).collect();
        let token = heroku.create_token(&Access::Apps(apps)).expect("a token");
        format!("Bearer {token}")
    };
    let body = body(&heroku, &["guestbook-production", "shop-eu"]).await;
    let target_alone = token(&["guestbook-production"]);
    let refused = post(&heroku, &[("authorization", &target_alone)], &body).await;
    assert_eq!(refused.error(), (403, "forbidden".to_owned()));

    let without_eu = token(&["guestbook-staging", "guestbook-production"]);
    let accepted = post(&heroku, &[("authorization", &without_eu)], &body)
        .await
        .json();
    let promotion = format!("{PATH}/{}", accepted["id"].as_str().expect("an id"));
    let targets = completed(&heroku, &promotion).await;
    let target = target_of(&heroku, &targets, "guestbook-production").await;
    assert_eq!(target["status"], "succeeded");
    let target = target_of(&heroku, &targets, "shop-eu").await;
    assert_eq!(target["status"], "failed");
    assert_eq!(
        target["error_message"],
        "User does not have access to that app"
    );
    assert_eq!(target["release"], Value::Null);
    assert_eq!(newest_release(&heroku, "shop-eu").await["version"], 1);
    let hidden = [("authorization", target_alone.as_str())];
    let hidden = send(&heroku, "GET", &promotion, &hidden, "").await;
    assert_eq!(hidden.expect("a response").error().0, 403);
}

#[tokio::test]
async fn older_release_can_be_promoted_and_a_second_factor_may_be_sent() {
    let (heroku, first) = deployed(&[]).await;
    let release = newest_release(&heroku, "guestbook-staging").await["id"].clone();
    heroku
        .deploy_slug("guestbook-staging", Uuid::new_v4())
        .expect("a release");
    let mut body = body(&heroku, &["guestbook-production"]).await;
    body["source"]["release"] = json!({"id": release});
    let second_factor = [("heroku-two-factor-code", "123456")];
    let accepted = post(&heroku, &second_factor, &body).await.json();
    let promotion = format!("{PATH}/{}", accepted["id"].as_str().expect("an id"));
    completed(&heroku, &promotion).await;
    let promoted = newest_release(&heroku, "guestbook-production").await;
    assert_eq!(promoted["slug"]["id"], json!(first));
}

#[tokio::test]
async fn promotion_that_cannot_be_is_refused() {
    let (heroku, _) = deployed(&[]).await;
    heroku.create_app("stranger").expect("an app");
    let good = body(&heroku, &["guestbook-production"]).await;
    let stranger = get(&heroku, "/apps/stranger").await.json()["id"].clone();
    let initial = get(&heroku, "/apps/guestbook-staging/releases/1")
        .await
        .json()["id"]
        .clone();
    let unknown_id = json!(Uuid::new_v4());
    let changed = |path: &str, value: &Value| {
        let mut body = good.clone();
        *body.pointer_mut(path).expect("a value") = value.clone();
        body
    };
    let mut of_initial = good.clone();
    of_initial["source"]["release"] = json!({"id": initial});
    let mut of_unknown = good.clone();
    of_unknown["source"]["release"] = json!({"id": unknown_id});
    let target = "/targets/0/app/id";
    let source = good["source"]["app"]["id"].clone();
    let twice = json!([good["targets"][0], good["targets"][0]]);
    for (body, status) in [
        (json!({}), 400),
        (changed("/source/app/id", &json!("guestbook-staging")), 400),
        (changed("/pipeline/id", &unknown_id), 404),
        (changed("/source/app/id", &unknown_id), 404),
        (changed(target, &unknown_id), 404),
        (of_unknown, 404),
        (changed("/source/app/id", &stranger), 422),
        (changed(target, &stranger), 422),
        (changed(target, &source), 422),
        (changed("/targets", &json!([])), 422),
        (changed("/targets", &twice), 422),
        // A release without a slug.
        (of_initial, 422),
    ] {
        let refused = post(&heroku, &[], &body).await;
        assert_eq!(refused.error().0, status, "{body}");
    }
    let mut back = good.clone();
    back["source"] = json!({"app": good["targets"][0]["app"]});
    back["targets"] = json!([{"app": good["source"]["app"]}]);
    let message = post(&heroku, &[], &back).await.json();
    assert_eq!(message["id"], "invalid_params");
    let text = message["message"].as_str().expect("a text");
    assert!(
        text.contains("guestbook-production has no release to promote"),
        "{text}"
    );
    assert_eq!(
        newest_release(&heroku, "guestbook-production").await["version"],
        1
    );
    let unknown = format!("{PATH}/{}", Uuid::new_v4());
    for path in [unknown.clone(), format!("{unknown}/promotion-targets")] {
        assert_eq!(get(&heroku, &path).await.error().0, 404, "{path}");
    }
}

#[tokio::test]
async fn deployer_that_panics_fails_its_target() {
    struct Panics(AtomicBool);
    impl Deployer for Panics {
        fn deploy<'a>(&'a self, _: &'a Deployment) -> DeployFuture<'a> {
            self.0.store(true, Ordering::Relaxed);
            panic!("a mistake");
        }
    }
    let (heroku, _) = deployed(&[]).await;
    let deployer = Arc::new(Panics(AtomicBool::new(false)));
    heroku.set_deployer(deployer.clone());
    let promotion = promote(&heroku, &["guestbook-production"]).await;
    let targets = completed(&heroku, &promotion).await;
    assert!(deployer.0.load(Ordering::Relaxed));
    assert_eq!(targets[0]["status"], "failed");
}

const PATH: &str = "/pipeline-promotions";
