//! Contact, picture, delivery: the main job, with a camera and a receiver that share no code with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camera_capture::model::FileName;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::log::Captured;
use crate::support::picture::{instant_shown, sha256};
use crate::support::receiver::Receiver;
use crate::support::rtsp::{Auth, FULL_HD, RtspPeer, USER, is_available};
use crate::support::setup::Setup;
use crate::support::{machine_alone, percentile, report, scale, wait_until};

const CAMERAS: [&str; 3] = ["r1", "r2", "r3"];

/// One frame interval at 25 frames a second. Half of it is the best that can be; the rest is for jitter.
const INTERVAL_MS: i64 = 40;

/// Edges of one round fall at random instants of so long: one and a half groups of pictures.
const ROUND_MS: u64 = 3000;

/// Longest from the last edge of a round until its pictures are durable.
const PICTURES: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_edge_on_three_cameras_is_a_picture_of_its_instant_and_is_delivered_intact() {
    let _machine = machine_alone().await;
    if !is_available("every_edge_on_three_cameras").await {
        return;
    }
    let edges = scale("EDGES", 6);
    let camera = RtspPeer::start(FULL_HD, Auth::Digest { password: "gate-7-open" }, 3).await;
    let receiver = Receiver::start().await;
    let setup = (1..=3)
        .fold(Setup::new(), |setup, n| setup.with_camera(n, &camera.url(n)))
        .with("CAMERA_USERNAME", USER)
        .with("CAMERA_PASSWORD", "gate-7-open")
        .with("S3_API_URL", &receiver.url());
    let daemon = Daemon::start_connected(&setup, &CAMERAS).await;

    let mut asked: BTreeMap<&str, Vec<(i64, i64)>> = BTreeMap::new();
    for round in 1..=edges {
        let pulses = CAMERAS.map(|key| pulse_at_random(&daemon, key));
        for (key, sent) in CAMERAS.into_iter().zip(futures_util::future::join_all(pulses).await) {
            asked.entry(key).or_default().push(sent);
        }
        wait_until("the pictures of a round are stored", PICTURES, async || {
            let stored = daemon.lines().captured().len() as u64;
            if stored == 3 * round { Ok(()) } else { Err(format!("{stored} of {}", 3 * round)) }
        })
        .await;
    }
    daemon.wait_until_delivered(PICTURES).await;

    let all = usize::try_from(3 * edges).unwrap();
    let events = daemon.events().await;
    assert_eq!(events.len(), all, "one ledger row an edge");
    let files = setup.pictures();
    assert_eq!(files.len(), all, "one file an edge");
    let received = receiver.by_name();
    receiver.check();
    assert_eq!(received.keys().collect::<BTreeSet<_>>(), files.keys().collect(), "every file was received");
    assert_eq!(receiver.receptions().len(), all, "and only once, for nothing went wrong");

    let mut errors = Vec::new();
    for event in &events {
        let (key, edge_ms) = (event["camera"].as_str().unwrap(), event["edge_at_ms"].as_i64().unwrap());
        assert_eq!((&event["outcome"], &event["cause"]), (&"captured".into(), &"gpio".into()), "{event}");
        assert!(
            asked[key].iter().any(|(sent, answered)| (*sent..=*answered + 1).contains(&edge_ms)),
            "{event}: no contact was closed then: {:?}",
            asked[key]
        );
        let file = file_of(event);
        let name = FileName::parse(&file).unwrap_or_else(|| panic!("{file} is not a name of the contract"));
        assert!(file.starts_with(&format!("{key}_{}", edge_ms / 1000)), "{file} of {event}");
        assert_eq!(name.camera().unwrap().as_str(), key);
        let jpeg = std::fs::read(&files[&file]).unwrap();
        assert_eq!(received[&file].sha256, sha256(&jpeg), "{file} arrived changed");
        errors.push(instant_shown(&jpeg, edge_ms, &file) - edge_ms);
    }
    report_times(&daemon.lines().captured(), &errors);
    let worst = errors.iter().max_by_key(|error| error.abs()).unwrap();
    assert!(worst.abs() <= INTERVAL_MS, "a picture shows an instant {worst} ms from its edge: {errors:?}");
}

/// Closes a contact at a random instant of the round; returns when that was asked for and when it was answered.
async fn pulse_at_random(daemon: &Daemon, key: &str) -> (i64, i64) {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(500..500 + ROUND_MS))).await;
    let sent = unix_ms();
    let reply = daemon.pulse(key).await.unwrap();
    assert!((200..300).contains(&reply.status), "{key}: {} {}", reply.status, reply.text());
    (sent, unix_ms())
}

fn unix_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// The name of an event's only picture.
fn file_of(event: &Value) -> String {
    let images = event["images"].as_array().unwrap_or_else(|| panic!("no images in {event}"));
    assert_eq!(images.len(), 1, "{event}");
    let name = images[0].as_str().or_else(|| images[0]["filename"].as_str());
    name.unwrap_or_else(|| panic!("no name in {event}")).to_owned()
}

fn report_times(captured: &[Captured], errors: &[i64]) {
    let row = |name: &str, values: Vec<u64>| {
        report(&format!(
            "  {name:<24} median {:>5}   p95 {:>5}",
            percentile(&values, 50),
            percentile(&values, 95)
        ));
    };
    let of = |stage: fn(&Captured) -> u64| captured.iter().map(stage).collect::<Vec<_>>();
    report(&format!("{} pictures; milliseconds:", captured.len()));
    row("edge to durable", of(|c| c.total_ms));
    row("  wait for the frame", of(|c| c.wait_ms));
    row("  decode", of(|c| c.decode_ms));
    row("  encode", of(|c| c.encode_ms));
    row("  write", of(|c| c.write_ms));
    row("frames decoded", of(|c| c.frames));
    row("shown minus edge, abs.", errors.iter().map(|error| error.unsigned_abs()).collect());
    row("the same, as recorded", of(|c| c.offset_ms.unsigned_abs()));
}
