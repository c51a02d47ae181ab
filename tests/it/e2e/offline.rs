//! A receiver that is away.

use std::time::Duration;

use crate::support::daemon::Daemon;
use crate::support::receiver::{Answer, Receiver};
use crate::support::rtsp::{Auth, RtspPeer, SMALL, is_available};
use crate::support::setup::Setup;
use crate::support::{machine_alone, machine_shared, report, scale, wait_until};

/// Longest delivery of everything once the receiver is back.
const DELIVERY: Duration = Duration::from_secs(120);

/// How much the most memory of a long absence may lie above that of a short one: pictures wait on the disk.
const GROWTH_KIB_MAX: u64 = 32 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_taken_without_a_receiver_are_delivered_after_a_restart_in_bounded_memory() {
    let _machine = machine_alone().await;
    if !is_available("pictures_taken_without_a_receiver").await {
        return;
    }
    let captures = scale("CAPTURES", 10);
    let camera = RtspPeer::start(SMALL, Auth::None, 1).await;
    let mut receiver = Receiver::start().await;
    let setup = Setup::new().with_camera(1, &camera.url(1)).with("S3_API_URL", &receiver.url());
    receiver.down().await;

    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    take(&daemon, captures.div_ceil(2).min(5)).await;
    let (_, early) = daemon.rss_kib();
    take(&daemon, captures.div_ceil(2).saturating_sub(5)).await;
    let (_, late) = daemon.rss_kib();
    assert_eq!(daemon.status().await["uploads"]["pending"], captures.div_ceil(2));
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));

    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    take(&daemon, captures / 2).await;
    assert_eq!(receiver.receptions(), [], "nobody was there");
    receiver.up();
    daemon.wait_until_delivered(DELIVERY).await;
    let (_, delivering) = daemon.rss_kib();

    let received = receiver.by_name();
    receiver.check();
    let stored = setup.pictures();
    assert_eq!(stored.len() as u64, captures);
    assert_eq!(received.keys().collect::<Vec<_>>(), stored.keys().collect::<Vec<_>>());
    report(&format!(
        "{captures} pictures without a receiver: most memory {early} KiB after 5, {late} KiB after half, {delivering} KiB \
         while delivering"
    ));
    for most in [late, delivering] {
        assert!(most < early + GROWTH_KIB_MAX, "memory grows with what waits: {early}, then {most} KiB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_stumbles_gets_every_picture_under_one_identity() {
    let _machine = machine_shared().await;
    if !is_available("a_receiver_that_stumbles").await {
        return;
    }
    let camera = RtspPeer::start(SMALL, Auth::None, 1).await;
    let receiver = Receiver::start().await;
    receiver.script([
        Answer::Refuse("503 Service Unavailable\r\n"),
        Answer::Hang,
        Answer::Refuse("429 Too Many Requests\r\nRetry-After: 1\r\n"),
        Answer::TakeSilently,
    ]);
    let setup = Setup::new().with_camera(1, &camera.url(1)).with("S3_API_URL", &receiver.url());
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    take(&daemon, 2).await;
    daemon.wait_until_delivered(DELIVERY).await;
    receiver.check();
    assert_eq!(receiver.by_name().len(), 2);
    assert_eq!(receiver.receptions().len(), 3, "the one that was taken without a word was sent again");
}

/// Takes pictures, one after the other.
async fn take(daemon: &Daemon, pictures: u64) {
    for _ in 0..pictures {
        wait_until("a picture is taken", Duration::from_secs(30), async || {
            let reply = daemon.capture("r1").await?;
            if reply.status == 201 { Ok(()) } else { Err(reply.text()) }
        })
        .await;
    }
}
