//! Servers that are programs of others.

use std::process::Stdio;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::{report, wait_until};

/// Debian's Python, which finds the modules of Debian's packages.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// Longest until it listens.
const START: Duration = Duration::from_secs(20);

/// A port of this machine that nobody has, for a program that cannot choose one itself.
pub(crate) async fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    free.local_addr().unwrap().port()
}

/// Starts a program that says nothing and waits until it listens on the port. It is killed with the value.
pub(crate) async fn serve(name: &str, mut command: Command, port: u16) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    wait_until(&format!("{name} listens"), START, async || {
        TcpStream::connect(("127.0.0.1", port)).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    child
}

/// Whether Python has a module. Without it a test is skipped, loudly; with `REQUIRE_PEERS=1` it fails.
pub(crate) async fn has_module(test: &str, module: &str, package: &str) -> bool {
    let found = Command::new(PYTHON).args(["-c", &format!("import {module}")]).output().await;
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let advice = format!("{test}: {PYTHON} has no {module}; install the package {package}");
    assert!(std::env::var_os("REQUIRE_PEERS").is_none(), "{advice}");
    report(&format!("SKIPPED {advice}"));
    false
}
