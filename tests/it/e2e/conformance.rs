//! What cameras send and how they send it, from several encoders and servers: the stored picture is the very frame that
//! ffmpeg decodes, in the colours that ffmpeg sees.
//!
//! Both decoders give the same samples, so only our JPEG stands between the two pictures. Of the test's noisy scene any
//! JPEG of quality 85 is a rough one: libjpeg's is 34.9 dB from ffmpeg's frame at 640×480 and ours as much, with the same
//! tables, and up to 38 dB where the encoder of the video smoothed more. The bounds leave half a decibel to chance. A
//! picture whose video range was not expanded would have less than 31 dB, the neighbouring frame 16 dB.
//! `CONFORMANCE=full` adds encoders, sizes and pictures.

use std::path::Path;
use std::time::Duration;

use camera_capture::media::exif;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::picture::instant_shown;
use crate::support::reference::Planes;
use crate::support::rtsp::{Auth, RtspPeer, USER, Video, is_available};
use crate::support::setup::Setup;
use crate::support::vlc::Vlc;
use crate::support::{machine_shared, report, wait_until};

/// One frame interval at 25 frames a second.
const INTERVAL_MS: i64 = 40;

/// Longest until a picture is stored: a keyframe interval decoded on a machine that does other things too.
const STORED: Duration = Duration::from_secs(60);

/// Least likeness to ffmpeg's picture, decibels.
const LUMA_DB: f64 = 34.4;
const CHROMA_DB: f64 = 48.0;

const fn video(width: u32, height: u32, options: &'static [&'static str]) -> Video {
    Video { width, height, gop: 25, bitrate: "2M", options }
}

/// Whether the long set was asked for.
fn is_full() -> bool {
    std::env::var("CONFORMANCE").is_ok_and(|value| value == "full")
}

/// Pictures of each stream.
fn pictures() -> usize {
    if is_full() { 6 } else { 2 }
}

async fn check(claim: &str, video: Video) {
    let _machine = machine_shared().await;
    if !is_available(claim).await {
        return;
    }
    let camera = RtspPeer::start(video, Auth::Digest { password: "gate-7-open" }, 1).await;
    let setup = site(&camera.url(1)).with("CAMERA_USERNAME", USER).with("CAMERA_PASSWORD", "gate-7-open");
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let mut distances = Vec::new();
    for _ in 0..pictures() {
        let (event, jpeg) = picture(&daemon, &setup).await;
        let (width, height) = (video.width as usize, video.height as usize);
        let shown = compare(claim, &event, &jpeg, &camera.loops()[0], (width, height)).await;
        distances.push(shown - event["edge_at_ms"].as_i64().unwrap());
    }
    assert!(
        distances.iter().all(|distance| (distance + camera.late_ms()).abs() <= INTERVAL_MS),
        "{claim}: shown minus edge {distances:?} ms"
    );
}

fn site(url: &str) -> Setup {
    Setup::new().with_camera(1, url)
}

/// Closes the contact at any phase of the keyframe interval; the ledger's row, and the file.
async fn picture(daemon: &Daemon, setup: &Setup) -> (Value, Vec<u8>) {
    let event = ended(daemon).await;
    let jpeg = stored(&event, setup);
    (event, jpeg)
}

/// The file of an edge that ended as a picture.
fn stored(event: &Value, setup: &Setup) -> Vec<u8> {
    assert_eq!(event["outcome"], "captured", "{event}");
    let name = event["images"][0]["filename"].as_str().unwrap();
    let jpeg = std::fs::read(&setup.pictures()[name]).unwrap();
    assert_eq!(exif::read(&jpeg).unwrap().facts.edge_at.0, event["edge_at_ms"].as_i64().unwrap());
    jpeg
}

/// Closes the contact at any phase of the keyframe interval and waits for the outcome.
async fn ended(daemon: &Daemon) -> Value {
    // Beyond the bounce time of the edge before.
    tokio::time::sleep(Duration::from_millis(fastrand::u64(500..1500))).await;
    ended_at_once(daemon).await
}

/// Closes the contact and waits for the outcome.
async fn ended_at_once(daemon: &Daemon) -> Value {
    let before = daemon.events().await.len();
    daemon.pulse("r1").await.unwrap();
    wait_until("the trigger has an outcome", STORED, async || {
        let events = daemon.events().await;
        match events.first() {
            Some(event) if events.len() > before && !event["outcome"].is_null() => Ok(event.clone()),
            newest => Err(format!("{newest:?}")),
        }
    })
    .await
}

/// Compares a stored picture with ffmpeg's of the same frame; returns the instant it shows.
async fn compare(claim: &str, event: &Value, jpeg: &[u8], file: &Path, size: (usize, usize)) -> i64 {
    let edge_ms = event["edge_at_ms"].as_i64().unwrap();
    let image = &event["images"][0];
    assert_eq!((&image["width"], &image["height"]), (&size.0.into(), &size.1.into()), "{claim}: {event}");
    let shown = instant_shown(jpeg, edge_ms, claim);
    let ours = Planes::of_jpeg(jpeg, size).await.unwrap();
    let theirs = Planes::of_loop(file, ours.code().unwrap(), size).await.unwrap();
    assert_eq!(ours.code(), theirs.code(), "{claim}: the reference is of another frame");
    let likeness = ours.likeness(&theirs);
    report(&format!("{claim}: shown minus edge {} ms, {likeness:.1?} dB", shown - edge_ms));
    assert!(likeness.luma >= LUMA_DB && likeness.chroma >= CHROMA_DB, "{claim}: {likeness:?}");
    shown
}

macro_rules! streams {
    ($($(#[$attribute:meta])* $name:ident: $size:expr, $options:expr;)*) => {
        $(
            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                const OPTIONS: &[&str] = &$options;
                check(stringify!($name), video($size.0, $size.1, OPTIONS)).await;
            }
        )*
    };
}

const VGA: (u32, u32) = (640, 480);
const LAPTOP: (u32, u32) = (1366, 768);
/// Sides of a JPEG over RTP are multiples of eight (RFC 2435 section 3.1.5).
const HD: (u32, u32) = (1280, 720);
const FULL_HD: (u32, u32) = (1920, 1080);

/// Every loop is short, so that it is soon encoded.
macro_rules! of_4_s {
    ($($word:expr),* $(,)?) => { ["--loop", "4", $($word),*] };
}

streams! {
    h264_baseline_is_the_frame_that_ffmpeg_sees: VGA, of_4_s!["--profile", "baseline"];
    h264_main_with_cabac_is_the_frame_that_ffmpeg_sees: VGA, of_4_s!["--profile", "main"];
    h264_high_with_8x8_is_the_frame_that_ffmpeg_sees: FULL_HD, of_4_s!["--bitrate", "4M"];
    h264_high_with_b_frames_is_the_frame_that_ffmpeg_sees: VGA, of_4_s!["--bframes", "3"];
    h264_in_slices_and_odd_macroblocks_is_the_frame_that_ffmpeg_sees: LAPTOP, of_4_s!["--slices", "4"];
    h264_cropped_on_both_sides_is_the_frame_that_ffmpeg_sees: (1918, 1078), of_4_s![];
    h264_with_delimiters_and_messages_is_the_frame_that_ffmpeg_sees: VGA,
        of_4_s!["--delimiters", "--params", "aud=1:nal-hrd=vbr"];
    h264_with_parameter_sets_only_in_band_is_the_frame_that_ffmpeg_sees: VGA, of_4_s!["--parameter-sets", "band"];
    h264_with_parameter_sets_only_in_the_description_is_the_frame_that_ffmpeg_sees: VGA,
        of_4_s!["--parameter-sets", "sdp"];
    h264_interlaced_is_the_frame_that_ffmpeg_sees: VGA, of_4_s!["--interlaced"];
    h264_of_full_range_is_the_frame_that_ffmpeg_sees: VGA, of_4_s!["--full-range"];
    h264_of_another_encoder_is_the_frame_that_ffmpeg_sees: VGA,
        of_4_s!["--encoder", "openh264", "--profile", "main", "--slices", "2"];
    h265_main_is_the_frame_that_ffmpeg_sees: VGA, of_4_s!["--codec", "h265"];
    h265_main_10_is_the_frame_that_ffmpeg_sees: VGA, of_4_s!["--codec", "h265", "--pixels", "yuv420p10le"];
    h265_with_b_frames_is_the_frame_that_ffmpeg_sees: VGA, of_4_s!["--codec", "h265", "--bframes", "3"];
    h265_of_full_range_is_the_frame_that_ffmpeg_sees: VGA, of_4_s!["--codec", "h265", "--full-range"];
    h265_with_open_groups_is_the_frame_that_ffmpeg_sees: VGA,
        of_4_s!["--codec", "h265", "--bframes", "3", "--open-gop", "--gop", "20"];
    jpeg_is_the_frame_that_ffmpeg_sees: HD, of_4_s!["--codec", "mjpeg"];
    jpeg_of_another_encoder_is_the_frame_that_ffmpeg_sees: VGA, of_4_s!["--codec", "mjpeg", "--encoder", "jpegenc"];
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_changes_its_size_is_followed_from_its_keyframe_on() {
    const SECOND: &[&str] = &["--loop", "4", "--second", "1280x720"];
    let claim = "a_stream_that_changes_its_size";
    let _machine = machine_shared().await;
    if !is_available(claim).await {
        return;
    }
    let camera = RtspPeer::start(video(640, 480, SECOND), Auth::None, 1).await;
    let setup = site(&camera.url(1));
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let (event, jpeg) = picture(&daemon, &setup).await;
    compare(claim, &event, &jpeg, &camera.loops()[0], (640, 480)).await;
    camera.control("second").await;
    let (event, jpeg) = picture(&daemon, &setup).await;
    // At a random phase the change may still be to come.
    let size = if event["images"][0]["width"] == 640 { (640, 480) } else { (1280, 720) };
    compare(claim, &event, &jpeg, &camera.loops()[usize::from(size.0 != 640)], size).await;
    wait_until("the new size is shown", STORED, async || {
        let status = daemon.status().await;
        let stream = status["cameras"][0]["stream"].clone();
        if stream["width"] == 1280 && stream["height"] == 720 { Ok(()) } else { Err(stream.to_string()) }
    })
    .await;
    let (event, jpeg) = picture(&daemon, &setup).await;
    let shown = compare(claim, &event, &jpeg, &camera.loops()[1], (1280, 720)).await;
    assert!((shown - event["edge_at_ms"].as_i64().unwrap()).abs() <= INTERVAL_MS, "{event}");
}

/// Recovery points alone, as of an encoder with open groups that is joined late. Where its loop begins anew, the one IDR is
/// missing, so a picture of that moment may be the nearest clean one, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_without_idr_gives_the_frame_that_ffmpeg_sees() {
    const OPTIONS: &[&str] = &of_4_s!["--bframes", "2", "--open-gop", "--withhold-idr"];
    let claim = "h264_without_idr";
    let _machine = machine_shared().await;
    if !is_available(claim).await {
        return;
    }
    let camera = RtspPeer::start(video(640, 480, OPTIONS), Auth::None, 1).await;
    let setup = site(&camera.url(1));
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    for _ in 0..3 {
        let (event, jpeg) = picture(&daemon, &setup).await;
        let shown = compare(claim, &event, &jpeg, &camera.loops()[0], (640, 480)).await;
        let distance = shown - event["edge_at_ms"].as_i64().unwrap() + camera.late_ms();
        assert!(distance.abs() <= INTERVAL_MS || event["images"][0]["note"].is_string(), "{event}");
    }
}

/// Clean random access pictures alone, as of an encoder with open groups that is joined late. Where its loop begins anew,
/// the one IDR is missing, so a picture of that second is of the second before or after, and says so; so is one of the
/// leading pictures of the next group, which refer to that second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h265_without_idr_is_the_frame_that_ffmpeg_sees() {
    const LOOP_MS: i64 = 8_000;
    const OPTIONS: &[&str] =
        &["--codec", "h265", "--bframes", "3", "--open-gop", "--gop", "20", "--withhold-idr", "--loop", "8"];
    let claim = "h265_without_idr";
    let _machine = machine_shared().await;
    if !is_available(claim).await {
        return;
    }
    let camera = RtspPeer::start(video(640, 480, OPTIONS), Auth::None, 1).await;
    let setup = site(&camera.url(1));
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    // Keyframes come after 20 frames; leading pictures are of frames 17 to 19.
    for (phase, is_whole) in [(400, false), (720, false), (2_000, true), (3_400, true), (4_800, true)] {
        let anywhere = if is_whole { fastrand::i64(0..800) } else { 0 };
        sleep_until_phase(LOOP_MS, phase + anywhere + camera.late_ms()).await;
        let event = ended_at_once(&daemon).await;
        let jpeg = stored(&event, &setup);
        let shown = compare(claim, &event, &jpeg, &camera.loops()[0], (640, 480)).await;
        let distance = shown - event["edge_at_ms"].as_i64().unwrap() + camera.late_ms();
        let says_so = !is_whole && event["images"][0]["note"].is_string();
        assert!(distance.abs() <= INTERVAL_MS || says_so, "{event}");
    }
}

/// Sleeps until the camera's loop is that far on.
async fn sleep_until_phase(loop_ms: i64, wanted_ms: i64) {
    let now_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let left_ms = (wanted_ms - now_ms).rem_euclid(loop_ms);
    tokio::time::sleep(Duration::from_millis(left_ms.unsigned_abs())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_without_parameter_sets_and_tcp_gives_the_frame_that_ffmpeg_sees() {
    // It plays the file once through while the test looks.
    const OPTIONS: &[&str] = &["--loop", "40"];
    let claim = "another_server";
    let _machine = machine_shared().await;
    if !is_available(claim).await || !Vlc::is_available(claim).await {
        return;
    }
    // The loop of the one server is what the other one plays.
    let encoded = RtspPeer::start(video(640, 480, OPTIONS), Auth::None, 1).await;
    let camera = Vlc::start(&encoded.loops()[0]).await;
    let setup = site(&camera.url()).with("CAMERA_1_TRANSPORT", "udp");
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let mut distances = Vec::new();
    for _ in 0..3 {
        let (event, jpeg) = picture(&daemon, &setup).await;
        let shown = compare(claim, &event, &jpeg, &encoded.loops()[0], (640, 480)).await;
        distances.push(shown - event["edge_at_ms"].as_i64().unwrap());
    }
    // It plays from when it began, so what is shown is as far from every edge.
    let (least, most) = (distances.iter().min().unwrap(), distances.iter().max().unwrap());
    assert!(most - least <= INTERVAL_MS, "shown minus edge {distances:?} ms");
}

/// Every way of encoding, for every size.
const ALL: &[(&str, &[&str])] = &[
    ("x264 baseline", &of_4_s!["--profile", "baseline"]),
    ("x264 main", &of_4_s!["--profile", "main"]),
    ("x264 high", &of_4_s![]),
    ("x264 high, B-frames, slices", &of_4_s!["--bframes", "3", "--slices", "4"]),
    ("x264 high, pyramid of B-frames", &of_4_s!["--bframes", "3", "--params", "b-pyramid=normal:ref=4"]),
    ("x264 high, weighted, 4 references", &of_4_s!["--params", "weightp=2:ref=4"]),
    ("x264 interlaced", &of_4_s!["--interlaced"]),
    ("openh264 baseline", &of_4_s!["--encoder", "openh264", "--profile", "baseline"]),
    ("openh264 main", &of_4_s!["--encoder", "openh264", "--profile", "main"]),
    ("openh264 high, slices", &of_4_s!["--encoder", "openh264", "--profile", "high", "--slices", "4"]),
    ("x265 main", &of_4_s!["--codec", "h265"]),
    ("x265 main, B-frames", &of_4_s!["--codec", "h265", "--bframes", "3"]),
    ("x265 main, open groups", &of_4_s!["--codec", "h265", "--bframes", "3", "--open-gop", "--gop", "20"]),
    ("x265 main, slices", &of_4_s!["--codec", "h265", "--params", "slices=4"]),
    ("x265 main, no wavefronts, SAO", &of_4_s!["--codec", "h265", "--params", "wpp=0:sao=1"]),
    ("x265 main 10", &of_4_s!["--codec", "h265", "--pixels", "yuv420p10le"]),
    ("JPEG", &of_4_s!["--codec", "mjpeg"]),
    ("JPEG of GStreamer", &of_4_s!["--codec", "mjpeg", "--encoder", "jpegenc"]),
];

/// Sizes of the long set: sides that are no multiple of a macroblock among them.
const SIZES: [(u32, u32); 4] = [VGA, LAPTOP, FULL_HD, (3840, 2160)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_encoder_and_size_of_the_long_set_is_the_frame_that_ffmpeg_sees() {
    if !is_full() {
        return;
    }
    for (claim, options) in ALL {
        for (width, height) in SIZES {
            // The sides of a JPEG over RTP are multiples of eight, and at most 2040 (RFC 2435 section 3.1.5).
            if claim.starts_with("JPEG") && (width % 8 != 0 || width > 2040) {
                continue;
            }
            let bitrate = if width > 2000 { "8M" } else { "2M" };
            let video = Video { bitrate, ..video(width, height, options) };
            check(&format!("{claim}, {width}×{height}"), video).await;
        }
    }
}
