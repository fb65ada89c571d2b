//! Tests of the local Heroku over real connections, with an account for them.

mod databases;
mod faults;
mod middleware;
mod promotions;
mod resources;
mod review_apps;

use std::collections::HashMap;

use super::{Heroku, Stage};
use crate::api::test_client::{self as client, SendError, TestResponse};

/// Starts a Heroku with a pipeline `guestbook` and an app in each of two stages. The staging app
/// has a database and a config var.
pub(super) async fn guestbook() -> Heroku {
    let heroku = Heroku::start(0).await.expect("a free port");
    heroku.create_pipeline("guestbook").expect("a pipeline");
    for stage in [Stage::Staging, Stage::Production] {
        let app = format!("guestbook-{stage}");
        heroku.create_app(&app).expect("an app");
        heroku.couple("guestbook", &app, stage).expect("a coupling");
    }
    heroku
        .attach_postgres("guestbook-staging", URL)
        .expect("an add-on");
    heroku
        .set_config_var("guestbook-staging", "GREETING", "hello")
        .expect("a config var");
    heroku
}

pub(super) const URL: &str = "postgres://u:canary@127.0.0.1:6543/guestbook";
pub(super) const CONFIG_VARS: &str = "/apps/guestbook-staging/config-vars";

/// Sends a GET and returns the response.
pub(super) async fn get(heroku: &Heroku, path: &str) -> TestResponse {
    send(heroku, "GET", path, &[], "")
        .await
        .expect("a response")
}

/// Sends a request with version and token. A header in `headers` replaces the default one; an
/// empty value omits it.
pub(super) async fn send(
    heroku: &Heroku,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<TestResponse, SendError> {
    let authorization = format!("Bearer {}", heroku.api_key());
    let mut all = HashMap::from([
        ("accept", "application/vnd.heroku+json; version=3"),
        ("authorization", authorization.as_str()),
    ]);
    all.extend(headers.iter().copied());
    client::send(heroku.url(), method, path, all, body.to_owned()).await
}
