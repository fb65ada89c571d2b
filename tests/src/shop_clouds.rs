//! The clouds of a project named shop: a pipeline and a site, both with a database for staging and
//! production.

use stagelink_local::heroku::{Heroku, Stage};
use stagelink_local::netlify_api::NetlifyApi;
use stagelink_local_postgres::Database;

use crate::postgres::database;

/// A Heroku pipeline `shop` whose apps `shop-staging` and `shop-production` have databases, and a
/// Netlify site `shop-site` that is not linked to them yet.
#[derive(Debug)]
pub struct ShopClouds {
    /// The local Heroku.
    pub heroku: Heroku,
    /// The local Netlify.
    pub netlify: NetlifyApi,
    /// The database of staging.
    pub staging: Database,
    /// The database of production.
    pub production: Database,
}

impl ShopClouds {
    /// Starts the clouds with the databases as add-ons of the apps.
    ///
    /// # Panics
    ///
    /// When a part does not start.
    pub async fn with_addons() -> Self {
        Self::start(|heroku, app, url| heroku.attach_postgres(app, url).map(drop)).await
    }

    /// Starts the clouds with the databases in a config var of each app alone.
    ///
    /// # Panics
    ///
    /// When a part does not start.
    pub async fn with_config_vars() -> Self {
        Self::start(|heroku, app, url| heroku.set_config_var(app, "DATABASE_URL", url).map(drop))
            .await
    }

    async fn start(
        attach: impl Fn(&Heroku, &str, &str) -> Result<(), stagelink_local::Error>,
    ) -> Self {
        let heroku = Heroku::start(0).await.expect("Heroku starts");
        heroku.create_pipeline("shop").expect("a pipeline");
        let (staging, production) = (database().await, database().await);
        for (stage, database) in [(Stage::Staging, &staging), (Stage::Production, &production)] {
            let app = format!("shop-{stage}");
            heroku.create_app(&app).expect("an app");
            heroku.couple("shop", &app, stage).expect("a coupling");
            attach(&heroku, &app, &database.url()).expect("a database");
        }
        let netlify = NetlifyApi::start(0).await.expect("Netlify starts");
        netlify.create_site("shop-site").expect("a site");
        Self {
            heroku,
            netlify,
            staging,
            production,
        }
    }

    /// Returns the variables by which the command reaches the clouds.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("STAGELINK_HEROKU_API_URL", self.heroku.url().to_owned()),
            ("HEROKU_API_KEY", self.heroku.api_key().to_owned()),
            ("NETLIFY_AUTH_TOKEN", self.netlify.token().to_owned()),
            ("NETLIFY_API_URL", self.netlify.url().to_owned()),
        ]
    }
}
