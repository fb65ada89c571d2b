//! Neon: the connection URI of a branch, from the Neon API.
//!
//! Sources: <https://neon.com/docs/reference/api/projects/get-connection-uri> and
//! <https://neon.com/docs/manage/api-keys> (2026-11).

use secrecy::ExposeSecret;

use crate::config::NeonSettings;
use crate::credentials::{Credentials, DatabaseUrl};
use crate::error::Error;
use crate::provider::http::{ApiClient, ProviderApi, path_segment};
use crate::provider::{Provider, ResolveRequest};

/// Looks up a stage's database in Neon's API: the branch that the settings name.
///
/// A look-up costs one request; Neon allows an account 700 requests a minute.
#[derive(Debug)]
pub struct Neon {
    api: ApiClient,
    path: String,
    subject: String,
}

impl Neon {
    /// Creates the provider. Sends no request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) when the API's URL or the
    /// token cannot be used.
    pub fn new(settings: NeonSettings) -> Result<Self, Error> {
        let NeonSettings {
            project,
            branch,
            database,
            role,
            pooled,
            token,
            api_url,
            https,
        } = settings;
        Ok(Self {
            api: ApiClient::new(&API, &api_url, &token, &https)?,
            // Without `branch_id` Neon uses the default branch of the project.
            path: format!(
                "/api/v2/projects/{}/connection_uri?branch_id={}&database_name={}&role_name={}&pooled={pooled}",
                path_segment(&project),
                path_segment(&branch),
                path_segment(&database),
                path_segment(&role),
            ),
            subject: format!(
                "database {database} as role {role} on branch {branch} of project {project}"
            ),
        })
    }
}

impl Provider for Neon {
    async fn resolve(&self, _request: &ResolveRequest) -> Result<Credentials, Error> {
        let response = self.api.get(&self.path, None, &self.subject).await?;
        let url = response.required_string("uri")?;
        let origin = format!("{} on Neon", self.subject);
        let url = DatabaseUrl::parse(url.expose_secret(), &origin)?;
        Ok(Credentials::new(url, origin))
    }
}

const API: ProviderApi = ProviderApi {
    name: "Neon",
    accept: "application/json",
    url_variable: "STAGELINK_NEON_API_URL",
    token_variable: "NEON_API_KEY",
    token_advice: "make an API key that is scoped to the project, in the Neon console under \
                Settings > API keys",
    access_advice: "it has to be a key of this project, of its organization, or of one of its members",
    name_advice: "check STAGELINK_NEON_PROJECT, STAGELINK_NEON_BRANCH (the branch's id, br-…, not its \
            name), STAGELINK_NEON_DATABASE and STAGELINK_NEON_ROLE",
};
