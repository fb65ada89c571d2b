//! Render: the connection info of a Postgres, over the Render API.
//!
//! Facts by <https://api-docs.render.com/reference/retrieve-postgres-connection-info>
//! and <https://api-docs.render.com/reference/rate-limiting> (2026-11).

use secrecy::ExposeSecret;

use crate::config::RenderSettings;
use crate::credentials::Credentials;
use crate::credentials::DatabaseUrl;
use crate::error::Error;
use crate::provider::Provider;
use crate::provider::http::client::{Api, Service, segment};
use crate::stage::Stage;

/// Render's API as the source of a stage's database: the Postgres that the
/// settings name is the stage's. It is reached from outside Render, so the
/// database's access control has to let the function's addresses in.
///
/// A resolution costs one call. All calls of a user that read share 400 a minute.
#[derive(Debug)]
pub struct Render {
    api: Api,
    path: String,
    subject: String,
}

impl Render {
    /// Makes ready to ask, without asking.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) when the API's URL or the
    /// token cannot be used.
    pub fn new(settings: RenderSettings) -> Result<Self, Error> {
        Ok(Self {
            api: Api::new(&SERVICE, &settings.api_url, &settings.token)?,
            path: format!(
                "/v1/postgres/{}/connection-info",
                segment(&settings.postgres)
            ),
            subject: format!("Postgres {}", settings.postgres),
        })
    }
}

impl Provider for Render {
    async fn resolve(&self, _stage: Stage) -> Result<Credentials, Error> {
        let answer = self.api.ask(&self.path, None, &self.subject).await?;
        let url = answer.documented_text("externalConnectionString")?;
        let origin = format!("{} on Render", self.subject);
        let url = DatabaseUrl::parse(url.expose_secret(), &origin)?;
        Ok(Credentials::new(url, origin))
    }
}

const SERVICE: Service = Service {
    name: "Render",
    accept: "application/json",
    url_variable: "STAGELINK_RENDER_API_URL",
    token_variable: "RENDER_API_KEY",
    new_token: "make an API key in the Render dashboard under Account Settings > API Keys",
    access: "its user has to be a member of the workspace that owns it",
    names: "check the id in STAGELINK_RENDER_POSTGRES (dpg-…, not its name), and that the key's \
            user may see it",
};
