//! Heroku: pipeline → couplings → app → config vars, over the Platform API.
//!
//! Facts by the Platform API's schema of 2026-02-19 (github.com/heroku/platform-api)
//! and <https://devcenter.heroku.com/articles/platform-api-reference>.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RANGE, RETRY_AFTER};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::credentials::http::{Answer, Api};
use crate::credentials::{Credentials, Provider};
use crate::error::{Error, ErrorKind};
use crate::postgres::DatabaseUrl;
use crate::settings::{HerokuApp, HerokuSettings};
use crate::stage::Stage;

/// Heroku's Platform API as the source of a stage's database.
///
/// A resolution costs three calls for a pipeline (the pipeline, its couplings,
/// the app's config vars) and one for an app that is named. All calls of an
/// account share 4,500 an hour.
#[derive(Debug)]
pub struct Heroku {
    api: Api,
    app: HerokuApp,
    config_var: String,
}

impl Heroku {
    /// Makes ready to ask, without asking.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the API's URL or the token cannot be used.
    pub fn new(settings: HerokuSettings) -> Result<Self, Error> {
        Ok(Self {
            api: Api::new(
                "Heroku",
                "STAGELINK_HEROKU_API_URL",
                &settings.api_url,
                &settings.token,
                "application/vnd.heroku+json; version=3",
            )?,
            app: settings.app,
            config_var: settings.config_var,
        })
    }

    /// The app that stands for the stage in a pipeline, by its id.
    async fn app_in_pipeline(
        &self,
        stage: Stage,
        pipeline: &str,
        wanted: Option<&str>,
    ) -> Result<String, Error> {
        let subject = format!("pipeline {pipeline}");
        let found: Named = self
            .read(&format!("/pipelines/{}", segment(pipeline)), &subject)
            .await?;
        let mut apps = self.coupled_apps(&found.id, &subject, stage).await?;
        match (wanted, apps.len()) {
            (None, 1) => Ok(apps.remove(0)),
            (_, 0) => Err(Error::new(
                ErrorKind::App,
                format!(
                    "stage {stage} has no app in {subject} on Heroku: add one with \
                     `heroku pipelines:add {pipeline} --app APP --stage {stage}`"
                ),
            )),
            (Some(wanted), _) => self.pick(wanted, apps, stage, &subject).await,
            (None, count) => Err(Error::new(
                ErrorKind::App,
                format!(
                    "stage {stage} has {count} apps in {subject} on Heroku ({}): \
                     say which with STAGELINK_HEROKU_APP",
                    self.names_of(&apps).await
                ),
            )),
        }
    }

    /// All apps of the stage, over as many pages as the answer has.
    async fn coupled_apps(
        &self,
        pipeline_id: &str,
        subject: &str,
        stage: Stage,
    ) -> Result<Vec<String>, Error> {
        let path = format!("/pipelines/{}/pipeline-couplings", segment(pipeline_id));
        let mut apps = Vec::new();
        let mut range = HeaderValue::from_static("id ..; max=1000");
        for _ in 0..PAGES_AT_MOST {
            let answer = self.ask(&path, Some((RANGE, range)), subject).await?;
            let couplings: Vec<Coupling> = parse(&answer, &path)?;
            apps.extend(
                couplings
                    .into_iter()
                    .filter(|coupling| coupling.stage == stage.as_str())
                    .map(|coupling| coupling.app.id),
            );
            match answer.headers.get(NEXT_RANGE) {
                Some(next) => range = next.clone(),
                None => return Ok(apps),
            }
        }
        Err(Error::new(
            ErrorKind::ProviderUnavailable,
            format!("Heroku's API gave more than {PAGES_AT_MOST} pages of couplings for {subject}"),
        ))
    }

    /// The app that the settings name, if it is one of the stage's.
    async fn pick(
        &self,
        wanted: &str,
        apps: Vec<String>,
        stage: Stage,
        subject: &str,
    ) -> Result<String, Error> {
        let app: Named = self
            .read(
                &format!("/apps/{}", segment(wanted)),
                &format!("app {wanted}"),
            )
            .await?;
        if apps.contains(&app.id) {
            return Ok(app.id);
        }
        Err(Error::new(
            ErrorKind::App,
            format!(
                "app {wanted} is not in stage {stage} of {subject} on Heroku: \
                 correct STAGELINK_HEROKU_APP or the pipeline"
            ),
        ))
    }

    /// The database URL among the app's config vars. The other vars are
    /// skipped while they are read; none is kept.
    async fn database_url(&self, app: &str) -> Result<Credentials, Error> {
        let path = format!("/apps/{}/config-vars", segment(app));
        let answer = self.ask(&path, None, &format!("app {app}")).await?;
        let mut json = serde_json::Deserializer::from_slice(&answer.body);
        let url = OneVar(&self.config_var)
            .deserialize(&mut json)
            .and_then(|url| json.end().map(|()| url))
            .map_err(|error| not_understood(&path, &error))?;
        let Some(url) = url else {
            return Err(Error::new(
                ErrorKind::DatabaseUrl,
                format!(
                    "app {} on Heroku has no config var {}: attach a database with \
                     `heroku addons:create heroku-postgresql`, or name the right var in \
                     STAGELINK_CONFIG_VAR",
                    self.names_of(std::slice::from_ref(&app.to_owned())).await,
                    self.config_var
                ),
            ));
        };
        let origin = format!("{} of app {app} on Heroku", self.config_var);
        let url = DatabaseUrl::parse(url.expose_secret(), &origin)?;
        Ok(Credentials::new(url, origin))
    }

    /// The apps' names for a message; where one cannot be had, its id.
    async fn names_of(&self, ids: &[String]) -> String {
        let mut names = Vec::new();
        for id in ids.iter().take(5) {
            let path = format!("/apps/{}", segment(id));
            let name = match self.read::<Named>(&path, "app").await {
                Ok(Named {
                    name: Some(name), ..
                }) => name,
                _ => id.clone(),
            };
            names.push(name);
        }
        if ids.len() > names.len() {
            names.push("…".to_owned());
        }
        names.join(", ")
    }

    async fn read<T: DeserializeOwned>(&self, path: &str, subject: &str) -> Result<T, Error> {
        parse(&self.ask(path, None, subject).await?, path)
    }

    /// One call: an answer with a status of success, or an error that says what to do.
    async fn ask(
        &self,
        path: &str,
        header: Option<(HeaderName, HeaderValue)>,
        subject: &str,
    ) -> Result<Answer, Error> {
        let answer = self.api.get(path, header).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(self.refusal(&answer, path, subject))
    }

    fn refusal(&self, answer: &Answer, path: &str, subject: &str) -> Error {
        let status = answer.status;
        let said = self.said(answer);
        match status {
            StatusCode::UNAUTHORIZED => Error::new(
                ErrorKind::ProviderRefused,
                format!(
                    "Heroku refused the token in HEROKU_API_KEY (401{said}): it is wrong, expired \
                     or revoked; make one with `heroku authorizations:create --scope read-protected`"
                ),
            ),
            StatusCode::FORBIDDEN => Error::new(
                ErrorKind::ProviderRefused,
                format!(
                    "Heroku forbids the token in HEROKU_API_KEY to read {subject} (403{said}): its \
                     account needs access to it, and the token the scope read-protected"
                ),
            ),
            StatusCode::NOT_FOUND => Error::new(
                ErrorKind::ProviderRefused,
                format!(
                    "Heroku knows no {subject} (404{said}): check the name in STAGELINK_HEROKU_PIPELINE \
                     or STAGELINK_HEROKU_APP, and that the token's account may see it"
                ),
            ),
            StatusCode::TOO_MANY_REQUESTS => Error::busy(
                format!(
                    "Heroku's rate limit for this account is used up (429{said}), asking for {subject}"
                ),
                retry_after(answer),
            ),
            _ => Error::new(
                ErrorKind::ProviderUnavailable,
                format!("Heroku's API answered {} for {path}{said}", status.as_u16()),
            ),
        }
    }

    /// What the error's body says, as `: id: message`, if it is one of Heroku's.
    /// Anything else, such as a proxy's HTML page, is left out.
    fn said(&self, answer: &Answer) -> String {
        serde_json::from_slice::<Said>(&answer.body).map_or_else(
            |_| String::new(),
            |said| {
                let text = format!(", {}: {}", said.id, said.message);
                let line: String = text
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .take(200)
                    .collect();
                self.api.redact(&line)
            },
        )
    }
}

impl Provider for Heroku {
    async fn resolve(&self, stage: Stage) -> Result<Credentials, Error> {
        match &self.app {
            HerokuApp::Named(app) => self.database_url(app).await,
            HerokuApp::InPipeline { pipeline, app } => {
                let app = self
                    .app_in_pipeline(stage, pipeline, app.as_deref())
                    .await?;
                self.database_url(&app).await
            }
        }
    }
}

/// An object that has a name beside its id, such as an app or a pipeline.
#[derive(Deserialize)]
struct Named {
    id: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Coupling {
    app: Reference,
    stage: String,
}

#[derive(Deserialize)]
struct Reference {
    id: String,
}

/// The body of an error.
#[derive(Deserialize)]
struct Said {
    id: String,
    message: String,
}

/// Reads a map of config vars and keeps the value of one.
struct OneVar<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for OneVar<'_> {
    type Value = Option<SecretString>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneVar<'_> {
    type Value = Option<SecretString>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of config vars")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut wanted = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == self.0 {
                wanted = map.next_value::<Option<SecretString>>()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(wanted.filter(|value| !value.expose_secret().trim().is_empty()))
    }
}

fn parse<T: DeserializeOwned>(answer: &Answer, path: &str) -> Result<T, Error> {
    serde_json::from_slice(&answer.body).map_err(|error| not_understood(path, &error))
}

/// The parser's own words may quote the text, so only the place is told.
fn not_understood(path: &str, error: &serde_json::Error) -> Error {
    Error::new(
        ErrorKind::ProviderUnavailable,
        format!(
            "Heroku's API answered {path} with something that is not what it documents \
             (line {}, column {})",
            error.line(),
            error.column()
        ),
    )
}

fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer
        .headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

/// One segment of a path: a name can never become another path.
fn segment(name: &str) -> String {
    utf8_percent_encode(name.trim(), SEGMENT).to_string()
}

/// All but letters, digits and these, so that neither a slash nor dots get through.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// The header that a partial answer carries until the last page.
const NEXT_RANGE: HeaderName = HeaderName::from_static("next-range");

/// A pipeline of 20,000 apps; more means that the answer never ends.
const PAGES_AT_MOST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn one_var(json: &str) -> Result<Option<String>, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(json);
        OneVar("DATABASE_URL")
            .deserialize(&mut json)
            .map(|found| found.map(|url| url.expose_secret().to_owned()))
    }

    #[test]
    fn one_var_is_taken_and_the_others_are_skipped() {
        let found = one_var(r#"{"A":"1","DATABASE_URL":"postgres://x","B":null,"C":{"d":[1]}}"#);
        assert_eq!(found.unwrap().as_deref(), Some("postgres://x"));
    }

    #[test]
    fn missing_null_or_empty_var_is_none() {
        for json in ["{}", r#"{"DATABASE_URL":null}"#, r#"{"DATABASE_URL":" "}"#] {
            assert_eq!(one_var(json).unwrap(), None, "{json}");
        }
    }

    #[test]
    fn other_json_is_an_error() {
        for json in ["[]", "\"x\"", "{", r#"{"DATABASE_URL":1}"#] {
            assert!(one_var(json).is_err(), "{json}");
        }
    }

    #[test]
    fn name_cannot_leave_its_segment() {
        assert_eq!(segment("../account"), "%2E%2E%2Faccount");
        assert_eq!(segment("my-app"), "my-app");
    }
}
