//! The interface to the programs behind the apps: a promotion has them replaced.

use std::error::Error;
use std::fmt;
use std::pin::Pin;

use uuid::Uuid;

use super::release_output::ReleaseOutput;

/// Owner of the apps' programs.
///
/// Heroku also runs the apps; this stand-in only knows which slug each one has. Without a deployer a
/// promotion changes the slug and nothing else.
pub trait Deployer: Send + Sync {
    /// Runs a slug on an app in place of the one that runs there. The app keeps its config vars.
    ///
    /// It is the release phase of the new release: until it returns, the release is pending and the
    /// app's old slug is the current one. After an error the release has failed, and the target of
    /// the promotion has the error's text. Promotions run one after the other, and to their end even
    /// if the client disconnects.
    fn deploy<'a>(&'a self, deployment: &'a Deployment) -> DeployFuture<'a>;
}

/// Future of a [`Deployer`]. The text of its error is shown to the user, so it has no secret.
pub type DeployFuture<'a> =
    Pin<Box<dyn Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// The slug that a promotion brings to an app.
#[derive(Clone)]
#[non_exhaustive]
pub struct Deployment {
    /// Name of the app that gets the slug.
    pub app: String,
    /// Name of the app that is promoted.
    pub source: String,
    /// Id of the slug.
    pub slug: Uuid,
    /// Output of the release phase, which the command line prints as it comes.
    pub output: ReleaseOutput,
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("app", &self.app)
            .field("source", &self.source)
            .field("slug", &self.slug)
            .finish_non_exhaustive()
    }
}
