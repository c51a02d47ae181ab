//! The real daemon on a machine without a clock of its own: 1970, set while it runs, set back, daylight saving.

use std::time::Duration;

use serde_json::Value;

use crate::support::clock::{FakeClock, real_ms};
use crate::support::daemon::Daemon;
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, report, wait_until};

/// The kernel does not ring for a pretended clock, so the daemon notices at its next look.
const NOTICED: Duration = Duration::from_secs(30);

/// 1970-01-01T00:01:40Z.
const DAWN: i64 = 100_000;

const HOUR: i64 = 3_600_000;

/// A daemon with one camera on a pretended clock.
async fn start(setup: &Setup, clock: &FakeClock, more: &[(&'static str, &str)]) -> Daemon {
    let mut environment = clock.environment();
    environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let daemon = Daemon::start_with(setup, &environment).await;
    daemon.wait_for_camera("r1", "connected", NOTICED).await;
    daemon
}

async fn capture(daemon: &Daemon) -> Value {
    let reply = daemon.capture("r1").await.unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name}: {value}"))
}

fn number(value: &Value, name: &str) -> i64 {
    value[name].as_i64().unwrap_or_else(|| panic!("{name}: {value}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_1970_are_taken_delivered_and_corrected_once_the_clock_is_set() {
    let _machine = machine_shared().await;
    let (camera, receiver) = (SnapshotPeer::start(PLAIN, "").await, Receiver::start().await);
    let setup = Setup::new()
        .with_snapshots(1, &camera.url())
        .with("S3_API_URL", &receiver.url())
        .with("IMAGE_RETENTION_DAYS", "1")
        .with("STORAGE_MIN_FREE_BYTES", "1MiB");
    let Some(clock) = FakeClock::new(setup.directory(), DAWN, "pictures_of_1970") else { return };
    let daemon = start(&setup, &clock, &[]).await;
    let status = daemon.status().await;
    assert_eq!(
        status["clock"]["message"], "the clock is not set; times are corrected once it is",
        "{status}"
    );
    let mut taken = Vec::new();
    for _ in 0..3 {
        let before = real_ms();
        let image = capture(&daemon).await;
        assert!(text(&image, "filename").starts_with("r1_0000001"), "{image}");
        assert_eq!(image["clock"], "unsynced");
        taken.push((text(&image, "filename").to_owned(), before));
    }
    daemon.wait_until_delivered(NOTICED).await;
    clock.set(real_ms());
    let set = wait_until("the step is noticed and times are corrected", NOTICED, async || {
        let clock = daemon.status().await["clock"].clone();
        if clock["corrected"] == 3 { Ok(clock) } else { Err(clock.to_string()) }
    })
    .await;
    assert!(text(&set, "message").contains("moved forward by 5"), "{set}");
    let images = daemon.images().await;
    assert_eq!(images.len(), 3);
    for ((name, before), image) in taken.iter().zip(images.iter().rev()) {
        assert_eq!((text(image, "filename"), text(image, "clock")), (name.as_str(), "corrected"), "{image}");
        let late = number(image, "taken_at_ms") - before;
        assert!((-500..5_000).contains(&late), "{late} ms: {image}");
    }
    let events = daemon.events().await;
    assert!(events.iter().all(|event| event["clock"] == "corrected"), "{events:?}");
    assert!(text(&events[0], "stamped_at").starts_with("1970-01-01"), "{:?}", events[0]);
    // Whoever was logged in still is, and retention finds nothing that is old.
    let report_of = daemon.send(reqwest::Method::POST, "/api/cleanup/run", None).await.unwrap();
    assert_eq!(report_of.json()["deleted"], 0, "{}", report_of.text());
    assert_eq!(daemon.images().await.len(), 3);
    // A new picture has the new time from the beginning.
    let image = capture(&daemon).await;
    assert!((number(&image, "taken_at_ms") - real_ms()).abs() < 5_000, "{image}");
    let metrics = daemon.get("/metrics").await.text();
    assert!(metrics.contains("camera_capture_times_corrected_total 3"), "{metrics}");
    assert!(metrics.contains("camera_capture_clock_steps_total 1"), "{metrics}");
    let (status, lines) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", lines.text());
    report(&format!("boot in 1970: 3 pictures corrected, {}", text(&set, "message")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_back_gives_unique_names_and_deliveries_go_on() {
    let _machine = machine_shared().await;
    let (camera, receiver) = (SnapshotPeer::start(PLAIN, "").await, Receiver::start().await);
    let setup = Setup::new().with_snapshots(1, &camera.url()).with("S3_API_URL", &receiver.url());
    let noon = real_ms() + 1_000 * HOUR;
    let Some(clock) = FakeClock::new(setup.directory(), noon, "an_hour_back") else { return };
    let daemon = start(&setup, &clock, &[]).await;
    let mut names = Vec::new();
    for round in 0..3 {
        clock.set(noon);
        // Two in the same second, again and again.
        for _ in 0..2 {
            names.push(text(&capture(&daemon).await, "filename").to_owned());
        }
        let there = format!("/api/images/{}", names[round * 2]);
        if round == 0 {
            daemon.wait_until_delivered(NOTICED).await;
            let gone = daemon.send(reqwest::Method::DELETE, &there, None).await.unwrap();
            assert!(gone.status < 300, "{}", gone.text());
        }
        clock.set(noon + HOUR);
    }
    wait_until("the steps are noticed", NOTICED, async || {
        let clock = daemon.status().await["clock"].clone();
        if clock["steps"].as_u64() > Some(0) { Ok(()) } else { Err(clock.to_string()) }
    })
    .await;
    clock.set(noon);
    names.push(text(&capture(&daemon).await, "filename").to_owned());
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
    daemon.wait_until_delivered(NOTICED).await;
    receiver.check();
    assert_eq!(receiver.by_name().len(), count);
    for event in daemon.events().await {
        assert_eq!(event["outcome"], "captured", "{event}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_offset_inside_a_picture_is_right_before_and_after_the_end_of_summer_time() {
    let _machine = machine_shared().await;
    /// 2026-10-25T01:00:00Z, when Berlin goes from +02:00 to +01:00.
    const CHANGE: i64 = 1_792_890_000_000;
    let camera = SnapshotPeer::start(PLAIN, "").await;
    let setup = Setup::new().with_snapshots(1, &camera.url());
    let Some(clock) = FakeClock::new(setup.directory(), CHANGE - 60_000, "summer_time") else { return };
    let daemon = start(&setup, &clock, &[("TZ", "Europe/Berlin")]).await;
    let before = capture(&daemon).await;
    clock.set(CHANGE + 60_000);
    let after = capture(&daemon).await;
    let distance = number(&after, "taken_at_ms") - number(&before, "taken_at_ms");
    assert!(distance > 60_000, "UTC goes on: {distance}");
    let pictures = setup.pictures();
    for (image, local, offset) in
        [(&before, "2026:10:25 02:59:", "+02:00"), (&after, "2026:10:25 02:01:", "+01:00")]
    {
        let bytes = std::fs::read(&pictures[text(image, "filename")]).unwrap();
        let has = |words: &str| bytes.windows(words.len()).any(|window| window == words.as_bytes());
        assert!(has(local) && has(offset), "{image}: {local} {offset}");
    }
}
