//! A stage whose database is at a provider other than Heroku.

use std::ops::{Deref, DerefMut};

use stagelink_local::api::Control;
use stagelink_local::testing::neon::Neon;
use stagelink_local::testing::render::Render;

use crate::{FunctionHarness, database, server};

/// Provider with the database of staging, and functions that are linked to it.
#[derive(Debug)]
pub struct ProviderFixture {
    /// The provider.
    pub cloud: FakeProvider,
    harness: FunctionHarness,
}

/// Stand-in for a provider, with the provider's identifier of the database.
#[derive(Debug)]
pub enum FakeProvider {
    /// Neon with the project `shop` and the branches `br-main`, which is the default one and
    /// unusable, and `br-staging`.
    Neon(Neon),
    /// Render, with the id of its only Postgres.
    Render(Render, String),
}

impl ProviderFixture {
    /// Creates one fixture per provider.
    ///
    /// # Panics
    ///
    /// When a step fails, as all methods do.
    pub async fn all() -> [Self; 2] {
        [Self::neon().await, Self::render().await]
    }

    /// Creates a fixture with a branch of a Neon project.
    pub async fn neon() -> Self {
        let database = database().await;
        let neon = Neon::start(0).await.expect("Neon starts");
        let useless = database.url().replace(database.name(), "none-such");
        for (branch, url) in [("br-main", useless), ("br-staging", database.url())] {
            neon.create_branch("shop", branch, &url).expect("a branch");
        }
        let token = neon.create_token(Some("shop"));
        let (name, role) = (database.name().to_owned(), database.role().to_owned());
        let variables = [
            ("STAGELINK_NEON_PROJECT", "shop"),
            ("STAGELINK_NEON_BRANCH", "br-staging"),
            ("STAGELINK_NEON_DATABASE", &name),
            ("STAGELINK_NEON_ROLE", &role),
            ("STAGELINK_NEON_API_URL", neon.url()),
            // The host name of Neon's pooler does not resolve here.
            ("STAGELINK_POOLER", "never"),
            ("NEON_API_KEY", &token),
        ];
        let harness = FunctionHarness::new(database, variables, [token.clone()]);
        Self {
            cloud: FakeProvider::Neon(neon),
            harness,
        }
    }

    /// Creates a fixture with a Postgres on Render.
    pub async fn render() -> Self {
        let database = database().await;
        let render = Render::start(0).await.expect("Render starts");
        let id = render.create_postgres(&database.url()).expect("a Postgres");
        let token = render.create_token();
        let variables = [
            ("STAGELINK_RENDER_POSTGRES", id.as_str()),
            ("STAGELINK_RENDER_API_URL", render.url()),
            ("RENDER_API_KEY", &token),
        ];
        let harness = FunctionHarness::new(database, variables, [token.clone()]);
        Self {
            cloud: FakeProvider::Render(render, id),
            harness,
        }
    }

    /// Rotates the password in the real database, which terminates its connections, and updates the
    /// provider. Returns the new URL.
    pub async fn rotate(&self) -> String {
        let databases = server().await.database_admin();
        let rotated = databases
            .rotate_password(&self.database)
            .await
            .expect("a rotation");
        let url = rotated.url();
        let password = url.split([':', '@']).nth(2).expect("a password");
        self.record.forbid(password);
        self.cloud.set_url(&url);
        url
    }

    /// Revokes the token that the functions have.
    pub fn revoke_token(&self) {
        let token = &self.variables[self.cloud.token_variable()];
        let revoked = match &self.cloud {
            FakeProvider::Neon(neon) => neon.revoke_token(token),
            FakeProvider::Render(render, _) => render.revoke_token(token),
        };
        assert!(revoked, "the token was valid");
    }
}

impl FakeProvider {
    /// Returns the provider's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Neon(_) => "Neon",
            Self::Render(..) => "Render",
        }
    }

    /// Returns the variable that holds the token.
    pub fn token_variable(&self) -> &'static str {
        match self {
            Self::Neon(_) => "NEON_API_KEY",
            Self::Render(..) => "RENDER_API_KEY",
        }
    }

    /// Returns the variable that identifies the stage's own branch or database.
    pub fn stage_variable(&self) -> &'static str {
        match self {
            Self::Neon(_) => "STAGELINK_NEON_BRANCH",
            Self::Render(..) => "STAGELINK_RENDER_POSTGRES",
        }
    }

    /// Returns the control of the stand-in, which makes it fail and lists its requests.
    pub fn control(&self) -> &Control {
        match self {
            Self::Neon(neon) => neon.control(),
            Self::Render(render, _) => render.control(),
        }
    }

    /// Changes the database URL that the provider returns.
    pub fn set_url(&self, url: &str) {
        match self {
            Self::Neon(neon) => neon.set_database_url("shop", "br-staging", url),
            Self::Render(render, id) => render.set_database_url(id, url),
        }
        .expect("the provider has the database");
    }
}

impl Deref for ProviderFixture {
    type Target = FunctionHarness;

    fn deref(&self) -> &FunctionHarness {
        &self.harness
    }
}

impl DerefMut for ProviderFixture {
    fn deref_mut(&mut self) -> &mut FunctionHarness {
        &mut self.harness
    }
}
