//! Peak number of a role's sessions on the server, by polling.

use std::time::Duration;

use stagelink_local_postgres::{Database, Server};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_postgres::types::Type;

/// Polls until its result is requested.
#[derive(Debug)]
pub(crate) struct Sessions {
    stop: oneshot::Sender<()>,
    looking: JoinHandle<i64>,
}

impl Sessions {
    /// Starts to poll the sessions of a database's role, as a superuser, for whom the server
    /// reserves connections.
    pub(crate) async fn watch(server: &Server, database: &Database) -> Self {
        let admin = server.connect_as_superuser().await.expect("a superuser");
        let role = database.role().to_owned();
        let (stop, mut stopped) = oneshot::channel();
        let looking = tokio::spawn(async move {
            let mut turns = interval(PERIOD);
            let (mut most, mut before) = (0, 0);
            loop {
                tokio::select! {
                    _ = &mut stopped => return most,
                    _ = turns.tick() => {}
                }
                let counted = admin.query_typed_one(COUNT, &[(&role, Type::TEXT)]).await;
                let count: i64 = counted.expect("a count").get(0);
                // The server counts one session after the other: one that ends meanwhile and its successor
                // are two of them, but not at two looks in a row.
                most = most.max(count.min(before));
                before = count;
            }
        });
        Self { stop, looking }
    }

    /// Returns the largest number of concurrent sessions.
    pub(crate) async fn most(self) -> i64 {
        // A panic of the task surfaces below.
        let _ = self.stop.send(());
        self.looking.await.expect("the poller runs")
    }
}

/// Waits until a database's role has no session.
pub(crate) async fn until_none(server: &Server, database: &Database) {
    let admin = server.connect_as_superuser().await.expect("a superuser");
    let role = database.role();
    let none = async {
        loop {
            let counted = admin.query_typed_one(COUNT, &[(&role, Type::TEXT)]).await;
            if counted.expect("a count").get::<_, i64>(0) == 0 {
                return;
            }
            tokio::time::sleep(PERIOD).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), none).await;
    assert!(ended.is_ok(), "{role} still has sessions");
}

const COUNT: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
const PERIOD: Duration = Duration::from_millis(20);
