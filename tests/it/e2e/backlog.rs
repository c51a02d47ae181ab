//! A backlog drains while cars keep coming.
//!
//! `BACKLOG` and `BACKLOG_BYTES` make it a long run: how many pictures wait, and how long each is.

use std::time::{Duration, Instant};

use camera_capture::clock;

use crate::support::daemon::Daemon;
use crate::support::receiver::Receiver;
use crate::support::rtsp::{Auth, FULL_HD, RtspPeer, is_available};
use crate::support::setup::Setup;
use crate::support::small::leave_pictures;
use crate::support::{machine_alone, percentile, report, scale, wait_until};

/// Longest from the contact until the picture has arrived.
const PICTURE: Duration = Duration::from_secs(30);

/// Contacts that are measured before anything waits.
const QUIET: u64 = 4;

/// How much the most memory may lie above that without a backlog: what waits, waits on the disk.
const GROWTH_KIB_MAX: u64 = 32 * 1024;

/// Milliseconds of one picture.
struct Times {
    /// From the edge until it was durable.
    durable: u64,
    /// From before the contact was closed until the receiver had it.
    received: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cars_that_come_while_a_backlog_drains_are_delivered_at_once_in_bounded_memory() {
    let _machine = machine_alone().await;
    if !is_available("cars_that_come_while_a_backlog_drains").await {
        return;
    }
    let (waiting, bytes) = (scale("BACKLOG", 200), scale("BACKLOG_BYTES", 300_000));
    let limit = PICTURE + Duration::from_millis(waiting * 50);
    let camera = RtspPeer::start(FULL_HD, Auth::None, 1).await;
    let mut receiver = Receiver::start().await;
    let setup = Setup::new()
        .with_camera(1, &camera.url(1))
        .with("S3_API_URL", &receiver.url())
        .with("OFFLINE_RETRY_INTERVAL", "1");

    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    let mut quiet = Vec::new();
    for _ in 0..QUIET {
        quiet.push(car(&daemon, &receiver).await);
    }
    let (_, before_kib) = daemon.rss_kib();
    daemon.wait_until_delivered(PICTURE).await;
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));

    receiver.down().await;
    leave_pictures(&setup, "r1", 24, i64::try_from(waiting).unwrap(), usize::try_from(bytes).unwrap());
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    wait_until("the backlog is known", limit, async || {
        let pending = pending(&daemon).await;
        if pending == waiting { Ok(()) } else { Err(pending.to_string()) }
    })
    .await;
    receiver.up();
    let (began, used) = (Instant::now(), daemon.cpu_time());
    let mut busy = Vec::new();
    let left = loop {
        let times = car(&daemon, &receiver).await;
        let left = pending(&daemon).await;
        if left == 0 {
            break left;
        }
        busy.push(times);
        assert!(began.elapsed() < limit, "{left} still wait after {limit:?}");
    };
    assert_eq!(left, 0);
    let (took, used) = (began.elapsed(), daemon.cpu_time() - used);
    let (_, most_kib) = daemon.rss_kib();

    receiver.check();
    let stored = setup.pictures();
    assert_eq!(stored.len() as u64, waiting + QUIET + busy.len() as u64 + 1);
    assert_eq!(receiver.by_name().keys().collect::<Vec<_>>(), stored.keys().collect::<Vec<_>>());
    assert_eq!(receiver.receptions().len(), stored.len(), "and only once, for nothing went wrong");
    assert!(!busy.is_empty(), "the backlog was gone before the first car");
    let row = |of: &[Times]| {
        let (durable, received): (Vec<_>, Vec<_>) = of.iter().map(|t| (t.durable, t.received)).unzip();
        let two = |values: &[u64]| format!("{}/{}", percentile(values, 50), percentile(values, 95));
        format!("{} cars, durable after {} ms, received after {} ms", of.len(), two(&durable), two(&received))
    };
    report(&format!(
        "{waiting} pictures of {bytes} bytes waited; gone after {took:?} ({:.0} a second, {used:?} of processor); most \
         memory {before_kib} KiB before, {most_kib} KiB with them\n  quiet:    {}\n  draining: {} (median/p95)",
        waiting as f64 / took.as_secs_f64(),
        row(&quiet),
        row(&busy)
    ));
    assert!(most_kib < before_kib + GROWTH_KIB_MAX, "memory grows with what waits");
}

/// Closes the contact and waits until the picture has arrived.
async fn car(daemon: &Daemon, receiver: &Receiver) -> Times {
    // At any phase of the stream.
    tokio::time::sleep(Duration::from_millis(fastrand::u64(200..700))).await;
    let (known, sent) = (daemon.lines().captured().len(), clock::now());
    let reply = daemon.pulse("r1").await.unwrap();
    assert!((200..300).contains(&reply.status), "{} {}", reply.status, reply.text());
    wait_until("the picture of a car has arrived", PICTURE, async || {
        let captured = daemon.lines().captured();
        let Some(new) = captured.get(known) else { return Err("not stored".to_owned()) };
        let Some(arrived) = receiver.arrival_of(&new.file) else { return Err(new.file.clone()) };
        Ok(Times { durable: new.total_ms, received: u64::try_from(arrived.0 - sent.0).unwrap_or(0) })
    })
    .await
}

async fn pending(daemon: &Daemon) -> u64 {
    daemon.status().await["uploads"]["pending"].as_u64().unwrap()
}
