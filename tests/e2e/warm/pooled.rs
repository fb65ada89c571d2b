//! Transaction poolers: the SDK sends them nothing that they reject, and leaves no session state to
//! other clients.

use stagelink::{Database, Error, Settings, params};
use stagelink_local_postgres::PgBouncer;
use stagelink_tests::{Auth, HerokuFixture, Identity, OwnServer, pooled as behind};

use super::{Pooled, link};

#[tokio::test]
async fn all_kinds_of_work_are_done_through_a_pooler() {
    let pooled = Pooled::start().await;
    let link = &pooled.link;
    let db = link.client().await.expect("a connection");
    let table = "CREATE TABLE entry (id bigserial, name text)";
    db.batch_execute(table).await.expect("a table");
    drop(db);
    for round in 0..5_i64 {
        link.write(|db| async move {
            let sql = "INSERT INTO entry (name) VALUES ($1)";
            Ok::<_, Error>(db.execute_cached(sql, &params!["Ada"]).await?)
        })
        .await
        .expect("a write");
        link.transaction(|db| async move {
            let sql = "INSERT INTO entry (name) VALUES ($1)";
            Ok::<_, Error>(db.execute_cached(sql, &params!["Ada"]).await?)
        })
        .await
        .expect("a transaction");
        let count = link
            .read(|db| async move {
                let sql = "SELECT count(*) FROM entry WHERE name = $1";
                let row = db.query_cached_opt(sql, &params!["Ada"]).await?;
                Ok::<i64, Error>(row.expect("a count").get(0))
            })
            .await;
        assert_eq!(count.expect("a read"), (round + 1) * 2);
    }
    let db = link.client().await.expect("a connection");
    let sql = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%entry%'";
    let row = db.query_typed_one(sql, &[]).await.expect("a row");
    assert_eq!(row.get::<_, i64>(0), 0, "nothing runs on the server");
}

#[tokio::test]
async fn pooler_url_is_kept_where_the_providers_pooler_is_disabled() {
    let pooled = Pooled::start().await;
    let settings = Settings::from_vars(&pooled.fixture.variables);
    let link = Database::new(settings.map(Settings::without_pooler));
    for setting in ["idle_session_timeout", "application_name"] {
        let sql = format!("SHOW {setting}");
        let db = link.client().await.expect("a connection");
        let row = db.query_typed_one(&sql, &[]).await.expect("a row");
        let set: String = row.get(0);
        assert!(
            set.is_empty() || set == "0",
            "other clients see {setting} = {set}"
        );
    }
}

/// Stage on Heroku whose database has a pooler with this certificate in front of it.
struct WithPooler {
    fixture: HerokuFixture,
    _server: OwnServer,
    _bouncer: PgBouncer,
}

impl WithPooler {
    async fn with_identities(of_pooler: &Identity, of_database: &Identity) -> Self {
        let server = OwnServer::start(of_database).await;
        let database = server.database(Auth::Scram).await;
        let bouncer = server.bouncer(&[&database], of_pooler).await;
        let fixture = HerokuFixture::with_url(&database.url()).await;
        let url = behind(&bouncer, &database);
        let set =
            fixture
                .heroku
                .set_config_var("shop-staging", "DATABASE_CONNECTION_POOL_URL", &url);
        set.expect("a config var");
        Self {
            fixture,
            _server: server,
            _bouncer: bouncer,
        }
    }

    /// Returns whether a new link connects through the pooler: direct sessions have an idle
    /// time-out.
    async fn is_pooled(&mut self, variables: &[(&str, &str)]) -> bool {
        let link = link(&mut self.fixture, variables);
        let row = link.read(|db| async move {
            let row = db.query_typed_one("SHOW idle_session_timeout", &[]).await?;
            Ok::<String, Error>(row.get(0))
        });
        row.await.expect("a row") == "0"
    }
}

#[tokio::test]
async fn heroku_pooler_is_preferred_and_authenticated_by_its_databases_key() {
    let identity = Identity::self_signed();
    let mut with_pooler = WithPooler::with_identities(&identity, &identity).await;
    assert!(
        !with_pooler
            .is_pooled(&[("STAGELINK_POOLER", "never")])
            .await
    );
    assert!(with_pooler.is_pooled(&[("STAGELINK_POOLER", "auto")]).await);
}

#[tokio::test]
async fn unauthenticated_pooler_is_skipped_unless_it_is_pinned() {
    let other = Identity::self_signed();
    let mut with_pooler = WithPooler::with_identities(&other, &Identity::self_signed()).await;
    assert!(!with_pooler.is_pooled(&[]).await);
    assert!(
        with_pooler
            .is_pooled(&[("STAGELINK_SERVER_PIN", &other.pin())])
            .await
    );
}

#[tokio::test]
async fn function_of_a_stage_with_a_pooler_answers() {
    let identity = Identity::self_signed();
    let with_pooler = WithPooler::with_identities(&identity, &identity).await;
    let answer = with_pooler.fixture.get("health").await;
    assert_eq!(answer.status, 200, "{}", with_pooler.fixture.log());
}
