//! Cameras that fail, what the dashboard says of them, and how they come back.

use std::time::Duration;

use futures_util::future::join;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::daemon::Daemon;
use crate::support::machine_shared;
use crate::support::rtsp::{Auth, RtspPeer, SMALL, USER, is_available};
use crate::support::setup::Setup;

/// Longest until the dashboard says what is wrong.
const SAID: Duration = Duration::from_secs(15);

/// Longest until a camera that is well again is connected: the longest pause after a refusal, a session, a keyframe.
const HEALED: Duration = Duration::from_secs(90);

/// The password that is configured for every camera.
const PASSWORD: &str = "opens-the-gate";

const RIGHT: Auth = Auth::Digest { password: PASSWORD };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_camera_fault_is_said_within_15_seconds_and_heals_by_itself() {
    let _machine = machine_shared().await;
    if !is_available("every_camera_fault").await {
        return;
    }
    let wrong_password = RtspPeer::start(SMALL, Auth::Digest { password: "changed-by-someone" }, 1).await;
    let refused = TcpSocket::new_v4().unwrap();
    refused.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = SilentPort::open().await;
    let killed = RtspPeer::start(SMALL, Auth::Basic { password: PASSWORD }, 1).await;
    let stalled = RtspPeer::start(SMALL, RIGHT, 1).await;
    let at = |port: u16| format!("rtsp://127.0.0.1:{port}/r1");
    let setup = Setup::new()
        .with("CAMERA_USERNAME", USER)
        .with("CAMERA_PASSWORD", PASSWORD)
        .with_camera(1, &wrong_password.url(1))
        .with_camera(2, &at(refused.local_addr().unwrap().port()))
        .with_camera(3, &at(silent.port()))
        .with_camera(4, &killed.url(1))
        .with_camera(5, &stalled.url(1));
    let daemon = Daemon::start(&setup).await;

    let at_start = join(
        join(heal_wrong_password(&daemon, wrong_password), heal_refused(&daemon, refused)),
        heal_silent(&daemon, silent),
    );
    join(at_start, join(heal_killed(&daemon, killed), heal_stalled(&daemon, stalled))).await;
}

/// Waits until the camera is degraded and its error has all these words.
async fn said(daemon: &Daemon, key: &str, words: &[&str]) {
    crate::support::wait_until(&format!("{key} is degraded: {words:?}"), SAID, async || {
        let (state, error) = daemon.camera(key).await;
        let fits = state == "degraded" && words.iter().all(|word| error.contains(word));
        if fits { Ok(()) } else { Err(format!("{state}: {error}")) }
    })
    .await;
}

async fn healed(daemon: &Daemon, key: &str) {
    let error = daemon.wait_for_camera(key, "connected", HEALED).await;
    assert_eq!(error, "", "{key} is connected and still complains");
}

async fn heal_wrong_password(daemon: &Daemon, camera: RtspPeer) {
    said(daemon, "r1", &["refused the user name or password", "CAMERA_PASSWORD"]).await;
    let port = camera.kill().await;
    let _camera = RtspPeer::start_on(port, SMALL, RIGHT, 1).await;
    healed(daemon, "r1").await;
}

async fn heal_refused(daemon: &Daemon, reserved: TcpSocket) {
    let port = reserved.local_addr().unwrap().port();
    said(daemon, "r2", &[&format!("127.0.0.1:{port}"), "refused", "is the port right"]).await;
    let reply = daemon.capture("r2").await.unwrap();
    assert_eq!(reply.status, 504, "{}", reply.text());
    assert!(reply.text().contains("connection refused"), "the answer says why: {}", reply.text());
    let events = daemon.events().await;
    let event =
        events.iter().find(|event| event["camera"] == "r2").expect("a failed trigger is in the ledger");
    assert_eq!(event["outcome"], "failed");
    assert!(event["reason"].as_str().is_some_and(|reason| reason.contains("connection refused")), "{event}");
    drop(reserved);
    let _camera = RtspPeer::start_on(port, SMALL, RIGHT, 1).await;
    healed(daemon, "r2").await;
}

async fn heal_silent(daemon: &Daemon, silent: SilentPort) {
    said(daemon, "r3", &["does not answer", "cable"]).await;
    let port = silent.port();
    drop(silent);
    let _camera = RtspPeer::start_on(port, SMALL, RIGHT, 1).await;
    healed(daemon, "r3").await;
}

async fn heal_killed(daemon: &Daemon, camera: RtspPeer) {
    healed(daemon, "r4").await;
    let port = camera.kill().await;
    said(daemon, "r4", &[&format!("127.0.0.1:{port}"), "connection refused"]).await;
    let _camera = RtspPeer::start_on(port, SMALL, Auth::Basic { password: PASSWORD }, 1).await;
    healed(daemon, "r4").await;
}

async fn heal_stalled(daemon: &Daemon, camera: RtspPeer) {
    healed(daemon, "r5").await;
    assert_eq!(camera.control("stall").await, "ok");
    said(daemon, "r5", &["has sent no picture"]).await;
    assert_eq!(camera.control("resume").await, "ok");
    healed(daemon, "r5").await;
}

/// A port that drops every packet: its queue of connections is full, and nobody takes one out.
struct SilentPort {
    listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl SilentPort {
    async fn open() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(address)).await
        {
            queued.push(stream.unwrap());
        }
        Self { listener, _queued: queued }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }
}
