//! What a token reaches on Heroku: production's config vars, or not.

use anyhow::{Context as _, bail};
use reqwest::header::{HeaderName, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value as Json;
use stagelink::Stage;

use super::http::{Answer, Api, Service};

/// Heroku's Platform API, asked with one token.
#[derive(Debug)]
pub(crate) struct Heroku {
    api: Api,
}

impl Heroku {
    /// `token_from` is the variable that holds the token.
    pub(crate) fn new(url: &str, token: SecretString, token_from: &str) -> anyhow::Result<Self> {
        let api = Api::new(&HEROKU, url, "/", token, token_from)?;
        Ok(Self { api })
    }

    /// The ids of all apps that serve production in the pipeline.
    pub(crate) async fn production_apps(&self, pipeline: &str) -> anyhow::Result<Vec<String>> {
        let doing = format!("find production in the pipeline {pipeline}");
        let answer = self.ask(&["pipelines", pipeline], None).await?;
        if !answer.status.is_success() {
            return Err(self.api.refusal(&answer, &doing));
        }
        let found: Reference = answer.json().with_context(|| doing.clone())?;
        let path = ["pipelines", &found.id, "pipeline-couplings"];
        let mut apps = Vec::new();
        let mut range = HeaderValue::from_static("id ..; max=1000");
        for _ in 0..PAGES_AT_MOST {
            let answer = self.ask(&path, Some((RANGE, range))).await?;
            if !answer.status.is_success() {
                return Err(self.api.refusal(&answer, &doing));
            }
            let couplings: Vec<Coupling> = answer.json().with_context(|| doing.clone())?;
            apps.extend(
                couplings
                    .into_iter()
                    .filter(|coupling| coupling.stage == Stage::Production.as_str())
                    .map(|coupling| coupling.app.id),
            );
            match answer.headers.get(NEXT_RANGE) {
                Some(next) => range = next.clone(),
                None => return Ok(apps),
            }
        }
        bail!("could not {doing}: Heroku gave more than {PAGES_AT_MOST} pages of couplings")
    }

    /// Makes sure that this token, which is `stage`'s, reads the config vars of none of these
    /// apps, which are production's.
    ///
    /// # Errors
    ///
    /// When it reads one, and when it cannot be told whether it does.
    pub(crate) async fn reads_none_of(&self, apps: &[String], stage: Stage) -> anyhow::Result<()> {
        for app in apps {
            let doing = format!(
                "prove that the token of stage {stage} does not read production's config vars"
            );
            let answer = self.ask(&["apps", app, "config-vars"], None).await?;
            match verdict(answer.status) {
                Verdict::Refused => {}
                Verdict::Reads => bail!(
                    "the token of stage {stage} reads production's config vars (app {app}), so it \
                     was not set, nor anything else: give that stage a token of an account that \
                     has access to its own apps alone (`heroku access:add`), made with `heroku \
                     authorizations:create --scope read-protected`"
                ),
                Verdict::Unclear => return Err(self.api.refusal(&answer, &doing)),
            }
        }
        Ok(())
    }

    /// Makes sure that the token sees the pipeline's review apps, as a preview's has to.
    pub(crate) async fn sees_review_apps(&self, pipeline: &str) -> anyhow::Result<()> {
        let doing = format!("see the review apps of the pipeline {pipeline}");
        let answer = self.ask(&["pipelines", pipeline], None).await?;
        if !answer.status.is_success() {
            return Err(self.api.refusal(&answer, &doing));
        }
        let found: Reference = answer.json().with_context(|| doing.clone())?;
        let path = ["pipelines", &found.id, "review-apps"];
        let answer = self.ask(&path, None).await?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(self.api.refusal(&answer, &doing)),
        }
    }

    async fn ask(
        &self,
        path: &[&str],
        header: Option<(HeaderName, HeaderValue)>,
    ) -> anyhow::Result<Answer> {
        self.api
            .call(Method::GET, path, &[], header, None::<&Json>)
            .await
    }
}

/// What an answer to the question for config vars says of a token.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Reads,
    Refused,
    /// Another time, or another token, and it might read them.
    Unclear,
}

fn verdict(status: StatusCode) -> Verdict {
    match status {
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Verdict::Refused,
        status if status.is_success() || status == StatusCode::NOT_MODIFIED => Verdict::Reads,
        _ => Verdict::Unclear,
    }
}

#[derive(Deserialize)]
struct Reference {
    id: String,
}

#[derive(Deserialize)]
struct Coupling {
    app: Reference,
    stage: String,
}

const HEROKU: Service = Service {
    name: "Heroku",
    url_variable: "STAGELINK_HEROKU_API_URL",
    accept: "application/vnd.heroku+json; version=3",
};

/// The header that a partial answer carries until the last page.
const NEXT_RANGE: HeaderName = HeaderName::from_static("next-range");

/// A pipeline of 20,000 apps; more means that the answer never ends.
const PAGES_AT_MOST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_refusal_proves_that_a_token_does_not_read() {
        let verdict = |status| verdict(StatusCode::from_u16(status).unwrap());
        for status in [403, 404] {
            assert_eq!(verdict(status), Verdict::Refused, "{status}");
        }
        for status in [200, 206, 304] {
            assert_eq!(verdict(status), Verdict::Reads, "{status}");
        }
        for status in [301, 400, 401, 402, 408, 410, 418, 422, 429, 500, 503] {
            assert_eq!(verdict(status), Verdict::Unclear, "{status}");
        }
    }
}
