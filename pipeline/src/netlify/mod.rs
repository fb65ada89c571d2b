//! The client of Netlify's API: a site, its environment variables and its deploys.
//!
//! Facts by Netlify's open-api (open-api.netlify.com) and what netlify-cli 27.10.2 sends, 2026-11.

mod answers;
mod context;
mod deploy;
mod deploy_event;
mod deploy_upload;
mod function_variable;
mod persistence;
mod publishing;
mod site_search;
#[cfg(test)]
mod test_site;
mod variable;

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::api::{Api, ApiAccess, ClockReading, Request, Response, Service};
use crate::attempts::Attempts;
use crate::error::{Error, ErrorKind};
use crate::fence::{Attempt, Fence, FenceSlot};

use self::deploy::null_as_false;
use self::persistence::Pace;

pub use self::context::DeployContext;
pub(crate) use self::deploy::Deploy;
pub use self::deploy_event::DeployEvent;
pub(crate) use self::deploy_upload::DeployVariable;
pub(crate) use self::function_variable::{FunctionVariable, function_variables};
pub(crate) use self::persistence::READY_LIMIT;
pub(crate) use self::variable::{Variable, VariableJson, VariableValue};

/// A site, with the client that reads and changes its variables.
#[derive(Debug)]
pub(crate) struct Site {
    api: Api,
    id: String,
    name: String,
    /// The account that owns the site, as paths name it.
    account: String,
    /// True if variables are set for functions alone, which not every plan of Netlify allows.
    has_scopes: bool,
    /// The deploy that its visitors see, as the API's JSON.
    published: Option<Json>,
    refuses_api_deploys: Option<bool>,
    /// The address of the production context.
    address: Option<String>,
    pace: Pace,
    /// Asked before each attempt at a change, where there is one.
    fence: FenceSlot,
}

impl Site {
    /// Finds a site by its id or its name.
    pub(crate) async fn find(
        access: &ApiAccess,
        site: &str,
        has_scopes: bool,
    ) -> Result<Self, Error> {
        site_search::ensure_name(site)?;
        let api = Api::new(&NETLIFY, access)?;
        let action = format!("find the site {site}");
        let response = api.get(&["sites", site], &[], &action).await?;
        let found: SiteJson = match response.status {
            // The API finds a site by its id; its name needs a search.
            StatusCode::NOT_FOUND => site_search::find(&api, site, &action)
                .await?
                .ok_or_else(|| api.refusal(&response, &action))?,
            _ => api.read(&response, &action)?,
        };
        site_search::ensure_found(&found, site, &action)?;
        let account = found.account_slug.or(found.account_id).ok_or_else(|| {
            let message = format!("Netlify does not name the account of the site {site}");
            Error::new(ErrorKind::Refused, message)
        })?;
        Ok(Self {
            api,
            name: found.name.unwrap_or_else(|| site.to_owned()),
            id: found.id,
            account,
            has_scopes,
            published: found.published_deploy,
            refuses_api_deploys: found.prevent_non_git_prod_deploys,
            address: found.ssl_url,
            pace: Pace::default(),
            fence: FenceSlot::default(),
        })
    }

    /// Asks this fence before each attempt at a change from now on.
    pub(crate) fn set_fence(&self, fence: Arc<dyn Fence>) {
        self.fence.set(fence);
    }

    /// Makes sure that this process may send a request with this method to this path, and begins the attempt.
    async fn begin_attempt(&self, method: &Method, path: &[&str]) -> Result<Attempt, Error> {
        match *method {
            Method::GET => Ok(Attempt::unfenced()),
            _ => self.fence.begin_attempt(change_of(method, path)).await,
        }
    }

    /// Notes that a look has shown the result of this change.
    fn settle(&self, method: &Method, path: &[&str]) {
        let known = change_of(method, path);
        self.fence.settle(|change| change == known);
    }

    /// Notes that a deploy is gone or cancelled: what was sent for it changes nothing any more.
    fn settle_deploy(&self, id: &str) {
        self.fence
            .settle(|change| change.split('/').any(|part| part == id));
    }

    /// The name of the account that owns the site, as paths have it.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// Returns whether production takes deploys from the Git repository alone.
    pub(crate) fn refuses_api_deploys(&self) -> Option<bool> {
        self.refuses_api_deploys
    }

    /// Returns Netlify's clock, by its latest response.
    pub(crate) fn clock(&self) -> Option<ClockReading> {
        self.api.clock()
    }

    /// The site's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The site's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Reads the site's own variables.
    pub(crate) async fn variables(&self) -> Result<Vec<Variable>, Error> {
        let action = format!("read the variables of the site {}", self.name);
        let query = [("site_id", self.id.as_str())];
        let path = ["accounts", &self.account, "env"];
        let response = self.api.get(&path, &query, &action).await?;
        self.read_variables(&response, &action)
    }

    /// Reads the variables of the account, which all of its sites have. Returns `None` where the
    /// token has no access to them.
    pub(crate) async fn account_variables(&self) -> Result<Option<Vec<Variable>>, Error> {
        let action = format!("read the variables of the account {}", self.account);
        let response = self
            .api
            .get(&["accounts", &self.account, "env"], &[], &action)
            .await?;
        match response.status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(None),
            _ => self.read_variables(&response, &action).map(Some),
        }
    }

    fn read_variables(&self, response: &Response, action: &str) -> Result<Vec<Variable>, Error> {
        let list: Vec<VariableJson> = self.api.read(response, action)?;
        Ok(list.into_iter().map(Variable::from).collect())
    }

    /// Creates a variable that the site does not have. After a failure of Netlify's, which does not
    /// say whether it was created, it is looked for before it is created again.
    pub(crate) async fn create_variable(
        &self,
        key: &str,
        is_secret: bool,
        values: &[(DeployContext, SecretString)],
    ) -> Result<(), Error> {
        let body = json!([self.variable_json(key, is_secret, values)]);
        let mut attempts = Attempts::new();
        loop {
            let mut response = self
                .send_change(Method::POST, &[], key, Some(body.clone()))
                .await?;
            response.attempts = response.attempts.max(attempts.number());
            // A rate limit was waited for already.
            let has_failed = response.status.is_server_error();
            if !has_failed || !attempts.pause(response.retry_after()).await {
                return self.check_change(&response, key);
            }
            if self.has_variable(key).await? {
                return self.replace_variable(key, is_secret, values).await;
            }
        }
    }

    async fn has_variable(&self, key: &str) -> Result<bool, Error> {
        let path = ["accounts", &self.account, "env", key];
        let action = format!("set {key}");
        let query = [("site_id", self.id.as_str())];
        let response = self.api.get(&path, &query, &action).await?;
        match response.status {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.api.refusal(&response, &action)),
        }
    }

    /// Replaces a variable with all of its values.
    pub(crate) async fn replace_variable(
        &self,
        key: &str,
        is_secret: bool,
        values: &[(DeployContext, SecretString)],
    ) -> Result<(), Error> {
        let body = self.variable_json(key, is_secret, values);
        self.change(Method::PUT, &[key], key, Some(body)).await
    }

    /// Sets a variable's value for one context.
    pub(crate) async fn set_value(
        &self,
        key: &str,
        context: &DeployContext,
        value: &SecretString,
    ) -> Result<(), Error> {
        let body = value_json(context, value);
        self.change(Method::PATCH, &[key], key, Some(body)).await
    }

    /// Removes a variable's value by the value's id. A value that is gone after a failure of
    /// Netlify's was removed by the first attempt.
    pub(crate) async fn remove_value(&self, key: &str, id: &str) -> Result<(), Error> {
        let path = [key, "value", id];
        let response = self.send_change(Method::DELETE, &path, key, None).await?;
        if response.status == StatusCode::NOT_FOUND && response.attempts > 1 {
            return Ok(());
        }
        self.check_change(&response, key)
    }

    async fn change(
        &self,
        method: Method,
        path: &[&str],
        key: &str,
        body: Option<Json>,
    ) -> Result<(), Error> {
        let response = self.send_change(method, path, key, body).await?;
        self.check_change(&response, key)
    }

    async fn send_change(
        &self,
        method: Method,
        path: &[&str],
        key: &str,
        body: Option<Json>,
    ) -> Result<Response, Error> {
        let request = Request {
            method,
            path: &[&["accounts", &self.account, "env"], path].concat(),
            query: &[("site_id", &self.id)],
            body,
            ..Request::default()
        };
        self.api.send(request, &format!("set {key}")).await
    }

    fn check_change(&self, response: &Response, key: &str) -> Result<(), Error> {
        if response.status.is_success() {
            return self.api.ensure_success(response, &format!("set {key}"));
        }
        let message = response.error_message().unwrap_or_default().to_lowercase();
        if self.has_scopes && !response.status.is_server_error() && message.contains("scope") {
            return Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "could not set {key}: the plan of the site {} has no scopes ({}), so variables \
                     reach the site's builds as well as its functions, and with them everyone who \
                     can change what a build runs; to accept that, add --without-scopes",
                    self.name,
                    response.status.as_u16()
                ),
            ));
        }
        Err(self.api.refusal(response, &format!("set {key}")))
    }

    /// A variable with all of its values, as the API takes it.
    fn variable_json(
        &self,
        key: &str,
        is_secret: bool,
        values: &[(DeployContext, SecretString)],
    ) -> Json {
        let values: Vec<_> = values
            .iter()
            .map(|(context, value)| value_json(context, value))
            .collect();
        let mut body = json!({"key": key, "is_secret": is_secret, "values": values});
        if self.has_scopes {
            body["scopes"] = json!([FUNCTIONS_SCOPE]);
        }
        body
    }
}

/// Returns the name of a change for the fence.
fn change_of(method: &Method, path: &[&str]) -> String {
    format!("{method} {}", path.join("/"))
}

fn value_json(context: &DeployContext, value: &SecretString) -> Json {
    let (name, parameter) = context.name();
    let mut body = json!({"context": name, "value": value.expose_secret()});
    if let Some(parameter) = parameter {
        body["context_parameter"] = json!(parameter);
    }
    body
}

#[derive(Deserialize)]
struct SiteJson {
    #[serde(default, deserialize_with = "deploy::address")]
    ssl_url: Option<String>,
    id: String,
    name: Option<String>,
    account_slug: Option<String>,
    account_id: Option<String>,
    published_deploy: Option<Json>,
    #[serde(default, deserialize_with = "null_as_false")]
    prevent_non_git_prod_deploys: Option<bool>,
}

/// The scope of a variable that functions read, and builds do not.
pub(crate) const FUNCTIONS_SCOPE: &str = "functions";

const NETLIFY: Service = Service {
    name: "Netlify",
    url_variable: "NETLIFY_API_URL",
    path: "/api/v1",
    accept: "application/json",
};
