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

    /// Reads the add-ons of an app, in one request.
    ///
    /// # Errors
    ///
    /// Those of the request.
    pub(crate) async fn attachments(&self, app: &str) -> Result<AppAttachments, Error> {
        let request = Request {
            path: &["apps", app, "addon-attachments"],
            header: Some((
                INCLUSION,
                HeaderValue::from_static("addon:plan,config_vars"),
            )),
            ..Request::default()
        };
        let action = format!("read the add-ons of the app {app}");
        let response = self.api.send(request, &action).await?;
        Ok(AppAttachments {
            app: app.to_owned(),
            attachments: self.api.read(&response, &action)?,
        })
    }
}

/// The add-ons that an app can use.
pub(crate) struct AppAttachments {
    /// The app, as it was asked for.
    app: String,
    attachments: Vec<Attachment>,
}

impl AppAttachments {
    /// Returns the plan of the database whose URL the app has in a config var, such as
    /// `heroku-postgresql:essential-0`. `None` where no add-on of Heroku Postgres sets the config var.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Refused`] where Heroku does not tell the add-on's plan.
    pub(crate) fn plan(&self, config_var: &str) -> Result<Option<String>, Error> {
        plan_of(&self.attachments, config_var).map_err(|()| {
            Error::new(
                ErrorKind::Refused,
                format!(
                    "Heroku does not tell the plan of the add-on that sets {config_var} of the app \
                     {}",
                    self.app
                ),
            )
        })
    }

    /// Returns the app's name, which each of its add-ons tells; `None` for an app without any.
    pub(crate) fn app_name(&self) -> Option<&str> {
        let mut apps = self.attachments.iter().filter_map(|it| it.app.as_ref());
        let own = apps.find(|app| app.id == self.app || app.name == self.app)?;
        Some(&own.name)
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
    app: Option<AppReference>,
    addon: Option<Addon>,
    config_vars: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct AppReference {
    id: String,
    name: String,
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
fn plan_of(attachments: &[Attachment], config_var: &str) -> Result<Option<String>, ()> {
    let mut attachments = attachments.iter();
    let Some(attachment) = attachments.find(|it| it.sets(config_var)) else {
        return Ok(None);
    };
    let plan = attachment.addon.as_ref().and_then(|it| it.plan.as_ref());
    let name = plan.and_then(|plan| plan.name.clone());
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
        let plan = |json: &str| {
            let attachments: Vec<Attachment> = serde_json::from_str(json).unwrap();
            plan_of(&attachments, "DATABASE_URL")
        };
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
    #[test]
    fn name_of_an_app_is_that_of_its_own_add_ons() {
        let attachments = |json: &str| AppAttachments {
            app: "7".to_owned(),
            attachments: serde_json::from_str(json).unwrap(),
        };
        for (json, expected) in [
            ("[]", None),
            (r#"[{"name":"DATABASE"},{"app":null}]"#, None),
            (r#"[{"app":{"id":"8","name":"other"}}]"#, None),
            (
                r#"[{"name":"LOGS"},{"app":{"id":"7","name":"shop"}}]"#,
                Some("shop"),
            ),
        ] {
            assert_eq!(attachments(json).app_name(), expected, "{json}");
        }
    }
}
