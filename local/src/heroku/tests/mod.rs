//! The stand-in over real sockets: a small client, an account to ask about, and the tests.

mod databases;
mod failing;
mod resources;
mod review_apps;
mod transport;

use std::collections::HashMap;
use std::io;

use super::{Heroku, Stage};
use crate::api::test_client::{self as client, Answer};

/// A pipeline `guestbook` with an app in each of two stages. The staging app has a database
/// and a config var.
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

/// A GET that must be answered in full.
pub(super) async fn get(heroku: &Heroku, path: &str) -> Answer {
    send(heroku, "GET", path, &[], "").await.expect("an answer")
}

/// A request with version and token; a header in `headers` takes the place of the usual
/// one, and without a value leaves it out.
pub(super) async fn send(
    heroku: &Heroku,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let authorization = format!("Bearer {}", heroku.api_key());
    let mut all = HashMap::from([
        ("accept", "application/vnd.heroku+json; version=3"),
        ("authorization", authorization.as_str()),
    ]);
    all.extend(headers.iter().copied());
    client::send(heroku.url(), method, path, all, body).await
}
