//! Render: the connection info of a Postgres instance, from the Render API.
//!
//! Sources: <https://api-docs.render.com/reference/retrieve-postgres-connection-info>
//! and <https://api-docs.render.com/reference/rate-limiting> (2026-11).

use secrecy::ExposeSecret;

use crate::config::RenderSettings;
use crate::credentials::{Credentials, DatabaseUrl};
use crate::error::Error;
use crate::provider::http::{ApiClient, ProviderApi, path_segment};
use crate::provider::{Provider, ResolveRequest};

/// Looks up a stage's database in Render's API: the Postgres that the settings name.
///
/// The function connects from outside Render, so the database's access control has to admit the
/// function's addresses. A look-up costs one request; Render allows a user 400 read requests a
/// minute (<https://api-docs.render.com/reference/rate-limiting>, 2026-11).
#[derive(Debug)]
pub struct Render {
    api: ApiClient,
    path: String,
    subject: String,
}

impl Render {
    /// Creates the provider. Sends no request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) when the API's URL or the
    /// token cannot be used.
    pub fn new(settings: RenderSettings) -> Result<Self, Error> {
        Ok(Self {
            api: ApiClient::new(&API, &settings.api_url, &settings.token, &settings.https)?,
            path: format!(
                "/v1/postgres/{}/connection-info",
                path_segment(&settings.postgres)
            ),
            subject: format!("Postgres {}", settings.postgres),
        })
    }
}

impl Provider for Render {
    async fn resolve(&self, _request: &ResolveRequest) -> Result<Credentials, Error> {
        let response = self.api.get(&self.path, None, &self.subject).await?;
        let url = response.required_string("externalConnectionString")?;
        let origin = format!("{} on Render", self.subject);
        let url = DatabaseUrl::parse(url.expose_secret(), &origin)?;
        Ok(Credentials::new(url, origin))
    }
}

const API: ProviderApi = ProviderApi {
    name: "Render",
    accept: "application/json",
    url_variable: "STAGELINK_RENDER_API_URL",
    token_variable: "RENDER_API_KEY",
    token_advice: "make an API key in the Render dashboard under Account Settings > API Keys",
    access_advice: "its user has to be a member of the workspace that owns it",
    name_advice: "check the id in STAGELINK_RENDER_POSTGRES (dpg-…, not its name), and that the key's \
            user may see it",
};
