//! Time stamps that are no clock: the picture is of the instant all the same, and says what its time is worth.

use std::time::Duration;

use camera_capture::demo::{RtspServer, StreamConfig};
use tokio_util::sync::CancellationToken;

use crate::support::daemon::{Daemon, run};
use crate::support::machine_alone;
use crate::support::picture::instant_shown;
use crate::support::setup::Setup;
use crate::support::{report, wait_until};

/// Arrivals are within a frame interval of their turn; the machine does other things, too.
const BOUND_MS: i64 = 150;

/// Field report (open-nvr 229, lightNVR 608): 25 frames a second are said and 20 are sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_says_25_frames_and_sends_20_gives_the_picture_of_the_instant_and_says_so() {
    let _machine = machine_alone().await;
    let stream = StreamConfig { fps: 20, gop: 20, stamped_fps: 25, ..StreamConfig::new("/r1", "Entry", 200) };
    let server = RtspServer::bind("127.0.0.1:0".parse().unwrap(), vec![stream], None).await.unwrap();
    let (camera, stop) = (server.local_addr(), CancellationToken::new());
    let serving = tokio::spawn(server.run(stop.clone()));
    let setup = Setup::new().with_camera(1, &format!("rtsp://{camera}/r1"));
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;

    let said = async || {
        let status = daemon.get("/api/status").await.json();
        status["cameras"][0]["stream"]["stamps"].as_str().unwrap_or("nothing").to_owned()
    };
    wait_until("the stamps are found out", Duration::from_secs(20), async || match &*said().await {
        "untrusted" | "scaled" => Ok(()),
        other => Err(other.to_owned()),
    })
    .await;
    for taken in 1..=3 {
        // At any phase of the keyframe interval, and beyond the bounce time of the edge before.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(1000..2000))).await;
        daemon.pulse("r1").await.unwrap();
        wait_until("the picture is stored", Duration::from_secs(10), async || {
            let stored = daemon.events().await.iter().filter(|event| !event["outcome"].is_null()).count();
            if stored == taken { Ok(()) } else { Err(format!("{stored} of {taken}")) }
        })
        .await;
    }
    wait_until("the stamps are scaled", Duration::from_secs(20), async || match &*said().await {
        "scaled" => Ok(()),
        other => Err(other.to_owned()),
    })
    .await;
    assert_eq!(daemon.capture("r1").await.unwrap().status, 201);

    let status = daemon.get("/api/status").await.json();
    let stream = &status["cameras"][0]["stream"];
    assert!((stream["fps"].as_f64().unwrap() - 20.0).abs() < 1.0, "{stream}");
    assert_eq!(status["cameras"][0]["state"], "connected");
    let about = status["cameras"][0]["about"].to_string();
    assert!(about.contains("time stamps") && about.contains("set a frame rate that it reaches"), "{about}");
    let files = setup.pictures();
    let mut errors = Vec::new();
    for event in daemon.events().await {
        let image = &event["images"][0];
        let (name, edge_ms) = (image["filename"].as_str().unwrap(), event["edge_at_ms"].as_i64().unwrap());
        let jpeg = std::fs::read(&files[name]).unwrap();
        errors.push(instant_shown(&jpeg, edge_ms, name) - edge_ms);
        assert!(image["note"].as_str().is_some_and(|note| note.contains("time stamps")), "{event}");
    }
    report(&format!("25 said, 20 sent: shown minus edge {errors:?} ms"));
    assert_eq!(errors.len(), 4);
    assert!(errors.iter().all(|error| error.abs() <= BOUND_MS), "{errors:?}");
    daemon.terminate().await;
    let test = run(&setup, &["--test-capture"], "").await;
    assert_eq!(test.status.code(), Some(0), "{test:?}");
    assert!(String::from_utf8_lossy(&test.stdout).contains("time stamps do not fit"), "{test:?}");
    stop.cancel();
    serving.await.unwrap();
}
