//! What happens while the server runs: simulated contacts, live events, beginning and ending.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use camera_capture::capture::Captures;
use camera_capture::config::WebAccess;
use camera_capture::gpio::Level;
use camera_capture::model::UnixMs;
use camera_capture::retention::RetentionTask;
use camera_capture::status::{Event, Status};
use camera_capture::storage::Guard;
use camera_capture::store::Store;
use camera_capture::web::{Parts, bind};

use super::harness::{config, dashboard, start};

const AT: UnixMs = UnixMs(1_698_765_432_250);

#[tokio::test]
async fn simulated_contacts_close_for_a_pulse_or_take_a_level() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    assert_eq!(browser.post("/api/gpio/sim/r2", r#"{"pulse_ms": 1}"#).await.status, 200);
    assert_eq!(browser.post("/api/gpio/sim/r1", r#"{"level": "low"}"#).await.json()["level"], "low");
    let done = dashboard.simulated.lock().unwrap().clone();
    assert_eq!(done, [(19, Level::Low), (19, Level::High), (18, Level::Low)]);
    for body in [
        "{}",
        r#"{"pulse_ms": 0}"#,
        r#"{"pulse_ms": 10001}"#,
        r#"{"level": "middle"}"#,
        r#"{"level": "low", "pulse_ms": 1}"#,
    ] {
        assert_eq!(browser.post("/api/gpio/sim/r1", body).await.status, 400, "{body}");
    }
    assert_eq!(browser.post("/api/gpio/sim/r9", r#"{"pulse_ms": 1}"#).await.status, 404);
}

#[tokio::test]
async fn changes_arrive_as_server_sent_events() {
    let dashboard = dashboard().await;
    let mut stream = dashboard.browser().await.stream().await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let image = dashboard.record("r1", AT).await;
    let mut text = String::new();
    let mut read_until = async |end: &str| {
        while !text.contains(end) {
            let chunk = stream.chunk().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        text.clone()
    };
    read_until("retry: ").await;
    dashboard.status.publish(Event::Image(Box::new(image)));
    dashboard.status.raise("storage", "full".to_owned());
    dashboard.status.publish(Event::Deleted(vec!["r1_1698765432.jpg".to_owned()]));
    let text = read_until("event: deleted\ndata: {\"filenames\":[\"r1_1698765432.jpg\"]}\n\n").await;
    assert!(text.contains("event: image\ndata: {"), "{text}");
    assert!(text.contains("event: alarms\ndata: {\"alarms\":["), "{text}");
}

#[tokio::test]
async fn a_seventeenth_stream_is_refused_until_one_ends() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(browser.stream().await);
    }
    assert!(streams.iter().all(|stream| stream.status() == 200));
    assert_eq!(browser.stream().await.status(), 503);
}

#[tokio::test]
async fn the_server_stops_soon_although_a_stream_is_open() {
    let mut dashboard = dashboard().await;
    let stream = dashboard.browser().await.stream().await;
    dashboard.cancel.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), &mut dashboard.server).await;
    assert!(ended.is_ok_and(|ended| ended.is_ok_and(|ended| ended.is_ok())));
    stream.text().await.unwrap();
}

/// Binds a second server to `addr`.
fn error_of_binding(dir: &Path, addr: std::net::SocketAddr, hash: Option<&str>) -> String {
    let mut config = config(dir, WebAccess::Password);
    config.web.bind = addr;
    config.web.password_hash = hash.map(|hash| camera_capture::config::Secret::new(hash.to_owned()));
    let store = Store::open(&config.storage.images, &config.storage.database, &[]).unwrap();
    let status = Status::new(&config);
    let guard = Guard::new(&store, &config.storage, &status);
    let (captures, _) = Captures::new(&config, &store, &guard, &status);
    let (_, retention) = RetentionTask::new(&store, &config.storage, &guard, &status);
    let parts = Parts {
        config: Arc::new(config),
        store,
        status,
        captures,
        retention,
        guard,
        sim: None,
        wake_uploads: Arc::new(|| {}),
        cancel: tokio_util::sync::CancellationToken::new(),
    };
    bind(parts).err().unwrap().to_string()
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_what_to_do() {
    let first = start(WebAccess::Password, None).await;
    let dir = tempfile::tempdir().unwrap();
    let error = error_of_binding(dir.path(), first.addr, None);
    assert!(error.contains(&first.addr.to_string()) && error.contains("BIND_PORT"), "{error}");
    let error = error_of_binding(dir.path(), "127.0.0.1:0".parse().unwrap(), Some("admin123"));
    assert!(error.contains("WEB_PASSWORD_HASH") && !error.contains("admin123"), "{error}");
}
