//! Cameras of single pictures: what is stored is what they sent, of after the edge, and every fault is said.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::{join, join_all};
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::support::daemon::{Daemon, run};
use crate::support::picture::sha256;
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;
use crate::support::snapshot::{
    Fault, Login, Look, Model, PLAIN, SnapshotPeer, USER, exposed_ms, is_untouched, without_facts,
};
use crate::support::{machine_shared, wait_until};

/// The password that is configured for every camera.
const PASSWORD: &str = "opens \"the\" gate";

/// Longest until a picture is stored and delivered, or its failure is said.
const SOON: Duration = Duration::from_secs(20);

/// Longest until a camera that is well again is connected: the longest pause after a refusal.
const HEALED: Duration = Duration::from_secs(90);

/// Most milliseconds between the recorded instant of a picture and the exposure, on a machine that does other things.
const TOLERANCE_MS: i64 = 250;

const ESP32: Model = Model { look: Look::Esp32, buffers: 1, ..PLAIN };

fn key(n: usize) -> String {
    format!("r{}", n + 1)
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(key).collect()
}

/// A site with these cameras, all with the same user and password.
fn site(cameras: &[&SnapshotPeer]) -> Setup {
    let setup = Setup::new().with("CAMERA_USERNAME", USER).with("CAMERA_PASSWORD", PASSWORD);
    (1..).zip(cameras).fold(setup, |setup, (n, camera)| setup.with_snapshots(n, &camera.url()))
}

async fn start(setup: &Setup, cameras: usize) -> Daemon {
    let keys = keys(cameras);
    Daemon::start_connected(setup, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// The stored picture of an image of the API.
fn stored(setup: &Setup, image: &Value) -> Vec<u8> {
    std::fs::read(&setup.pictures()[image["filename"].as_str().unwrap()]).unwrap()
}

/// When an image's picture was exposed, in milliseconds after its edge: as its bytes say, and as was recorded.
fn after_edge(setup: &Setup, image: &Value) -> (i64, i64) {
    let offset = image["frame_offset_ms"].as_i64().unwrap();
    let edge = image["taken_at_ms"].as_i64().unwrap() - offset;
    (exposed_ms(&stored(setup, image)) - edge, offset)
}

async fn captured(daemon: &Daemon, key: &str) -> Value {
    let reply = daemon.capture(key).await.unwrap();
    assert_eq!(reply.status, 201, "{key}: {}", reply.text());
    let image = reply.json();
    if image["image"].is_object() { image["image"].clone() } else { image }
}

/// Waits until the camera is degraded and its error has all these words.
async fn said(daemon: &Daemon, key: &str, words: &[&str]) {
    wait_until(&format!("{key} is degraded: {words:?}"), SOON, async || {
        let (state, error) = daemon.camera(key).await;
        let fits = state == "degraded" && words.iter().all(|word| error.contains(word));
        if fits { Ok(()) } else { Err(format!("{state}: {error}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_stores_and_delivers_the_cameras_own_bytes_for_every_kind_of_log_in() {
    let _machine = machine_shared().await;
    let logins = [Login::None, Login::Basic, Login::DigestOld, Login::DigestMd5, Login::DigestSha256];
    let start_one = |login| SnapshotPeer::start(Model { login, ..PLAIN }, PASSWORD);
    let cameras = join_all(logins.map(start_one)).await;
    let receiver = Receiver::start().await;
    let setup = site(&cameras.iter().collect::<Vec<_>>()).with("S3_API_URL", &receiver.url());
    let daemon = start(&setup, cameras.len()).await;
    for round in 1..=2 {
        for key in keys(cameras.len()) {
            assert!((200..300).contains(&daemon.pulse(&key).await.unwrap().status));
        }
        wait_until("every edge is a picture", SOON, async || match daemon.images().await.len() {
            stored if stored == round * cameras.len() => Ok(()),
            stored => Err(stored.to_string()),
        })
        .await;
    }
    daemon.wait_until_delivered(SOON).await;
    receiver.check();
    let received = receiver.by_name();
    for image in daemon.images().await {
        let jpeg = stored(&setup, &image);
        assert!(is_untouched(&without_facts(&jpeg)), "{image}: the camera's bytes were changed");
        assert_eq!(received[image["filename"].as_str().unwrap()].sha256, sha256(&jpeg), "{image}");
        let (exposed, recorded) = after_edge(&setup, &image);
        assert!(exposed >= -1, "{image}: exposed {exposed} ms after its edge");
        assert!((recorded - exposed).abs() <= TOLERANCE_MS, "{image}: {recorded} recorded, {exposed} true");
    }
    for (camera, login) in cameras.iter().zip(logins) {
        assert_eq!(
            (camera.unasked(), camera.wrong()),
            (0, 0),
            "{login:?}: a password that was not asked for"
        );
        let (requests, connections) = (camera.requests(), camera.connections());
        assert!(connections * 3 <= requests, "{login:?}: {connections} connections for {requests} requests");
        // One at the start and one an edge, and some that are compared until it is known that they are new.
        assert!((3..=24).contains(&camera.pictures()), "{login:?}: {} pictures", camera.pictures());
    }
    let last = &cameras[4];
    assert_eq!(last.requests(), last.pictures() + 1, "a nonce that stays good is used again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_esp32_that_gives_the_previous_picture_first_one_of_after_the_edge_is_kept() {
    let _machine = machine_shared().await;
    let stamped = Model { look: Look::Stamped, ..ESP32 };
    let models = [
        ("named by its header", ESP32),
        ("with stamps", stamped),
        ("with stamps and two buffers", Model { buffers: 2, ..stamped }),
        ("of no name, as configured", Model { look: Look::Plain, ..ESP32 }),
        ("that closes each connection", Model { closes: true, ..stamped }),
        ("with stamps and no buffer", Model { buffers: 0, ..stamped }),
    ];
    let cameras = join_all(models.map(|(_, model)| SnapshotPeer::start(model, ""))).await;
    let setup = site(&cameras.iter().collect::<Vec<_>>()).with("CAMERA_4_SNAPSHOT_FLUSH", "1");
    let daemon = start(&setup, cameras.len()).await;
    let before: Vec<u32> = cameras.iter().map(SnapshotPeer::pictures).collect();
    // The buffers are as old as the start now; the clock of the machine tells when that is long enough ago.
    wait_until("the buffered pictures are old", SOON, async || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        if now.subsec_millis() > 900 { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    for (n, (name, _)) in models.iter().enumerate() {
        let image = captured(&daemon, &key(n)).await;
        let (exposed, recorded) = after_edge(&setup, &image);
        assert!(exposed >= -1, "the ESP32 {name} gave a picture of {} ms before the edge", -exposed);
        assert!((recorded - exposed).abs() <= TOLERANCE_MS, "{name}: {recorded} recorded, {exposed} true");
    }
    let asked: Vec<u32> =
        cameras.iter().zip(before).map(|(camera, before)| camera.pictures() - before).collect();
    assert_eq!(asked, [2, 2, 3, 2, 2, 1], "no more pictures are thrown away than needed");
}

/// A picture of some size, as such a board encodes it.
fn shot(width: u32, height: u32) -> Vec<u8> {
    let pixel =
        |x: u32, y: u32| image::Rgb([(x / 7 % 251) as u8, (y / 5 % 241) as u8, ((x + y) / 9 % 239) as u8]);
    let mut jpeg = Vec::new();
    let picture = image::RgbImage::from_fn(width, height, pixel);
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 80).encode_image(&picture).unwrap();
    jpeg
}

/// S2.4: UXGA where a board has the memory for it, SVGA where it has not; the frame of before comes first in both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_esp32_of_either_size_the_frame_that_lags_behind_is_not_the_picture() {
    let _machine = machine_shared().await;
    let sizes = [(1600, 1200), (800, 600)];
    let start_one = |(width, height)| SnapshotPeer::start_showing(ESP32, "", shot(width, height));
    let cameras = join_all(sizes.map(start_one)).await;
    let setup = site(&cameras.iter().collect::<Vec<_>>());
    let daemon = start(&setup, cameras.len()).await;
    for round in 0..2 {
        for (n, (width, height)) in sizes.into_iter().enumerate() {
            let before = cameras[n].pictures();
            let image = captured(&daemon, &key(n)).await;
            assert_eq!((&image["width"], &image["height"]), (&width.into(), &height.into()), "{image}");
            let (exposed, recorded) = after_edge(&setup, &image);
            assert!(exposed >= -1, "{width}×{height}, {round}: exposed {} ms before the edge", -exposed);
            assert!((recorded - exposed).abs() <= TOLERANCE_MS, "{recorded} recorded, {exposed} true");
            assert_eq!(cameras[n].pictures() - before, 2, "one is thrown away, and no more");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_camera_is_said_and_heals_by_itself() {
    let _machine = machine_shared().await;
    let elsewhere = SnapshotPeer::start(PLAIN, "").await;
    let faults: Vec<(Fault, &[&str])> = vec![
        (Fault::Stall, &["sent nothing for 5 s", "restart"]),
        (Fault::StallInPicture, &["too slowly", "check its network"]),
        (Fault::Drip, &["too slowly", "within 10 s"]),
        (Fault::Truncated, &["broke off after", "bytes", "power supply"]),
        (Fault::Half, &["cut off, or its Content-Length is wrong", "FF D9"]),
        (Fault::Html, &["a web page (\"Camera log-in\") instead of a picture", "_SNAPSHOT_URL"]),
        (Fault::Stream, &["a stream of pictures", "none of them was whole", "/capture"]),
        (Fault::NotFound, &["no picture at http://127.0.0.1", "404", "_SNAPSHOT_URL"]),
        (Fault::Busy, &["503", "busy"]),
        (Fault::Close, &["broke before an answer came"]),
        (Fault::Frozen, &["the same picture 10 times", "restart"]),
        (Fault::Endless, &["larger than 16 MiB"]),
        (Fault::Redirect(elsewhere.url()), &["redirects to http://127.0.0.1", "not followed"]),
        (
            Fault::OtherPassword,
            &["refused the user name or password (digest (SHA-256)", "CAMERA_14_PASSWORD"],
        ),
    ];
    let model = Model { login: Login::DigestSha256, ..PLAIN };
    let cameras = join_all(faults.iter().map(|_| SnapshotPeer::start(model, PASSWORD))).await;
    let setup = site(&cameras.iter().collect::<Vec<_>>());
    let daemon = start(&setup, cameras.len()).await;
    let stories = faults.iter().zip(&cameras).enumerate().map(async |(n, ((fault, words), camera))| {
        let key = key(n);
        camera.inject(fault.clone());
        let (reply, ()) = join(daemon.capture(&key), said(&daemon, &key, words)).await;
        let reply = reply.unwrap();
        assert_eq!(reply.status, 504, "{fault:?}: {}", reply.text());
        assert!(
            reply.text().contains(&format!("127.0.0.1:{}", camera.port())),
            "{fault:?}: {}",
            reply.text()
        );
        camera.heal();
        let error = daemon.wait_for_camera(&key, "connected", HEALED).await;
        assert_eq!(error, "", "{fault:?} is healed and still complained of");
        captured(&daemon, &key).await;
    });
    join_all(stories).await;
    assert_eq!(elsewhere.requests(), 0, "nobody is asked but the camera");
    let failed = daemon.events().await.iter().filter(|event| event["outcome"] == "failed").count();
    assert_eq!(failed, faults.len(), "each fault is in the ledger");
    assert!(cameras[13].wrong() <= 3, "a wrong password is not tried often: {}", cameras[13].wrong());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_is_not_there_wants_a_password_or_another_protocol_is_said_with_the_next_step() {
    let _machine = machine_shared().await;
    let guarded = SnapshotPeer::start(Model { login: Login::DigestMd5, ..PLAIN }, PASSWORD).await;
    let plain = SnapshotPeer::start(PLAIN, "").await;
    let reserved = TcpSocket::new_v4().unwrap();
    reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let setup = Setup::new()
        .with_snapshots(1, &format!("http://{}/x.jpg", reserved.local_addr().unwrap()))
        .with_snapshots(2, &guarded.url())
        .with_snapshots(3, &plain.url().replace("http://", "https://"))
        .with("CAMERA_3_SNAPSHOT_VERIFY", "false")
        .with_snapshots(4, "http://no-such-camera.invalid/x.jpg");
    let daemon = Daemon::start(&setup).await;
    said(&daemon, "r1", &["connection refused", "web server switched on"]).await;
    said(&daemon, "r2", &["wants a user name and password (digest (MD5))", "CAMERA_2_USERNAME"]).await;
    said(&daemon, "r3", &["does not speak TLS", "http://"]).await;
    said(&daemon, "r4", &["the name no-such-camera.invalid was not found", "CAMERA_4_SNAPSHOT_URL"]).await;
    let port = reserved.local_addr().unwrap().port();
    let reply = daemon.capture("r1").await.unwrap();
    assert!(reply.status == 504 && reply.text().contains(&port.to_string()), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_with_a_hole_in_it_gives_way_to_the_next_whole_one_and_is_kept_where_there_is_none() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "").await;
    let setup = site(&[&camera]);
    let daemon = start(&setup, 1).await;
    let note = |image: &Value| image["note"].as_str().unwrap_or_default().to_owned();
    // More than are compared at once, twice.
    camera.inject(Fault::Holed(8));
    let image = captured(&daemon, "r1").await;
    assert!(note(&image).contains("damaged inside; this is the nearest good picture"), "{image}");
    assert!(is_untouched(&without_facts(&stored(&setup, &image))), "{image}: no hole");
    camera.inject(Fault::Holed(u32::MAX));
    let image = captured(&daemon, "r1").await;
    assert!(note(&image).contains("also a moment later; check the camera's power supply"), "{image}");
    camera.heal();
    let image = captured(&daemon, "r1").await;
    assert!(!note(&image).contains("damaged"), "{image}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captures_at_the_same_time_share_pictures_and_later_instants_get_their_own() {
    let _machine = machine_shared().await;
    let camera = SnapshotPeer::start(PLAIN, "").await;
    let setup = site(&[&camera]).with("CAMERA_1_OFFSETS_MS", "0,300,600");
    let daemon = start(&setup, 1).await;
    let replies = join_all((0..6).map(|_| daemon.capture("r1"))).await;
    for reply in replies {
        let reply = reply.unwrap();
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    let images = daemon.images().await;
    assert_eq!(images.len(), 18, "three instants of six triggers");
    let mut late: Vec<i64> = images.iter().map(|image| after_edge(&setup, image).0).collect();
    late.sort_unstable();
    for (n, wanted) in [0, 300, 600].into_iter().enumerate() {
        let of_instant = &late[6 * n..6 * (n + 1)];
        let is_near = |ms: &i64| (wanted - 1..wanted + TOLERANCE_MS).contains(ms);
        assert!(of_instant.iter().all(is_near), "{of_instant:?} ms after the edge instead of {wanted}");
    }
    assert_eq!(camera.at_once(), 1, "one question at a time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_capture_says_what_a_camera_of_single_pictures_is_like() {
    let _machine = machine_shared().await;
    let stamped = Model { look: Look::Stamped, login: Login::DigestSha256, buffers: 1, closes: false };
    let esp32 = SnapshotPeer::start(stamped, PASSWORD).await;
    let basic = SnapshotPeer::start(Model { login: Login::Basic, ..PLAIN }, PASSWORD).await;
    let setup = site(&[&esp32, &basic]);
    let output = run(&setup, &["--test-capture"], "").await;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in [
        "r1 (Entry): fine",
        "(96×64, ",
        "authentication: digest (SHA-256)",
        "from before the trigger first (seen 3 times",
        "CAMERA_GRAB_LATEST",
        "authentication: basic",
        "set CAMERA_2_SNAPSHOT_FLUSH=1",
        "set it to digest, or use https",
    ] {
        assert!(text.contains(words), "{words:?} is missing in\n{text}");
    }
    assert!(!text.contains(PASSWORD), "{text}");
    esp32.inject(Fault::Html);
    let output = run(&setup, &["--test-capture", "r1"], "").await;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("r1 (Entry): failed") && text.contains("a web page"), "{text}");
}
