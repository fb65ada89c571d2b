//! Credentials, and the trait of those who know them.

mod deploy_time;
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

use secrecy::SecretString;

use crate::config::ProviderSettings;
use crate::error::{Error, ErrorKind};
use crate::postgres::{DatabaseUrl, ScramKeys};
use crate::stage::Stage;

pub(crate) use self::deploy_time::of_stage as deploy_time_entry;
pub(crate) use self::deploy_time::parse as parse_deploy_time;
pub(crate) use self::refresh::{Backoff, jitter};

pub use self::heroku::Heroku;
pub use self::neon::Neon;
pub use self::render::Render;
pub use self::static_url::StaticUrl;

/// What it takes to reach a stage's database, and who said so.
#[derive(Clone, Debug)]
pub struct Credentials {
    url: DatabaseUrl,
    /// Past the pooler that the URL leads to.
    direct: Option<DatabaseUrl>,
    scram_keys: Option<ScramKeys>,
    origin: String,
}

impl Credentials {
    /// Credentials from a URL, and a few words on where it was found, for the
    /// operator's log ("app guestbook-staging on Heroku"). The words hold no secret.
    pub fn new(url: DatabaseUrl, origin: impl Into<String>) -> Self {
        Self {
            url,
            direct: None,
            scram_keys: None,
            origin: origin.into(),
        }
    }

    /// The same, where the URL leads to a pooler: with the URL of the database itself.
    ///
    /// No pooler is known to offer channel binding, by which a server without a certificate
    /// that verifies proves itself. The database behind it does, and where it shows the same
    /// key on the same host that stands for the pooler too.
    #[must_use]
    pub fn with_direct(mut self, direct: DatabaseUrl) -> Self {
        self.direct = Some(direct);
        self
    }

    /// The same, with what SCRAM makes of the URL's password, where that is known.
    pub(crate) fn with_scram_keys(mut self, keys: Option<ScramKeys>) -> Self {
        self.scram_keys = keys;
        self
    }

    pub(crate) fn scram_keys(&self) -> Option<&ScramKeys> {
        self.scram_keys.as_ref()
    }

    /// The database itself, where [`url`](Self::url) leads to a pooler and that is known.
    pub fn direct(&self) -> Option<&DatabaseUrl> {
        self.direct.as_ref()
    }

    /// The database.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Where the URL was found.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// These as the value of `STAGELINK_CREDENTIALS` for functions of that stage. Where they can be
    /// tried, [`Database::examine`](crate::Database::examine) tells a value that saves functions more.
    pub fn to_variable(&self, stage: Stage) -> SecretString {
        deploy_time::to_variable(self, stage)
    }
}

/// Somebody who knows the database of a stage: a PaaS, by its API.
///
/// An implementation asks anew at every call. Whoever calls decides when to ask,
/// limits the time, and remembers the answer.
pub trait Provider: Send + Sync + 'static {
    /// Finds the credentials of the stage's database.
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
    fn resolve(&self, stage: Stage) -> impl Future<Output = Result<Credentials, Error>> + Send;
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
        self.0.resolve(stage).await
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
    async fn resolve(&self, stage: Stage) -> Result<Credentials, Error> {
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
    fn resolve(&self, stage: Stage) -> BoxFuture<'_, Result<Credentials, Error>>;
}

impl<P: Provider> DynProvider for P {
    fn resolve(&self, stage: Stage) -> BoxFuture<'_, Result<Credentials, Error>> {
        Box::pin(Provider::resolve(self, stage))
    }
}
