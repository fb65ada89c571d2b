//! The client of Heroku's Platform API: the apps of a pipeline that a token can read, and the plans
//! of their databases.

mod plan;
mod releases;

use reqwest::StatusCode;
use reqwest::header::{HeaderName, HeaderValue, RANGE};
use serde::Deserialize;
use stagelink::{Stage, StageKind};

use crate::api::{Api, ApiAccess, ClockReading, Request, Service};
use crate::error::{Error, ErrorKind};

pub(crate) use self::releases::UrlChange;

/// A client of Heroku's Platform API with one token.
#[derive(Debug)]
pub(crate) struct Heroku {
    api: Api,
}

impl Heroku {
    pub(crate) fn new(access: &ApiAccess) -> Result<Self, Error> {
        let api = Api::new(&HEROKU, access)?;
        Ok(Self { api })
    }

    /// Returns Heroku's clock, by its latest response.
    pub(crate) fn clock(&self) -> Option<ClockReading> {
        self.api.clock()
    }

    /// Returns the ids of all apps that serve production or staging in the pipeline.
    pub(crate) async fn apps(&self, pipeline: &str) -> Result<PipelineApps, Error> {
        let action = format!("find production in the pipeline {pipeline}");
        let mut apps = PipelineApps::default();
        for Coupling { stage, app } in self.couplings(pipeline, &action).await? {
            if stage == StageKind::Production.as_str() {
                apps.production.push(app.id);
            } else if stage == StageKind::Staging.as_str() {
                apps.staging.push(app.id);
            }
        }
        Ok(apps)
    }

    /// Returns the couplings of a pipeline: its apps, each with its stage.
    async fn couplings(&self, pipeline: &str, action: &str) -> Result<Vec<Coupling>, Error> {
        let id = self.pipeline_id(pipeline, action).await?;
        let path = ["pipelines", &id, "pipeline-couplings"];
        let mut couplings = Vec::new();
        let mut range = HeaderValue::from_static("id ..; max=1000");
        for _ in 0..MOST_PAGES {
            let request = Request {
                path: &path,
                header: Some((RANGE, range)),
                ..Request::default()
            };
            let response = self.api.send(request, action).await?;
            couplings.extend(self.api.read::<Vec<Coupling>>(&response, action)?);
            match response.headers.get(NEXT_RANGE) {
                Some(next) => range = next.clone(),
                None => return Ok(couplings),
            }
        }
        Err(Error::new(
            ErrorKind::Refused,
            format!("could not {action}: Heroku gave more than {MOST_PAGES} pages of couplings"),
        ))
    }

    /// Proves that this token, which is for `stage`, cannot read the config vars of these apps,
    /// which serve stages of the kind `owner`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Isolation`] when it reads one, and the error of the request when Heroku does
    /// not answer clearly.
    pub(crate) async fn ensure_cannot_read(
        &self,
        apps: &[String],
        owner: StageKind,
        stage: Stage,
    ) -> Result<(), Error> {
        let action =
            format!("prove that the token of stage {stage} does not read {owner}'s config vars");
        let Some(app) = self.find_readable(apps, &action).await? else {
            return Ok(());
        };
        Err(Error::new(
            ErrorKind::Isolation,
            format!(
                "the token of stage {stage} reads {owner}'s config vars (app {app}), so nothing \
                 was set: give that stage a token of an account that can access its own apps alone \
                 (`heroku access:add`), made with `heroku authorizations:create --scope \
                 read-protected`; the token is in {}",
                self.api.token_variable()
            ),
        ))
    }

    /// Finds the first of these apps whose config vars this token reads. Returns its name. `action`
    /// says for errors what it is tried for.
    ///
    /// # Errors
    ///
    /// The error of the request when Heroku does not answer clearly.
    pub(crate) async fn find_readable(
        &self,
        apps: &[String],
        action: &str,
    ) -> Result<Option<String>, Error> {
        for app in apps {
            let path = ["apps", app, "config-vars"];
            let response = self.api.get(&path, &[], action).await?;
            match config_var_access(response.status) {
                ConfigVarAccess::Denied => {}
                ConfigVarAccess::Granted => return Ok(Some(self.app_name(app).await)),
                ConfigVarAccess::Unclear => return Err(self.api.refusal(&response, action)),
            }
        }
        Ok(None)
    }

    /// Makes sure that the token reads the pipeline's review apps, which a preview needs.
    pub(crate) async fn ensure_reads_review_apps(&self, pipeline: &str) -> Result<(), Error> {
        let action = format!("read the review apps of the pipeline {pipeline}");
        let id = self.pipeline_id(pipeline, &action).await?;
        let response = self
            .api
            .get(&["pipelines", &id, "review-apps"], &[], &action)
            .await?;
        match response.status.is_success() {
            true => Ok(()),
            false => Err(self.api.refusal(&response, &action)),
        }
    }

    /// Returns an app's name, or its id where the name cannot be read.
    async fn app_name(&self, app: &str) -> String {
        let action = format!("read the name of the app {app}");
        let found = match self.api.get(&["apps", app], &[], &action).await {
            Ok(response) => self.api.read::<Named>(&response, &action).ok(),
            Err(_) => None,
        };
        found.map_or_else(|| app.to_owned(), |found| found.name)
    }

    async fn pipeline_id(&self, pipeline: &str, action: &str) -> Result<String, Error> {
        let response = self.api.get(&["pipelines", pipeline], &[], action).await?;
        let found: Reference = self.api.read(&response, action)?;
        Ok(found.id)
    }
}

/// The access to an app's config vars that a response reveals.
#[derive(Debug, PartialEq, Eq)]
enum ConfigVarAccess {
    Granted,
    Denied,
    /// Heroku did not decide: the token may read them at another time.
    Unclear,
}

fn config_var_access(status: StatusCode) -> ConfigVarAccess {
    match status {
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => ConfigVarAccess::Denied,
        status if status.is_success() || status == StatusCode::NOT_MODIFIED => {
            ConfigVarAccess::Granted
        }
        _ => ConfigVarAccess::Unclear,
    }
}

#[derive(Debug, Deserialize)]
struct Reference {
    id: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// The apps of a pipeline by their stage, each by its id or name.
#[derive(Debug, Default)]
pub(crate) struct PipelineApps {
    pub(crate) production: Vec<String>,
    pub(crate) staging: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Coupling {
    app: Reference,
    stage: String,
}

const HEROKU: Service = Service {
    name: "Heroku",
    url_variable: "STAGELINK_HEROKU_API_URL",
    path: "/",
    accept: "application/vnd.heroku+json; version=3",
};

/// The header of a partial response, up to the last page.
const NEXT_RANGE: HeaderName = HeaderName::from_static("next-range");

/// A pipeline of 20,000 apps. More pages mean that the response never ends.
const MOST_PAGES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_refusal_proves_that_a_token_does_not_read() {
        let access = |status| config_var_access(StatusCode::from_u16(status).unwrap());
        for status in [403, 404] {
            assert_eq!(access(status), ConfigVarAccess::Denied, "{status}");
        }
        for status in [200, 206, 304] {
            assert_eq!(access(status), ConfigVarAccess::Granted, "{status}");
        }
        for status in [301, 400, 401, 402, 408, 410, 418, 422, 429, 500, 503] {
            assert_eq!(access(status), ConfigVarAccess::Unclear, "{status}");
        }
    }
}
