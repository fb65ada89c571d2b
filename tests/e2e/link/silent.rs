//! Database URLs of a site whose server never answers.

use std::time::{Duration, Instant};

use stagelink_local::netlify_api::{Context, EnvVar};
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
    let longer = started.elapsed().saturating_sub(usual);
    silent.abort();
    for name in ["ONE", "TWO", "THREE"] {
        let listed = format!(
            "{name} of the site for the context all leads to a database of which no stage is known: \
             d on 127.0.0.1:{port}, which was not checked ("
        );
        assert!(linked.output.contains(&listed), "{}", linked.output);
    }
    let expected = Duration::from_secs(5)..Duration::from_secs(20);
    assert!(expected.contains(&longer), "{longer:?}");
}
