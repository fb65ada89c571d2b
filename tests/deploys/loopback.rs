//! A network with nothing in it but loopback, for a test and all that it starts.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::unistd::Uid;
use tokio::runtime::Runtime;

use crate::{artifacts, tools};

/// Runs a test in a network of its own. `name` is the test's, with its module.
///
/// The network is a process's, so the test's program is started once more in a new one, for
/// this test alone. What needs the outside (the tools of npm, the crates of a build) is made
/// ready before.
pub(crate) fn only(name: &str, test: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        outside_is_unreachable();
        return Runtime::new()
            .expect("this machine runs threads")
            .block_on(test);
    }
    tools::install();
    let artifacts = artifacts::build();
    let mut unshare = Command::new("unshare");
    if !Uid::current().is_root() {
        // Who is not root may have a network in a user namespace of their own.
        unshare.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    let output = unshare
        .args(["--net", "--", "sh", "-c", LOOPBACK_UP, "sh"])
        .arg(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "true")
        .env(artifacts::FOLDER, artifacts)
        .env("RUST_BACKTRACE", "0")
        .env("STAGELINK_POSTGRES", postgres())
        .env("CARGO_NET_OFFLINE", "true")
        .stdin(Stdio::null())
        .output()
        .expect("unshare runs: apt-get install util-linux");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{name} failed in its own network:\n{said}"
    );
    println!("{said}");
}

/// Docker's ports are in another network.
fn postgres() -> String {
    let source = std::env::var("STAGELINK_POSTGRES").unwrap_or_default();
    let usable = source.starts_with("local") || source.starts_with("npm");
    if usable { source } else { "local".to_owned() }
}

fn outside_is_unreachable() {
    // An address for documentation (RFC 5737), which leads nowhere in any network: without a
    // way out the system says so at once.
    let outside = SocketAddr::from(([192, 0, 2, 1], 443));
    let error = TcpStream::connect_timeout(&outside, Duration::from_secs(10))
        .expect_err("nobody has this address");
    assert_eq!(
        error.kind(),
        std::io::ErrorKind::NetworkUnreachable,
        "this network leads to the outside"
    );
}

const INSIDE: &str = "STAGELINK_TEST_IN_LOOPBACK";

/// `ip` is not in everybody's path.
const LOOPBACK_UP: &str = r#"PATH=$PATH:/usr/sbin:/sbin
ip link set lo up || { echo "the tests need ip: apt-get install iproute2" >&2; exit 1; }
exec "$@""#;
