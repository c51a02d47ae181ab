//! A backlog of some hundred pictures with the real daemon: live pictures go first, cameras take turns, deliveries run
//! side by side, and what was put aside goes out at one wish.
//!
//! `LANE_PICTURES`, `LANE_BYTES` and `LANE_PARALLEL` make the drain a measurement; `CAMERA_CAPTURE_BIN` measures another
//! build.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use camera_capture::demo::receiver::{Received, Receiver, ReceiverFault, ReceiverHandle};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::daemon::Daemon;
use crate::support::setup::Setup;
use crate::support::small::leave_pictures;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_shared, report, scale, wait_until};

/// Longest delivery of everything.
const DELIVERY: Duration = Duration::from_secs(120);

/// A receiver that runs as long as this value.
struct Far {
    handle: ReceiverHandle,
    url: String,
    task: JoinHandle<()>,
}

impl Far {
    async fn start() -> Self {
        let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        let (handle, url) = (receiver.handle(), receiver.url());
        Self { handle, url, task: tokio::spawn(receiver.run(CancellationToken::new())) }
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn site(far: &Far) -> Setup {
    Setup::new().with("S3_API_URL", &far.url)
}

/// What the daemon says of its one target.
async fn target(daemon: &Daemon) -> serde_json::Value {
    daemon.status().await["targets"][0].clone()
}

fn assert_each_once(received: &[Received], count: usize) {
    let names: BTreeSet<_> = received.iter().map(|one| one.filename.to_string()).collect();
    assert_eq!((names.len(), received.len()), (count, count));
    assert!(received.iter().all(|one| one.arrivals == 1), "one came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_picture_goes_before_a_backlog_of_hundreds_in_which_cameras_take_turns() {
    let _machine = machine_shared().await;
    let far = Far::start().await;
    far.handle.fail_next(1000, ReceiverFault::Delay(Duration::from_millis(20)));
    let camera = SnapshotPeer::start(PLAIN, "").await;
    let setup = site(&far).with_snapshots(1, &camera.url());
    leave_pictures(&setup, "r1", 5, 200, 0);
    leave_pictures(&setup, "r2", 3, 50, 0);
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let backlog = target(&daemon).await["backlog"].clone();
    let taken = daemon.capture("r1").await.unwrap();
    let before = far.handle.received().len();
    assert_eq!(taken.status, 201, "{}", taken.text());
    let live = taken.json()["filename"].as_str().unwrap().to_owned();
    daemon.wait_until_delivered(DELIVERY).await;
    let received = far.handle.received();
    assert_each_once(&received, 251);
    let place = received.iter().position(|one| one.filename.to_string() == live).unwrap();
    assert!(before < 240, "the machine was too slow to tell: {before} were delivered before");
    assert!(place <= before + 2, "{place}, when {before} had been delivered");
    // The quiet camera is newer by two hours, and does not wait for the busy one.
    let first: Vec<_> =
        received.iter().take(60).filter(|one| one.filename.camera().unwrap().as_str() == "r2").collect();
    assert!((28..=31).contains(&first.len()), "{} of the first 60", first.len());
    for key in ["r1", "r2"] {
        let of_camera = received.iter().filter(|one| one.filename.camera().unwrap().as_str() == key);
        let times: Vec<u64> = of_camera
            .filter(|one| one.filename.to_string() != live)
            .map(|one| one.filename.epoch_s().unwrap())
            .collect();
        assert!(times.is_sorted(), "oldest first");
    }
    assert!(backlog["oldest_age_s"].as_i64().unwrap() >= 3 * 3600, "{backlog}");
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_run_side_by_side_and_each_arrives_once() {
    let _machine = machine_shared().await;
    let far = Far::start().await;
    let (count, bytes) = (scale("LANE_PICTURES", 60), scale("LANE_BYTES", 0));
    let parallel = scale("LANE_PARALLEL", 4);
    let is_measured = std::env::var_os("LANE_PICTURES").is_some();
    if !is_measured {
        far.handle.fail_next(60, ReceiverFault::Delay(Duration::from_millis(100)));
    }
    let mut setup = site(&far);
    if parallel > 1 {
        setup = setup.with("UPLOAD_PARALLEL", &parallel.to_string());
    }
    leave_pictures(&setup, "r1", 5, i64::try_from(count).unwrap(), usize::try_from(bytes).unwrap());
    let daemon = Daemon::start(&setup).await;
    far.handle.wait_for(1).await;
    let began = Instant::now();
    let count = usize::try_from(count).unwrap();
    tokio::time::timeout(DELIVERY, far.handle.wait_for(count)).await.unwrap();
    let took = began.elapsed();
    daemon.wait_until_delivered(DELIVERY).await;
    let (now, most) = daemon.rss_kib();
    report(&format!(
        "{count} pictures of {bytes} bytes, {parallel} at a time: {took:?}; at most {} under way, {now} KiB, at most {most} \
         KiB; {:?} of processor",
        far.handle.most_at_once(),
        daemon.cpu_time()
    ));
    if is_measured {
        return;
    }
    assert_eq!(far.handle.most_at_once(), 4);
    assert_each_once(&far.handle.received(), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_aside_stays_until_it_is_sent_again_at_one_wish() {
    let _machine = machine_shared().await;
    let far = Far::start().await;
    far.handle.fail_next(3, ReceiverFault::status(422));
    let setup = site(&far);
    leave_pictures(&setup, "r1", 2, 8, 0);
    let daemon = Daemon::start(&setup).await;
    daemon.wait_until_delivered(DELIVERY).await;
    assert_eq!(far.handle.received().len(), 5);
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    let daemon = Daemon::start(&setup).await;
    let table = daemon.get("/api/uploads/dead?format=csv").await.text();
    assert_eq!(table.lines().count(), 4, "{table}");
    let wish = daemon.send(Method::POST, "/api/uploads/retry", Some(json!({"state": "dead"}))).await.unwrap();
    assert_eq!(wish.json(), json!({"owed_again": 3}), "{}", wish.text());
    daemon.wait_until_delivered(DELIVERY).await;
    assert_each_once(&far.handle.received(), 8);
    assert_eq!(daemon.status().await["uploads"]["dead"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_refuses_everything_is_paused_and_nothing_is_dead_after_it_heals() {
    let _machine = machine_shared().await;
    let far = Far::start().await;
    far.handle.fail_next(1000, ReceiverFault::status(413));
    let setup = site(&far);
    leave_pictures(&setup, "r1", 2, 12, 0);
    let daemon = Daemon::start(&setup).await;
    let paused = wait_until("the target is paused", DELIVERY, async || {
        let target = target(&daemon).await;
        if target["paused_by"] == "refusals" { Ok(target) } else { Err(target.to_string()) }
    })
    .await;
    let words = paused["last_error"].as_str().unwrap();
    assert!(words.contains("not the pictures") && words.contains("413"), "{words}");
    let probed = far.handle.requests();
    wait_until("it is probed", DELIVERY, async || {
        let requests = far.handle.requests();
        if requests >= probed + 3 { Ok(()) } else { Err(requests.to_string()) }
    })
    .await;
    assert_eq!(daemon.status().await["uploads"]["dead"], 0);
    assert_eq!(far.handle.most_at_once(), 1);
    far.handle.heal();
    daemon.wait_until_delivered(DELIVERY).await;
    assert_each_once(&far.handle.received(), 12);
    assert_eq!(daemon.status().await["uploads"]["dead"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_target_of_a_kind_is_one_by_itself_and_is_told_by_its_own_name() {
    let _machine = machine_shared().await;
    let (first, second) = (Far::start().await, Far::start().await);
    second.handle.fail_next(1000, ReceiverFault::status(401));
    let setup = site(&first).with("API_2_URL", &second.url);
    leave_pictures(&setup, "r1", 2, 6, 0);
    let daemon = Daemon::start(&setup).await;
    tokio::time::timeout(DELIVERY, first.handle.wait_for(6)).await.unwrap();
    let refusing = wait_until("the second target refuses", DELIVERY, async || {
        let status = daemon.status().await;
        let target =
            status["targets"].as_array().unwrap().iter().find(|one| one["target"] == "api_2").cloned();
        let target = target.unwrap_or_default();
        if target["last_error"].is_string() { Ok(target) } else { Err(status.to_string()) }
    })
    .await;
    assert_eq!(refusing["label"], "HTTP API 2");
    let words = refusing["last_error"].as_str().unwrap();
    assert!(words.contains("API_2_URL") && !words.contains("S3_API_URL"), "{words}");
    assert!(second.handle.received().is_empty());
    let (status, log) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    let log = log.text();
    let of_second: Vec<_> = log.lines().filter(|line| line.contains("api_2")).collect();
    assert!(of_second.iter().any(|line| line.contains("API_2_URL")), "{log}");
    assert!(!of_second.iter().any(|line| line.contains("S3_API_URL")), "{log}");

    // What is owed to one stays owed to it over a restart, and the other is not asked again.
    second.handle.heal();
    let daemon = Daemon::start(&setup).await;
    daemon.wait_until_delivered(DELIVERY).await;
    assert_each_once(&second.handle.received(), 6);
    assert_each_once(&first.handle.received(), 6);
}
