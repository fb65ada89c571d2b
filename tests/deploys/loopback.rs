//! Isolated network with loopback only, for a test and the processes that it starts.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use nix::unistd::Uid;
use stagelink_tests::stagelink_command;
use tokio::runtime::Runtime;

use crate::{artifacts, heroku, tools};

/// Runs a test in an isolated network. `name` is the test's, with its module.
///
/// A network namespace belongs to a process, so the test binary is started again in a new one, for
/// this test alone. The tools of npm and the crates of a build, which need the internet, are
/// prepared before that.
pub(crate) fn only(name: &str, test: impl Future<Output = ()>) {
    isolated(name, test, || {
        tools::install();
        vec![(artifacts::FOLDER, artifacts::build())]
    });
}

/// Runs a test of the command `stagelink` in an isolated network, as [`only`] does, without the
/// artifacts of the functions.
pub(crate) fn only_with_command(name: &str, test: impl Future<Output = ()>) {
    isolated(name, test, || {
        tools::install();
        let command = runtime().block_on(stagelink_command());
        println!("{}", command.display());
        Vec::new()
    });
}

/// Runs a test of the Heroku command line in an isolated network, as [`only`] does.
pub(crate) fn only_with_heroku(name: &str, test: impl Future<Output = ()>) {
    isolated(name, test, || {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(heroku::install);
        let command = runtime().block_on(stagelink_command());
        println!("{}", command.display());
        Vec::new()
    });
}

fn isolated(
    name: &str,
    test: impl Future<Output = ()>,
    prepare: impl FnOnce() -> Vec<(&'static str, PathBuf)>,
) {
    if std::env::var_os(INSIDE).is_some() {
        outside_is_unreachable();
        return runtime().block_on(test);
    }
    let variables = prepare();
    let mut unshare = Command::new("unshare");
    if !Uid::current().is_root() {
        // A user other than root may create a network namespace inside a user namespace.
        unshare.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    let output = unshare
        .args(["--net", "--", "sh", "-c", LOOPBACK_UP, "sh"])
        .arg(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "true")
        .envs(variables)
        .env("RUST_BACKTRACE", "0")
        .env("STAGELINK_POSTGRES", postgres())
        .env("CARGO_NET_OFFLINE", "true")
        .stdin(Stdio::null())
        .output()
        .expect("unshare runs: apt-get install util-linux");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{name} failed in its own network:\n{text}"
    );
    println!("{text}");
}

fn runtime() -> Runtime {
    Runtime::new().expect("this machine runs threads")
}

/// Docker's ports are in another network namespace.
fn postgres() -> String {
    let source = std::env::var("STAGELINK_POSTGRES").unwrap_or_default();
    let usable = source.starts_with("local") || source.starts_with("npm");
    if usable { source } else { "local".to_owned() }
}

fn outside_is_unreachable() {
    // Address for documentation (RFC 5737), which is routed in no network: without a route the
    // system refuses it at once.
    let outside = SocketAddr::from(([192, 0, 2, 1], 443));
    let error = TcpStream::connect_timeout(&outside, Duration::from_secs(10))
        .expect_err("no route to this address");
    assert_eq!(
        error.kind(),
        std::io::ErrorKind::NetworkUnreachable,
        "this network leads to the outside"
    );
}

const INSIDE: &str = "STAGELINK_TEST_IN_LOOPBACK";

/// Not every user's PATH has `ip`.
const LOOPBACK_UP: &str = r#"PATH=$PATH:/usr/sbin:/sbin
ip link set lo up || { echo "the tests need ip: apt-get install iproute2" >&2; exit 1; }
exec "$@""#;
