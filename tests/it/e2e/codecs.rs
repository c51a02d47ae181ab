//! Every kind of stream that cameras send, from encoders and a server that share no code with the program: the picture
//! is of the instant asked for, whole, and of the stream's size.

use std::time::Duration;

use camera_capture::media::exif;

use crate::support::daemon::Daemon;
use crate::support::picture::instant_shown;
use crate::support::rtsp::{Auth, RtspPeer, Video, is_available};
use crate::support::setup::Setup;
use crate::support::{machine_alone, report, wait_until};

/// One frame interval at 25 frames a second.
const INTERVAL_MS: i64 = 40;

/// Pictures of each stream.
const PICTURES: usize = 4;

/// Longest until a picture is stored: a keyframe interval decoded on a machine that does other things too.
const STORED: Duration = Duration::from_secs(30);

const fn video(width: u32, height: u32, options: &'static [&'static str]) -> Video {
    Video { width, height, gop: 25, bitrate: "1M", options }
}

/// `latency_ms` is how long the camera holds every picture back before it sends it: with B-frames, as long as the
/// pictures they refer to take. Nothing in the stream tells it, so what counts as the edge's instant is that much older.
async fn check(claim: &str, video: Video, transport: &str, latency_ms: i64) {
    let _machine = machine_alone().await;
    if !is_available(claim).await {
        return;
    }
    let camera = RtspPeer::start(video, Auth::Digest { password: "gate-7-open" }, 1).await;
    let setup = Setup::new()
        .with_camera(1, &camera.url(1))
        .with("CAMERA_USERNAME", crate::support::rtsp::USER)
        .with("CAMERA_PASSWORD", "gate-7-open")
        .with("CAMERA_1_TRANSPORT", transport);
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    for taken in 1..=PICTURES {
        // At any phase of the keyframe interval, and beyond the bounce time of the edge before.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(500..1500))).await;
        daemon.pulse("r1").await.unwrap();
        wait_until("the picture is stored", STORED, async || {
            let stored = daemon.events().await.iter().filter(|event| !event["outcome"].is_null()).count();
            if stored == taken { Ok(()) } else { Err(format!("{stored} of {taken}")) }
        })
        .await;
    }
    let files = setup.pictures();
    let (mut errors, mut recorded) = (Vec::new(), Vec::new());
    for event in daemon.events().await {
        assert_eq!(event["outcome"], "captured", "{event}");
        let image = &event["images"][0];
        assert_eq!(
            (&image["width"], &image["height"]),
            (&video.width.into(), &video.height.into()),
            "{event}"
        );
        let (name, edge_ms) = (image["filename"].as_str().unwrap(), event["edge_at_ms"].as_i64().unwrap());
        let jpeg = std::fs::read(&files[name]).unwrap();
        assert_eq!(exif::read(&jpeg).unwrap().facts.edge_at.0, edge_ms, "{name} tells its edge");
        errors.push(instant_shown(&jpeg, edge_ms, name) - edge_ms);
        recorded.push(image["frame_offset_ms"].as_i64().unwrap());
    }
    report(&format!("{claim}: shown minus edge {errors:?} ms, as recorded {recorded:?} ms"));
    assert_eq!(errors.len(), PICTURES);
    assert!(errors.iter().all(|error| (error + latency_ms).abs() <= INTERVAL_MS), "{claim}: {errors:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_baseline_is_decoded_to_the_very_frame() {
    check("H.264 baseline", video(640, 360, &["--profile", "baseline"]), "tcp", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_high_with_b_frames_slices_and_odd_macroblocks_is_decoded_to_the_very_frame() {
    check(
        "H.264 high, B-frames, 4 slices, 1366×768",
        video(1366, 768, &["--bframes", "2", "--slices", "4"]),
        "tcp",
        80,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_interlaced_is_decoded_to_the_very_frame() {
    check("H.264 interlaced", video(640, 352, &["--interlaced"]), "tcp", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_over_udp_is_decoded_to_the_very_frame() {
    check("H.264 over UDP", video(640, 360, &["--protocols", "udp"]), "udp", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h265_is_decoded_to_the_very_frame() {
    check("H.265", video(640, 360, &["--codec", "h265"]), "tcp", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h265_with_b_frames_is_decoded_to_the_very_frame() {
    check("H.265, B-frames", video(640, 360, &["--codec", "h265", "--bframes", "2"]), "tcp", 80).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mjpeg_is_stored_as_the_camera_made_it() {
    check("MJPEG", video(640, 360, &["--codec", "mjpeg"]), "tcp", 0).await;
}
