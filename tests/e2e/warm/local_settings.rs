//! Settings that hold for one transaction: row-level security, directly and behind a transaction
//! pooler.

use std::time::Duration;

use serde_json::json;
use stagelink::{Client, Database, Error, ErrorKind, LocalSettings};
use stagelink_tests::{HerokuFixture, as_superuser, proxy, sdk_example, through};

use super::{Pooled, link, within};

const TENANT: &str = "SELECT coalesce(current_setting('app.tenant', true), '')";

/// Returns the tenant that the transaction of these settings sees.
async fn tenant(link: &Database, settings: &LocalSettings) -> Result<String, Error> {
    link.transaction_with(settings.clone(), |db| async move {
        Ok(db.query_typed_one(TENANT, &[]).await?.get(0))
    })
    .await
}

async fn tenant_outside(db: &Client) -> String {
    let row = db.query_typed_one(TENANT, &[]).await;
    row.expect("a row").get(0)
}

/// Values that would leave a literal or a statement if they were part of one.
fn values() -> Vec<String> {
    [
        "",
        "acme",
        "it's; DROP TABLE entry; --",
        "a\\",
        "\\'; SELECT set_config('app.tenant', 'other', true); --",
        "''\"$$\"\\\\'",
        "$1 {a,\"b\"} NULL",
        "null",
        "\u{202e}ünïcödé \u{1f980}\u{10ffff}\u{ff07}",
        " \t\r\n\u{1}\u{7f}",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([["'", "\\", "é"].concat().repeat(1 << 18)])
    .collect()
}

async fn any_value_arrives(link: &Database) {
    for value in values() {
        let settings = LocalSettings::new().set("app.tenant", &value);
        let seen = tenant(link, &settings).await.expect("a transaction");
        assert!(seen == value, "{value:.80}");
        let db = link.client().await.expect("a connection");
        assert_eq!(tenant_outside(&db).await, "");
    }
}

#[tokio::test]
async fn any_value_of_a_client_arrives_and_is_gone_with_the_transaction() {
    let mut fixture = HerokuFixture::new().await;
    let direct = link(&mut fixture, &[]);
    any_value_arrives(&direct).await;
    // A backslash is an escape in literals now.
    let name = fixture.database.name();
    as_superuser(&format!(
        "ALTER DATABASE {name} SET standard_conforming_strings TO off"
    ))
    .await;
    let direct = link(&mut fixture, &[]);
    any_value_arrives(&direct).await;

    let pooled = Pooled::start().await;
    any_value_arrives(&pooled.link).await;
    any_value_arrives(&within(&pooled.link, Duration::from_secs(60))).await;
}

#[tokio::test]
async fn value_or_role_that_is_refused_is_an_error_and_leaves_the_connection_usable() {
    let mut fixture = HerokuFixture::new().await;
    let link = link(&mut fixture, &[]);
    for settings in [
        LocalSettings::new().set("app.tenant", "a\0b"),
        LocalSettings::new().set("no_such_setting", "a"),
        LocalSettings::new().set("work_mem", "a"),
        LocalSettings::new().role("pg_monitor"),
        LocalSettings::new().role("no_such_role"),
        LocalSettings::new().role("none"),
    ] {
        let error = tenant(&link, &settings).await.expect_err("it is refused");
        assert_eq!(
            error.kind(),
            ErrorKind::Query,
            "{settings:?}: {}",
            error.report()
        );
        let next = LocalSettings::new().set("app.tenant", "acme");
        assert_eq!(tenant(&link, &next).await.expect("a transaction"), "acme");
    }
}

#[tokio::test]
async fn role_holds_for_the_transaction() {
    let pooled = Pooled::start().await;
    let mut fixture = HerokuFixture::new().await;
    let direct = link(&mut fixture, &[]);
    for (link, role) in [
        (&direct, fixture.database.role()),
        (&pooled.link, pooled.fixture.database.role()),
    ] {
        let reader = format!("{role}_Reader's");
        as_superuser(&format!(
            "CREATE ROLE \"{reader}\"; GRANT \"{reader}\" TO {role}"
        ))
        .await;
        let settings = LocalSettings::new().role(&reader).set("app.tenant", "acme");
        let seen = link.transaction_with(settings, |db| async move {
            let row = db.query_typed_one("SELECT current_user::text", &[]).await?;
            Ok::<String, Error>(row.get(0))
        });
        assert_eq!(seen.await.expect("a transaction"), reader);
        let db = link.client().await.expect("a connection");
        let row = db.query_typed_one("SELECT current_user::text", &[]).await;
        assert_eq!(row.expect("a row").get::<_, String>(0), role);
        drop(db);
        as_superuser(&format!("DROP ROLE \"{reader}\"")).await;
    }
}

#[tokio::test]
async fn settings_cost_no_round_trip() {
    let proxy = proxy().await;
    let mut fixture = HerokuFixture::new().await;
    fixture.set_url(&through(&proxy, &fixture.database.url()));
    let link = link(&mut fixture, &[]);
    link.client().await.expect("a connection");
    for request in 0..3 {
        let before = proxy.round_trips();
        let settings = LocalSettings::new().set("app.tenant", "acme");
        assert_eq!(
            tenant(&link, &settings).await.expect("a transaction"),
            "acme"
        );
        assert_eq!(proxy.round_trips() - before, 3, "request {request}");
    }
}

const NOTES: &str = "\
    CREATE TABLE tenant_notes (tenant text NOT NULL, text text NOT NULL);
    ALTER TABLE tenant_notes ENABLE ROW LEVEL SECURITY;
    ALTER TABLE tenant_notes FORCE ROW LEVEL SECURITY;
    CREATE POLICY own_tenant ON tenant_notes
        USING (tenant <> '' AND tenant = current_setting('app.tenant', true));";

/// Runs the example against a database, and checks that each tenant sees its own notes alone.
async fn example_keeps_tenants_apart(fixture: &HerokuFixture, link: &Database) {
    let db = link.client().await.expect("a connection");
    db.batch_execute(NOTES).await.expect("the table");
    let function = fixture.start("notes", &sdk_example("row_level_security").await);
    let target = fixture.target(&function);
    let ask = async |method: &str, path: &str, tenant: &str| {
        let headers = [("x-tenant", tenant)];
        let answer = target.ask(method, path, &headers, None).await;
        answer.expect("an answer")
    };
    for tenant in ["acme", "o'neill", "acme", ""] {
        let path = format!("/api/notes/of-{}", tenant.len());
        let added = ask("POST", &path, tenant).await;
        let expected = if tenant.is_empty() { 500 } else { 201 };
        assert_eq!(added.status, expected, "{tenant}: {}", fixture.log());
    }
    for (tenant, expected) in [
        ("acme", json!(["of-4", "of-4"])),
        ("o'neill", json!(["of-7"])),
        ("other", json!([])),
        ("", json!([])),
        ("acme", json!(["of-4", "of-4"])),
    ] {
        let notes = ask("GET", "/api/notes", tenant).await;
        assert_eq!(notes.json(), expected, "{tenant}: {}", fixture.log());
    }
    let unknown = fixture.ask(&function, "GET", "/api/notes", None).await;
    assert_eq!(unknown.status, 401);
    function.shutdown().await;
}

#[tokio::test]
async fn example_of_row_level_security_keeps_tenants_apart() {
    let mut fixture = HerokuFixture::new().await;
    let direct = link(&mut fixture, &[]);
    example_keeps_tenants_apart(&fixture, &direct).await;
    let pooled = Pooled::start().await;
    example_keeps_tenants_apart(&pooled.fixture, &pooled.link).await;
}
