//! What SIGKILL at any instant leaves behind.

use std::time::Duration;

use crate::support::daemon::Daemon;
use crate::support::promise::Promises;
use crate::support::receiver::Receiver;
use crate::support::rtsp::{Auth, RtspPeer, SMALL, is_available};
use crate::support::setup::Setup;
use crate::support::{machine_alone, report, scale};

const CAMERAS: [&str; 3] = ["r1", "r2", "r3"];

/// Longest delivery of everything after the last restart.
const DELIVERY: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_by_sigkill_during_captures() {
    let _machine = machine_alone().await;
    if !is_available("nothing_acknowledged_is_lost").await {
        return;
    }
    let (rounds, captures) = (scale("ROUNDS", 3), scale("CRASH_CAPTURES", 30));
    let camera = RtspPeer::start(SMALL, Auth::None, 3).await;
    let receiver = Receiver::start().await;
    let setup = (1..=3)
        .fold(Setup::new(), |setup, n| setup.with_camera(n, &camera.url(n)))
        .with("S3_API_URL", &receiver.url());
    let promises = Promises::default();

    let mut unanswered = 0;
    for round in 0..rounds {
        let daemon = Daemon::start_connected(&setup, &CAMERAS).await;
        promises.check(&daemon, &setup).await;
        let share = captures * (round + 1) / rounds - captures * round / rounds;
        let asking = promises.ask(&daemon, share, Duration::from_millis(1500), &CAMERAS);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(200..1800))).await;
        let lines = daemon.kill9().await;
        unanswered += asking.unanswered().await;
        promises.note_lines(&lines);
    }
    let daemon = Daemon::start_connected(&setup, &CAMERAS).await;
    daemon.wait_until_delivered(DELIVERY).await;
    let (stored, resent) = promises.check_delivered(&daemon, &setup, &receiver).await;
    report(&format!(
        "{rounds} times SIGKILL during {captures} captures: {} acknowledged, {stored} stored, {unanswered} cut off, \
         {resent} sent twice",
        promises.len()
    ));
}
