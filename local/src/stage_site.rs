//! A stage of a running cloud: its site, its database, and what it serves.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::Value;
use stagelink_local_postgres::Database;

use crate::heroku::Stage;
use crate::lambda::Function;
use crate::netlify::Schedule;
use crate::project_databases::CurrentDatabase;
use crate::requests::RequestRecord;
use crate::stage_functions::StageFunctions;
use crate::{Error, ErrorKind, http_client};

/// A stage of a [`Cloud`](crate::Cloud). Clones are of the same stage, and do not keep it running.
#[derive(Clone, Debug)]
pub struct StageSite {
    pub(crate) name: String,
    pub(crate) stage: Stage,
    pub(crate) app: String,
    pub(crate) url: String,
    pub(crate) port_url: String,
    pub(crate) is_published: bool,
    pub(crate) database: CurrentDatabase,
    pub(crate) functions: Arc<StageFunctions>,
}

impl StageSite {
    /// The project's name for the stage.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stage in the pipeline.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Name of the app on the local Heroku.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// URL of the stage's site, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// URL of the stage's site at a port of its own, for programs that do not resolve names beneath
    /// `localhost`. For the main stage it is the same as [`url`](Self::url).
    pub fn port_url(&self) -> &str {
        &self.port_url
    }

    /// Returns whether the functions of the stage run by their schedules, as on Netlify those of the published
    /// deploy do alone.
    pub fn runs_schedules(&self) -> bool {
        self.is_published
    }

    /// Schedules of the stage's site, by function.
    pub fn schedules(&self) -> BTreeMap<String, Schedule> {
        self.functions.site().schedules.clone()
    }

    /// The stage's database, with its current password.
    pub fn database(&self) -> Database {
        self.database.database()
    }

    /// The number of the database's credentials, 1 at the start and one more with each rotation and each
    /// failover, and the time from which on they are valid.
    pub fn credentials_generation(&self) -> (u64, Timestamp) {
        self.database.generation()
    }

    /// Names of the functions.
    pub fn functions(&self) -> Vec<String> {
        self.functions.names()
    }

    /// The time from which on the stage serves what it serves now: these programs, with these variables
    /// and this configuration of the site.
    pub fn served_since(&self) -> Timestamp {
        self.functions.since()
    }

    /// Number of processes that run the functions.
    pub fn instance_count(&self) -> usize {
        self.functions.instance_count()
    }

    /// Invokes the function of an earlier request again, with the same event. Returns the id of the new
    /// request, which the [`RequestLog`](crate::RequestLog) has; `None` if the record has no event, or the stage no such
    /// function now.
    pub fn repeat(&self, record: &RequestRecord) -> Option<String> {
        self.functions.repeat(record)
    }

    /// The variables of the stage's functions. With them another program on this machine connects
    /// to the stage as a function does.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        self.functions.variables()
    }

    /// Sends a request to the stage's site, with an optional JSON body, and returns the whole
    /// response. It is meant for tests of a project's functions.
    ///
    /// ```no_run
    /// # async fn example(staging: &stagelink_local::StageSite) -> Result<(), Box<dyn std::error::Error>> {
    /// let note = serde_json::json!({ "text": "hello" });
    /// let response = staging.request("POST", "/api/notes", Some(&note)).await?;
    /// assert_eq!(response.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) for an invalid method or path,
    /// [`ErrorKind::System`](crate::ErrorKind::System) if the site does not respond.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        json: Option<&Value>,
    ) -> Result<Response<Bytes>, Error> {
        let url = &self.url;
        let request = json_request(url, method, path, json)?;
        let (head, body) = http_client::send(url, request).await?.into_parts();
        let body = body.collect().await.map_err(|cause| {
            let message = format!("could not read the response to {method} {url}{path}");
            Error::new(ErrorKind::System, message).with_source(cause)
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// Returns a function of the stage by name. A promotion to the stage replaces it by another one.
    pub fn function(&self, name: &str) -> Option<Function> {
        self.functions.function(name)
    }
}

/// Creates a request with an optional JSON body.
fn json_request(
    url: &str,
    method: &str,
    path: &str,
    json: Option<&Value>,
) -> Result<Request<Bytes>, Error> {
    let mut request = Request::builder().method(method).uri(path);
    if json.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = json.map(Value::to_string).unwrap_or_default();
    request.body(body.into()).map_err(|cause| {
        let message = format!("could not send {method} {url}{path}: invalid method or path");
        Error::new(ErrorKind::Input, message).with_source(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_with_an_invalid_method_or_path_is_an_input_error() {
        let url = "http://localhost:8888";
        for (method, path) in [("GET", "no path"), ("G ET", "/")] {
            let error = json_request(url, method, path, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(error.to_string().contains(url), "{error}");
        }
    }
}
