//! Devices that push as fast as they can, and what only wants to cost memory.
//!
//! `FLOOD_ROUNDS` makes the flood a measurement.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::devices::picture;
use crate::support::daemon::Daemon;
use crate::support::receiver::Receiver;
use crate::support::rtsp::{Auth, RtspPeer, SMALL, is_available};
use crate::support::setup::Setup;
use crate::support::{machine_alone, machine_shared, report, scale, wait_until};

/// Longest until a trigger has its picture, and until everything is delivered.
const LIMIT: Duration = Duration::from_secs(90);

/// Triggers of a stretch.
const TRIGGERS: usize = 6;

const TOKENS: [&str; 2] = ["a-token-of-the-first-device", "a-token-of-the-second-device"];

fn site() -> Setup {
    TOKENS.iter().enumerate().fold(Setup::new(), |setup, (n, token)| {
        setup
            .with(&format!("INGEST_{}_NAME", n + 1), &format!("device{}", n + 1))
            .with(&format!("INGEST_{}_TOKEN", n + 1), token)
            .with(&format!("INGEST_{}_PER_MINUTE", n + 1), "6000")
    })
}

/// Pushes one picture after the other until told to stop; the names under which they were stored.
async fn flood(url: String, token: &str, numbers: Arc<AtomicUsize>, stop: Arc<AtomicBool>) -> Vec<String> {
    let client = reqwest::Client::new();
    let mut names = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let body = picture(numbers.fetch_add(1, Ordering::Relaxed));
        let answer = client.post(&url).bearer_auth(token).body(body).send().await.unwrap();
        // Too many at once and too many a minute are said, and nothing else is.
        assert!(matches!(answer.status().as_u16(), 200 | 429 | 503), "{}", answer.status());
        let said: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        names.extend(said["filename"].as_str().map(str::to_owned));
    }
    names
}

/// Milliseconds from each of some edges to its file.
async fn stretch(daemon: &Daemon) -> Vec<u64> {
    let before = daemon.lines().captured().len();
    for done in 1..=TRIGGERS {
        wait_until("the contact is open", LIMIT, async || {
            let gpio = daemon.status().await["gpio"].clone();
            if gpio["lines"][0]["active"] == false { Ok(()) } else { Err(gpio.to_string()) }
        })
        .await;
        assert_eq!(daemon.pulse("r1").await.unwrap().status, 200);
        wait_until("the trigger has its picture", LIMIT, async || {
            let count = daemon.lines().captured().len() - before;
            if count >= done { Ok(()) } else { Err(count.to_string()) }
        })
        .await;
    }
    daemon.lines().captured()[before..].iter().map(|captured| captured.total_ms).collect()
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_get_their_pictures_while_two_devices_flood() {
    let _machine = machine_alone().await;
    if !is_available("contacts_get_their_pictures_while_two_devices_flood").await {
        return;
    }
    let (camera, receiver) = (RtspPeer::start(SMALL, Auth::None, 1).await, Receiver::start().await);
    let setup = site().with_camera(1, &camera.url(1)).with("S3_API_URL", &receiver.url());
    let setup = setup.with("GPIO_BOUNCE_TIME", "1");
    let daemon = Daemon::start_connected(&setup, &["r1"]).await;
    wait_until("the decoders were tried", LIMIT, async || {
        let camera = daemon.status().await["cameras"][0].clone();
        if camera["decoding"].is_null() { Err(camera.to_string()) } else { Ok(()) }
    })
    .await;
    let numbers = Arc::new(AtomicUsize::new(0));
    let (mut calm, mut flooded, mut pushed) = (Vec::new(), Vec::new(), BTreeSet::new());
    for _ in 0..scale("FLOOD_ROUNDS", 2) {
        calm.extend(stretch(&daemon).await);
        let stop = Arc::new(AtomicBool::new(false));
        let mut floods = JoinSet::new();
        let before = numbers.load(Ordering::Relaxed);
        for token in TOKENS {
            let url = format!("{}/upload", daemon.address());
            floods.spawn(flood(url, token, Arc::clone(&numbers), Arc::clone(&stop)));
        }
        wait_until("the flood has begun", LIMIT, async || {
            let count = numbers.load(Ordering::Relaxed) - before;
            if count >= 8 { Ok(()) } else { Err(count.to_string()) }
        })
        .await;
        flooded.extend(stretch(&daemon).await);
        stop.store(true, Ordering::Relaxed);
        for names in floods.join_all().await {
            let count = pushed.len() + names.len();
            pushed.extend(names);
            assert_eq!(pushed.len(), count, "two pictures have one name");
        }
    }
    let triggers = calm.len() + flooded.len();
    let (calm, flooded) = (median(calm), median(flooded));
    report(&format!(
        "contact to file: {calm} ms alone, {flooded} ms while two devices flood ({:.2} times); {} pushed",
        flooded as f64 / calm as f64,
        pushed.len()
    ));
    daemon.wait_until_delivered(LIMIT).await;
    let stored: BTreeSet<String> = setup.pictures().into_keys().collect();
    assert!(pushed.is_subset(&stored), "every push that was answered 200 is stored");
    assert_eq!(stored.len(), pushed.len() + triggers, "and so is every trigger");
    receiver.check();
    assert_eq!(receiver.by_name().into_keys().collect::<BTreeSet<_>>(), stored, "and delivered");
}

/// A JPEG of which only the head says how large it is.
fn bomb() -> Vec<u8> {
    let mut body = picture(0);
    let frame = body.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    body[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    body
}

/// Sends what is given, and then pieces for as long as they are taken; the status that is answered.
async fn send(daemon: &Daemon, head: &str, body: &[u8], piece: Option<&[u8]>) -> u16 {
    let address = daemon.address().trim_start_matches("http://").to_owned();
    let stream = TcpStream::connect(&address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n{head}\r\n\r\n",
        TOKENS[0]
    );
    let all = [head.as_bytes(), body].concat();
    let piece = piece.map(<[u8]>::to_vec);
    let sending = tokio::spawn(async move {
        // Once it has answered, the server need not listen.
        let mut taken = writing.write_all(&all).await;
        while let (Some(piece), Ok(())) = (&piece, &taken) {
            taken = writing.write_all(piece).await;
        }
        // Held open until the answer is here.
        std::future::pending::<()>().await;
        drop(writing);
    });
    let mut answer = [0; 64];
    let read = tokio::time::timeout(LIMIT, reading.read(&mut answer)).await.unwrap().unwrap();
    sending.abort();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_wants_to_cost_memory_is_refused_and_costs_none() {
    let _machine = machine_shared().await;
    let setup = site();
    let daemon = Daemon::start(&setup).await;
    let length = |body: &[u8]| format!("Content-Type: image/jpeg\r\nContent-Length: {}", body.len());
    assert_eq!(send(&daemon, &length(&picture(1)), &picture(1), None).await, 200);
    let (before, _) = daemon.rss_kib();

    let huge = bomb();
    assert_eq!(send(&daemon, &length(&huge), &huge, None).await, 422, "65 500 x 65 500 pixels");
    assert_eq!(send(&daemon, "Content-Length: 4294967296", b"\xff\xd8", None).await, 413, "4 GB announced");
    assert_eq!(send(&daemon, "Content-Length: 18446744073709551615", b"", None).await, 413);
    let chunk = [&b"10000\r\n"[..], &[0xff; 0x10000], b"\r\n"].concat();
    assert_eq!(
        send(&daemon, "Transfer-Encoding: chunked", b"", Some(&chunk)).await,
        413,
        "chunks without end"
    );
    let parts = b"--b\r\n\r\n\r\n".repeat(1_000_000);
    let form = format!("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}", parts.len());
    assert_eq!(send(&daemon, &form, &parts, None).await, 422, "a million parts");

    let (after, peak) = daemon.rss_kib();
    report(&format!("memory: {before} KiB before, {after} KiB after, {peak} KiB at most"));
    assert!(peak < before + 64 * 1024, "{before} KiB before, {peak} KiB at most");
    assert_eq!(send(&daemon, &length(&picture(2)), &picture(2), None).await, 200);
    assert_eq!(setup.pictures().len(), 2, "nothing else was stored");
}
