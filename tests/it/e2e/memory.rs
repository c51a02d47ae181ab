//! Nobody makes the program take more memory than the unit allows: strangers who guess passwords, cameras that announce
//! pictures of gigabytes. The figures are of the real process (proc(5), `VmHWM`).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::support::api::Api;
use crate::support::daemon::{Daemon, run};
use crate::support::huge::{Coding, HugePeer, Piece};
use crate::support::setup::{PASSWORD, Setup};
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::{machine_alone, report, wait_until};

/// Log-ins may cost so much, KiB: two blocks of 19 MiB.
const FLOOD_KIB_MAX: u64 = 40 * 1024;

/// With a camera that is refused, KiB: the program itself, and what its pictures weigh undecoded.
const REFUSED_KIB_MAX: u64 = 112 * 1024;

/// With the largest pictures that are taken, KiB: what the unit allows less a reserve.
const LARGEST_KIB_MAX: u64 = 320 * 1024;

/// Longest until a camera's stream has been judged, beside other tests.
const SEEN: Duration = Duration::from_secs(30);

/// A wrong password from an address of loopback; the status, or 0 when the connection ended without an answer.
async fn guess(address: &str, from: u16) -> u16 {
    let [high, low] = from.to_be_bytes();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 3, high, low.max(1)], 0))).unwrap();
    let host = address.trim_start_matches("http://");
    let mut stream = socket.connect(host.parse().unwrap()).await.unwrap();
    let body = r#"{"password":"not the password"}"#;
    let request = format!(
        "POST /api/login HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    // Whatever went wrong, there is no answer then.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn five_hundred_wrong_log_ins_and_sixty_that_are_judged_cost_a_block_or_two() {
    let _alone = machine_alone().await;
    let daemon = Daemon::start(&Setup::new()).await;
    let address = daemon.address().to_owned();
    let (before, _) = daemon.rss_kib();
    let mut judged = 0;
    for wave in 0..10_u16 {
        let answers = join_all((0..50).map(|i| guess(&address, wave * 50 + i))).await;
        judged += answers.iter().filter(|status| **status == 401).count();
        assert!(answers.iter().all(|status| matches!(status, 0 | 401 | 408 | 429)), "{answers:?}");
    }
    // What is right is hashed all the same, and an address that is known is not slowed down by the others.
    while judged < 60 {
        let users = join_all((0..4).map(|_| Api::log_in(&address, PASSWORD))).await;
        judged += users.iter().filter(|user| user.is_ok()).count();
    }
    let (now, most) = daemon.rss_kib();
    report(&format!("{judged} judged log-ins: {before} KiB before, {most} at most, {now} at the end"));
    assert!(most - before < FLOOD_KIB_MAX, "{before} KiB before, {most} at most");
}

/// What became of a site with one hostile camera beside a good one.
struct Met {
    peak_kib: u64,
    /// What the hostile camera's triggers ended with.
    reasons: Vec<String>,
    slowest: Duration,
}

/// Lets the daemon meet a camera until `words` stand at it, with contacts closing meanwhile.
async fn meet(claim: &str, url: &str, mode: &str, words: &str) -> Met {
    let good = SnapshotPeer::start(PLAIN, "").await;
    let setup = Setup::new().with_camera(1, url).with("CAMERA_1_MODE", mode).with_snapshots(2, &good.url());
    let daemon = Daemon::start(&setup).await;
    daemon.wait_for_camera("r2", "connected", SEEN).await;
    wait_until(&format!("{claim}: the dashboard says \"{words}\""), SEEN, async || {
        // A trigger has it decoded, if anything does.
        let _ = daemon.pulse("r1").await;
        match daemon.camera("r1").await {
            (state, error) if state == "degraded" && error.contains(words) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await;
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(daemon.capture("r2").await.unwrap().status, 201);
        slowest = slowest.max(began.elapsed());
        let _ = daemon.capture("r1").await;
    }
    let events = daemon.events().await;
    let failed = events.iter().filter(|event| event["camera"] == "r1" && event["outcome"] == "failed");
    let reasons = failed.filter_map(|event| event["reason"].as_str().map(str::to_owned)).collect();
    let (_, peak_kib) = daemon.rss_kib();
    let said = daemon.lines().text();
    assert!(!said.contains("panicked"), "{said}");
    report(&format!("{claim}: {peak_kib} KiB at most, another camera's slowest capture {slowest:.0?}"));
    Met { peak_kib, reasons, slowest }
}

async fn is_refused(claim: &str, coding: Coding, pieces: &[Piece], mode: &str, words: &str) {
    let _alone = machine_alone().await;
    let folder = tempfile::tempdir().unwrap();
    let camera = HugePeer::start(coding, pieces, folder.path()).await;
    let met = meet(claim, &camera.url(), mode, words).await;
    assert!(met.peak_kib < REFUSED_KIB_MAX, "{claim}: {} KiB", met.peak_kib);
    assert!(met.reasons.iter().any(|reason| reason.contains(words)), "{claim}: {:?}", met.reasons);
    assert!(met.slowest < Duration::from_secs(5), "{claim}: {:?}", met.slowest);
}

const fn piece(width: u32, height: u32, references: u32) -> Piece {
    Piece { size: (width, height), references }
}

#[tokio::test]
async fn a_camera_of_64_megapixels_is_refused_in_words_before_anything_is_decoded() {
    for mode in ["hot", "cold"] {
        let claim = format!("H.264 8192×8192, {mode}");
        is_refused(&claim, Coding::H264, &[piece(8192, 8192, 1)], mode, "8192×8192 pixels").await;
    }
    is_refused("H.265 8192×8192", Coding::H265, &[piece(8192, 8192, 1)], "cold", "8192×8192 pixels").await;
}

#[tokio::test]
async fn a_stream_that_grows_in_the_midst_is_refused_when_it_does() {
    let pieces = [piece(640, 368, 1), piece(8192, 8192, 1)];
    is_refused("640×368, then 8192×8192", Coding::H264, &pieces, "hot", "8192×8192 pixels").await;
}

#[tokio::test]
async fn a_stream_that_has_sixteen_large_pictures_kept_is_refused() {
    is_refused("4096×4096 with 16 references", Coding::H264, &[piece(4096, 4096, 16)], "hot", "must be kept")
        .await;
}

#[tokio::test]
async fn the_largest_pictures_that_are_taken_fit_into_what_the_unit_allows() {
    let _alone = machine_alone().await;
    let folder = tempfile::tempdir().unwrap();
    for (coding, piece) in [(Coding::H264, piece(4096, 4096, 1)), (Coding::H265, piece(4096, 4096, 1))] {
        let camera = HugePeer::start(coding, &[piece], folder.path()).await;
        let setup = Setup::new().with_camera(1, &camera.url()).with("CAMERA_1_MODE", "cold");
        let daemon = Daemon::start_connected(&setup, &["r1"]).await;
        let began = Instant::now();
        let answer = daemon.capture("r1").await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        let (_, most) = daemon.rss_kib();
        report(&format!(
            "{coding:?} 4096×4096, cold: {most} KiB at most, captured in {:.0?}",
            began.elapsed()
        ));
        assert!(most < LARGEST_KIB_MAX, "{coding:?}: {most} KiB");
    }
}

/// A JPEG whose header claims a size and has nothing of it.
fn claimed(width: u16, height: u16) -> Vec<u8> {
    let frame =
        [&[0xff, 0xc0, 0, 11, 8][..], &height.to_be_bytes(), &width.to_be_bytes(), &[1, 1, 0x11, 0]].concat();
    [&[0xff, 0xd8][..], &frame, &[0xff, 0xd9]].concat()
}

#[tokio::test]
async fn a_snapshot_that_claims_65535_squared_is_refused_in_words() {
    let _alone = machine_alone().await;
    let camera = SnapshotPeer::start_showing(PLAIN, "", claimed(65_535, 65_535)).await;
    let setup = Setup::new().with_snapshots(1, &camera.url());
    let daemon = Daemon::start(&setup).await;
    wait_until("the dashboard says it", SEEN, async || match daemon.camera("r1").await {
        (state, error) if state == "degraded" && error.contains("65535×65535 pixels") => Ok(()),
        seen => Err(format!("{seen:?}")),
    })
    .await;
    let output = run(&setup.with("BIND_PORT", "0"), &["--test-capture", "r1"], "").await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && said.contains("65535×65535 pixels"), "{said}");
    let answer = daemon.send(Method::GET, "/api/status", None).await.unwrap();
    assert_eq!(answer.status, 200);
}
