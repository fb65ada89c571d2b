//! A Netlify site and its environment variables, over Netlify's API.
//!
//! Facts by Netlify's open-api (open-api.netlify.com) and what netlify-cli 26.2.0 sends, 2026-11.

use std::path::Path;

use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::context::Context;
use super::http::{Answer, Api, Service};
use super::plan::Change;

/// One site, as whoever has the token sees it.
#[derive(Debug)]
pub(crate) struct Site {
    api: Api,
    /// Its id.
    id: String,
    /// Its name.
    pub(crate) name: String,
    /// The account that owns it, as paths name it.
    account: String,
}

/// A variable that the site has, or all sites of the account.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) key: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) is_secret: bool,
    pub(crate) values: Vec<Value>,
}

/// The value of a variable for one context.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) id: Option<String>,
    pub(crate) context: Context,
    /// `None` where it is a secret, which is not told.
    pub(crate) text: Option<SecretString>,
}

impl Variable {
    /// The value for exactly this context.
    pub(crate) fn value_for(&self, context: &Context) -> Option<&Value> {
        self.values.iter().find(|value| value.context == *context)
    }

    /// The value that holds in a context.
    pub(crate) fn value_in(&self, context: &Context) -> Option<&Value> {
        let near = context.closest_first();
        near.iter().find_map(|context| self.value_for(context))
    }
}

impl Site {
    /// Finds the site by its id or its name.
    pub(crate) async fn find(url: &str, token: SecretString, site: &str) -> anyhow::Result<Self> {
        let api = Api::new(&NETLIFY, url, "/api/v1", token, "NETLIFY_AUTH_TOKEN")?;
        let doing = format!("find the site {site}");
        let answer = ask(&api, &["sites", site], &[]).await?;
        let found: SiteJson = match answer.status {
            StatusCode::OK => answer.json().context(doing)?,
            // Only an id is found in that way for certain.
            StatusCode::NOT_FOUND => {
                let query = [("name", site), ("filter", "all")];
                let list = ask(&api, &["sites"], &query).await?;
                if !list.status.is_success() {
                    return Err(api.refusal(&list, &doing));
                }
                let list: Vec<SiteJson> = list.json().context(doing.clone())?;
                list.into_iter()
                    .find(|found| found.name == site)
                    .ok_or_else(|| api.refusal(&answer, &doing))?
            }
            _ => return Err(api.refusal(&answer, &doing)),
        };
        let account = found.account_slug.or(found.account_id);
        Ok(Self {
            api,
            id: found.id,
            name: found.name,
            account: account.context("Netlify does not say whose site it is")?,
        })
    }

    /// The site's own variables.
    pub(crate) async fn variables(&self) -> anyhow::Result<Vec<Variable>> {
        let doing = format!("read the variables of the site {}", self.name);
        let path = ["accounts", &self.account, "env"];
        let answer = ask(&self.api, &path, &[("site_id", &self.id)]).await?;
        self.read(&answer, &doing)
    }

    /// The variables of the account, which all of its sites have. None where the token may
    /// not see them.
    pub(crate) async fn shared_variables(&self) -> anyhow::Result<Vec<Variable>> {
        let doing = format!("read the variables of the account {}", self.account);
        let answer = ask(&self.api, &["accounts", &self.account, "env"], &[]).await?;
        match answer.status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(Vec::new()),
            _ => self.read(&answer, &doing),
        }
    }

    fn read(&self, answer: &Answer, doing: &str) -> anyhow::Result<Vec<Variable>> {
        if !answer.status.is_success() {
            return Err(self.api.refusal(answer, doing));
        }
        let list: Vec<VariableJson> = answer.json().with_context(|| doing.to_owned())?;
        Ok(list.into_iter().map(VariableJson::variable).collect())
    }

    /// Makes one change. `scopes` is whether the plan has scopes.
    pub(crate) async fn make(&self, change: &Change, scopes: bool) -> anyhow::Result<()> {
        let key = change.key();
        let site = [("site_id", self.id.as_str())];
        let base = ["accounts", &self.account, "env"];
        let one = ["accounts", &self.account, "env", key];
        let answer = match change {
            Change::Create {
                is_secret, values, ..
            } => {
                let body = json!([whole(key, *is_secret, values, scopes)]);
                self.send(Method::POST, &base, &site, Some(&body)).await?
            }
            Change::Replace {
                is_secret, values, ..
            } => {
                let body = whole(key, *is_secret, values, scopes);
                self.send(Method::PUT, &one, &site, Some(&body)).await?
            }
            Change::Set { context, value, .. } => {
                let body = contextual(context, value);
                self.send(Method::PATCH, &one, &site, Some(&body)).await?
            }
            Change::Unset { id, .. } => {
                let path = ["accounts", &self.account, "env", key, "value", id];
                self.send(Method::DELETE, &path, &site, None).await?
            }
        };
        if answer.status.is_success() {
            return Ok(());
        }
        let said = answer.said().unwrap_or_default().to_lowercase();
        if scopes && !answer.status.is_server_error() && said.contains("scope") {
            bail!(
                "could not set {key}: the plan of the site {} has no scopes ({}), so what is set \
                 reaches the site's builds as well as its functions, and with them whoever may \
                 change what a build runs; if that is right, add --without-scopes",
                self.name,
                answer.status.as_u16()
            );
        }
        Err(self.api.refusal(&answer, &format!("set {key}")))
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Json>,
    ) -> anyhow::Result<Answer> {
        self.api.call(method, path, query, None, body).await
    }
}

/// The site that a person means: the one that is named, or the one that the Netlify command
/// line linked the folder to.
pub(crate) fn site_of(named: Option<&str>, project: &Path) -> anyhow::Result<String> {
    if let Some(site) = named.map(str::trim).filter(|site| !site.is_empty()) {
        return Ok(site.to_owned());
    }
    let file = project.join(".netlify").join("state.json");
    let advice = "name the site with --site, or link the folder with `netlify link`";
    let Ok(text) = std::fs::read_to_string(&file) else {
        bail!(
            "it is not known which site is meant: there is no {}; {advice}",
            file.display()
        );
    };
    serde_json::from_str::<State>(&text)
        .ok()
        .and_then(|state| state.site_id)
        .with_context(|| format!("{} names no site: {advice}", file.display()))
}

async fn ask(api: &Api, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Answer> {
    api.call(Method::GET, path, query, None, None::<&Json>)
        .await
}

/// A variable with all of its values.
fn whole(key: &str, is_secret: bool, values: &[(Context, SecretString)], scopes: bool) -> Json {
    let values: Vec<_> = values
        .iter()
        .map(|(context, value)| contextual(context, value))
        .collect();
    let mut body = json!({"key": key, "is_secret": is_secret, "values": values});
    if scopes {
        body["scopes"] = json!([FUNCTIONS]);
    }
    body
}

fn contextual(context: &Context, value: &SecretString) -> Json {
    let (name, parameter) = context.name();
    let mut body = json!({"context": name, "value": value.expose_secret()});
    if let Some(parameter) = parameter {
        body["context_parameter"] = json!(parameter);
    }
    body
}

#[derive(Deserialize)]
struct SiteJson {
    id: String,
    name: String,
    account_slug: Option<String>,
    account_id: Option<String>,
}

#[derive(Deserialize)]
struct VariableJson {
    key: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    is_secret: bool,
    #[serde(default)]
    values: Vec<ValueJson>,
}

#[derive(Deserialize)]
struct ValueJson {
    id: Option<String>,
    context: Option<String>,
    context_parameter: Option<String>,
    value: Option<SecretString>,
}

impl VariableJson {
    fn variable(self) -> Variable {
        let is_secret = self.is_secret;
        let values = self.values.into_iter().map(|value| Value {
            id: value.id,
            context: Context::parse(
                value.context.as_deref().unwrap_or("all"),
                value.context_parameter.as_deref(),
            ),
            text: value.value.filter(|_| !is_secret),
        });
        Variable {
            key: self.key,
            scopes: self.scopes,
            is_secret,
            values: values.collect(),
        }
    }
}

/// What the Netlify command line keeps of a linked folder.
#[derive(Deserialize)]
struct State {
    #[serde(rename = "siteId")]
    site_id: Option<String>,
}

/// The scope of what is set.
pub(crate) const FUNCTIONS: &str = "functions";

const NETLIFY: Service = Service {
    name: "Netlify",
    url_variable: "NETLIFY_API_URL",
    accept: "application/json",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn site_is_the_named_one_or_that_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let site = |named| site_of(named, folder.path()).map_err(|error| error.to_string());
        assert!(site(None).unwrap_err().contains("--site"));
        std::fs::create_dir(folder.path().join(".netlify")).unwrap();
        let file = folder.path().join(".netlify/state.json");
        std::fs::write(&file, "{}").unwrap();
        assert!(site(None).unwrap_err().contains("names no site"));
        std::fs::write(&file, r#"{"siteId":"1-2","other":1}"#).unwrap();
        assert_eq!(site(None).unwrap(), "1-2");
        assert_eq!(site(Some("shop")).unwrap(), "shop");
    }

    #[test]
    fn secret_is_not_taken_for_its_mask() {
        let json = r#"{"key":"A","is_secret":true,"scopes":["functions"],"values":[
            {"id":"1","context":"branch","context_parameter":"x","value":"***"}]}"#;
        let variable = serde_json::from_str::<VariableJson>(json)
            .unwrap()
            .variable();
        let branch = Context::Branch("x".to_owned());
        let value = variable.value_in(&branch).unwrap();
        assert_eq!(value.context, branch);
        assert!(value.text.is_none());
    }
}
