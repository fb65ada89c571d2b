//! Failures of the database under the load of many instances: no read fails, no write is applied
//! twice, and each write with a key gets its one response.

use stagelink_local::heroku::Stage;
use stagelink_local::lambda::Function;
use stagelink_local_postgres::{Database, Server, ServerOptions};
use stagelink_tests::{
    CANARY, HerokuFixture, Load, Plan, as_superuser, database, end_sessions, migrate, proxy,
    server, through,
};
use tokio_postgres::Client;

/// Two loads on one function: one whose writes have keys, and one whose writes have none.
struct GuestbookLoads {
    function: Function,
    keyed: Load,
    plain: Load,
}

impl GuestbookLoads {
    /// Starts both loads, and waits until every instance is warm.
    async fn start(fixture: &HerokuFixture) -> Self {
        let function = fixture.function("guestbook").await;
        let plan = Plan {
            concurrency: 4,
            rate: None,
            ..Plan::default()
        };
        let loads = Self {
            keyed: Load::start(
                fixture.target(&function),
                Plan {
                    has_keys: true,
                    ..plan
                },
            ),
            plain: Load::start(fixture.target(&function), plan),
            function,
        };
        loads.wait_for_answers().await;
        loads
    }

    /// Waits for 100 more responses to each load.
    async fn wait_for_answers(&self) {
        self.keyed.wait_for_answers(100).await;
        self.plain.wait_for_answers(100).await;
    }

    /// Stops both loads, and compares all responses with the rows in the database.
    async fn stop_and_check(self, fixture: &HerokuFixture, database: &Client) {
        self.wait_for_answers().await;
        let (keyed, plain) = (self.keyed.stop().await, self.plain.stop().await);
        self.function.shutdown().await;
        println!("with keys: {keyed}\nwithout: {plain}");
        keyed.check(database).await;
        plain.check(database).await;
        assert_eq!(keyed.failures().count(), 0, "{keyed}\n{}", fixture.log());
        for failure in plain.failures() {
            let answer = failure.answer.as_ref().expect("an answer");
            assert!(failure.is_write, "{plain}\n{}", fixture.log());
            assert!(
                answer.text().contains("not known whether this took effect"),
                "{plain}\n{}",
                fixture.log()
            );
        }
    }
}

/// Creates a fixture with the guestbook's tables and deploy-time credentials.
async fn with_credentials(url: &str) -> HerokuFixture {
    let mut fixture = HerokuFixture::with_url(url).await;
    fixture.set("STAGELINK_CREDENTIALS", &format!("staging={url}"));
    // Longer than a loaded machine takes to bring a database back; an invocation has a minute.
    fixture.set("STAGELINK_RETRY_TIMEOUT_MS", "40000");
    migrate(&fixture.variables).await;
    fixture
}

async fn rows(database: &Database) -> Client {
    let rows = server().await.connect_as_superuser_to(database).await;
    rows.expect("the database is there")
}

/// Creates another role for the same data and returns its URL. It stands for a replica on another
/// host that has every row.
async fn second_role(database: &Database) -> String {
    let (role, password) = (database.role(), format!("{CANARY}-twin"));
    let second_role = format!("{role}_twin");
    as_superuser(&format!(
        "CREATE ROLE {second_role} LOGIN CONNECTION LIMIT 20 PASSWORD '{password}'; \
             GRANT {role} TO {second_role}"
    ))
    .await;
    let url = database.url();
    let (_, address) = url.split_once('@').expect("an address");
    format!("postgres://{second_role}:{password}@{address}")
}

#[tokio::test]
async fn load_survives_a_rotation() {
    let database = database().await;
    let fixture = with_credentials(&database.url()).await;
    let loads = GuestbookLoads::start(&fixture).await;
    for time in 1..=3 {
        // As Heroku does with a default credential: the old password is refused and its connections
        // are terminated at once; then the app gets the new one.
        let (role, changed) = (database.role(), format!("{CANARY}-{time}"));
        as_superuser(&format!(
            "ALTER ROLE {role} PASSWORD '{changed}'; {}",
            end_sessions(role)
        ))
        .await;
        let url = database.url();
        let old = url.split([':', '@']).nth(2).expect("a password");
        fixture.set_url(&url.replace(old, &changed));
        loads.wait_for_answers().await;
    }
    loads.stop_and_check(&fixture, &rows(&database).await).await;
    assert!(
        fixture.log().contains("have been renewed"),
        "{}",
        fixture.log()
    );
}

#[tokio::test]
async fn load_survives_a_failover_to_another_host() {
    let database = database().await;
    let (first, second) = (proxy().await, proxy().await);
    let fixture = with_credentials(&through(&first, &database.url())).await;
    let loads = GuestbookLoads::start(&fixture).await;
    // The host is gone: it sends no FIN, and refuses no connection.
    first.refuse().await;
    first.cut();
    fixture.set_url(&through(&second, &database.url()));
    loads.stop_and_check(&fixture, &rows(&database).await).await;
}

#[tokio::test]
async fn load_survives_a_network_that_cuts_and_delays() {
    let database = database().await;
    let proxy = proxy().await;
    let fixture = with_credentials(&through(&proxy, &database.url())).await;
    let loads = GuestbookLoads::start(&fixture).await;
    proxy.delay(std::time::Duration::from_millis(5));
    for _ in 0..5 {
        proxy.cut();
        loads.wait_for_answers().await;
    }
    loads.stop_and_check(&fixture, &rows(&database).await).await;
    assert!(
        fixture.heroku.requests().is_empty(),
        "the credentials were good"
    );
}

#[tokio::test]
async fn load_survives_a_restart_of_the_database() {
    let source = std::env::var("STAGELINK_POSTGRES").unwrap_or_else(|_| "auto".to_owned());
    let options = ServerOptions::new().source(source.parse().expect("a source"));
    let mut own = Server::start(options).await.expect("a server of its own");
    let database = own
        .create_database("restarted", &format!("{CANARY}-restarted"))
        .await
        .expect("a database");
    let fixture = with_credentials(&database.url()).await;
    let loads = GuestbookLoads::start(&fixture).await;
    own.restart().await.expect("a restart");
    let rows = own
        .connect_as_superuser_to(&database)
        .await
        .expect("it is back");
    loads.stop_and_check(&fixture, &rows).await;
    drop(rows);
    own.stop().await.expect("it stops");
}

#[tokio::test]
async fn load_survives_the_promotion_of_a_follower() {
    let database = database().await;
    let fixture = with_credentials(&database.url()).await;
    let promoted = second_role(&database).await;
    let loads = GuestbookLoads::start(&fixture).await;
    // The old primary becomes read-only, and terminates no connection.
    let role = database.role();
    as_superuser(&format!(
        "ALTER ROLE {role} SET default_transaction_read_only = on; {}",
        end_sessions(role)
    ))
    .await;
    fixture.set_url(&promoted);
    loads.stop_and_check(&fixture, &rows(&database).await).await;
}

#[tokio::test]
async fn load_survives_a_recreated_app() {
    let database = database().await;
    let mut fixture = with_credentials(&database.url()).await;
    fixture.add_app("shop-staging-2", Stage::Development);
    let again = second_role(&database).await;
    let loads = GuestbookLoads::start(&fixture).await;
    fixture
        .heroku
        .set_config_var("shop-staging-2", "DATABASE_URL", &again)
        .expect("a config var");
    fixture
        .heroku
        .delete_app("shop-staging")
        .expect("it is gone");
    fixture
        .heroku
        .uncouple("shop-staging-2")
        .expect("the app leaves its stage");
    fixture
        .heroku
        .couple("shop", "shop-staging-2", Stage::Staging)
        .expect("it replaces the old app");
    let role = database.role();
    as_superuser(&format!(
        "ALTER ROLE {role} NOLOGIN; {}",
        end_sessions(role)
    ))
    .await;
    loads.stop_and_check(&fixture, &rows(&database).await).await;
}
