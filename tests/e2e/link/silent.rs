//! Database URLs of a site whose server never answers.

use std::time::{Duration, Instant};

use stagelink_local::netlify_api::{Context, EnvVar};
use stagelink_tests::stagelink_command;
use tokio::net::TcpListener;

use super::Site;

#[tokio::test]
async fn server_that_never_answers_is_given_up_after_three_seconds_and_listed() {
    // It takes connections, and neither reads nor writes.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let silent = tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            taken.push(connection);
        }
    });
    let site = Site::new().await;
    // It may have to be built, which is no part of the usual time.
    stagelink_command().await;
    let started = Instant::now();
    site.link_successfully(&["--dry-run"]).await;
    let usual = started.elapsed();
    // A third URL of the same database is looked up once more.
    for (name, role) in [("ONE", "u"), ("TWO", "u"), ("THREE", "v")] {
        let url = format!("postgres://{role}:p@127.0.0.1:{port}/d");
        site.set_variable(EnvVar::new(name).value(Context::All, url));
    }
    let started = Instant::now();
    let linked = site.link_successfully(&["--yes"]).await;
    let took = started.elapsed();
    silent.abort();
    for name in ["ONE", "TWO", "THREE"] {
        let listed = format!(
            "{name} of the site for the context all leads to a database of which no stage is known: \
             d on 127.0.0.1:{port}, which was not checked ("
        );
        assert!(linked.output.contains(&listed), "{}", linked.output);
    }
    assert!(took >= Duration::from_secs(6), "{took:?}");
    let longer = took.saturating_sub(usual);
    assert!(longer < Duration::from_secs(20), "{longer:?}");
}
