//! Devices that bring their pictures by HTTP, as curl, Python's requests and the sketches of small cameras send them.
//!
//! `ROUNDS` and `PUSHES` make more of the kills.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camera_capture::media::frame::{Colours, Frame};
use camera_capture::media::jpeg;
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::support::daemon::Daemon;
use crate::support::program::{PYTHON, free_port, has_module};
use crate::support::receiver::Receiver;
use crate::support::setup::Setup;
use crate::support::{machine_alone, machine_shared, report, scale, wait_until};

/// Longest until everything is delivered.
const DELIVERY: Duration = Duration::from_secs(300);

/// A picture that no other number makes.
pub(super) fn picture(number: usize) -> Vec<u8> {
    let (width, height) = (64, 48);
    let y = (0..width * height).map(|n| ((n * 7 + number * 13 + (n >> 4) * number) % 251) as u8).collect();
    let chroma = vec![(number % 200) as u8; width * height / 4];
    jpeg::encode_plain(&Frame { width, height, y, u: chroma.clone(), v: chroma, colours: Colours::JPEG })
        .unwrap()
}

fn write(directory: &Path, number: usize) -> PathBuf {
    let path = directory.join(format!("shot{number}.jpg"));
    std::fs::write(&path, picture(number)).unwrap();
    path
}

fn by_address() -> Setup {
    Setup::new()
        .with("INGEST_1_NAME", "door")
        .with("INGEST_1_ADDRESS", "127.0.0.1")
        .with("INGEST_1_PER_MINUTE", "6000")
}

/// Runs curl; what it wrote, and the status.
async fn curl(arguments: &[&str]) -> (Value, u16) {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "30", "-w", "\n%{http_code}"]).args(arguments);
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text} {}", String::from_utf8_lossy(&output.stderr));
    let (body, status) = text.rsplit_once('\n').unwrap();
    (serde_json::from_str(body).unwrap_or(Value::Null), status.parse().unwrap())
}

/// S0.7, S3.2, S3.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_pushes_in_every_way_it_knows() {
    let _machine = machine_shared().await;
    let setup = by_address();
    let daemon = Daemon::start(&setup).await;
    let url = format!("{}/upload", daemon.address());
    let files = setup.directory().join("shots");
    std::fs::create_dir(&files).unwrap();
    let ways: [&[&str]; 11] = [
        &["--data-binary", "@FILE"],
        &["--data-binary", "@FILE", "-H", "Content-Type: image/jpeg"],
        &["--data-binary", "@FILE", "-H", "Content-Type: application/octet-stream"],
        &["--data-binary", "@FILE", "-H", "Content-Type:"],
        &["--data-binary", "@FILE", "-H", "Content-Type: multipart/form-data"],
        &["--data-binary", "@FILE", "-H", "Connection: close"],
        &["--data-binary", "@FILE", "--http1.0"],
        &["--data-binary", "@FILE", "-H", "Expect: 100-continue"],
        &["-T", "FILE", "-X", "POST", "-H", "Transfer-Encoding: chunked"],
        &["-F", "file=@FILE"],
        &["-F", "camera=door", "-F", "picture=@FILE;filename=../x.jpeg"],
    ];
    for (number, way) in ways.iter().enumerate() {
        let file = write(&files, number).display().to_string();
        let arguments: Vec<String> = way.iter().map(|word| word.replace("FILE", &file)).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain([url.as_str()]).collect();
        let (said, status) = curl(&arguments).await;
        assert_eq!(
            (status, &said["success"], &said["known"]),
            (200, &true.into(), &false.into()),
            "{way:?}: {said}"
        );
        let stored = std::fs::metadata(said["path"].as_str().unwrap()).unwrap().len();
        assert_eq!(said["size"], stored);
    }
    assert_eq!(daemon.images().await.len(), ways.len());
    // What is refused is told to a client that is still sending.
    let large = setup.directory().join("large.jpg");
    std::fs::write(&large, [&[0xff, 0xd8][..], &vec![7; 20 << 20], &[0xff, 0xd9]].concat()).unwrap();
    let large = format!("@{}", large.display());
    for (more, wanted) in [("X-A: b", 413), ("Authorization: Bearer not-a-token-of-ours", 401)] {
        for expect in ["Expect:", "Expect: 100-continue"] {
            let arguments = ["--data-binary", &large, "-H", more, "-H", expect, &url];
            let (said, status) = curl(&arguments).await;
            assert_eq!((status, &said["success"]), (wanted, &false.into()), "{more} {expect}: {said}");
        }
    }
    let (resident, peak) = daemon.rss_kib();
    report(&format!("memory after pushes that are too large: {resident} KiB, at most {peak} KiB"));
}

/// S3.2, S3.3: the keys, their order and their types.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_python_push_as_the_receivers_readme_says() {
    const SCRIPT: &str = r#"
import os, sys, requests
url, first, second = sys.argv[1:4]
with open(first, "rb") as f:
    a = requests.post(url, files={"file": f}, timeout=20)
with open(second, "rb") as f:
    b = requests.post(url, data=f.read(), headers={"Content-Type": "image/jpeg"}, timeout=20)
for r in (a, b):
    assert r.status_code == 200, r.text
    said = r.json()
    assert list(said)[:4] == ["success", "filename", "size", "path"], said
    assert said["success"] is True and type(said["size"]) is int, said
    assert type(said["filename"]) is str and said["filename"].endswith(".jpg"), said
    assert os.path.isabs(said["path"]) and os.path.basename(said["path"]) == said["filename"], said
    assert os.path.getsize(said["path"]) == said["size"], said
    assert r.headers["Content-Type"].startswith("application/json"), r.headers
print("fine")
"#;
    let _machine = machine_shared().await;
    if !has_module("requests_of_python", "requests", "python3-requests").await {
        return;
    }
    let setup = by_address();
    let daemon = Daemon::start(&setup).await;
    let (first, second) = (write(setup.directory(), 1), write(setup.directory(), 2));
    let url = format!("{}/upload", daemon.address());
    let mut command = Command::new(PYTHON);
    let output = command.arg("-c").arg(SCRIPT).arg(url).arg(first).arg(second).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(daemon.images().await.len(), 2);
}

/// S3.5: HTTPClient of the ESP32 core, a byte at a time, to the port that is built into it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sketch_of_the_older_receiver_pushes_to_its_port() {
    let _machine = machine_shared().await;
    let port = free_port().await;
    let setup = by_address().with("COMPAT_PORT", &port.to_string());
    let daemon = Daemon::start(&setup).await;
    let body = picture(1);
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: 192.168.1.50:{port}\r\nUser-Agent: ESP32HTTPClient\r\nConnection: keep-alive\r\n\
         Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0\r\nContent-Type: multipart/form-data\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = wait_until("the older port listens", Duration::from_secs(10), async || {
        TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())
    })
    .await;
    stream.set_nodelay(true).unwrap();
    for byte in [head.as_bytes(), &body].concat() {
        stream.write_all(&[byte]).await.unwrap();
    }
    let mut answer = vec![0; 1024];
    let read = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("{\"success\":true,"), "{answer}");
    assert_eq!(daemon.images().await.len(), 1);
}

/// A camera of the first of the older systems: asked at `/capture`, it pushes to `/upload` and only then answers.
async fn pushing_camera(listener: TcpListener, upload: String) {
    let mut number = 100;
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        number += 1;
        let pushed = reqwest::Client::new().post(&upload).body(picture(number)).send().await.unwrap();
        assert_eq!(pushed.status().as_u16(), 200);
        let said = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
        // The daemon may have gone, because it has what it wanted.
        let _ = stream.write_all(said).await;
    }
}

/// S0.5, S0.6, S0.11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_pushes_before_it_answers_is_triggered_without_a_dead_lock() {
    let _machine = machine_shared().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (camera, port) = (listener.local_addr().unwrap(), free_port().await);
    let setup = by_address()
        .with("COMPAT_PORT", &port.to_string())
        .with_snapshots(1, &format!("http://{camera}/capture"));
    let daemon = Daemon::start(&setup).await;
    let mut peers = JoinSet::new();
    peers.spawn(pushing_camera(listener, format!("http://127.0.0.1:{port}/upload")));
    for path in ["/trigger", "/trigger?camera=r1"] {
        let reply = daemon.send(Method::POST, path, None).await.unwrap();
        let said = reply.json();
        assert_eq!((reply.status, &said["success"]), (200, &true.into()), "{path}: {said}");
        let last = daemon.get("/last_image").await.json();
        assert_eq!(last["success"], true, "{last}");
        assert_eq!(daemon.get(said["url"].as_str().unwrap()).await.status, 200);
    }
}

/// Pushes pictures of its own until the daemon has gone, each once, and waits where it is asked to.
async fn device(url: String, numbers: std::ops::Range<usize>, kept: Arc<Mutex<BTreeMap<usize, String>>>) {
    let client = reqwest::Client::new();
    for number in numbers {
        while !kept.lock().unwrap().contains_key(&number) {
            let Ok(answer) = client.post(&url).body(picture(number)).send().await else { return };
            let status = answer.status().as_u16();
            let wait = answer.headers().get("retry-after").and_then(|wait| wait.to_str().ok()?.parse().ok());
            let Ok(body) = answer.bytes().await else { return };
            match (status, wait) {
                (200, _) => {
                    let said: Value = serde_json::from_slice(&body).unwrap();
                    kept.lock().unwrap().insert(number, said["filename"].as_str().unwrap().to_owned());
                }
                (429, Some(wait)) => tokio::time::sleep(Duration::from_secs(wait)).await,
                other => panic!("picture {number}: {other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_push_that_was_answered_200_is_stored_and_delivered_once_whatever_kills_the_program() {
    let _machine = machine_alone().await;
    let (rounds, devices) = (scale("ROUNDS", 3), 3);
    let each = usize::try_from(scale("PUSHES", 120)).unwrap().div_ceil(devices);
    let rounds_all = usize::try_from(rounds).unwrap();
    let receiver = Receiver::start().await;
    let setup = by_address().with("S3_API_URL", &receiver.url());
    let kept = Arc::new(Mutex::new(BTreeMap::new()));
    for round in 1..=rounds {
        let daemon = Daemon::start(&setup).await;
        let mut pushing = JoinSet::new();
        for n in 0..devices {
            let url = format!("{}/upload", daemon.address());
            pushing.spawn(device(url, n * each..(n + 1) * each, Arc::clone(&kept)));
        }
        let enough = usize::try_from(round).unwrap() * devices * each / (rounds_all + 1);
        while kept.lock().unwrap().len() < enough {
            tokio::time::sleep(Duration::from_micros(fastrand::u64(100..3000))).await;
        }
        daemon.kill9().await;
        while pushing.join_next().await.is_some() {}
    }
    let cut_off = devices * each - kept.lock().unwrap().len();
    let daemon = Daemon::start(&setup).await;
    let before: BTreeMap<_, _> = kept.lock().unwrap().clone();
    let url = format!("{}/upload", daemon.address());
    // Everything once more: what was answered before is known under the same name.
    let again = Arc::new(Mutex::new(BTreeMap::new()));
    device(url, 0..devices * each, Arc::clone(&again)).await;
    let again = again.lock().unwrap().clone();
    assert_eq!(again.len(), devices * each);
    for (number, name) in &before {
        assert_eq!(again.get(number), Some(name), "picture {number}");
    }
    daemon.wait_until_delivered(DELIVERY).await;
    let names: BTreeSet<_> = again.values().cloned().collect();
    assert_eq!(names.len(), devices * each, "each picture has a name of its own");
    assert_eq!(setup.pictures().keys().cloned().collect::<BTreeSet<_>>(), names, "files");
    receiver.check();
    assert_eq!(receiver.by_name().keys().cloned().collect::<BTreeSet<_>>(), names, "what was delivered");
    report(&format!(
        "{} pushes, {rounds} times SIGKILL: {} answered before the last, {cut_off} were not; all stored and delivered once",
        devices * each,
        before.len()
    ));
}
