//! A stage on the local Heroku, with its database and a function: the fixture of most tests.

use std::ops::{Deref, DerefMut};

use stagelink_local::heroku::{Access, Heroku, Stage};

use crate::{FunctionHarness, database};

/// Pipeline `shop` with the app `shop-staging` in the stage staging, whose database belongs to the
/// test.
#[derive(Debug)]
pub struct HerokuFixture {
    /// The local Heroku. Its pipeline is `shop`.
    pub heroku: Heroku,
    harness: FunctionHarness,
}

impl HerokuFixture {
    /// Starts the local Heroku and creates pipeline, app, database and token.
    ///
    /// # Panics
    ///
    /// When a step fails, as all methods do.
    pub async fn new() -> Self {
        let database = database().await;
        let heroku = Heroku::start(0).await.expect("Heroku starts");
        heroku.create_pipeline("shop").expect("a pipeline");
        heroku.create_app("shop-staging").expect("an app");
        heroku
            .couple("shop", "shop-staging", Stage::Staging)
            .expect("a coupling");
        heroku
            .set_config_var("shop-staging", "DATABASE_URL", &database.url())
            .expect("a config var");
        let token = heroku
            .create_token(&Access::Apps(vec!["shop-staging".to_owned()]))
            .expect("a token");
        let variables = [
            ("STAGELINK_HEROKU_PIPELINE", "shop"),
            ("STAGELINK_HEROKU_API_URL", heroku.url()),
            ("HEROKU_API_KEY", &token),
        ];
        let secrets = [token.clone(), heroku.api_key().to_owned()];
        let harness = FunctionHarness::new(database, variables, secrets);
        Self { heroku, harness }
    }

    /// Creates a fixture whose app has this database URL.
    pub async fn with_url(url: &str) -> Self {
        let fixture = Self::new().await;
        fixture.set_url(url);
        fixture
    }

    /// Sets `DATABASE_URL` of the app, as `heroku config:set` does.
    pub fn set_url(&self, url: &str) {
        self.heroku
            .set_config_var("shop-staging", "DATABASE_URL", url)
            .expect("a config var");
    }

    /// Adds an app to a stage of the pipeline, and gives the functions a token that can read all
    /// apps of the account.
    pub fn add_app(&mut self, name: &str, stage: Stage) {
        self.heroku.create_app(name).expect("an app");
        self.heroku.couple("shop", name, stage).expect("a coupling");
        let token = self.heroku.create_token(&Access::AllApps).expect("a token");
        self.set("HEROKU_API_KEY", &token);
        self.record.forbid(token);
    }
}

impl Deref for HerokuFixture {
    type Target = FunctionHarness;

    fn deref(&self) -> &FunctionHarness {
        &self.harness
    }
}

impl DerefMut for HerokuFixture {
    fn deref_mut(&mut self) -> &mut FunctionHarness {
        &mut self.harness
    }
}
