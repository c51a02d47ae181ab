//! As many cameras as the program takes, and every contact closed at the same time.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::daemon::Daemon;
use crate::support::picture::instant_shown;
use crate::support::rtsp::{Auth, FULL_HD, RtspPeer, is_available};
use crate::support::setup::Setup;
use crate::support::{machine_alone, report, scale, wait_until};

/// One frame interval at 25 frames a second.
const INTERVAL_MS: i64 = 40;

/// Of one core, for each 1080p25 stream; decoding one costs a whole one.
const CPU_PERCENT_MAX: f64 = 3.0;

/// Resident KiB for each stream while nothing happens: two groups of pictures and their session.
const RSS_KIB_MAX: u64 = 8 * 1024;

/// Resident KiB whatever the number of cameras. Trying the decoders at the start leaves about 80 MB with the allocator.
const RSS_KIB_BASE: u64 = 112 * 1024;

/// Longest until the decoders were tried on every camera's stream, and nothing is decoded any more.
const CALM: Duration = Duration::from_secs(60);

/// Longest until the picture of one camera is stored, when two seconds of video are decoded for each: they wait for one
/// another.
const STORED_EACH: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_edge_of_many_cameras_at_once_is_a_picture_of_its_instant() {
    let _machine = machine_alone().await;
    if !is_available("every_edge_of_many_cameras").await {
        return;
    }
    let cameras = u8::try_from(scale("CAMERAS", 4)).unwrap();
    let rounds = usize::try_from(scale("EDGES", 2)).unwrap();
    let keys: Vec<String> = (1..=cameras).map(|n| format!("r{n}")).collect();
    let camera = RtspPeer::start(FULL_HD, Auth::None, cameras).await;
    let setup = (1..=cameras).fold(Setup::new(), |setup, n| {
        // Contacts of their own: the header has 28 pins.
        setup.with_camera(n, &camera.url(n)).with(&format!("GPIO_CAMERA_{n}_PIN"), &(9 + n).to_string())
    });
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let daemon = Daemon::start_connected(&setup, &names).await;

    let calm = CPU_PERCENT_MAX * f64::from(cameras);
    wait_until("the decoders were tried", CALM, async || match load(&daemon, Duration::from_secs(2)).await {
        percent if percent <= calm => Ok(()),
        percent => Err(format!("{percent:.1} % of a core")),
    })
    .await;
    let percent = load(&daemon, Duration::from_secs(scale("IDLE_SECONDS", 5))).await;
    let (idle_kib, _) = daemon.rss_kib();

    let mut durable_ms = Vec::new();
    for round in 1..=rounds {
        let began = Instant::now();
        for reply in join_all(names.iter().map(|key| daemon.pulse(key))).await {
            assert_eq!(reply.unwrap().status, 200);
        }
        let all = round * names.len();
        wait_until("every camera's picture is stored", STORED_EACH * u32::from(cameras), async || {
            let ended = daemon.events().await.iter().filter(|event| !event["outcome"].is_null()).count();
            if ended == all { Ok(()) } else { Err(format!("{ended} of {all}")) }
        })
        .await;
        durable_ms.push(began.elapsed().as_millis());
    }

    let files = setup.pictures();
    let mut distances = Vec::new();
    for event in daemon.events().await {
        assert_eq!(event["outcome"], "captured", "{event}");
        let (name, edge_ms) =
            (event["images"][0]["filename"].as_str().unwrap(), event["edge_at_ms"].as_i64().unwrap());
        let jpeg = std::fs::read(&files[name]).unwrap();
        distances.push(instant_shown(&jpeg, edge_ms, name) - edge_ms);
    }
    let (_, most_kib) = daemon.rss_kib();
    let worst = distances.iter().map(|distance| distance.abs()).max().unwrap();
    report(&format!(
        "{cameras} cameras of 1080p25: idle {percent:.1} % of a core, {idle_kib} KiB resident, {most_kib} KiB at most; \
         {} edges {rounds} times at once, all durable after {durable_ms:?} ms, at most {worst} ms from their edges",
        names.len()
    ));
    assert_eq!(distances.len(), rounds * names.len());
    assert!(worst <= INTERVAL_MS, "{distances:?}");
    assert!(percent <= calm, "idle {percent:.1} % of a core");
    assert!(idle_kib <= RSS_KIB_BASE + RSS_KIB_MAX * u64::from(cameras), "idle {idle_kib} KiB resident");
}

/// Share of a core that the daemon takes for so long, percent.
async fn load(daemon: &Daemon, span: Duration) -> f64 {
    let (before, began) = (daemon.cpu_time(), Instant::now());
    tokio::time::sleep(span).await;
    (daemon.cpu_time() - before).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0
}
