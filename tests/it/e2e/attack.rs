//! Strangers attack in every way at once while contacts close: no picture is lost.
//!
//! The same contacts close first in peace, then under attack; what it costs is printed side by side. The daemon has the
//! thousand descriptors a service manager gives by itself, and in the second form the memory of its unit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use camera_capture::demo::{RtspServer, StreamConfig};
use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

use crate::support::api::Api;
use crate::support::cgroup::Cgroup;
use crate::support::crowd::{Attack, address, health};
use crate::support::daemon::Daemon;
use crate::support::hostile::{Hostile, Misdeed};
use crate::support::setup::Setup;
use crate::support::{machine_alone, percentile, report, scale, wait_until};

const CAMERAS: [&str; 3] = ["r1", "r2", "r3"];

/// Between two edges of a contact.
const EVERY: Duration = Duration::from_secs(1);

/// Longer than a contact is deaf after it was closed, however late the answer was.
const DEAF: Duration = Duration::from_millis(400);

/// Longest until the last trigger has its outcome, on a busy machine.
const ENDED: Duration = Duration::from_secs(40);

/// Connections that only sit there.
const SITTING: u64 = 3000;

/// What the attack may add to the most memory that was ever resident.
const GROWTH_KIB_MAX: u64 = 96 * 1024;

/// `/health` from a new address: half of the answers come sooner. It is a few milliseconds where the attackers are
/// elsewhere; here the machine attacks itself, with a program that is not optimised, and may do other things too.
const HEALTH_MEDIAN_MAX: Duration = Duration::from_secs(4);

/// The unit's `MemoryHigh=` and `MemoryMax=`.
const MEMORY_HIGH: u64 = 256 << 20;
const MEMORY_MAX: u64 = 384 << 20;

/// What a service manager gives unless told otherwise, as soft and hard limit: nothing can be raised.
const FEW_DESCRIPTORS: &str = "ulimit -n 1024";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_contact_loses_its_picture_while_strangers_attack() {
    let _machine = machine_alone().await;
    let seconds = Duration::from_secs(scale("ATTACK_SECONDS", 15));
    attacked("1024 descriptors", FEW_DESCRIPTORS, seconds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_contact_loses_its_picture_under_attack_within_the_memory_of_the_unit() {
    let _machine = machine_alone().await;
    let group = match Cgroup::new("camera-capture-attack", MEMORY_HIGH, MEMORY_MAX) {
        Ok(group) => group,
        Err(error) => {
            report(&format!(
                "SKIPPED attack within the unit's memory: no control group can be made: {error}"
            ));
            return;
        }
    };
    let seconds = Duration::from_secs(scale("ATTACK_SECONDS", 10));
    attacked("384 MiB and 1024 descriptors", &format!("{} && {FEW_DESCRIPTORS}", group.enter()), seconds)
        .await;
    let peak = group.peak().map_or("unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    report(&format!("  at most {peak} with the kernel's share"));
    assert_eq!(group.kills(), 0, "the kernel ended it for want of memory");
    group.remove().await;
}

/// Lets some strangers begin.
type Begin = fn(&mut Attack);

/// Who attacks. `ATTACK=sit,guess` lets only these.
fn begin(attack: &mut Attack) {
    let chosen = std::env::var("ATTACK").ok();
    let takes_part =
        |name: &str| chosen.as_deref().is_none_or(|chosen| chosen.split(',').any(|one| one == name));
    // The test is on this machine, too, with descriptors of its own.
    let sitting = SITTING.min(raised_limit().saturating_sub(600));
    if takes_part("sit") {
        attack.sit(usize::try_from(sitting).unwrap());
    }
    let others: [(&str, Begin); 6] = [
        ("guess", Attack::guess_passwords),
        ("headers", Attack::send_slow_headers),
        ("unread", Attack::leave_answers_unread),
        ("streams", Attack::open_streams),
        ("bodies", Attack::send_big_bodies),
        ("paths", Attack::encode_paths),
    ];
    for (_, begin) in others.into_iter().filter(|(name, _)| takes_part(name)) {
        begin(attack);
    }
}

/// Cameras that attack as well, beside the three that are honest, from `begin` on: of each kind of bound one.
async fn hostile_cameras(begin: &CancellationToken) -> Vec<Hostile> {
    use Misdeed::{Answers, Challenges, Crumbs, Garbage, Headers, Length, Media, Picture, Requests, Sets};
    let misdeeds = [Length, Headers, Media, Challenges, Answers, Garbage, Picture, Sets, Crumbs, Requests];
    join_all(misdeeds.map(|misdeed| Hostile::start_at(misdeed, begin.clone()))).await
}

/// What one run was like.
struct Run {
    pictures: usize,
    p50_ms: u64,
    p95_ms: u64,
    peak_kib: u64,
}

/// Three cameras, in peace and under attack.
async fn attacked(place: &str, prelude: &str, seconds: Duration) {
    let streams = CAMERAS.map(|key| StreamConfig {
        width: 320,
        height: 180,
        ..StreamConfig::new(&format!("/{key}"), key, 120)
    });
    let server = RtspServer::bind("127.0.0.1:0".parse().unwrap(), streams.to_vec(), None).await.unwrap();
    let (cameras, stop) = (server.local_addr(), CancellationToken::new());
    let _stop = stop.clone().drop_guard();
    let serving = tokio::spawn(server.run(stop.clone()));
    let setup = (1..=3).fold(Setup::new().with_prelude(prelude), |setup, n| {
        setup.with_camera(n, &format!("rtsp://{cameras}/r{n}"))
    });
    let begin_cameras = CancellationToken::new();
    let hostile = hostile_cameras(&begin_cameras).await;
    let setup = hostile.iter().zip(4..).fold(setup, |setup, (camera, n)| setup.with_camera(n, &camera.url()));
    let mut daemon = Daemon::start_connected(&setup, &CAMERAS).await;
    let address_shown = daemon.lines().after("dashboard: http://").unwrap();
    let dashboard: SocketAddr = address_shown.trim_end_matches('/').parse().unwrap();
    wait_until("the decoders were tried", ENDED, async || {
        let status = daemon.status().await;
        let all =
            status["cameras"].as_array().unwrap()[..3].iter().all(|camera| !camera["decoding"].is_null());
        if all { Ok(()) } else { Err(status["cameras"].to_string()) }
    })
    .await;

    let quiet = close_contacts(&mut daemon, seconds.min(Duration::from_secs(60))).await;
    let mut attack = Attack::on(dashboard);
    begin(&mut attack);
    begin_cameras.cancel();
    let probes = Probes::start(dashboard);
    let loud = close_contacts(&mut daemon, seconds).await;
    let answers = probes.stop().await;
    let metrics = daemon.get("/metrics").await.text();
    let tally = Arc::clone(&attack.tally);
    drop(attack);

    let waited: Vec<u64> = answers.iter().flatten().map(|took| took.as_millis() as u64).collect();
    let (median, worst) = (percentile(&waited, 50), percentile(&waited, 100));
    let failed: Vec<&String> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    let growth_kib = loud.peak_kib.saturating_sub(quiet.peak_kib);
    report(&format!("attack for {} s, {place}:", seconds.as_secs()));
    for (name, run) in [("in peace", &quiet), ("attacked", &loud)] {
        report(&format!(
            "  {name}: {} pictures, edge to durable p50 {} p95 {} ms; at most {} KiB resident",
            run.pictures, run.p50_ms, run.p95_ms, run.peak_kib
        ));
    }
    report(&format!(
        "  /health from new addresses: median {median} ms, worst {worst} ms, {} of {} without an answer; {tally:?}",
        failed.len(),
        answers.len()
    ));
    for line in metrics.lines().filter(|line| {
        line.starts_with("camera_capture_connections") || line.starts_with("camera_capture_descriptors")
    }) {
        report(&format!("  {line}"));
    }
    assert!(daemon.is_alive());
    assert_eq!(tally.let_in.load(Ordering::Relaxed), 0, "a stranger was let in");
    assert!(Duration::from_millis(median) < HEALTH_MEDIAN_MAX, "{waited:?}");
    assert!(failed.len() * 20 <= answers.len(), "{failed:?}");
    assert!(growth_kib < GROWTH_KIB_MAX, "{growth_kib} KiB more than in peace");
    stop.cancel();
    serving.await.unwrap();
}

/// Closes every contact once a second for so long. Every one of them is captured.
async fn close_contacts(daemon: &mut Daemon, seconds: Duration) -> Run {
    let (rows_before, lines_before) = (daemon.events().await.len(), daemon.lines().captured().len());
    let closed = AtomicU64::new(0);
    let drive = async |api: Api, key: &str, shift: Duration| {
        let (mut next, end) = (Instant::now() + shift, Instant::now() + shift + seconds);
        while next < end {
            tokio::time::sleep_until(next.into()).await;
            // A kept connection may end at the instant it is used; nobody knows then whether the contact was closed.
            if api.pulse(key).await.is_ok_and(|reply| reply.status == 200) {
                closed.fetch_add(1, Ordering::Relaxed);
            }
            next = (next + EVERY).max(Instant::now() + DEAF);
        }
    };
    let shifts = [0, 330, 660].map(Duration::from_millis);
    join_all(CAMERAS.iter().zip(shifts).map(|(key, shift)| drive(daemon.api(), key, shift))).await;
    let closed = usize::try_from(closed.into_inner()).unwrap();
    let rows = wait_until("every trigger has its outcome", ENDED, async || {
        let rows = daemon.events().await;
        let open = rows.iter().filter(|row| row["outcome"].is_null()).count();
        let new = rows.len() - rows_before;
        if open == 0 && new >= closed { Ok(rows) } else { Err(format!("{open} open, {new} of {closed}")) }
    })
    .await;
    let wrong: Vec<String> =
        rows.iter().filter(|row| row["outcome"] != "captured").map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{} of {} have no picture: {wrong:#?}", wrong.len(), rows.len());
    let wanted = seconds.as_secs() as usize * CAMERAS.len();
    // The hand on the contact is an operator's request; on a busy machine it comes slowly.
    assert!(closed * 5 >= wanted, "only {closed} of {wanted} contacts could be closed");
    let captured = daemon.lines().captured();
    let took: Vec<u64> = captured[lines_before..].iter().map(|picture| picture.total_ms).collect();
    let (_, peak_kib) = daemon.rss_kib();
    Run { pictures: took.len(), p50_ms: percentile(&took, 50), p95_ms: percentile(&took, 95), peak_kib }
}

/// Asks for `/health` again and again, each time from an address that was never there before.
struct Probes {
    is_over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Vec<Result<Duration, String>>>,
}

impl Probes {
    fn start(dashboard: SocketAddr) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let task = tokio::spawn(async move {
            let (mut answers, mut beat) = (Vec::new(), tokio::time::interval(Duration::from_millis(250)));
            while !over.load(Ordering::Relaxed) {
                beat.tick().await;
                answers.push(health(address(100, answers.len()), dashboard).await);
            }
            answers
        });
        Self { is_over, task }
    }

    async fn stop(self) -> Vec<Result<Duration, String>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// The attackers need descriptors, too.
fn raised_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(20_000).min(20_000);
    // Then it stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    current.map_or(wanted, |current| current.max(wanted))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_open_files_is_raised_where_it_can_be_and_a_crowd_is_an_alarm() {
    let _machine = machine_alone().await;
    let metric = |text: &str, name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("camera_capture_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    };
    let setup = Setup::new().with_prelude("ulimit -Sn 512");
    let daemon = Daemon::start(&setup).await;
    let text = daemon.get("/metrics").await.text();
    assert!(metric(&text, "descriptors_max") > 512, "{text}");
    assert!(metric(&text, "descriptors") > 5, "{text}");
    daemon.terminate().await;

    // So few that a crowd has every place at once.
    let setup = Setup::new().with_prelude("ulimit -n 64");
    let daemon = Daemon::start(&setup).await;
    let text = daemon.get("/metrics").await.text();
    assert_eq!((metric(&text, "descriptors_max"), metric(&text, "connections_max")), (64, 16));
    let address_shown = daemon.lines().after("dashboard: http://").unwrap();
    let mut attack = Attack::on(address_shown.trim_end_matches('/').parse().unwrap());
    attack.sit(60);
    wait_until("the alarm about connections", ENDED, async || {
        let alarms = daemon.status().await["alarms"].to_string();
        if alarms.contains("\"connections\"") { Ok(()) } else { Err(alarms) }
    })
    .await;
}
