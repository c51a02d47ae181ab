//! The camera that is set up over the network, under the whole program: what many viewers cost, what captures notice of
//! them, and that no token is written down.

use std::time::{Duration, SystemTime};

use camera_capture::media::jpeg;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::support::daemon::Daemon;
use crate::support::setup::Setup;
use crate::support::snapshot::{PLAIN, SnapshotPeer};
use crate::support::stream_camera::{StreamCamera, StreamModel};
use crate::support::{machine_alone, machine_shared, percentile, report, wait_until};
use crate::web::harness::grey;
use crate::web::streaming::{jwt, soon};

const SECRET: &str = "canary-secret-of-the-tokens-0123456789";

/// Longest until something that must happen soon has happened, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(30);

/// Bytes of a picture, as an ESP32-CAM has them at 640x480.
const PADDING: usize = 20_000;

/// Edges of contacts, each way.
const EDGES: usize = 11;

fn setup() -> Setup {
    Setup::new()
        .with("CAMERA_4_STREAMING", "true")
        .with("CAMERA_4_NAME", "stream")
        .with("STREAM_ALLOW", "127.0.0.0/8")
        .with("STREAM_REQUESTS_PER_MINUTE", "6000")
        // One edge after the other counts.
        .with("GPIO_BOUNCE_TIME", "1")
        .with("JWT_SECRET", SECRET)
}

fn token() -> String {
    jwt(&json!({"sub": "u", "exp": soon()}), SECRET)
}

/// Where the dashboard is, such as `127.0.0.1:40000`.
fn place(daemon: &Daemon) -> String {
    let address = daemon.lines().after("dashboard: ").unwrap();
    address.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

async fn set_up(place: &str, camera: &StreamCamera) {
    let wish = json!({"ip_address": camera.address.ip().to_string(), "port": camera.address.port()});
    let request = reqwest::Client::new().post(format!("http://{place}/streaming/setup-camera"));
    let answer = request
        .bearer_auth(token())
        .header("content-type", "application/json")
        .body(wish.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

/// S2.9: a token may stand in the address of a WebSocket, and is found nowhere afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_or_ticket_in_an_address_is_in_no_log_at_its_most_talkative() {
    let _machine = machine_shared().await;
    let model = StreamModel { has_stream: true, ..StreamModel::default() };
    let camera = StreamCamera::start(model, jpeg::encode_plain(&grey(64, 48)).unwrap()).await;
    let daemon = Daemon::start(&setup().with("LOG_LEVEL", "trace")).await;
    let place = place(&daemon);
    set_up(&place, &camera).await;
    let good = token();
    let ws = format!("ws://{place}/streaming/ws-stream");
    let (mut open, _) = tokio_tungstenite::connect_async(format!("{ws}?token={good}")).await.unwrap();
    let seen = async { while !matches!(open.next().await, Some(Ok(Message::Text(_)))) {} };
    tokio::time::timeout(SOON, seen).await.expect("a picture comes");
    for wrong in ["?token=canary-wrong-token", "?sig=canary-wrong-ticket", "?token=canary.of.three"] {
        assert!(tokio_tungstenite::connect_async(format!("{ws}{wrong}")).await.is_err(), "{wrong}");
    }
    drop(open);
    let (_, lines) = daemon.terminate().await;
    let text = lines.text();
    assert!(text.contains("live view begun"), "the log says who looks: {text}");
    let signature = good.rsplit('.').next().unwrap();
    for secret in ["canary", good.as_str(), signature] {
        let shown: Vec<_> = text.lines().filter(|line| line.contains(secret)).collect();
        assert!(shown.is_empty(), "{secret} is shown in {shown:#?}");
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

async fn level(daemon: &Daemon, level: &str) {
    let reply = daemon.send(Method::POST, "/api/gpio/sim/r1", Some(json!({"level": level}))).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Closes a contact so often, one after the other, and says how long each picture took from the edge to its file, ms.
async fn edges(daemon: &Daemon) -> Vec<u64> {
    let before = daemon.lines().captured().len();
    for n in 1..=EDGES {
        level(daemon, "low").await;
        wait_until("a picture of the contact is stored", SOON, async || {
            let stored = daemon.lines().captured().len() - before;
            if stored >= n { Ok(()) } else { Err(format!("{stored} of {n}")) }
        })
        .await;
        level(daemon, "high").await;
        wait_until("the contact is open for long enough not to bounce", SOON, async || {
            let status: Value = serde_json::from_slice(&daemon.get("/api/gpio/status").await.body).unwrap();
            let line = &status["lines"][0];
            let since = now_ms() - line["last_edge_ms"].as_i64().unwrap();
            if line["active"] == false && since > 100 { Ok(()) } else { Err(line.to_string()) }
        })
        .await;
    }
    daemon.lines().captured()[before..].iter().map(|captured| captured.total_ms).collect()
}

/// S2.3, S2.8, S2.9: what fifty `<img>` and twenty WebSockets before one camera cost, and what the pictures of another
/// camera's contact notice of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seventy_viewers_take_little_memory_and_captures_go_on() {
    let _machine = machine_alone().await;
    let contact = SnapshotPeer::start(PLAIN, "x").await;
    let model = StreamModel { has_stream: true, padding: PADDING, ..StreamModel::default() };
    let camera = StreamCamera::start(model, jpeg::encode_plain(&grey(640, 480)).unwrap()).await;
    let daemon = Daemon::start_connected(&setup().with_snapshots(1, &contact.url()), &["r1"]).await;
    let place = place(&daemon);
    set_up(&place, &camera).await;
    let quiet = edges(&daemon).await;
    let (idle, _) = daemon.rss_kib();

    let (counted, mut shown) = tokio::sync::watch::channel(vec![0_usize; 70]);
    let mut viewers = JoinSet::new();
    for n in 0..70_usize {
        let (place, counted) = (place.clone(), counted.clone());
        // Nothing is looked for in what comes: the viewers share the machine with what they measure.
        let count = move |bytes: usize| counted.send_modify(|all| all[n] += bytes);
        viewers.spawn(async move {
            if n < 50 {
                let request = reqwest::Client::new().get(format!("http://{place}/streaming/stream"));
                let mut answer = request.bearer_auth(token()).send().await.unwrap();
                assert_eq!(answer.status(), 200);
                while let Ok(Some(chunk)) = answer.chunk().await {
                    count(chunk.len());
                }
            } else {
                let url = format!("ws://{place}/streaming/ws-stream?token={}", token());
                let (mut open, _) = tokio_tungstenite::connect_async(url).await.unwrap();
                while let Some(Ok(message)) = open.next().await {
                    count(message.len());
                }
            }
        });
    }
    let all_see = shown.wait_for(|all| all.iter().all(|bytes| *bytes > 2 * PADDING));
    tokio::time::timeout(SOON, all_see).await.expect("all see pictures").unwrap();
    assert_eq!(camera.asked("/stream"), 1, "over one connection");
    let (began, processor, bytes) = (Instant::now(), daemon.cpu_time(), shown.borrow().iter().sum::<usize>());
    let watched = edges(&daemon).await;
    let taken = began.elapsed().as_secs_f64();
    let share = (daemon.cpu_time() - processor).as_secs_f64() / taken;
    let rate = (shown.borrow().iter().sum::<usize>() - bytes) as f64 / taken / 1e6;
    let (_, peak) = daemon.rss_kib();
    viewers.shutdown().await;
    let (quiet, watched) = (percentile(&quiet, 50), percentile(&watched, 50));
    report(&format!(
        "e2e_streaming: 70 viewers, {rate:.1} MB/s: {:.0} % of a core, {} MiB at most ({} MiB before); \
         edge to file {watched} ms in the median, {quiet} ms without them (ratio {:.2})",
        share * 100.0,
        peak / 1024,
        idle / 1024,
        watched as f64 / quiet.max(1) as f64,
    ));
    assert!(peak - idle < 64 * 1024, "{idle} KiB before, {peak} KiB at most");
    assert!(watched < 4 * quiet + 1000, "{quiet} ms without viewers, {watched} ms with them");
}
