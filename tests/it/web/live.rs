//! What happens while the server runs: simulated contacts, live events, beginning and ending.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use camera_capture::capture::{Captures, Pushes};
use camera_capture::clock;
use camera_capture::config::WebAccess;
use camera_capture::disk::DiskGuard;
use camera_capture::disk::retention::RetentionTask;
use camera_capture::gpio::Level;
use camera_capture::ingest::Door;
use camera_capture::model::{
    AlarmText, Because, CameraFault, Cause, Moment, Outcome, RoomLack, RoomText, TargetId, Trigger, UnixMs,
    UploadFault,
};
use camera_capture::status::{AlarmKind, Status};
use camera_capture::store::{AttemptEnd, LaneTurn, Settlement, Store};
use camera_capture::web::{Parts, bind};

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Browser, config, dashboard, key, start};
use super::shapes::faults_of_event;

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
    let mut text = String::new();
    let mut read_until = async |end: &str| {
        while !text.contains(end) {
            let chunk = stream.chunk().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        text.clone()
    };
    read_until("retry: ").await;
    let image = dashboard.record("r1", AT).await;
    read_until("event: image\ndata: {").await;
    let alarm = dashboard.status.alarm(AlarmKind::PicturesUnstored);
    alarm.raise("full".to_owned());
    read_until("event: alarms\ndata: {\"alarms\":[").await;
    dashboard.store.delete_image(&image.filename, true).await.unwrap();
    let text = read_until("event: deleted\ndata: {\"filenames\":[\"r1_1698765432.jpg\"]}\n\n").await;
    assert_eq!(text.matches("event: trigger\n").count(), 1, "not before it has ended: {text}");
}

/// The data of each event of a stream, from where it was read last.
pub(crate) struct Events {
    stream: reqwest::Response,
    text: String,
}

impl Events {
    pub(crate) async fn of(browser: &Browser) -> Self {
        let mut events = Self { stream: browser.stream().await, text: String::new() };
        events.next("beat").await;
        events
    }

    /// The next event of this name, which is as described; those before it are left out.
    pub(crate) async fn next(&mut self, name: &str) -> Value {
        let begin = format!("event: {name}\ndata: ");
        loop {
            if let Some((_, rest)) = self.text.split_once(&begin)
                && let Some((data, rest)) = rest.split_once("\n\n")
            {
                let data = serde_json::from_str(data).unwrap();
                assert_eq!(faults_of_event("/api/stream", name, &data), [""; 0], "{name}: {data}");
                self.text = rest.to_owned();
                return data;
            }
            let chunk = self.stream.chunk().await.unwrap().expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn a_second_dashboard_hears_what_another_does_and_how_a_delivery_went() {
    let dashboard = dashboard().await;
    let (browser, other) = (dashboard.browser().await, dashboard.browser().await);
    let image = dashboard.record("r1", AT).await;
    let path = format!("/api/images/{}", image.filename);
    let mut events = Events::of(&other).await;

    assert_eq!(browser.post(&format!("{path}/protect"), r#"{"protected": true}"#).await.status, 200);
    let changed = events.next("changed").await;
    assert_eq!((&changed["filename"], &changed["protected"]), (&json!(image.filename), &json!(true)));
    assert_eq!(browser.post(&format!("{path}/protect"), r#"{"protected": false}"#).await.status, 200);
    assert_eq!(events.next("changed").await["protected"], false);

    let now = clock::now();
    let due = dashboard.store.queue(TargetId::API).claim(now, 1, LaneTurn::default()).await.unwrap().uploads;
    let later = UnixMs(now.0 + 60_000);
    let settle = async |settlement, answer: &str| {
        let end = AttemptEnd { row: due[0].row(), settlement, answer: Some(answer.to_owned()) };
        let settled = dashboard.store.queue(due[0].target).settle_all(vec![end]).await.unwrap();
        assert_eq!(settled, [true]);
    };
    let busy = UploadFault::Answered { status: 429, words: "busy".to_owned() };
    settle(Settlement::Retry { not_before: later, error: busy }, "429: busy").await;
    let expected = |state: &str, attempts: u32| {
        json!({
            "filename": image.filename, "target": "api", "label": "HTTP API", "state": state, "attempts": attempts,
            "error": "answered 429: busy", "last_error": "answered 429: busy", "last_error_code": "answered",
            "last_error_params": {"status": 429, "words": "busy"}, "answer": "429: busy", "delivered_at": null,
            "next_attempt_at": null,
        })
    };
    let mut waits = expected("pending", 1);
    waits["next_attempt_at"] = json!(later.rfc3339());
    assert_eq!(events.next("upload").await, waits);
    assert_eq!(browser.post(&format!("{path}/retry"), "").await.status, 200);
    assert_eq!(events.next("upload").await, expected("pending", 1), "asked for again, and no attempt");
    settle(Settlement::Delivered { at: AT }, "200: stored").await;
    let mut delivered = expected("delivered", 2);
    delivered["delivered_at"] = json!(AT.rfc3339());
    delivered["error"] = Value::Null;
    delivered["answer"] = json!("200: stored");
    assert_eq!(events.next("upload").await, delivered, "the instant is the server's");
    let shown = browser.get("/api/images").await.json()["images"][0]["uploads"][0].clone();
    assert!(shown.as_object().unwrap().iter().all(|(name, value)| delivered[name] == *value), "{shown}");

    assert_eq!(browser.change(Method::DELETE, &path, "").await.status, 204);
    assert_eq!(events.next("deleted").await, json!({"filenames": [image.filename]}));
}

#[tokio::test]
async fn many_changes_at_once_are_one_wish_to_read_anew() {
    let dashboard = dashboard().await;
    for n in 0..130 {
        dashboard.record("r1", AT.plus_ms(n * 1000)).await;
    }
    let browser = dashboard.browser().await;
    let mut events = Events::of(&browser).await;
    let sql = "update uploads set state = 'dead'";
    rusqlite::Connection::open(dashboard.dir.path().join("camera-capture.db"))
        .unwrap()
        .execute(sql, [])
        .unwrap();
    assert_eq!(dashboard.store.retry_dead(None).await.unwrap(), 130);
    assert_eq!(events.next("resync").await, json!({"missed": 0}));
}

#[tokio::test]
async fn a_stream_beats_at_once_and_every_ten_seconds() {
    let dashboard = dashboard().await;
    let mut stream = dashboard.browser().await.stream().await;
    let mut text = String::new();
    let began = std::time::Instant::now();
    while text.matches("event: beat\ndata: {\"now\":\"").count() < 2 {
        text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    let took = began.elapsed();
    assert!((9..15).contains(&took.as_secs()), "two beats took {took:?}");
}

#[tokio::test]
async fn why_a_camera_or_a_target_is_away_is_told_by_code_too() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let mut events = Events::of(&browser).await;
    let address = "10.0.0.7:554".to_owned();
    dashboard.status.update_camera(&key("r1"), |camera| {
        camera.last_error = Some(CameraFault::NoRoute { address });
    });
    let camera = events.next("camera").await;
    assert_eq!(
        (&camera["last_error_code"], &camera["last_error_params"]),
        (&json!("no_route"), &json!({"address": "10.0.0.7:554"}))
    );
    assert!(camera["last_error"].as_str().unwrap().contains("no route; check cable"), "{camera}");
    dashboard.status.update_target(TargetId::API, |target| {
        target.last_error = Some(UploadFault::HopSilent { hop: "gate.example:443".to_owned(), proxy: None });
    });
    let target = events.next("connectivity").await;
    assert_eq!(
        (&target["last_error"], &target["last_error_code"], &target["last_error_params"]),
        (
            &json!("gate.example:443 does not answer"),
            &json!("hop_silent"),
            &json!({"hop": "gate.example:443", "proxy": null})
        )
    );
}

#[tokio::test]
async fn an_alarm_says_what_it_is_for_people_and_for_programs() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let full = dashboard.status.alarm(AlarmKind::DiskShort);
    let lack = RoomLack::Bytes { free: 0, total: 33_554_432 };
    full.raise(AlarmText::DiskShort { cause: Because::new(RoomText::RoomFull { lack, held: None }) });
    let status = browser.get("/api/status").await.json();
    let alarm = &status["alarms"][0];
    assert_eq!(alarm["code"], "disk_short");
    assert_eq!(alarm["severity"], "critical");
    let words = "the disk is full: 0 B of 33.5 MB are free, and the last of it is for the ledger";
    assert_eq!(alarm["message"], words);
    let params = json!({"lack": {"of": "bytes", "free": 0, "total": 33_554_432}, "held": null});
    let cause = json!({"code": "room_full", "params": params, "text": words});
    assert_eq!((&alarm["args"]["what"], &alarm["args"]["cause"]), (&json!("disk_short"), &cause));
    assert_eq!(alarm["action"]["code"], "make_room");
    assert!(alarm["args"].is_object() && alarm["action"]["text"].is_string() && alarm["since"].is_string());
}

#[tokio::test]
async fn failures_are_news_for_everyone_until_a_person_has_seen_them() {
    let dashboard = dashboard().await;
    let (browser, other) = (dashboard.browser().await, dashboard.browser().await);
    let trigger = Trigger {
        camera: key("r1"),
        cause: Cause::Gpio,
        edge: Moment { at: std::time::Instant::now(), wall: AT },
        device: None,
    };
    let id = dashboard.store.triggers().end(&trigger, Outcome::Failed, "nothing listens").await.unwrap();
    let failures = browser.get("/api/status").await.json()["failures"].clone();
    assert_eq!((&failures["unseen"], &failures["newest"][0]["id"]), (&1.into(), &id.get().into()));
    assert_eq!(failures["newest"][0]["reason"], "nothing listens");
    let mut stream = other.stream().await;
    let body = format!("{{\"up_to\": {}}}", id.get());
    for wrong in ["{}", r#"{"up_to": "x"}"#, r#"{"up_to": 1, "more": 2}"#] {
        assert_eq!(browser.post("/api/events/seen", wrong).await.status, 400, "{wrong}");
    }
    let mut stranger = browser.clone();
    stranger.csrf = String::new();
    assert_eq!(stranger.post("/api/events/seen", &body).await.status, 403);
    assert_eq!(dashboard.send(Method::POST, "/api/events/seen", &[], &body).await.status, 401);
    let answer = browser.post("/api/events/seen", &body).await;
    assert_eq!(answer.json(), serde_json::json!({"seen": 1, "unseen": 0}));
    let mut text = String::new();
    let told = format!("event: seen\ndata: {{\"unseen\":0,\"up_to\":{}}}\n\n", id.get());
    while !text.contains(&told) {
        text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    let failures = other.get("/api/status").await.json()["failures"].clone();
    assert_eq!(failures, serde_json::json!({"unseen": 0, "newest": []}));
    assert!(other.get("/api/events").await.json()["events"][0]["seen_at"].is_string());
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
    let guard = DiskGuard::new(store.intake(), &config.storage, &status);
    let (captures, _) = Captures::new(&config, &store, &guard, &status);
    let (pushes, _) = Pushes::new(&config, &store, &guard);
    let door = Arc::new(Door::new(&config.ingest));
    let (_, retention) = RetentionTask::new(store.retention(), &config.storage, &guard, &status);
    let parts = Parts {
        config: Arc::new(config),
        store: store.catalog(),
        access: store.access(),
        status,
        captures,
        pushes,
        door,
        analysis: None,
        retention,
        guard,
        sim: None,
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
