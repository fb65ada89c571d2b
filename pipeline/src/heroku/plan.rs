//! The plans of the databases of a pipeline's apps.

use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::{Coupling, Heroku};
use crate::api::Request;
use crate::error::{Error, ErrorKind};

/// The apps of a pipeline that a token can see, each by its id, with the stage.
#[derive(Debug)]
pub(crate) struct PipelineStages(Vec<Coupling>);

impl Heroku {
    /// Looks up the apps of a pipeline, in two requests.
    ///
    /// # Errors
    ///
    /// Those of the requests.
    pub(crate) async fn stages(&self, pipeline: &str) -> Result<PipelineStages, Error> {
        let action = format!("find the apps of the pipeline {pipeline}");
        Ok(PipelineStages(self.couplings(pipeline, &action).await?))
    }

    /// Returns the plan of the database whose URL an app has in a config var, such as
    /// `heroku-postgresql:essential-0`, in one request. `None` where no add-on of Heroku Postgres
    /// sets the config var.
    ///
    /// # Errors
    ///
    /// Those of the request; [`ErrorKind::Refused`] where Heroku does not tell the add-on's plan.
    pub(crate) async fn plan(&self, app: &str, config_var: &str) -> Result<Option<String>, Error> {
        let request = Request {
            path: &["apps", app, "addon-attachments"],
            header: Some((
                INCLUSION,
                HeaderValue::from_static("addon:plan,config_vars"),
            )),
            ..Request::default()
        };
        let response = self.api.send(request).await?;
        let action = format!("read the add-ons of the app {app}");
        let attachments: Vec<Attachment> = self.api.read(&response, &action)?;
        plan_of(attachments, config_var).map_err(|()| {
            Error::new(
                ErrorKind::Refused,
                format!(
                    "Heroku does not tell the plan of the add-on that sets {config_var} of the app \
                     {app}"
                ),
            )
        })
    }
}

impl PipelineStages {
    /// Returns the only app of a stage, by its id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] where the stage has no app in the pipeline, or several.
    pub(crate) fn app_of(&self, stage: &str) -> Result<String, Error> {
        let mut apps = self.0.iter().filter(|coupling| coupling.stage == stage);
        match (apps.next(), apps.next()) {
            (Some(coupling), None) => Ok(coupling.app.id.clone()),
            (None, _) => Err(Error::new(
                ErrorKind::Refused,
                format!("the pipeline has no app in stage {stage}"),
            )),
            (Some(_), Some(_)) => Err(Error::new(
                ErrorKind::Refused,
                format!("the pipeline has several apps in stage {stage}"),
            )),
        }
    }
}

/// An add-on that an app can use, with its name there.
#[derive(Deserialize)]
struct Attachment {
    name: Option<String>,
    addon: Option<Addon>,
    config_vars: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Addon {
    plan: Option<Plan>,
}

#[derive(Deserialize)]
struct Plan {
    name: Option<String>,
}

impl Attachment {
    /// Returns whether it gives its app this config var.
    fn sets(&self, config_var: &str) -> bool {
        let named = config_var.strip_suffix("_URL");
        let mut set = self.config_vars.iter().flatten();
        set.any(|name| name == config_var) || (named.is_some() && named == self.name.as_deref())
    }
}

/// Returns the plan of the add-on that sets a config var; `None` where no add-on does.
fn plan_of(attachments: Vec<Attachment>, config_var: &str) -> Result<Option<String>, ()> {
    let mut attachments = attachments.into_iter();
    let Some(attachment) = attachments.find(|it| it.sets(config_var)) else {
        return Ok(None);
    };
    let name = attachment.addon.and_then(|addon| addon.plan?.name);
    name.map(Some).ok_or(())
}

/// The header that asks for fields which attachments do not have by default.
const INCLUSION: HeaderName = HeaderName::from_static("accept-inclusion");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_that_heroku_does_not_tell_is_no_missing_add_on() {
        let by_name = r#"[{"name":"OTHER","addon":{"plan":{"name":"x"}}},
            {"name":"DATABASE","config_vars":null,"addon":"#;
        let plan = |json: &str| plan_of(serde_json::from_str(json).unwrap(), "DATABASE_URL");
        for (addon, expected) in [
            (
                r#"{"plan":{"name":"standard-0"}}}]"#,
                Ok(Some("standard-0".to_owned())),
            ),
            ("{}}]", Err(())),
            (r#"{"plan":null}}]"#, Err(())),
            (r#"{"plan":{"name":null}}}]"#, Err(())),
            ("null}]", Err(())),
        ] {
            assert_eq!(plan(&format!("{by_name}{addon}")), expected, "{addon}");
        }
        assert_eq!(
            plan(r#"[{"name":null,"addon":{}},{"name":"OTHER","addon":{}}]"#),
            Ok(None)
        );
    }
}
