//! What watching costs while nobody triggers.

use std::time::{Duration, Instant};

use crate::support::daemon::Daemon;
use crate::support::rtsp::{Auth, FULL_HD, RtspPeer, is_available};
use crate::support::setup::Setup;
use crate::support::{machine_alone, report, scale, wait_until};

/// Of one core, for three 1080p25 streams. Receiving costs about one; decoding them costs more than a whole core.
const CPU_PERCENT_MAX: f64 = 8.0;

/// Two groups of pictures of each of three cameras are 6 MB; the rest is the program.
const RSS_KIB_MAX: u64 = 128 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_idle_cameras_are_watched_without_decoding() {
    let _machine = machine_alone().await;
    if !is_available("three_idle_cameras").await {
        return;
    }
    let seconds = scale("IDLE_SECONDS", 5);
    let camera = RtspPeer::start(FULL_HD, Auth::None, 3).await;
    let setup = (1..=3).fold(Setup::new(), |setup, n| setup.with_camera(n, &camera.url(n)));
    let daemon = Daemon::start_connected(&setup, &["r1", "r2", "r3"]).await;

    // Once, each decoder is tried on each stream.
    wait_until("the decoders were tried", Duration::from_secs(60), async || {
        let status = daemon.status().await;
        let all = status["cameras"].as_array().unwrap().iter().all(|camera| !camera["decoding"].is_null());
        if all { Ok(()) } else { Err(status["cameras"].to_string()) }
    })
    .await;
    let (before, began) = (daemon.cpu_time(), Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let percent = (daemon.cpu_time() - before).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    let (rss, _) = daemon.rss_kib();
    report(&format!(
        "idle with three 1080p25 streams for {seconds} s: {percent:.1} % of a core, {rss} KiB resident"
    ));
    assert!(percent < CPU_PERCENT_MAX, "{percent:.1} % of a core: something decodes while nobody triggers");
    assert!(rss < RSS_KIB_MAX, "{rss} KiB resident");

    // Otherwise a daemon that does nothing at all would pass.
    let reply = daemon.capture("r1").await.unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
}
