//! Names with several addresses, some of which do not answer.
//!
//! Such names need a hosts file of their own. A mount namespace belongs to a process, so the test
//! binary is started again in a new one, for one test alone.

use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Uid;
use stagelink::{Database, Error, ErrorKind, Phase, Settings};
use stagelink_tests::database;
use tokio::net::{TcpListener, TcpSocket};

#[test]
fn silent_addresses_of_a_name_do_not_use_up_the_time_of_the_others() {
    with_hosts(
        "addresses::silent_addresses_of_a_name_do_not_use_up_the_time_of_the_others",
        "::1 db.test\n127.0.0.1 db.test\n127.0.0.77 db.test\n::1 gone.test\n127.0.0.77 gone.test\n",
        async {
            let database = database().await;
            let url = database.url();
            let port: u16 = url
                .rsplit([':', '/'])
                .nth(1)
                .expect("a port")
                .parse()
                .expect("a port");
            let _silent = silent(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await;
            let _silent_v4 = silent(SocketAddr::from(([127, 0, 0, 77], port))).await;
            let began = Instant::now();
            let db = open(&url, "db.test", port, LONG)
                .await
                .expect("a connection");
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "{:?}",
                began.elapsed()
            );
            let row = db.query_typed_one("SELECT 1", &[]).await;
            assert_eq!(row.expect("a row").get::<_, i32>(0), 1);

            let error = open(&url, "gone.test", port, SHORT)
                .await
                .expect_err("no answer");
            assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Connect));
            let report = error.report().to_string();
            for address in [format!("[::1]:{port}"), format!("127.0.0.77:{port}")] {
                assert!(
                    report.contains(&format!("{address}: no answer")),
                    "{report}"
                );
            }

            // An address where nothing listens refuses at once.
            let listener = TcpListener::bind("127.0.0.77:0").await.expect("a port");
            let free = listener.local_addr().expect("a port").port();
            drop(listener);
            let error = open(&url, "gone.test", free, SHORT)
                .await
                .expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::DatabaseUnreachable);
            let report = error.report().to_string();
            for address in [format!("[::1]:{free}"), format!("127.0.0.77:{free}")] {
                assert!(report.contains(&format!("{address}: ")), "{report}");
            }
        },
    );
}

/// The time for a connection: one that a busy machine does not use up, and one whose end is waited for.
const LONG: &str = "15000";
const SHORT: &str = "2000";

/// Opens the database at another name and port, with this time for a connection in milliseconds.
async fn open(
    url: &str,
    host: &str,
    port: u16,
    limit_ms: &str,
) -> Result<stagelink::Client, Error> {
    let (before, rest) = url.split_once('@').expect("a role");
    let (_, after) = rest.split_once('/').expect("a database");
    let url = format!("{before}@{host}:{port}/{after}");
    let settings = Settings::from_vars([
        ("STAGELINK_STAGE", "staging"),
        ("DATABASE_URL", &url),
        ("STAGELINK_CONNECT_TIMEOUT_MS", limit_ms),
        ("STAGELINK_RETRY_TIMEOUT_MS", "1"),
    ]);
    Database::new(settings).client().await
}

/// Makes an address silent: the queue of its listener is full, so the system drops all requests to
/// connect.
async fn silent(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.expect("a socket");
    socket.bind(address).expect("a free port");
    let listener = socket.listen(0).expect("a listener");
    let limit = Duration::from_millis(100);
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect_timeout(&address, limit) {
        clients.push(client);
    }
    (listener, clients)
}

/// Runs a test with this hosts file. `name` is the test's, with its module.
fn with_hosts(name: &str, hosts: &str, test: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        return tokio::runtime::Runtime::new()
            .expect("this machine runs threads")
            .block_on(test);
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    let usual = "127.0.0.1 localhost\n::1 localhost\n";
    std::fs::write(file.path(), format!("{usual}{hosts}")).expect("a file");
    let mut unshare = Command::new("unshare");
    if !Uid::current().is_root() {
        // A user other than root may create a mount namespace inside a user namespace.
        unshare.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    let output = unshare
        .args(["--mount", "--", "sh", "-c", HOSTS, "sh"])
        .arg(file.path())
        .arg(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "true")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .expect("unshare runs: apt-get install util-linux");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{name} failed with its own hosts file:\n{text}"
    );
}

const INSIDE: &str = "STAGELINK_TEST_WITH_HOSTS";

const HOSTS: &str = r#"mount --bind "$1" /etc/hosts && shift && exec "$@""#;
