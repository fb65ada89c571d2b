//! Credentials, and the trait of those who know them.

mod heroku;
mod http;
mod neon;
mod refresh;
mod render;
mod static_url;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::ProviderSettings;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::stage::Stage;

pub(crate) use self::refresh::{Backoff, jitter};

pub use self::heroku::Heroku;
pub use self::neon::Neon;
pub use self::render::Render;
pub use self::static_url::StaticUrl;

/// A source of the credentials of a stage's database, usually a PaaS by its API.
///
/// An implementation makes a new request with every call. The pool decides when to call, limits
/// the time, and caches the result.
pub trait Provider: Send + Sync + 'static {
    /// Looks up the credentials of the stage's database.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::App`](crate::ErrorKind::App) or
    /// [`ErrorKind::DatabaseUrl`](crate::ErrorKind::DatabaseUrl) when the stage
    /// has none or it is not clear which,
    /// [`ErrorKind::NoDatabase`](crate::ErrorKind::NoDatabase) for a preview that is meant
    /// to have none,
    /// [`ErrorKind::ProviderRefused`](crate::ErrorKind::ProviderRefused),
    /// [`ErrorKind::RateLimited`](crate::ErrorKind::RateLimited) or
    /// [`ErrorKind::ProviderUnavailable`](crate::ErrorKind::ProviderUnavailable)
    /// when the provider did not say.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any point: asking changes nothing.
    fn resolve(
        &self,
        request: &ResolveRequest,
    ) -> impl Future<Output = Result<Credentials, Error>> + Send;
}

/// A question to a [`Provider`]: the stage whose credentials the caller needs.
///
/// It may get more fields, which a provider need not read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResolveRequest {
    /// The stage.
    pub stage: Stage,
}

impl ResolveRequest {
    /// Makes a request for the credentials of a stage.
    pub fn new(stage: Stage) -> Self {
        Self { stage }
    }
}

/// Any provider, behind one type.
#[derive(Clone)]
pub(crate) struct AnyProvider(Arc<dyn DynProvider>);

impl AnyProvider {
    pub(crate) fn new(provider: impl Provider) -> Self {
        Self(Arc::new(provider))
    }

    /// The provider of the settings; where there is none, one who says so. `has_deploy_time` is
    /// whether there are credentials beside it.
    pub(crate) fn from_settings(
        settings: Option<ProviderSettings>,
        has_deploy_time: bool,
    ) -> Result<Self, Error> {
        Ok(match settings {
            Some(ProviderSettings::Heroku(settings)) => Self::new(Heroku::new(settings)?),
            Some(ProviderSettings::Neon(settings)) => Self::new(Neon::new(settings)?),
            Some(ProviderSettings::Render(settings)) => Self::new(Render::new(settings)?),
            Some(ProviderSettings::Url(url)) => Self::new(StaticUrl::parse(&url)?),
            None => Self::new(NoProvider { has_deploy_time }),
        })
    }

    pub(crate) async fn resolve(&self, stage: Stage) -> Result<Credentials, Error> {
        self.0.resolve(&ResolveRequest::new(stage)).await
    }
}

impl fmt::Debug for AnyProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyProvider")
    }
}

/// Stands where no provider is set: beside deploy-time credentials, or in a preview that has no
/// database.
struct NoProvider {
    has_deploy_time: bool,
}

impl Provider for NoProvider {
    async fn resolve(&self, request: &ResolveRequest) -> Result<Credentials, Error> {
        let stage = request.stage;
        if !self.has_deploy_time {
            return Err(Error::no_database(
                format!(
                    "stage {stage} has no database here: no source of one is set; for a database \
                     per pull request set STAGELINK_HEROKU_PIPELINE and HEROKU_API_KEY"
                ),
                None,
            ));
        }
        Err(Error::new(
            ErrorKind::Settings,
            format!(
                "no provider is configured to ask for new credentials of stage {stage}: set the \
                 variables of a provider beside STAGELINK_CREDENTIALS, such as \
                 STAGELINK_HEROKU_PIPELINE and HEROKU_API_KEY, or set STAGELINK_CREDENTIALS again"
            ),
        ))
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Provider`] in the form that a trait object needs.
trait DynProvider: Send + Sync {
    fn resolve<'a>(
        &'a self,
        request: &'a ResolveRequest,
    ) -> BoxFuture<'a, Result<Credentials, Error>>;
}

impl<P: Provider> DynProvider for P {
    fn resolve<'a>(
        &'a self,
        request: &'a ResolveRequest,
    ) -> BoxFuture<'a, Result<Credentials, Error>> {
        Box::pin(Provider::resolve(self, request))
    }
}
