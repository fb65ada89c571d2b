//! Deploy-time credentials that a deploy would get although the database's URL has changed since they were set.

use std::time::Duration;

use jiff::Timestamp;
use stagelink::{HerokuApp, ProviderSettings, Settings, Stage};

use crate::api::ApiAccess;
use crate::error::{Error, ErrorKind};
use crate::heroku::{Heroku, UrlChange};
use crate::netlify::{DeployContext, Site, Variable};
use crate::status::{Lookup, credentials_of_functions, within};

/// The way to a stage's database at Heroku.
#[derive(Clone, Debug)]
pub struct HerokuDatabase {
    access: ApiAccess,
    app: HerokuApp,
    config_var: String,
}

impl HerokuDatabase {
    /// Returns that of these settings; `None` where they lead to another provider.
    pub fn of(settings: &Settings) -> Option<Self> {
        match &settings.provider {
            Some(ProviderSettings::Heroku(heroku)) => Some(Self {
                access: ApiAccess::new(&heroku.api_url, heroku.token.clone(), "HEROKU_API_KEY"),
                app: heroku.app.clone(),
                config_var: heroku.config_var.clone(),
            }),
            _ => None,
        }
    }

    /// Returns the last change of the database's URL.
    async fn last_url_change(&self, stage: Stage) -> Result<Option<UrlChange>, Error> {
        let heroku = Heroku::new(&self.access)?;
        let app = match &self.app {
            HerokuApp::Named(app) | HerokuApp::InPipeline { app: Some(app), .. } => app.clone(),
            HerokuApp::InPipeline { pipeline, .. } => {
                let stages = heroku.stages(pipeline).await?;
                stages.app_of(stage.kind().as_str())?
            }
            _ => return Ok(None),
        };
        heroku.last_url_change(&app, &self.config_var).await
    }
}

/// Makes sure that the functions of a deploy do not get credentials that Heroku has replaced since `stagelink
/// link` set them, where nothing renews them at run time. What cannot be looked up stops no deploy: its test
/// finds the same later.
///
/// # Errors
///
/// [`ErrorKind::Settings`] where they would.
pub(super) async fn ensure_fresh(
    site: &Site,
    own: &[Variable],
    (stage, context): (Stage, &DeployContext),
    database: Option<&HerokuDatabase>,
) -> Result<(), Error> {
    let (Some(set), Some(database)) = (set_at(own), database) else {
        return Ok(());
    };
    let Ok(Some(change)) = within(LIMIT, database.last_url_change(stage)).await else {
        return Ok(());
    };
    if change.at <= set {
        return Ok(());
    }
    let account = match within(LIMIT, site.account_variables()).await {
        Ok(Some(variables)) => Lookup::known(variables),
        _ => Lookup::not_known("the variables of the account were not read"),
    };
    match credentials_of_functions((stage, context), own, &account) {
        Lookup::Known { value }
            if value.source == "deploy-time"
                && value.renewed_by.is_none()
                && value.renewed_by_not_known.is_none() => {}
        _ => return Ok(()),
    }
    let (set, changed) = (shown(set), shown(change.at));
    Err(Error::new(
        ErrorKind::Settings,
        format!(
            "the functions of stage {stage} would get credentials that its database refuses: {VARIABLE} was \
             set {set}, and the app {} got another database URL {changed} (release v{}), as by a rotation of its \
             password. Nothing renews them in the context {context}. Set those of now by `stagelink link`, and \
             deploy again; with a token of the stage's own (`--token-for`) functions renew them by themselves",
            change.app.as_deref().unwrap_or("of the stage"),
            change.version
        ),
    ))
}

/// Returns when the deploy-time credentials were set last, in whatever context; `None` where there are none, or
/// Netlify does not tell it.
fn set_at(own: &[Variable]) -> Option<Timestamp> {
    let variable = own.iter().find(|variable| variable.key == VARIABLE)?;
    variable.updated_at.as_deref()?.parse().ok()
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

const VARIABLE: &str = "STAGELINK_CREDENTIALS";

/// The time that a look-up takes at most.
const LIMIT: Duration = Duration::from_secs(10);
