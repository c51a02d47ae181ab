//! How little is decoded, and when: what a trigger costs in each mode, with each decoder.

use std::time::Duration;

use crate::support::daemon::Daemon;
use crate::support::log::Captured;
use crate::support::picture::instant_shown;
use crate::support::rtsp::{Auth, RtspPeer, Video, is_available};
use crate::support::setup::Setup;
use crate::support::{machine_shared, report, wait_until};

/// One frame interval at 25 frames a second.
const INTERVAL_MS: i64 = 40;

/// Two seconds from keyframe to keyframe.
const LONG: Video = Video { width: 640, height: 360, gop: 50, bitrate: "1M", options: &[] };

/// Longest until a picture is stored.
const STORED: Duration = Duration::from_secs(30);

/// Longest until the decoders were measured.
const MEASURED: Duration = Duration::from_secs(30);

/// A camera that is connected and whose decoders were measured.
async fn measured(setup: &Setup, keys: &[&str]) -> Daemon {
    let daemon = Daemon::start_connected(setup, keys).await;
    wait_until("the decoders were measured", MEASURED, async || {
        let status = daemon.api().status().await;
        let all = status["cameras"].as_array().unwrap().iter().all(|camera| !camera["decoding"].is_null());
        if all { Ok(()) } else { Err(status["cameras"].to_string()) }
    })
    .await;
    daemon
}

/// Triggers a camera and waits for all pictures there are then.
async fn trigger(daemon: &Daemon, key: &str, pictures: usize) -> Vec<Captured> {
    let before = daemon.lines().captured().len();
    daemon.pulse(key).await.unwrap();
    wait_until("the pictures are stored", STORED, async || {
        let stored = daemon.lines().captured().len() - before;
        if stored >= pictures {
            Ok(())
        } else {
            Err(format!("{stored} of {pictures}: {}", daemon.lines().text()))
        }
    })
    .await;
    daemon.lines().captured().split_off(before)
}

/// Every stored picture shows its instant.
async fn check_instants(setup: &Setup, daemon: &Daemon, claim: &str) {
    let files = setup.pictures();
    let mut errors = Vec::new();
    for event in daemon.events().await {
        for image in event["images"].as_array().unwrap() {
            let (name, edge_ms) =
                (image["filename"].as_str().unwrap(), event["edge_at_ms"].as_i64().unwrap());
            let shown = instant_shown(&std::fs::read(&files[name]).unwrap(), edge_ms, name);
            errors.push(shown - edge_ms - image["frame_offset_ms"].as_i64().unwrap());
        }
    }
    report(&format!("{claim}: shown minus recorded {errors:?} ms"));
    assert!(
        !errors.is_empty() && errors.iter().all(|error| error.abs() <= INTERVAL_MS),
        "{claim}: {errors:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_camera_decodes_nothing_for_a_trigger_and_an_armed_one_neither_after_its_hint() {
    let _machine = machine_shared().await;
    if !is_available("hot and armed").await {
        return;
    }
    let camera = RtspPeer::start(LONG, Auth::None, 2).await;
    let setup = Setup::new()
        .with_camera(1, &camera.url(1))
        .with_camera(2, &camera.url(2))
        .with("CAMERA_1_MODE", "hot")
        .with("CAMERA_2_MODE", "armed")
        .with("CAMERA_2_ARMED_BY", "r1")
        .with("GPIO_BOUNCE_TIME", "1");
    let daemon = measured(&setup, &["r1", "r2"]).await;
    let cold = trigger(&daemon, "r2", 1).await;
    wait_for_hot(&daemon, 0).await;
    let hot = trigger(&daemon, "r1", 1).await;
    wait_for_hot(&daemon, 1).await;
    let armed = trigger(&daemon, "r2", 1).await;
    report(&format!(
        "frames decoded: cold {}, hot {}, armed {}",
        cold[0].frames, hot[0].frames, armed[0].frames
    ));
    assert!(cold[0].frames > 0, "before its hint it is cold");
    assert_eq!((hot[0].frames, armed[0].frames), (0, 0));
    check_instants(&setup, &daemon, "hot and armed").await;
}

/// Waits until camera `index` decodes as frames arrive.
async fn wait_for_hot(daemon: &Daemon, index: usize) {
    wait_until("the camera is hot", MEASURED, async || {
        let status = daemon.api().status().await;
        let decoding = &status["cameras"][index]["decoding"];
        if decoding["hot"] == true { Ok(()) } else { Err(decoding.to_string()) }
    })
    .await;
    // Its first picture has come when it can give one without storing it.
    daemon.api().get(&format!("/api/snapshot/r{}", index + 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_instants_of_a_trigger_are_one_decoding() {
    let _machine = machine_shared().await;
    if !is_available("several instants").await {
        return;
    }
    let camera = RtspPeer::start(LONG, Auth::None, 1).await;
    let setup = Setup::new().with_camera(1, &camera.url(1)).with("CAMERA_1_OFFSETS_MS", "-400,-200,0,200");
    let daemon = measured(&setup, &["r1"]).await;
    let pictures = trigger(&daemon, "r1", 4).await;
    let frames: Vec<u64> = pictures.iter().map(|picture| picture.frames).collect();
    report(&format!("frames decoded for four instants: {frames:?}"));
    // One decoding of the longest group and, if an IDR lies among the instants, the begin of the next.
    assert!(frames.iter().sum::<u64>() <= 70, "{frames:?} {}", daemon.lines().text());
    check_instants(&setup, &daemon, "several instants").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyframe_within_the_tolerance_costs_one_frame() {
    let _machine = machine_shared().await;
    if !is_available("tolerance").await {
        return;
    }
    let camera = RtspPeer::start(LONG, Auth::None, 1).await;
    let setup = Setup::new().with_camera(1, &camera.url(1)).with("CAMERA_1_TOLERANCE_MS", "2100");
    let daemon = measured(&setup, &["r1"]).await;
    let picture = trigger(&daemon, "r1", 1).await;
    assert_eq!(picture[0].frames, 1);
    check_instants(&setup, &daemon, "tolerance").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_decoder_shows_the_same_instant() {
    let _machine = machine_shared().await;
    if !is_available("decoders").await {
        return;
    }
    let camera = RtspPeer::start(LONG, Auth::None, 1).await;
    for decoder in ["auto", "openh264", "libavcodec", "rust"] {
        let setup = Setup::new().with_camera(1, &camera.url(1)).with("DECODER", decoder);
        let daemon = measured(&setup, &["r1"]).await;
        trigger(&daemon, "r1", 1).await;
        check_instants(&setup, &daemon, decoder).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_frames_end_as_the_nearest_clean_picture_that_says_so() {
    let _machine = machine_shared().await;
    if !is_available("missing frames").await {
        return;
    }
    let camera = RtspPeer::start(LONG, Auth::None, 1).await;
    let setup = Setup::new().with_camera(1, &camera.url(1));
    let daemon = measured(&setup, &["r1"]).await;
    // Access units are left out while the packets' numbers go on: only the decoder can tell.
    for _ in 0..3 {
        // At any phase of the keyframe interval, but only when the last gap is over. One that takes a keyframe with it leaves
        // half a second and a group without a clean picture, and two of them more than a picture may be old.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(2600..4600))).await;
        camera.control("gap 12").await;
        trigger(&daemon, "r1", 1).await;
    }
    check_instants(&setup, &daemon, "missing frames").await;
}
