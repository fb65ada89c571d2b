//! Three stages with a database each on a Heroku, and a Netlify whose contexts are linked to them.

use std::collections::BTreeMap;

use stagelink_local::api::RecordedRequest;
use stagelink_local::heroku::{Access, Heroku, Stage};
use stagelink_local::netlify_api::{
    Context, EnvScope, EnvVar, Hosting, NetlifyApi, UploadedDeploy,
};
use stagelink_tests::{CANARY, FunctionHarness, Record, database, migrate, send, server};

use crate::tools::CliOutput;

/// Stages review, staging and production of the pipeline `shop`, and the Netlify site `shop`, which
/// serves them as deploy previews, branch `staging` and production.
#[derive(Debug)]
pub(crate) struct Stages {
    pub(crate) netlify: NetlifyApi,
    /// The site's id.
    pub(crate) site: String,
    /// Secrets that no uploaded or written file may contain.
    pub(crate) secrets: Vec<String>,
    pub(crate) record: Record,
    _heroku: Heroku,
    rigs: Vec<FunctionHarness>,
}

impl Stages {
    /// Creates them. The guestbook of each stage has an entry with the stage's name.
    pub(crate) async fn new() -> Self {
        let heroku = Heroku::start(0).await.expect("Heroku starts");
        let netlify = NetlifyApi::start(0).await.expect("Netlify starts");
        let site = netlify.create_site("shop").expect("a site");
        heroku.create_pipeline("shop").expect("a pipeline");
        let mut secrets = vec![CANARY.to_owned(), netlify.token().to_owned()];
        secrets.push(heroku.api_key().to_owned());
        let functions = [EnvScope::Functions];
        let mut stage_var = EnvVar::new("STAGELINK_STAGE").scopes(functions);
        let mut key_var = EnvVar::new("HEROKU_API_KEY").scopes(functions).secret();
        let mut app_var = EnvVar::new(APP).scopes(functions);
        let mut rigs = Vec::new();
        for (stage, context) in [
            (Stage::Review, Context::DeployPreview),
            (Stage::Staging, Context::Branch("staging".to_owned())),
            (Stage::Production, Context::Production),
        ] {
            let database = database().await;
            let app = format!("shop-{stage}");
            heroku.create_app(&app).expect("an app");
            heroku.couple("shop", &app, stage).expect("a coupling");
            heroku
                .attach_postgres(&app, &database.url())
                .expect("a database");
            let token = heroku
                .create_token(&Access::Apps(vec![app.clone()]))
                .expect("a token");
            let mut harness = FunctionHarness::new(
                database,
                [
                    ("STAGELINK_HEROKU_PIPELINE", "shop"),
                    ("STAGELINK_HEROKU_API_URL", heroku.url()),
                    ("HEROKU_API_KEY", &token),
                ],
                [token.clone()],
            );
            harness.set("STAGELINK_STAGE", stage.as_str());
            if stage == Stage::Review {
                // These previews belong to no pull request, so they have no review app.
                harness.set(APP, &app);
                app_var = app_var.value(context.clone(), &app);
            }
            migrate(&harness.variables).await;
            let admin = server()
                .await
                .connect_as_superuser_to(&harness.database)
                .await;
            admin
                .expect("a superuser")
                .execute(
                    "INSERT INTO guestbook (name, message) VALUES ($1, 'hello')",
                    &[&stage.as_str()],
                )
                .await
                .expect("an entry");
            stage_var = stage_var.value(context.clone(), stage.as_str());
            key_var = key_var.value(context, &token);
            secrets.push(token);
            rigs.push(harness);
        }
        let all = |key: &str, value: &str| {
            EnvVar::new(key)
                .value(Context::All, value)
                .scopes(functions)
        };
        for variable in [
            stage_var,
            key_var,
            app_var,
            all("STAGELINK_HEROKU_PIPELINE", "shop"),
            all("STAGELINK_HEROKU_API_URL", heroku.url()),
        ] {
            netlify.set_variable("shop", variable).expect("a variable");
        }
        Self {
            record: Record::new(secrets.clone()),
            netlify,
            secrets,
            _heroku: heroku,
            site: site.to_string(),
            rigs,
        }
    }

    /// Returns the variables by which functions serve a stage when they run outside Netlify.
    pub(crate) fn variables(&self, stage: &str) -> &BTreeMap<String, String> {
        let rigs = &mut self.rigs.iter();
        let harness = rigs.find(|harness| harness.variables["STAGELINK_STAGE"] == stage);
        &harness.expect("a stage").variables
    }

    /// Serves the current deploys.
    pub(crate) async fn host(&self) -> Hosting {
        let record = self.record.clone();
        self.netlify
            .host(move |line| record.add(line.line))
            .await
            .expect("the deploys are served")
    }

    /// Returns the deploy with this id.
    pub(crate) fn deploy(&self, id: &str) -> UploadedDeploy {
        let mut deploys = self.netlify.deploys().into_iter();
        deploys
            .find(|of| of.id == id)
            .unwrap_or_else(|| panic!("no deploy {id}"))
    }

    /// Returns the newest deploy, which this command must have made.
    pub(crate) fn newest(&self, output: &CliOutput) -> UploadedDeploy {
        let requests = self.netlify.control().requests();
        let refused = |of: &&RecordedRequest| of.status.is_none_or(|status| status >= 400);
        let refused: Vec<_> = requests.iter().filter(refused).collect();
        assert!(
            output.success,
            "{}\n{}\n{refused:?}",
            output.stdout, output.stderr
        );
        self.netlify.deploys().pop().expect("a deploy")
    }

    /// Searches all uploads for secrets, including archives.
    pub(crate) fn no_secret_was_uploaded(&self) {
        for deploy in self.netlify.deploys() {
            for (path, content) in &deploy.files {
                self.no_secret_in(path, content);
            }
            for (name, function) in &deploy.functions {
                for (path, content) in function.unpack().expect("a good archive") {
                    self.no_secret_in(&format!("{path} of {name}"), &content);
                }
            }
        }
    }

    fn no_secret_in(&self, place: &str, content: &[u8]) {
        let text = String::from_utf8_lossy(content);
        let found = self
            .secrets
            .iter()
            .any(|secret| text.contains(secret.as_str()));
        assert!(!found, "a secret is in {place}");
    }

    /// Reads the guestbook at a host, and checks that stage and entries are this stage's.
    pub(crate) async fn answers_as(&self, hosting: &Hosting, host: &str, stage: &str) {
        let url = format!("{}/api/guestbook", hosting.url(host));
        let answer = send("GET", &url, &[], "").await;
        assert_eq!(
            answer.status,
            200,
            "{host}: {}\n{}",
            answer.text(),
            self.record.text()
        );
        let body = answer.json();
        assert_eq!(body["stage"], stage, "{host}: {body}");
        assert_eq!(body["entries"][0]["name"], stage, "{host}: {body}");
        let page = send("GET", &hosting.url(host), &[], "").await;
        assert_eq!(page.status, 200, "{host}");
        assert!(page.text().contains("guestbook.js"), "{}", page.text());
    }
}

/// Variable that names the app of previews without their own.
const APP: &str = "STAGELINK_HEROKU_APP";
