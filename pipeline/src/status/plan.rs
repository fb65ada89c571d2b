//! The provider of each stage, and the plans that Heroku's API says.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use stagelink::{HerokuApp, ProviderSettings, Settings};
use tokio::time::Instant;

use crate::api::ApiAccess;
use crate::heroku::Heroku;
use crate::status::lookup::{Lookup, within};

/// The provider that knows a stage's database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderStatus {
    /// `heroku`, `neon`, `render`, `url`, or `deploy-time` where there is no other.
    pub name: String,
    /// The place there, such as a pipeline.
    pub place: String,
}

impl ProviderStatus {
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let (name, place) = match &settings.provider {
            Some(ProviderSettings::Heroku(heroku)) => {
                let place = match &heroku.app {
                    HerokuApp::InPipeline {
                        pipeline,
                        app: None,
                        ..
                    } => format!("pipeline {pipeline}"),
                    HerokuApp::InPipeline {
                        pipeline,
                        app: Some(app),
                        ..
                    } => format!("pipeline {pipeline}, app {app}"),
                    HerokuApp::Named(app) => format!("app {app}"),
                    _ => String::new(),
                };
                ("heroku", place)
            }
            Some(ProviderSettings::Neon(neon)) => (
                "neon",
                format!("project {}, branch {}", neon.project, neon.branch),
            ),
            Some(ProviderSettings::Render(render)) => ("render", render.postgres.clone()),
            Some(ProviderSettings::Url(_)) => ("url", "a fixed URL".to_owned()),
            None if settings.deploy_time.is_some() => {
                ("deploy-time", "STAGELINK_CREDENTIALS".to_owned())
            }
            _ => return None,
        };
        Some(Self {
            name: name.to_owned(),
            place,
        })
    }
}

/// The way to the plan of a stage's database on Heroku.
pub(super) struct PlanSource {
    stage: String,
    pipeline: Option<String>,
    app: Option<String>,
    config_var: String,
    api_url: String,
    token: SecretString,
}

impl PlanSource {
    /// Returns the way to a plan, or the reason why there is none. `stage` is Heroku's name of it.
    pub(super) fn of(settings: &Settings, stage: &str) -> Result<Self, String> {
        let heroku = match &settings.provider {
            Some(ProviderSettings::Heroku(heroku)) => heroku,
            Some(_) => return Err("looked up for databases on Heroku alone".to_owned()),
            None => return Err("there is no provider to ask".to_owned()),
        };
        let (pipeline, app) = match &heroku.app {
            HerokuApp::InPipeline { app: None, .. } if stage == "review" => {
                return Err("each pull request has a database of its own".to_owned());
            }
            HerokuApp::InPipeline { pipeline, app, .. } => (Some(pipeline.clone()), app.clone()),
            HerokuApp::Named(app) => (None, Some(app.clone())),
            _ => return Err("this version does not know the way to the app".to_owned()),
        };
        Ok(Self {
            stage: stage.to_owned(),
            pipeline,
            app,
            config_var: heroku.config_var.clone(),
            api_url: heroku.api_url.clone(),
            token: heroku.token.clone(),
        })
    }

    async fn look_up(&self, app: &str, heroku: &Heroku, limit: Duration) -> PlanFound {
        let attachments = match within(limit, heroku.attachments(app)).await {
            Ok(attachments) => attachments,
            Err(error) => return PlanFound::without_app(Lookup::not_known(error.report())),
        };
        let plan = match attachments.plan(&self.config_var) {
            Ok(Some(plan)) => Lookup::known(plan),
            Ok(None) => Lookup::absent(format!(
                "no add-on of the app sets {}, so its value was set by hand",
                self.config_var
            )),
            Err(error) => Lookup::not_known(error.report()),
        };
        let app = match attachments.app_name() {
            Some(name) => AppFound::Named(name.to_owned()),
            None => AppFound::NotTold,
        };
        PlanFound { plan, app }
    }
}

/// Returns whether the database of these settings is looked up at an app that a pipeline names.
pub(super) fn leads_by_a_pipeline(settings: &Settings) -> bool {
    let heroku = match &settings.provider {
        Some(ProviderSettings::Heroku(heroku)) if settings.deploy_time.is_none() => heroku,
        _ => return false,
    };
    matches!(heroku.app, HerokuApp::InPipeline { app: None, .. })
}

/// A plan, and the app that was found on the way to it.
#[derive(Clone, Debug)]
pub(super) struct PlanFound {
    pub(super) plan: Lookup<String>,
    pub(super) app: AppFound,
}

/// The app of a stage, as the look-up of its plan has found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AppFound {
    /// The pipeline's only app of the stage, by its name.
    Named(String),
    /// The look-up of the database has to find it, or to say why there is none.
    NotTold,
    /// Heroku has not answered about the pipeline in time, for this reason.
    Silent(String),
}

impl PlanFound {
    fn without_app(plan: Lookup<String>) -> Self {
        Self {
            plan,
            app: AppFound::NotTold,
        }
    }
}

impl AppFound {
    /// Returns the settings by which the database is looked up without asking for the app again.
    ///
    /// # Errors
    ///
    /// The reason where Heroku was silent: it would be asked the same once more.
    pub(super) fn name_in(&self, mut settings: Settings) -> Result<Settings, String> {
        let name = match self {
            Self::Named(name) => name,
            Self::NotTold => return Ok(settings),
            Self::Silent(reason) => return Err(reason.clone()),
        };
        if let Some(ProviderSettings::Heroku(heroku)) = &mut settings.provider {
            heroku.app = HerokuApp::Named(name.clone());
        }
        Ok(settings)
    }
}

/// Looks up the plans, with two requests for each pipeline and one for each app. A stage whose app is
/// named needs none for its pipeline. The database of a stage is then looked up at the app that was found.
pub(super) async fn look_up(
    sources: &[Result<PlanSource, String>],
    limit: Duration,
) -> Vec<PlanFound> {
    let mut groups: BTreeMap<(Option<&str>, &str, &str), Vec<usize>> = BTreeMap::new();
    for (index, source) in sources.iter().enumerate() {
        if let Ok(source) = source {
            let pipeline = source.pipeline.as_deref().filter(|_| source.app.is_none());
            let key = (
                pipeline,
                source.api_url.as_str(),
                source.token.expose_secret(),
            );
            groups.entry(key).or_default().push(index);
        }
    }
    let mut plans: Vec<_> = sources
        .iter()
        .map(|source| match source {
            Ok(_) => Lookup::not_known("it was not looked up"),
            Err(reason) => Lookup::absent(reason),
        })
        .map(PlanFound::without_app)
        .collect();
    let groups = groups.into_iter().map(async |((pipeline, _, _), indexes)| {
        let sources: Vec<_> = indexes
            .iter()
            .filter_map(|index| Some((*index, sources[*index].as_ref().ok()?)))
            .collect();
        of_group(pipeline, &sources, limit).await
    });
    for (index, plan) in join_all(groups).await.into_iter().flatten() {
        plans[index] = plan;
    }
    plans
}

/// Looks up the plans of sources of one pipeline and token.
async fn of_group(
    pipeline: Option<&str>,
    sources: &[(usize, &PlanSource)],
    limit: Duration,
) -> Vec<(usize, PlanFound)> {
    let fail = |reason: String, app: AppFound| {
        let plans = sources.iter().map(|(index, _)| {
            let plan = Lookup::not_known(&reason);
            let app = app.clone();
            (*index, PlanFound { plan, app })
        });
        plans.collect()
    };
    let Some((_, first)) = sources.first() else {
        return Vec::new();
    };
    let access = ApiAccess::new(&first.api_url, first.token.clone(), "HEROKU_API_KEY");
    let heroku = match Heroku::new(&access) {
        Ok(heroku) => heroku,
        Err(error) => return fail(error.report(), AppFound::NotTold),
    };
    let begun = Instant::now();
    let stages = match pipeline {
        None => None,
        Some(pipeline) => match within(limit, heroku.stages(pipeline)).await {
            Ok(stages) => Some(stages),
            Err(error) => {
                let reason = error.report();
                let app = match begun.elapsed() < limit {
                    true => AppFound::NotTold,
                    false => AppFound::Silent(reason.clone()),
                };
                return fail(reason, app);
            }
        },
    };
    let plans = sources.iter().map(async |(index, source)| {
        let app = match (&stages, &source.app) {
            (_, Some(app)) => Ok(app.clone()),
            (Some(stages), None) => stages.app_of(&source.stage),
            (None, None) => {
                let plan = Lookup::absent("no app is named");
                return (*index, PlanFound::without_app(plan));
            }
        };
        match app {
            Ok(app) => (*index, source.look_up(&app, &heroku, limit).await),
            Err(error) => {
                let plan = Lookup::not_known(error.report());
                (*index, PlanFound::without_app(plan))
            }
        }
    });
    join_all(plans).await
}
