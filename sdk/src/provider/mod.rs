//! The providers of a stage's credentials: the trait, Heroku, Neon, Render, and a fixed URL.

mod heroku;
mod http;
mod neon;
mod refresh;
mod render;
mod static_url;
mod unset;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::{IgnoredSource, ProviderSettings};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::stage::Stage;

use self::unset::UnsetProvider;

#[cfg(feature = "lambda")]
pub(crate) use self::http::{Connector, RequestBody};
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

    /// Returns whether each call gives the same response for as long as the process runs, as a
    /// variable of its environment does. A wrong password is then reported at once, and not tried
    /// again. False by default.
    fn is_fixed(&self) -> bool {
        false
    }
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

    /// Creates the provider of the settings. `url_variable` is the variable that a fixed URL is from.
    pub(crate) fn from_settings(
        settings: ProviderSettings,
        url_variable: &str,
    ) -> Result<Self, Error> {
        Ok(match settings {
            ProviderSettings::Heroku(settings) => Self::new(Heroku::new(settings)?),
            ProviderSettings::Neon(settings) => Self::new(Neon::new(settings)?),
            ProviderSettings::Render(settings) => Self::new(Render::new(settings)?),
            ProviderSettings::Url(url) => Self::new(StaticUrl::from_variable(url_variable, &url)?),
        })
    }

    /// Creates a provider that knows no database, for settings without one: beside deploy-time
    /// credentials, or in a preview. `ignored` is a source that the environment locates in vain.
    pub(crate) fn none(
        stage: Stage,
        has_deploy_time: bool,
        ignored: Option<IgnoredSource>,
    ) -> Self {
        Self::new(UnsetProvider::new(stage, has_deploy_time, ignored))
    }

    pub(crate) async fn resolve(&self, stage: Stage) -> Result<Credentials, Error> {
        self.0.resolve(&ResolveRequest::new(stage)).await
    }

    /// Returns whether the provider never gives other credentials than before.
    pub(crate) fn is_fixed(&self) -> bool {
        self.0.is_fixed()
    }
}

impl fmt::Debug for AnyProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyProvider")
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Provider`] in the form that a trait object needs.
trait DynProvider: Send + Sync {
    fn resolve<'a>(
        &'a self,
        request: &'a ResolveRequest,
    ) -> BoxFuture<'a, Result<Credentials, Error>>;

    fn is_fixed(&self) -> bool;
}

impl<P: Provider> DynProvider for P {
    fn resolve<'a>(
        &'a self,
        request: &'a ResolveRequest,
    ) -> BoxFuture<'a, Result<Credentials, Error>> {
        Box::pin(Provider::resolve(self, request))
    }

    fn is_fixed(&self) -> bool {
        Provider::is_fixed(self)
    }
}
