//! The library without a terminal: a site of a local Netlify is linked to a local Heroku's pipeline.

use std::collections::BTreeMap;
use std::time::Duration;

use stagelink::Stage;
use stagelink_local::heroku::{Access, Failure, Fault, Heroku, Stage as HerokuStage};
use stagelink_local::netlify_api::{Context, EnvScope, EnvVar, NetlifyApi};
use stagelink_local_postgres::{Database, Server, ServerOptions};
use stagelink_pipeline::{
    ApiAccess, Change, DeployContext, Error, ErrorKind, LinkPlan, LinkRequest, ProvedTokens,
    SiteVariables, StageDatabase, StageDatabases, UrlOwners, VariableChange,
};

/// A pipeline whose staging and production have databases, and the fake Netlify API.
struct Clouds {
    heroku: Heroku,
    netlify: NetlifyApi,
    /// The databases by their apps.
    databases: Vec<(String, Database)>,
    _postgres: Server,
}

impl Clouds {
    async fn start() -> Self {
        let source = std::env::var("STAGELINK_POSTGRES").unwrap_or_else(|_| "auto".to_owned());
        let options = ServerOptions::new().source(source.parse().expect("a source"));
        let postgres = Server::start(options).await.expect("Postgres starts");
        let heroku = Heroku::start(0).await.expect("Heroku starts");
        heroku.create_pipeline("shop").expect("a pipeline");
        let mut databases = Vec::new();
        for stage in [HerokuStage::Staging, HerokuStage::Production] {
            let name = format!("shop-{stage}");
            let database = postgres
                .create_database(&name.replace('-', "_"), &format!("c4n4ry-{stage}"))
                .await
                .expect("a database");
            heroku.create_app(&name).expect("an app");
            heroku.couple("shop", &name, stage).expect("a coupling");
            heroku
                .set_config_var(&name, "DATABASE_URL", &database.url())
                .expect("a config var");
            databases.push((name, database));
        }
        let netlify = NetlifyApi::start(0).await.expect("Netlify starts");
        Self {
            heroku,
            netlify,
            databases,
            _postgres: postgres,
        }
    }

    fn request(&self, site: &str) -> LinkRequest {
        let (heroku, netlify) = (&self.heroku, &self.netlify);
        let token = heroku.api_key().into();
        let heroku = ApiAccess::new(heroku.url(), token, "HEROKU_API_KEY");
        let token = netlify.token().into();
        LinkRequest::new(site, "shop", heroku).with_netlify(ApiAccess::new(
            netlify.url(),
            token,
            "NETLIFY_AUTH_TOKEN",
        ))
    }

    /// The database URL of an app.
    fn url(&self, app: &str) -> String {
        let database = self.databases.iter().find(|(of, _)| of == app);
        database.expect("an app").1.url()
    }

    /// The variables of a site's functions in each linked context.
    fn environments(&self, site: &str) -> Vec<BTreeMap<String, String>> {
        let staging = Context::Branch("staging".to_owned());
        [
            Context::Production,
            staging,
            Context::DeployPreview,
            Context::BranchDeploy,
        ]
        .iter()
        .map(|context| {
            let environment = self.netlify.environment(site, context, EnvScope::Functions);
            environment.expect("the site")
        })
        .collect()
    }
}

async fn plan(
    request: &LinkRequest,
    databases: &StageDatabases,
) -> Result<(SiteVariables, LinkPlan), Error> {
    let site = SiteVariables::look_up(request).await?;
    let tokens = ProvedTokens::prove(request, &site, databases).await?;
    let owners = UrlOwners::find(request, &site, databases).await?;
    let plan = LinkPlan::new(request, &site, databases, &tokens, &owners)?;
    Ok((site, plan))
}

#[tokio::test]
async fn site_is_linked_without_a_terminal() {
    let clouds = Clouds::start().await;
    clouds.netlify.create_site("one").expect("a site");
    let request = clouds.request("one");
    let databases = StageDatabases::find(&request).await.expect("databases");
    let stages: Vec<Stage> = databases
        .linked()
        .iter()
        .map(StageDatabase::stage)
        .collect();
    assert_eq!(stages, [Stage::PRODUCTION, Stage::STAGING]);
    // The pipeline, its couplings, the app's name, the config vars: each stage is resolved once.
    assert_eq!(clouds.heroku.requests().len(), 8);

    let (site, plan) = plan(&request, &databases).await.expect("a plan");
    let json = serde_json::to_value(&plan).expect("JSON");
    assert!(!json.to_string().contains("c4n4ry"));
    assert!(!format!("{plan:?}").contains("c4n4ry"));
    assert_eq!(json["stages"][1]["stage"], "staging");
    assert!(clouds.environments("one").iter().all(BTreeMap::is_empty));

    let mut made = Vec::new();
    plan.apply(&site, |change| made.push(change.key().to_owned()))
        .await
        .expect("the changes");
    let planned: Vec<_> = plan.changes().iter().map(Change::key).collect();
    assert_eq!(made, planned);
    let environments = clouds.environments("one");
    for (environment, stage) in environments.iter().zip(["production", "staging"]) {
        let credentials = &environment["STAGELINK_CREDENTIALS"];
        assert!(credentials.starts_with(&format!("{stage}=postgres://")));
        assert_eq!(environment["STAGELINK_STAGE"], stage);
    }
    for preview in &environments[2..] {
        assert_eq!(preview.len(), 1);
        assert_eq!(preview["STAGELINK_STAGE"], "review");
    }
}

#[tokio::test]
async fn run_that_ended_between_two_changes_is_completed_by_the_next() {
    let clouds = Clouds::start().await;
    let databases = StageDatabases::find(&clouds.request("any")).await;
    let databases = databases.expect("databases");
    let mut expected = None;
    for fails_at in 0.. {
        let name = format!("site-{fails_at}");
        clouds.netlify.create_site(&name).expect("a site");
        let request = clouds.request(&name);
        let (site, first) = plan(&request, &databases).await.expect("a plan");
        let mut number = 0;
        let outcome = first
            .apply(&site, |_| {
                if number == fails_at {
                    let down = Failure::Status {
                        status: 503,
                        // Longer than a command waits for.
                        retry_after: Some(Duration::from_secs(3600)),
                    };
                    clouds.netlify.control().inject(Fault::new(down));
                }
                number += 1;
            })
            .await;
        clouds.netlify.control().clear_faults();
        let Err(error) = outcome else {
            // All changes were made, which is what the other runs have to come to.
            expected = Some(clouds.environments(&name));
            break;
        };
        assert!(error.is_retryable(), "{error}");
        assert!(error.to_string().contains("changes were made before this"));
        let (site, second) = plan(&request, &databases).await.expect("a plan");
        second
            .apply(&site, |_| {})
            .await
            .expect("the other changes");
        let (_, third) = plan(&request, &databases).await.expect("a plan");
        let is_left =
            |change| ![VariableChange::Unchanged, VariableChange::SetAgain].contains(&change);
        assert!(!third.variables.iter().any(|row| is_left(row.change)));
    }
    let expected = expected.expect("a run without a failure");
    assert_eq!(clouds.environments("site-0"), expected);
}

#[tokio::test]
async fn token_that_reads_production_is_refused_before_there_is_a_plan() {
    let clouds = Clouds::start().await;
    clouds.netlify.create_site("one").expect("a site");
    let apps = ["shop-staging", "shop-production"].map(str::to_owned);
    let token = clouds.heroku.create_token(&Access::Apps(apps.into()));
    let request = clouds
        .request("one")
        .with_token(Stage::STAGING, "WIDE", token.expect("a token").into())
        .expect("a linked stage");
    let databases = StageDatabases::find(&request).await.expect("databases");
    let error = plan(&request, &databases).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Isolation);
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn former_credentials_are_removed_and_shown_in_the_plan() {
    let clouds = Clouds::start().await;
    clouds.netlify.create_site("one").expect("a site");
    let former = EnvVar::new("STAGELINK_SEALED")
        .value(Context::Production, "production=postgres://u:c4n4ry@h/d")
        .secret();
    clouds
        .netlify
        .set_variable("one", former)
        .expect("the site");
    let request = clouds.request("one");
    let databases = StageDatabases::find(&request).await.expect("databases");
    let (site, plan) = plan(&request, &databases).await.expect("a plan");
    let row = plan
        .variables
        .iter()
        .find(|row| row.variable == "STAGELINK_SEALED");
    let row = row.expect("it is shown");
    assert_eq!(row.change, VariableChange::Removed);
    assert_eq!(row.context, DeployContext::Production);
    plan.apply(&site, |_| {}).await.expect("the changes");
    let production = &clouds.environments("one")[0];
    assert!(!production.contains_key("STAGELINK_SEALED"));
    assert!(production.contains_key("STAGELINK_CREDENTIALS"));
}

#[tokio::test]
async fn plan_with_a_leak_is_applied_only_with_consent() {
    let clouds = Clouds::start().await;
    clouds.netlify.create_site("one").expect("a site");
    let databases = StageDatabases::find(&clouds.request("one")).await;
    let databases = databases.expect("databases");
    let url = clouds.url("shop-production");
    let leak = EnvVar::new("PRIMARY").value(Context::All, &url);
    clouds.netlify.set_variable("one", leak).expect("the site");

    let (site, mut plan) = plan(&clouds.request("one"), &databases)
        .await
        .expect("a plan");
    assert!(plan.findings[0].is_leak() && plan.findings[0].is_removed);
    let before = clouds.environments("one");
    let refused = plan.apply(&site, |_| {}).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Isolation);
    assert_eq!(clouds.environments("one"), before);
    let json = serde_json::to_string(&plan).expect("JSON");
    assert!(
        json.contains("other_stage") && !json.contains("c4n4ry"),
        "{json}"
    );

    plan.confirm_removals();
    plan.apply(&site, |_| {}).await.expect("the changes");
    let environments = clouds.environments("one");
    assert_eq!(environments[0]["PRIMARY"], url);
    assert!(
        environments[1..]
            .iter()
            .all(|of| !of.contains_key("PRIMARY"))
    );
}
