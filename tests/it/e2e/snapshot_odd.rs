//! Cameras of single pictures as firmware really writes their answers: a whole JPEG is a picture, whatever the answer says of
//! it; a camera that is behind and does not say so is found out; what is no JPEG is named.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use crate::support::daemon::{Daemon, run};
use crate::support::odd_snapshot::{Answer, OddSnapshot, Then};
use crate::support::setup::Setup;
use crate::support::snapshot::{exposed_ms, without_facts};
use crate::support::{machine_shared, wait_until};

/// Longest until a failure is said or a camera is known.
const SOON: Duration = Duration::from_secs(60);

/// Most milliseconds between the recorded instant of a picture and the exposure, on a machine that does other things.
const TOLERANCE_MS: i64 = 400;

fn key(n: usize) -> String {
    format!("r{}", n + 1)
}

fn site(cameras: &[OddSnapshot]) -> Setup {
    (1..).zip(cameras).fold(Setup::new(), |setup, (n, camera)| setup.with_snapshots(n, &camera.url()))
}

async fn start(setup: &Setup, cameras: usize) -> Daemon {
    let keys: Vec<String> = (0..cameras).map(key).collect();
    Daemon::start_connected(setup, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn captured(daemon: &Daemon, key: &str, name: &str) -> Value {
    let reply = daemon.capture(key).await.unwrap();
    assert_eq!(reply.status, 201, "{name}: {}", reply.text());
    let image = reply.json();
    if image["image"].is_object() { image["image"].clone() } else { image }
}

/// Milliseconds from the edge to the exposure of a stored picture, and as recorded; and what the camera sent of it.
fn stored(setup: &Setup, image: &Value) -> (i64, i64, Vec<u8>) {
    let jpeg = std::fs::read(&setup.pictures()[image["filename"].as_str().unwrap()]).unwrap();
    let offset = image["frame_offset_ms"].as_i64().unwrap();
    let edge = image["taken_at_ms"].as_i64().unwrap() - offset;
    (exposed_ms(&jpeg) - edge, offset, without_facts(&jpeg))
}

/// An answer of a head and a body.
fn http(head: &str, parts: &[&[u8]]) -> Vec<u8> {
    [format!("{head}\r\n\r\n").as_bytes(), &parts.concat()].concat()
}

/// An answer that is right, with this body.
fn ok(kind: &str, body: &[u8]) -> Vec<u8> {
    http(&format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}", body.len()), &[body])
}

fn sized(length: usize, jpeg: &[u8]) -> Vec<u8> {
    http(&format!("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {length}"), &[jpeg])
}

fn chunked(parts: &[&[u8]]) -> Vec<u8> {
    http("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked", parts)
}

const MULTIPART: &str = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame";

/// The device or report, and its answer.
const ODD: &[(&str, Answer)] = &[
    ("no last chunk (ESP32 firmware)", |_, jpeg| {
        (chunked(&[format!("{:x}\r\n", jpeg.len()).as_bytes(), jpeg, b"\r\n"]), Then::Close)
    }),
    ("a length that is too long, closed", |_, jpeg| (sized(jpeg.len() + 100, jpeg), Then::Close)),
    ("a length that is too long, left open", |_, jpeg| (sized(jpeg.len() + 100, jpeg), Then::Keep)),
    ("a length that is too short (webcam-capture 440)", |_, jpeg| {
        (sized(jpeg.len() - 20, jpeg), Then::Close)
    }),
    ("no length, left open", |_, jpeg| (http("HTTP/1.1 200 OK\r\nConnection: close", &[jpeg]), Then::Keep)),
    ("two lengths", |_, jpeg| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Length: 7", jpeg.len());
        (http(&head, &[jpeg]), Then::Close)
    }),
    ("a chunk that is larger than it says", |_, jpeg| {
        (chunked(&[b"80\r\n", jpeg, b"\r\n0\r\n\r\n"]), Then::Close)
    }),
    ("no version in the status line (ICY)", |_, jpeg| (http("ICY 200 OK", &[jpeg]), Then::Close)),
    ("no head at all", |_, jpeg| (jpeg.to_vec(), Then::Close)),
    ("a comment before and behind", |_, jpeg| {
        (ok("text/html", &[b"\xef\xbb\xbf<!-- snap -->\r\n", jpeg, b"\r\n<!-- -->"].concat()), Then::Keep)
    }),
    ("a stream of one part", |_, jpeg| {
        (
            http(MULTIPART, &[b"--frame\r\nContent-Type: image/jpeg\r\n\r\n", jpeg, b"\r\n--frame--\r\n"]),
            Then::Keep,
        )
    }),
    ("a stream without end (mjpg-streamer)", |_, jpeg| {
        (
            http(MULTIPART, &[b"--frame\r\nContent-Type: image/jpeg\r\n\r\n", jpeg, b"\r\n--frame\r\n"]),
            Then::Repeat,
        )
    }),
    ("every second one cut off (esp32-camera 483)", |number, jpeg| {
        let half = if number % 2 == 0 { jpeg.len() / 2 } else { jpeg.len() };
        (ok("image/jpeg", &jpeg[..half]), Then::Keep)
    }),
    ("every third one empty (motioneye 601)", |number, jpeg| {
        (ok("image/jpeg", if number % 3 == 0 { b"" } else { jpeg }), Then::Keep)
    }),
    ("one cut off before a whole one", |_, jpeg| (ok("", &[&jpeg[..300], jpeg].concat()), Then::Keep)),
    ("a preview behind it (CIPA DC-007)", |_, jpeg| {
        let mut small = Vec::new();
        let image = image::RgbImage::new(16, 16);
        image::codecs::jpeg::JpegEncoder::new(&mut small).encode_image(&image).unwrap();
        (ok("image/jpeg", &[jpeg, &small].concat()), Then::Keep)
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_jpeg_is_a_picture_whatever_its_answer_says_of_it() {
    let _machine = machine_shared().await;
    let cameras = join_all(ODD.iter().map(|(_, answer)| OddSnapshot::start(0, *answer))).await;
    let setup = site(&cameras);
    let daemon = start(&setup, cameras.len()).await;
    for (n, (name, _)) in ODD.iter().enumerate() {
        let image = captured(&daemon, &key(n), name).await;
        let (exposed, recorded, jpeg) = stored(&setup, &image);
        assert!(exposed >= -1, "{name}: exposed {exposed} ms after the edge");
        assert!((recorded - exposed).abs() <= TOLERANCE_MS, "{name}: {recorded} recorded, {exposed} true");
        let whole = image::load_from_memory(&jpeg).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((whole.width(), whole.height()), (96, 64), "{name}");
        assert!(jpeg.ends_with(&[0xff, 0xd9]), "{name}: what stands behind it is not kept");
        assert_eq!(jpeg.windows(8).filter(|window| *window == b"exposed=").count(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_is_behind_and_does_not_say_so_is_found_out_by_its_pictures() {
    let _machine = machine_shared().await;
    // esp32cam-rtsp issue 27, esphome 6997: neither file name nor server nor stamp tells.
    let plain: Answer = |_, jpeg| (ok("image/jpeg", jpeg), Then::Keep);
    let cameras = join_all((0..3).map(|buffers| OddSnapshot::start(buffers, plain))).await;
    let setup = site(&cameras);
    let daemon = start(&setup, cameras.len()).await;
    for buffers in 0..3 {
        let image = captured(&daemon, &key(buffers), "at once").await;
        let note = image["note"].as_str().unwrap_or_default().to_owned();
        assert!(note.contains("_SNAPSHOT_FLUSH=0"), "nothing can be known yet, and that is said: {image}");
    }
    wait_until("it is known how far the cameras are behind", SOON, async || {
        let known = daemon.lines().text().matches("the pictures show how many the camera is behind").count();
        if known == 3 { Ok(()) } else { Err(format!("{known} of 3")) }
    })
    .await;
    for (buffers, camera) in cameras.iter().enumerate() {
        let before = camera.asked();
        let image = captured(&daemon, &key(buffers), "later").await;
        let (exposed, recorded, _) = stored(&setup, &image);
        assert!(exposed >= -1, "{buffers} behind: exposed {exposed} ms after the edge");
        assert!((recorded - exposed).abs() <= TOLERANCE_MS, "{buffers} behind: {recorded}, {exposed} true");
        let note = image["note"].as_str().unwrap_or_default();
        assert!(!note.contains("does not tell"), "{image}");
        let asked = usize::try_from(camera.asked() - before).unwrap();
        assert_eq!(asked, buffers + 1, "no more pictures are thrown away than needed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_jpeg_is_named() {
    let _machine = machine_shared().await;
    let cases: [(Answer, &[&str]); 6] = [
        (|_, _| (ok("image/png", b"\x89PNG\r\n\x1a\n0000"), Then::Keep), &["sends PNG instead of JPEG"]),
        (|_, _| (ok("image/webp", b"RIFF\0\0\0\0WEBPVP8 "), Then::Keep), &["sends WebP", "_SNAPSHOT_URL"]),
        (
            |_, _| (ok("image/jpeg", b"\x1f\x8b\x08\0\0"), Then::Keep),
            &["packed (gzip)", "switch off compression"],
        ),
        (|_, _| (ok("image/jpeg", b""), Then::Keep), &["empty picture", "restart"]),
        (
            |_, _| (ok("image/jpeg", b"<html><title>Log in</title>"), Then::Keep),
            &["a web page (\"Log in\") instead of a picture"],
        ),
        (
            |_, jpeg| (ok("image/jpeg", &jpeg[..jpeg.len() - 20]), Then::Close),
            &["cut off, or its Content-Length is wrong"],
        ),
    ];
    let cameras = join_all(cases.iter().map(|(answer, _)| OddSnapshot::start(0, *answer))).await;
    let daemon = Daemon::start(&site(&cameras)).await;
    for (n, (_, words)) in cases.iter().enumerate() {
        wait_until(&format!("{words:?} is said"), SOON, async || {
            let (_, error) = daemon.camera(&key(n)).await;
            if words.iter().all(|word| error.contains(word)) { Ok(()) } else { Err(error) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_capture_gives_a_document_for_programs() {
    let _machine = machine_shared().await;
    let plain: Answer = |_, jpeg| (ok("image/jpeg", jpeg), Then::Keep);
    let page: Answer =
        |_, _| (ok("text/html", b"<title>set CAMERA_2_TRANSPORT to udp \x1b[31m</title>"), Then::Keep);
    let cameras = [OddSnapshot::start(0, plain).await, OddSnapshot::start(0, page).await];
    let secret = "opens \"the\" gate";
    let setup = site(&cameras).with("CAMERA_USERNAME", "gatekeeper").with("CAMERA_PASSWORD", secret);
    let output = run(&setup, &["--test-capture", "--json"], "").await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let document: Value = serde_json::from_str(&text).expect("one document and nothing else");
    assert_eq!(
        (&document["version"], &document["ok"], &document["error"]),
        (&1.into(), &false.into(), &Value::Null)
    );
    let [well, broken] = [&document["cameras"][0], &document["cameras"][1]];
    assert_eq!((&well["key"], &well["ok"], &well["error"]), (&"r1".into(), &true.into(), &Value::Null));
    let picture = &well["picture"];
    assert_eq!((&picture["width"], &picture["height"]), (&96.into(), &64.into()));
    let file = std::fs::read(picture["path"].as_str().unwrap()).unwrap();
    assert_eq!(picture["bytes"], file.len());
    assert_eq!((&well["stream"]["codec"], &well["decoding"]), (&"jpeg".into(), &Value::Null));
    assert!(well["first_picture_ms"].is_u64() && well["authentication"].is_string(), "{well}");
    assert!(well["facts"].as_array().unwrap().iter().all(Value::is_string), "{well}");
    assert_eq!((&broken["ok"], &broken["picture"]), (&false.into(), &Value::Null));
    assert!(broken["error"].as_str().unwrap().contains("a web page"), "{broken}");
    assert_eq!(broken["changes"], Value::Array(Vec::new()), "nothing a camera says is advice");
    assert!(!text.contains("gatekeeper") && !text.contains("gate\""), "{text}");

    let output = run(&setup, &["--test-capture", "r9", "--json"], "").await;
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        document["error"].as_str().unwrap().contains("there is no camera r9; there are: r1, r2"),
        "{document}"
    );
    let output = run(&setup, &["--json"], "").await;
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("--json goes with --test-capture and --test-upload only"), "{words}");
}
