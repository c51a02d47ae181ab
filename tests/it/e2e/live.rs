//! Looking at a camera: what the viewer gets is what the camera sees now, from the session that captures use, and nobody
//! pays for it while nobody looks.

use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use camera_capture::demo::framecode;

use crate::support::daemon::Daemon;
use crate::support::picture::instant_shown;
use crate::support::rtsp::{Auth, FULL_HD, RtspPeer, SMALL, Video, is_available};
use crate::support::setup::Setup;
use crate::support::viewer::{Pictures, Viewer};
use crate::support::{machine_alone, machine_shared, report, wait_until};

/// From the instant a picture shows to when a viewer has it.
const LATENCY_MAX_MS: i64 = 1000;

/// Of one core, while nobody looks at one 1080p25 stream.
const IDLE_PERCENT_MAX: f64 = 8.0;

/// Longest until something that must happen soon has happened, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(20);

/// From a log-out to the end of what was shown.
const LOGGED_OUT_MAX: Duration = Duration::from_secs(5);

/// A keyframe every four seconds: whoever would wait for one would wait long.
const fn video(options: &'static [&'static str]) -> Video {
    Video { width: 640, height: 360, gop: 100, bitrate: "1M", options }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

async fn start(video: Video) -> (RtspPeer, Setup, Daemon) {
    let camera = RtspPeer::start(video, Auth::None, 1).await;
    let setup = Setup::new().with_camera(1, &camera.url(1));
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    (camera, setup, daemon)
}

async fn pictures(daemon: &Daemon, query: &str) -> Pictures {
    Pictures::of(daemon.open(&format!("/api/live/r1.mjpeg{query}")).await)
}

async fn viewer(daemon: &Daemon, query: &str) -> Viewer {
    daemon.view(&format!("/api/live/r1/ws{query}")).await.unwrap()
}

/// Every picture of an MP4 file as FFmpeg shows it, as luma planes; fails when FFmpeg has anything to complain of.
async fn decoded(setup: &Setup, mp4: &[u8], size: (usize, usize)) -> Vec<Vec<u8>> {
    let path = setup.directory().join("live.mp4");
    std::fs::write(&path, mp4).unwrap();
    let output = tokio::process::Command::new("ffmpeg")
        .args(["-v", "warning", "-i"])
        .arg(&path)
        .args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    output.stdout.chunks_exact(size.0 * size.1).map(<[u8]>::to_vec).collect()
}

async fn check_mp4(claim: &str, options: &'static [&'static str], codec: &str) {
    let _machine = machine_alone().await;
    if !is_available(claim).await {
        return;
    }
    let video = video(options);
    let (width, height) = (video.width as usize, video.height as usize);
    let (_camera, setup, daemon) = start(video).await;
    let asked = Instant::now();
    let mut viewer = viewer(&daemon, "").await;
    let about = viewer.about().await;
    assert!(about["codec"].as_str().unwrap().starts_with(codec), "{about}");
    assert_eq!(about["mime"], format!("video/mp4; codecs=\"{}\"", about["codec"].as_str().unwrap()));
    assert_eq!((&about["width"], &about["height"]), (&width.into(), &height.into()));
    let mut mp4 = viewer.bytes().await;
    let mut pieces = 0;
    let mut first = Duration::ZERO;
    // More than a group, so that a keyframe lies within; the newest one has just come.
    while pieces < 150 {
        mp4.extend(viewer.bytes().await);
        pieces += 1;
        if pieces == 1 {
            first = asked.elapsed();
        }
    }
    let received = now_ms();
    let frames = decoded(&setup, &mp4, (width, height)).await;
    let shown: Vec<i64> = frames
        .iter()
        .map(|luma| framecode::read(luma, width, height, width).expect("a whole picture").unix_ms(received))
        .collect();
    let latency = received - shown.last().unwrap();
    report(&format!("{claim}: first piece after {first:?}, the newest picture is {latency} ms old"));
    assert_eq!(frames.len(), pieces, "every piece is a picture");
    assert!(shown.is_sorted_by(|a, b| a < b), "{shown:?}");
    assert!((0..LATENCY_MAX_MS).contains(&latency), "{latency}");
    assert!(first < Duration::from_secs(1), "the viewer waits for a keyframe: {first:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_reaches_the_viewer_as_playable_mp4_from_the_current_group_on() {
    check_mp4("live H.264", &[], "avc1.").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_with_b_frames_is_played_in_its_order() {
    check_mp4("live H.264 with B-frames", &["--bframes", "2"], "avc1.").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h265_reaches_the_viewer_as_playable_mp4() {
    check_mp4("live H.265", &["--codec", "h265"], "hvc1.").await;
}

async fn check_jpeg(claim: &str, options: &'static [&'static str], query: &str, width: u32) {
    let _machine = machine_alone().await;
    if !is_available(claim).await {
        return;
    }
    let (_camera, _setup, daemon) = start(video(options)).await;
    let mut viewer = viewer(&daemon, query).await;
    let about = viewer.about().await;
    assert_eq!((&about["mime"], &about["width"]), (&"image/jpeg".into(), &width.into()), "{about}");
    let mut mjpeg = pictures(&daemon, query.strip_prefix("?format=jpeg&").map_or("", |_| "?width=320")).await;
    for _ in 0..20 {
        viewer.bytes().await;
        mjpeg.next().await.unwrap();
    }
    let socket = viewer.bytes().await;
    let received = now_ms();
    let latency = received - instant_shown(&socket, received, "over the WebSocket");
    assert!((0..LATENCY_MAX_MS).contains(&latency), "{latency}");
    let multipart = mjpeg.next().await.unwrap();
    let received = now_ms();
    let latency = received - instant_shown(&multipart, received, "as multipart");
    assert!((0..LATENCY_MAX_MS).contains(&latency), "{latency}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_h264_show_this_very_second_in_the_size_asked_for() {
    check_jpeg("live pictures", &[], "?format=jpeg&width=320", 320).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_sends_jpeg_is_shown_as_it_is() {
    check_jpeg("live MJPEG", &["--codec", "mjpeg"], "", 640).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_and_captures_share_one_session_and_a_stalled_viewer_costs_nobody_anything() {
    let _machine = machine_alone().await;
    if !is_available("stalled viewer").await {
        return;
    }
    let (camera, _setup, daemon) = start(SMALL).await;
    let stalled = pictures(&daemon, "?fps=25&width=1920").await;
    let stalled_socket = viewer(&daemon, "?format=jpeg&fps=25&width=1920").await;
    let stalled_video = viewer(&daemon, "").await;
    let (mut one, mut two) = (pictures(&daemon, "?fps=5").await, pictures(&daemon, "?fps=5").await);
    let mut read = async |count: usize| {
        let began = Instant::now();
        for _ in 0..count {
            let (first, second) = tokio::join!(one.next(), two.next());
            assert!(first.is_some() && second.is_some());
        }
        began.elapsed()
    };
    // Until every buffer in between is full.
    read(20).await;
    let (before, _) = daemon.rss_kib();
    let took = read(40).await;
    let (after, peak) = daemon.rss_kib();
    report(&format!(
        "two viewers beside three stalled ones: 40 pictures in {took:?}, {before} to {after} KiB, at most {peak}"
    ));
    assert!(took < Duration::from_secs(14), "40 pictures at 5 a second took {took:?}");
    assert!(after < before + 16 * 1024, "{before} KiB became {after}");

    let reply = daemon.capture("r1").await.unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(camera.control("clients").await, "1", "viewers and captures have one session");
    drop((stalled, stalled_socket, stalled_video));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decoding_ends_with_the_last_viewer_and_video_needs_none() {
    let _machine = machine_alone().await;
    if !is_available("decoding ends").await {
        return;
    }
    let (_camera, _setup, daemon) = start(FULL_HD).await;
    let percent = async || {
        let (before, began) = (daemon.cpu_time(), Instant::now());
        tokio::time::sleep(Duration::from_secs(2)).await;
        (daemon.cpu_time() - before).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0
    };
    let mut video = viewer(&daemon, "").await;
    for _ in 0..60 {
        video.next().await;
    }
    let keeps_reading = tokio::spawn(async move {
        loop {
            video.next().await;
        }
    });
    let with_video = percent().await;
    let mut jpeg = pictures(&daemon, "").await;
    jpeg.next().await.unwrap();
    let with_pictures = percent().await;
    assert!(with_pictures > 2.0 * IDLE_PERCENT_MAX, "{with_pictures:.1} %: nothing is decoded at all");
    drop(jpeg);
    keeps_reading.abort();
    let idle = wait_until("decoding ends", SOON, async || match percent().await {
        idle if idle < IDLE_PERCENT_MAX => Ok(idle),
        idle => Err(format!("{idle:.1} %")),
    })
    .await;
    report(&format!(
        "one 1080p25 stream: {with_video:.1} % of a core with a viewer of video, {with_pictures:.1} % with one of \
         pictures, {idle:.1} % with none"
    ));
    assert!(with_video < 3.0 * IDLE_PERCENT_MAX, "{with_video:.1} %: video is decoded for its viewer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_is_told_that_the_camera_is_away_and_pictures_go_on_when_it_is_back() {
    let _machine = machine_shared().await;
    if !is_available("camera away").await {
        return;
    }
    let (camera, _setup, daemon) = start(SMALL).await;
    let mut video = viewer(&daemon, "").await;
    video.about().await;
    let mut jpeg = pictures(&daemon, "").await;
    jpeg.next().await.unwrap();
    assert_eq!(camera.control("stall").await, "ok");
    let (code, reason) = video.closed().await;
    assert_eq!(code, 1013, "{reason}");
    assert!(reason.contains("camera"), "{reason}");
    let came_back = now_ms();
    assert_eq!(camera.control("resume").await, "ok");
    wait_until("the same answer shows new pictures", SOON, async || {
        let picture = jpeg.next().await.expect("the stream goes on");
        let shown = instant_shown(&picture, now_ms(), "a live picture");
        if shown > came_back { Ok(()) } else { Err(format!("{} ms too old", came_back - shown)) }
    })
    .await;
    viewer(&daemon, "").await.about().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out_ends_every_live_picture() {
    let _machine = machine_shared().await;
    if !is_available("log out").await {
        return;
    }
    let (_camera, _setup, daemon) = start(SMALL).await;
    let mut video = viewer(&daemon, "").await;
    let mut jpeg = pictures(&daemon, "").await;
    jpeg.next().await.unwrap();
    let reply = daemon.send(reqwest::Method::POST, "/api/logout", None).await.unwrap();
    assert_eq!(reply.status, 204, "{}", reply.text());
    let began = Instant::now();
    assert_eq!(video.closed().await.0, 1008);
    let video_ended = began.elapsed();
    while jpeg.next().await.is_some() {}
    let all_ended = began.elapsed();
    assert!(all_ended < LOGGED_OUT_MAX, "video ended after {video_ended:?}, pictures after {all_ended:?}");
    wait_until("both views are in the log, with their ends", SOON, async || {
        let text = daemon.lines().text();
        let count = |words: &str| text.matches(words).count();
        match (count("live view begun"), count("live view ended")) {
            (2, 2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ninth_viewer_is_refused_until_one_has_gone() {
    let _machine = machine_shared().await;
    if !is_available("ninth viewer").await {
        return;
    }
    let (_camera, _setup, daemon) = start(SMALL).await;
    let mut viewers = Vec::new();
    for _ in 0..4 {
        viewers.push(viewer(&daemon, "").await);
    }
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(pictures(&daemon, "").await);
    }
    assert_eq!(daemon.view("/api/live/r1/ws").await.err(), Some(503));
    let reply = daemon.send(reqwest::Method::GET, "/api/live/r1.mjpeg", None).await.unwrap();
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (503, &"too_many_viewers".into()));
    drop(viewers.pop());
    drop(others.pop());
    for _ in 0..2 {
        viewers.push(
            wait_until("a place comes free", SOON, async || {
                daemon.view("/api/live/r1/ws").await.map_err(|status| status.to_string())
            })
            .await,
        );
    }
}
