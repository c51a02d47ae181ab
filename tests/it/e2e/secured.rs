//! Cameras over TLS and inside HTTP, on GStreamer's server: the picture of the instant by contact, and words of those
//! that are not trusted.

use std::time::Duration;

use camera_capture::config::Fingerprint;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::support::daemon::{Daemon, run};
use crate::support::picture::instant_shown;
use crate::support::rtsp::{Auth, RtspPeer, SMALL, USER, is_available, secured};
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, wait_until};

const PASSWORD: &str = "gate-7-open";

/// One frame interval at 25 frames a second, and jitter of a machine that does other things.
const TOLERANCE_MS: i64 = 80;

/// Longest until a camera is connected, or its trouble is said, or its picture is stored.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secured_and_tunnelled_cameras_give_the_picture_of_the_instant() {
    let _machine = machine_shared().await;
    if !is_available("secured_and_tunnelled_cameras").await {
        return;
    }
    let old = secured("IPCamera", 2020);
    let right = secured("127.0.0.1", 2090);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (old_pem, right_pem) = (file("old.pem", old.pem()), file("right.pem", right.pem()));
    let digest = RtspPeer::start_secured(SMALL, Auth::Digest { password: PASSWORD }, 2, &old_pem).await;
    let basic = RtspPeer::start_secured(SMALL, Auth::Basic { password: PASSWORD }, 1, &right_pem).await;
    let plain = RtspPeer::start(SMALL, Auth::Digest { password: PASSWORD }, 1).await;
    let pin = Fingerprint::of(old.certificate.der()).to_string();
    let over_tls = |peer: &RtspPeer, n: u8| peer.url(n).replace("rtsp://", "rtsps://");
    let setup = Setup::new()
        .with_camera(1, &over_tls(&digest, 1))
        .with("CAMERA_1_TLS_FINGERPRINT", &pin)
        .with_camera(2, &over_tls(&basic, 1))
        .with("CAMERA_CA_FILE", &file("ca.pem", right.certificate.pem()).display().to_string())
        .with_camera(3, &plain.url(1))
        .with("CAMERA_3_TRANSPORT", "http")
        .with_camera(4, &over_tls(&digest, 2))
        .with("CAMERA_4_TRANSPORT", "http")
        .with("CAMERA_4_TLS_FINGERPRINT", &pin.replace(':', "").to_lowercase())
        .with_camera(5, &over_tls(&digest, 2))
        .with_camera(6, &over_tls(&plain, 1))
        .with_camera(7, &digest.url(1))
        .with("CAMERA_USERNAME", USER)
        .with("CAMERA_PASSWORD", PASSWORD);
    let good = ["r1", "r2", "r3", "r4"];
    let daemon = Daemon::start_connected(&setup, &good).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(100..1500))).await;
        for key in good {
            let reply = daemon.pulse(key).await.unwrap();
            assert!((200..300).contains(&reply.status), "{key}: {}", reply.text());
        }
    }
    wait_until("every edge is a picture", SOON, async || match daemon.images().await.len() {
        12 => Ok(()),
        stored => Err(stored.to_string()),
    })
    .await;
    let files = setup.pictures();
    for event in daemon.events().await {
        let edge_ms = event["edge_at_ms"].as_i64().unwrap();
        let image = &event["images"][0];
        let name = image.as_str().or_else(|| image["filename"].as_str()).unwrap();
        let shown = instant_shown(&std::fs::read(&files[name]).unwrap(), edge_ms, name);
        assert!((shown - edge_ms).abs() <= TOLERANCE_MS, "{name}: {} ms from its edge", shown - edge_ms);
    }
    for (key, expected) in [
        ("r5", &["not known", "compare", pin.as_str()][..]),
        ("r6", &["TLS", "CAMERA_6_RTSP", "rtsp://"]),
        ("r7", &["encrypted", "CAMERA_7_RTSP", "rtsps://"]),
    ] {
        wait_until(&format!("{key} says {expected:?}"), SOON, async || {
            let (state, error) = daemon.camera(key).await;
            let fits = expected.iter().all(|word| error.contains(word));
            if fits { Ok(()) } else { Err(format!("{state}: {error}")) }
        })
        .await;
    }
    // A camera that closes its connections is asked again, and the pin holds.
    digest.control("drop").await;
    daemon.wait_for_camera("r1", "connected", SOON).await;
    daemon.terminate().await;
    wait_until("the cameras are left", SOON, async || match digest.control("clients").await {
        clients if clients == "0" => Ok(()),
        clients => Err(clients),
    })
    .await;

    let test = run(&setup, &["--test-capture", "r1", "r4"], "").await;
    let said = String::from_utf8_lossy(&[test.stdout, test.stderr].concat()).into_owned();
    assert_eq!(test.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("authentication: digest").count(), 2, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cameras_of_single_pictures_are_trusted_in_the_same_ways() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "").await;
    let own = secured("IPCamera", 2020);
    let pin = Fingerprint::of(own.certificate.der()).to_string();
    let behind = camera.url().replace("http://", "");
    let (inside, path) = behind.split_once('/').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/{path}", listener.local_addr().unwrap());
    let (acceptor, inside) = (own.acceptor(rustls::ALL_VERSIONS), inside.to_owned());
    let guard = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, inside) = (acceptor.clone(), inside.clone());
            tokio::spawn(async move {
                // A client that trusts nobody hangs up.
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = TcpStream::connect(inside).await.unwrap();
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.pem");
    std::fs::write(&file, own.certificate.pem()).unwrap();
    let setup = (1..=5)
        .fold(Setup::new(), |setup, n| setup.with_snapshots(n, &url))
        .with("CAMERA_1_TLS_FINGERPRINT", &pin)
        .with("CAMERA_2_CA_FILE", &file.display().to_string())
        .with("CAMERA_3_SNAPSHOT_VERIFY", "false")
        .with("CAMERA_5_TLS_FINGERPRINT", &Fingerprint::of(b"another").to_string());
    let daemon = Daemon::start_connected(&setup, &["r1", "r2", "r3"]).await;
    assert_eq!(daemon.capture("r1").await.unwrap().status, 201);
    for (key, expected) in [("r4", "is not known"), ("r5", "is not the one in CAMERA_5_TLS_FINGERPRINT")] {
        wait_until(&format!("{key} says {expected:?}"), SOON, async || {
            let (state, error) = daemon.camera(key).await;
            let fits = error.contains(expected) && error.contains(&format!("TLS_FINGERPRINT={pin}"));
            if fits { Ok(()) } else { Err(format!("{state}: {error}")) }
        })
        .await;
    }
    daemon.terminate().await;
    guard.abort();
}
