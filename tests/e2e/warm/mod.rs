//! Warm connections: never stale, never with leftover state, never more than the limit.

mod abandoned;
mod bounded;
mod full;
pub(crate) mod idle;
pub(crate) mod late_reset;
mod local_settings;
mod own_cancel_keys;
mod pooled;
mod pooled_statements;
mod read_only;
mod refused_copy;
mod session_state;
mod statements;
mod unbound;
mod waiting_client;

use std::time::{Duration, SystemTime};

use stagelink::{Client, Database, Settings};
use stagelink_local_postgres::{PgBouncer, PgBouncerOptions};
use stagelink_tests::{HerokuFixture, Identity, as_superuser, pooled, server};
use tokio_postgres::types::Type;

/// Returns a link to the fixture's database, after setting these variables of the fixture.
fn link(fixture: &mut HerokuFixture, variables: &[(&str, &str)]) -> Database {
    for (name, value) in variables {
        fixture.set(name, value);
    }
    Database::new(Settings::from_vars(&fixture.variables))
}

/// Returns a link with a deadline after this time.
pub(crate) fn within(link: &Database, limit: Duration) -> Database {
    link.with_deadline(SystemTime::now() + limit)
}

/// Fixture whose database is reached through a PgBouncer, with a link to it.
struct Pooled {
    link: Database,
    fixture: HerokuFixture,
    bouncer: PgBouncer,
}

impl Pooled {
    async fn start() -> Self {
        Self::with_options(PgBouncerOptions::new()).await
    }

    async fn with_options(options: PgBouncerOptions) -> Self {
        let mut fixture = HerokuFixture::new().await;
        let shown = Identity::self_signed();
        let options = options.certificate(&shown.certificate_pem, &shown.key_pem);
        let started = PgBouncer::start(server().await, &[&fixture.database], options).await;
        let bouncer = started.expect("the tests need PgBouncer");
        fixture.set_url(&pooled(&bouncer, &fixture.database));
        let link = link(&mut fixture, &[("STAGELINK_SERVER_PIN", &shown.pin())]);
        Self {
            link,
            fixture,
            bouncer,
        }
    }
}

async fn pid(db: &Client) -> i32 {
    let row = db.query_typed_one("SELECT pg_backend_pid()", &[]).await;
    row.expect("a row").get(0)
}

/// Returns the number of the role's sessions that are in one of these states.
pub(crate) async fn sessions(role: &str, states: &[&str]) -> i64 {
    let admin = server()
        .await
        .connect_as_superuser()
        .await
        .expect("a superuser");
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND state = ANY ($2)";
    let parameters = [(&role as _, Type::TEXT), (&states as _, Type::TEXT_ARRAY)];
    let row = admin.query_typed_one(sql, &parameters).await;
    row.expect("a count").get(0)
}

pub(crate) const ANY: [&str; 3] = ["active", "idle", "idle in transaction"];
pub(crate) const AT_WORK: [&str; 2] = ["active", "idle in transaction"];

/// Waits until this many of the role's sessions are in one of these states.
pub(crate) async fn until_sessions(role: &str, states: &[&str], wanted: i64) {
    let reached = reaches_sessions(role, states, wanted).await;
    assert!(reached, "{role} has other sessions than {wanted}");
}

/// Returns whether this many of the role's sessions come to be in one of these states.
pub(crate) async fn reaches_sessions(role: &str, states: &[&str], wanted: i64) -> bool {
    let until = async {
        while sessions(role, states).await != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(20), until).await;
    reached.is_ok()
}

/// Takes connection slots of the role until only this many are left.
pub(crate) async fn limit(role: &str, connections: i32) {
    as_superuser(&format!("ALTER ROLE {role} CONNECTION LIMIT {connections}")).await;
}
