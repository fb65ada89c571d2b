//! The stand-in over real sockets: a small client, an account to ask about, and the tests.

mod databases;
mod failing;
mod resources;
mod transport;

use std::collections::HashMap;
use std::io;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Heroku, Stage};

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

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.body).expect("json")
    }

    /// The status and the id of an error answer.
    pub(super) fn error(&self) -> (u16, String) {
        let body = self.json();
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        (self.status, body["id"].as_str().expect("an id").to_owned())
    }
}

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
    let length = body.len();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n"
    );
    for (name, value) in all.into_iter().filter(|(_, value)| !value.is_empty()) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("\r\n{body}"));

    let address = heroku.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    read(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, answer))
}

/// The answer, unless it broke off.
fn read(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let announced = headers.get("content-length");
    if announced.is_some_and(|length| length.parse() != Ok(body.len())) {
        return None;
    }
    Some(Answer {
        status,
        headers,
        body: body.to_owned(),
    })
}
