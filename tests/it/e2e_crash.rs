//! What SIGKILL at any instant leaves behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::support::daemon::Daemon;
use super::support::picture::sha256;
use super::support::receiver::Receiver;
use super::support::rtsp::{Auth, RtspPeer, SMALL, is_available};
use super::support::setup::Setup;
use super::support::{machine_alone, report, scale};

const CAMERAS: [&str; 3] = ["r1", "r2", "r3"];

/// Longest delivery of everything after the last restart.
const DELIVERY: Duration = Duration::from_secs(120);

/// Pictures that the daemon vouched for: name, and SHA-256 where it was said.
type Acknowledged = Arc<Mutex<BTreeMap<String, Option<String>>>>;

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
    let acknowledged = Acknowledged::default();

    let mut unanswered = 0;
    for round in 0..rounds {
        let daemon = Daemon::start_connected(&setup, &CAMERAS).await;
        check_gallery(&daemon, &setup, &acknowledged).await;
        let share = captures * (round + 1) / rounds - captures * round / rounds;
        unanswered += capture_and_kill(daemon, share, &acknowledged).await;
    }
    let daemon = Daemon::start_connected(&setup, &CAMERAS).await;
    daemon.wait_until_delivered(DELIVERY).await;
    let gallery = check_gallery(&daemon, &setup, &acknowledged).await;
    let received = receiver.by_name();
    receiver.check();
    for (name, image) in &gallery {
        assert_eq!(image["uploads"][0]["state"], "delivered", "{image}");
        let reception = received.get(name).unwrap_or_else(|| panic!("{name} never arrived"));
        assert_eq!(image["sha256"].as_str(), Some(reception.sha256.as_str()), "{name} arrived changed");
    }
    let stored = gallery.keys().collect::<Vec<_>>();
    assert_eq!(received.keys().collect::<Vec<_>>(), stored, "what arrived is what is in the gallery");
    for event in daemon.events().await {
        assert!(event["outcome"].is_string(), "an edge without an outcome: {event}");
    }
    let resent = receiver.receptions().len() - received.len();
    report(&format!(
        "{rounds} times SIGKILL during {captures} captures: {} acknowledged, {} stored, {unanswered} cut off, \
         {resent} sent twice",
        acknowledged.lock().unwrap().len(),
        gallery.len()
    ));
}

/// Asks for `captures` pictures, half of them by contact, and kills the daemon while they are under way. Returns how
/// many requests it left unanswered.
async fn capture_and_kill(daemon: Daemon, captures: u64, acknowledged: &Acknowledged) -> u64 {
    let mut asking = tokio::task::JoinSet::new();
    for i in 0..captures {
        let (api, acknowledged) = (daemon.api(), Arc::clone(acknowledged));
        let key = CAMERAS[usize::try_from(i).unwrap() % CAMERAS.len()];
        let pause = Duration::from_millis(fastrand::u64(0..1500));
        asking.spawn(async move {
            tokio::time::sleep(pause).await;
            if i % 2 == 0 {
                return api.pulse(key).await.is_err();
            }
            let Ok(reply) = api.capture(key).await else { return true };
            if reply.status == 201 {
                let image = reply.json();
                let text =
                    |name: &str| image[name].as_str().unwrap_or_else(|| panic!("{name}: {image}")).to_owned();
                acknowledged.lock().unwrap().insert(text("filename"), Some(text("sha256")));
            }
            false
        });
    }
    tokio::time::sleep(Duration::from_millis(fastrand::u64(200..1800))).await;
    let lines = daemon.kill9().await;
    let mut unanswered = 0;
    while let Some(is_cut_off) = asking.join_next().await {
        unanswered += u64::from(is_cut_off.unwrap());
    }
    for captured in lines.captured() {
        acknowledged.lock().unwrap().entry(captured.file).or_default();
    }
    unanswered
}

/// The gallery by name. Fails unless every acknowledged picture is in it, and disk and gallery agree.
async fn check_gallery(
    daemon: &Daemon,
    setup: &Setup,
    acknowledged: &Acknowledged,
) -> BTreeMap<String, Value> {
    let images = daemon.images().await;
    let count = images.len();
    let gallery: BTreeMap<_, _> =
        images.into_iter().map(|image| (image["filename"].as_str().unwrap().to_owned(), image)).collect();
    assert_eq!(gallery.len(), count, "a picture is in the gallery twice");
    for (name, digest) in &*acknowledged.lock().unwrap() {
        let image = gallery.get(name).unwrap_or_else(|| panic!("{name} was acknowledged and is gone"));
        if let Some(digest) = digest {
            assert_eq!(image["sha256"].as_str(), Some(digest.as_str()), "{name} is another picture");
        }
    }
    let files = setup.pictures();
    for (name, image) in &gallery {
        let path = files.get(name).unwrap_or_else(|| panic!("{name} has no file"));
        assert_eq!(image["sha256"].as_str(), Some(sha256(&std::fs::read(path).unwrap()).as_str()), "{name}");
    }
    assert_eq!(files.keys().collect::<Vec<_>>(), gallery.keys().collect::<Vec<_>>(), "files and gallery");
    gallery
}
