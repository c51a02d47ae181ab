//! The line to a server as the operator sees it: on line by deliveries, proxies, a machine without authorities.

use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, wait_until};
use crate::targets::server::{Server, answer};

/// Longest until everything has been said.
const SOON: Duration = Duration::from_secs(30);

async fn target(daemon: &Daemon) -> Value {
    daemon.status().await["targets"][0].clone()
}

/// Waits until the first target is on line or not, with these words.
async fn stands(daemon: &Daemon, online: bool, words: &str) {
    wait_until(&format!("the target is on line: {online}, {words}"), SOON, async || {
        let target = target(daemon).await;
        let is_so = target["online"] == online && target["last_error"].to_string().contains(words);
        if is_so { Ok(()) } else { Err(target.to_string()) }
    })
    .await;
}

/// Watches through several looks at the way, which come each second.
async fn stays(daemon: &Daemon, online: bool) {
    let begin = std::time::Instant::now();
    wait_until("some looks at the way have been", SOON, async || {
        let target = target(daemon).await;
        assert_eq!(target["online"], online, "{target}");
        if begin.elapsed() > Duration::from_secs(4) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_refuses_every_picture_is_not_online_though_its_port_is_open() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "x").await;
    for status in [401, 503] {
        let server = Server::start(move |_, _| answer(status, "", "not you")).await;
        let setup = Setup::new().with_snapshots(1, &camera.url()).with("S3_API_URL", &server.url());
        let daemon = Daemon::start(&setup).await;
        daemon.wait_for_camera("r1", "connected", SOON).await;
        stands(&daemon, true, "null").await;
        daemon.capture("r1").await.unwrap();
        stands(&daemon, false, &status.to_string()).await;
        stays(&daemon, false).await;
        daemon.terminate().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_delivered_through_a_proxy_of_the_settings_file_is_online_and_a_dead_proxy_is_named() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "x").await;
    let proxy = Server::start(|_, _| answer(200, "", "ok")).await;
    let setup = Setup::new()
        .with_snapshots(1, &camera.url())
        .with("S3_API_URL", "http://upload.invalid/up")
        .with("HTTP_PROXY", &proxy.origin());
    let daemon = Daemon::start(&setup).await;
    daemon.wait_for_camera("r1", "connected", SOON).await;
    daemon.capture("r1").await.unwrap();
    daemon.wait_until_delivered(SOON).await;
    stands(&daemon, true, "null").await;
    stays(&daemon, true).await;
    let name = format!("the proxy {} (HTTP_PROXY)", proxy.addr);
    drop(proxy);
    stands(&daemon, false, &name).await;
    daemon.capture("r1").await.unwrap();
    stands(&daemon, false, &name).await;
    daemon.terminate().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_certificates_of_authorities_http_is_delivered_and_https_says_what_to_install() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "x").await;
    let server = Server::start(|_, _| answer(200, "", "ok")).await;
    let bare = || {
        let setup = Setup::new().with_snapshots(1, &camera.url());
        let empty = setup.directory().display().to_string();
        setup.with_process("SSL_CERT_FILE", &format!("{empty}/none.pem")).with_process("SSL_CERT_DIR", &empty)
    };
    let setup = bare().with("S3_API_URL", &server.url());
    let daemon = Daemon::start(&setup).await;
    daemon.wait_for_camera("r1", "connected", SOON).await;
    daemon.capture("r1").await.unwrap();
    daemon.wait_until_delivered(SOON).await;
    daemon.terminate().await;
    let setup = bare().with("S3_API_URL", &format!("https://{}/up", server.addr));
    let daemon = Daemon::start(&setup).await;
    daemon.wait_for_camera("r1", "connected", SOON).await;
    daemon.capture("r1").await.unwrap();
    stands(&daemon, false, "install the package ca-certificates").await;
    daemon.terminate().await;
}
