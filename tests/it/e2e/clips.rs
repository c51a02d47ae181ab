//! Clips and best pictures beside the picture of the instant, of streams from encoders and a server that share no code
//! with the program, and looked at with a player that shares none either.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use camera_capture::demo::framecode;
use camera_capture::media::exif;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::picture::{instant_shown, sha256};
use crate::support::rtsp::{Auth, RtspPeer, Video, is_available};
use crate::support::setup::Setup;
use crate::support::{machine_alone, report, wait_until};

/// One frame interval at 25 frames a second.
const INTERVAL_MS: i64 = 40;

/// What is configured: milliseconds before and after the edge.
const CLIP_MS: (i64, i64) = (1500, 1000);
const BEST_MS: (i64, i64) = (200, 200);

/// Frames between two keyframes.
const GOP: i64 = 25;

/// Longest until everything of a trigger is stored, on a machine that does other things too.
const STORED: Duration = Duration::from_secs(40);

/// A daemon with one camera, and what one closing of its contact led to.
struct Story {
    setup: Setup,
    daemon: Daemon,
    event: Value,
    _camera: RtspPeer,
}

impl Story {
    /// Closes the contact once the camera's memory reaches back far enough, and waits until `is_over`.
    async fn of(options: &'static [&'static str], is_over: impl Fn(&Value) -> bool) -> Self {
        let video = Video { width: 640, height: 360, gop: GOP as u32, bitrate: "1M", options };
        let camera = RtspPeer::start(video, Auth::None, 1).await;
        let setup = Setup::new()
            .with_camera(1, &camera.url(1))
            .with("CAMERA_1_CLIP_MS", &format!("{},{}", CLIP_MS.0, CLIP_MS.1))
            .with("CAMERA_1_BEST_MS", &format!("{},{}", BEST_MS.0, BEST_MS.1));
        let daemon = Daemon::start_connected(&setup, &["r1"]).await;
        tokio::time::sleep(Duration::from_millis(3000 + fastrand::u64(0..1000))).await;
        daemon.pulse("r1").await.unwrap();
        let event = wait_until("everything of the trigger is stored", STORED, async || {
            let event = daemon.events().await.into_iter().next().unwrap_or_default();
            if is_over(&event) { Ok(event) } else { Err(event.to_string()) }
        })
        .await;
        assert_eq!(event["outcome"], "captured", "{event}");
        Self { setup, daemon, event, _camera: camera }
    }

    /// The only image of a kind.
    fn image(&self, kind: &str) -> &Value {
        let images = self.event["images"].as_array().unwrap();
        let mut found = images.iter().filter(|image| image["kind"] == kind);
        let image = found.next().unwrap_or_else(|| panic!("no {kind} in {}", self.event));
        assert!(found.next().is_none(), "{}", self.event);
        image
    }

    /// The file of an image, as the API gives it.
    async fn file(&self, image: &Value) -> Vec<u8> {
        let file =
            self.daemon.get(&format!("/api/images/{}", image["filename"].as_str().unwrap())).await.body;
        assert_eq!(sha256(&file), image["sha256"].as_str().unwrap());
        file
    }
}

fn kinds(event: &Value) -> usize {
    event["images"].as_array().map_or(0, Vec::len)
}

fn run(program: &str, arguments: &[&str], file: &Path) -> Output {
    let output = Command::new(program).args(["-v", "error"]).args(arguments).arg(file).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{program}: {output:?}");
    output
}

/// What ffprobe says of the only stream.
fn probe(file: &Path) -> Value {
    let wanted =
        "stream=codec_name,codec_tag_string,width,height,nb_read_frames,start_time,duration,has_b_frames";
    let output = run("ffprobe", &["-count_frames", "-show_entries", wanted, "-of", "json"], file);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["streams"].as_array().unwrap().len(), 1, "{told}");
    told["streams"][0].clone()
}

/// The instants that the frames of a clip show, in the order in which a player shows them.
fn instants(file: &Path, near_ms: i64) -> Vec<i64> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(file)
        .args(["-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{:?}",
        String::from_utf8_lossy(&output.stderr)
    );
    let frames = output.stdout.chunks_exact(640 * 360);
    let instant = |luma: &[u8]| {
        let reading = framecode::read(luma, 640, 360, 640).expect("every frame shows its instant");
        assert!(!reading.torn);
        reading.unix_ms(near_ms)
    };
    frames.map(instant).collect()
}

/// `latency_ms` is how long the camera holds each picture back; see `e2e/codecs.rs`.
async fn check(claim: &str, options: &'static [&'static str], codec: (&str, &str), latency_ms: i64) {
    let _machine = machine_alone().await;
    if !is_available(claim).await {
        return;
    }
    let story = Story::of(options, |event| kinds(event) == 3 || !event["remark"].is_null()).await;
    let edge_ms = story.event["edge_at_ms"].as_i64().unwrap();
    assert_eq!(story.event["remark"], Value::Null, "{}", story.event);
    assert_eq!(story.event["images"][0]["kind"], "instant", "the picture comes first");

    let best = story.image("best");
    let offset = best["frame_offset_ms"].as_i64().unwrap();
    assert!((-BEST_MS.0..=BEST_MS.1).contains(&offset), "{best}");
    let jpeg = story.file(best).await;
    let shown = instant_shown(&jpeg, edge_ms, "best") - edge_ms;
    assert!((shown - offset + latency_ms).abs() <= INTERVAL_MS, "{claim}: shows {shown}, says {offset}");
    assert_eq!(exif::read(&jpeg).unwrap().facts.kind.as_str(), "best");

    let clip = story.image("clip");
    assert_eq!((&clip["media_type"], &clip["note"]), (&"video/mp4".into(), &Value::Null), "{clip}");
    let picture = story.image("instant")["filename"].as_str().unwrap();
    assert_eq!(clip["filename"].as_str().unwrap(), picture.replace(".jpg", ".mp4"));
    let file: PathBuf = story.setup.directory().join("clip.mp4");
    std::fs::write(&file, story.file(clip).await).unwrap();
    let told = probe(&file);
    assert_eq!(
        (&told["codec_name"], &told["codec_tag_string"]),
        (&codec.0.into(), &codec.1.into()),
        "{told}"
    );
    assert_eq!((&told["width"], &told["height"]), (&640.into(), &360.into()));
    let number = |name: &str| told[name].as_str().unwrap().parse::<f64>().unwrap();
    assert!(number("start_time").abs() < 0.001, "{told}");
    let duration_ms = clip["duration_ms"].as_i64().unwrap();
    assert!(
        (number("duration") * 1000.0 - duration_ms as f64).abs() <= 2.0 * INTERVAL_MS as f64,
        "{told} {clip}"
    );

    let shown = instants(&file, edge_ms);
    assert_eq!(shown.len() as f64, number("nb_read_frames"), "{told}");
    assert!(
        shown.windows(2).all(|pair| pair[1] - pair[0] == INTERVAL_MS),
        "every frame, in order: {shown:?}"
    );
    let (first, last) = (shown[0] - edge_ms + latency_ms, shown[shown.len() - 1] - edge_ms + latency_ms);
    let said = clip["frame_offset_ms"].as_i64().unwrap();
    report(&format!(
        "{claim}: clip of {} frames from {first} to {last} ms, says {said} ms and {duration_ms} ms; best at {offset} ms",
        shown.len()
    ));
    assert!((first - said).abs() <= INTERVAL_MS, "{claim}: begins at {first}, says {said}");
    let earliest = -CLIP_MS.0 - (GOP + 1) * INTERVAL_MS;
    assert!((earliest..=INTERVAL_MS - CLIP_MS.0).contains(&first), "{claim}: begins at {first}");
    assert!(
        (CLIP_MS.1 - 3 * INTERVAL_MS..=CLIP_MS.1 + 3 * INTERVAL_MS).contains(&last),
        "{claim}: ends at {last}"
    );
    assert_eq!(duration_ms / INTERVAL_MS, shown.len() as i64, "{claim}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h264_clip_covers_the_time_around_the_edge_frame_by_frame() {
    check("H.264 clip", &["--profile", "baseline"], ("h264", "avc1"), 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clip_with_b_frames_is_shown_in_order_from_its_first_moment() {
    check("H.264 clip, B-frames", &["--bframes", "2"], ("h264", "avc1"), 80).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h265_clip_covers_the_time_around_the_edge_frame_by_frame() {
    check("H.265 clip", &["--codec", "h265"], ("hevc", "hvc1"), 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_h265_clip_with_b_frames_is_shown_in_order_from_its_first_moment() {
    check("H.265 clip, B-frames", &["--codec", "h265", "--bframes", "2"], ("hevc", "hvc1"), 80).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_sends_jpeg_has_no_clip_and_the_ledger_says_why() {
    let _machine = machine_alone().await;
    if !is_available("JPEG, no clip").await {
        return;
    }
    let is_over = |event: &Value| kinds(event) == 2 && !event["remark"].is_null();
    let story = Story::of(&["--codec", "mjpeg"], is_over).await;
    let remark = story.event["remark"].as_str().unwrap();
    assert!(remark.starts_with("no clip: clips need H.264 or H.265"), "{remark}");
    let best = story.image("best");
    let offset = best["frame_offset_ms"].as_i64().unwrap();
    let edge_ms = story.event["edge_at_ms"].as_i64().unwrap();
    let shown = instant_shown(&story.file(best).await, edge_ms, "best") - edge_ms;
    assert!((shown - offset).abs() <= INTERVAL_MS, "shows {shown}, says {offset}");
}
