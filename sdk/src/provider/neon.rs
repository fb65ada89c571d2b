//! Neon: the connection URI of a branch, over the Neon API.
//!
//! Facts by <https://neon.com/docs/reference/api/projects/get-connection-uri> and
//! <https://neon.com/docs/manage/api-keys> (2026-11).

use secrecy::ExposeSecret;

use crate::config::NeonSettings;
use crate::credentials::Credentials;
use crate::credentials::DatabaseUrl;
use crate::error::Error;
use crate::provider::Provider;
use crate::provider::http::client::{Api, Service, segment};
use crate::stage::Stage;

/// Neon's API as the source of a stage's database: the branch that the settings
/// name is the stage's.
///
/// A resolution costs one call. All calls of an account share 700 a minute.
#[derive(Debug)]
pub struct Neon {
    api: Api,
    path: String,
    subject: String,
}

impl Neon {
    /// Makes ready to ask, without asking.
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
        } = settings;
        Ok(Self {
            api: Api::new(&SERVICE, &api_url, &token)?,
            // Without a branch Neon would answer for the project's default one.
            path: format!(
                "/api/v2/projects/{}/connection_uri?branch_id={}&database_name={}&role_name={}&pooled={pooled}",
                segment(&project),
                segment(&branch),
                segment(&database),
                segment(&role),
            ),
            subject: format!(
                "database {database} as role {role} on branch {branch} of project {project}"
            ),
        })
    }
}

impl Provider for Neon {
    async fn resolve(&self, _stage: Stage) -> Result<Credentials, Error> {
        let answer = self.api.ask(&self.path, None, &self.subject).await?;
        let url = answer.documented_text("uri")?;
        let origin = format!("{} on Neon", self.subject);
        let url = DatabaseUrl::parse(url.expose_secret(), &origin)?;
        Ok(Credentials::new(url, origin))
    }
}

const SERVICE: Service = Service {
    name: "Neon",
    accept: "application/json",
    url_variable: "STAGELINK_NEON_API_URL",
    token_variable: "NEON_API_KEY",
    new_token: "make an API key that is scoped to the project, in the Neon console under \
                Settings > API keys",
    access: "it has to be a key of this project, of its organization, or of one of its members",
    names: "check STAGELINK_NEON_PROJECT, STAGELINK_NEON_BRANCH (the branch's id, br-…, not its \
            name), STAGELINK_NEON_DATABASE and STAGELINK_NEON_ROLE",
};
