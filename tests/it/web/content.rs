//! What is served to those who may have it.

use camera_capture::model::{Cause, Moment, NoPicture, Outcome, RoomLevel, Trigger, UnixMs};
use camera_capture::status::AlarmKind;
use camera_capture::store::{LaneTurn, Settlement};
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{dashboard, grey, key, raw};

const AT: UnixMs = UnixMs(1_698_765_432_250);

#[tokio::test]
async fn pages_and_their_assets_are_served_and_revalidated() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/login", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/page/words.js", "text/javascript; charset=utf-8"),
        ("/live.js", "text/javascript; charset=utf-8"),
        ("/latency?camera=r1", "text/html; charset=utf-8"),
        ("/latency.js", "text/javascript; charset=utf-8"),
        ("/login.js", "text/javascript; charset=utf-8"),
        ("/app.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{path}");
        let again = browser.get_with(path, &[("if-none-match", answer.header("etag"))]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    let nothing = browser.get("/page/nothing.js").await;
    assert_eq!((nothing.status, nothing.code().as_str()), (404, "not_found"));
}

#[tokio::test]
async fn a_measured_latency_is_taken_over_shown_and_forgotten() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let in_status = async || browser.get("/api/status").await.json()["cameras"][0]["latency"].clone();
    assert_eq!(in_status().await, json!({"ms": 0, "from": "unknown"}));
    for wrong in [r#"{"latency_ms":2001}"#, r#"{"latency_ms":-1}"#, r#"{"latency_ms":1,"x":2}"#] {
        assert_eq!(browser.post("/api/latency/r1", wrong).await.status, 400, "{wrong}");
    }
    let answer = browser.post("/api/latency/r1", r#"{"latency_ms":142}"#).await;
    let latency = json!({"ms": 142, "from": "measured"});
    assert_eq!((answer.status, answer.json()["latency"].clone()), (200, latency.clone()));
    assert_eq!(in_status().await, latency);
    assert_eq!(dashboard.store.measured_latency(&key("r1")).await.unwrap(), Some(142));
    let known = browser.get("/api/latency/r1").await.json();
    assert_eq!((&known["latency"], &known["variable"]), (&latency, &json!("CAMERA_1_LATENCY_MS")));
    assert!(known["clock_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(browser.post("/api/latency/r1", r#"{"latency_ms":null}"#).await.status, 200);
    assert_eq!(in_status().await, json!({"ms": 0, "from": "unknown"}));
    assert_eq!(dashboard.store.measured_latency(&key("r1")).await.unwrap(), None);
    assert_eq!(browser.post("/api/latency/r9", r#"{"latency_ms":1}"#).await.status, 404);
}

#[tokio::test]
async fn a_picture_is_listed_with_everything_the_contract_names() {
    let dashboard = dashboard().await;
    let image = dashboard.record("r1", AT).await;
    let page = dashboard.browser().await.get("/api/images").await.json();
    let expected = json!({
        "id": image.facts.id.to_string(),
        "filename": "r1_1698765432.jpg",
        "media_type": "image/jpeg",
        "kind": "instant",
        "note": null,
        "duration_ms": null,
        "camera": "r1",
        "taken_at": "2023-10-31T15:17:12.238Z",
        "taken_at_ms": 1_698_765_432_238_i64,
        "clock": "unsynced",
        "cause": "gpio",
        "device": null,
        "own_name": null,
        "device_time": null,
        "analysis": null, "first_id": null,
        "frame_offset_ms": -12,
        "width": 64,
        "height": 48,
        "bytes": image.bytes,
        "sha256": camera_capture::model::hex(&image.sha256),
        "protected": false,
        "uploads": [
            {"target": "api", "label": "HTTP API", "state": "pending", "attempts": 0, "last_error": null, "last_error_code": null,
             "last_error_params": null, "answer": null, "delivered_at": null, "next_attempt_at": null},
        ],
    });
    let list =
        json!({"images": [expected], "next_cursor": null, "page": null, "per_page": null, "total": null});
    assert_eq!(page, list);
}

#[tokio::test]
async fn lists_are_filtered_and_paged_without_gaps_or_repeats() {
    let dashboard = dashboard().await;
    for n in 0..7 {
        dashboard.record(if n % 2 == 0 { "r1" } else { "r2" }, AT.plus_ms(n * 1000)).await;
    }
    let browser = dashboard.browser().await;
    for (list, items) in [("/api/images", "images"), ("/api/events", "events")] {
        let mut seen = Vec::new();
        let mut path = format!("{list}?limit=3");
        loop {
            let page = browser.get(&path).await.json();
            seen.extend(page[items].as_array().unwrap().iter().map(|item| item["id"].clone()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("{list}?limit=3&cursor={cursor}");
        }
        let all = browser.get(list).await.json();
        let all: Vec<_> = all[items].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
        assert_eq!((seen.len(), &seen), (7, &all));
    }
    let count = async |query: &str| {
        let page = browser.get(&format!("/api/images?{query}")).await.json();
        page["images"].as_array().unwrap().len()
    };
    assert_eq!(count("camera=r2").await, 3);
    assert_eq!(count("camera=r9").await, 0);
    assert_eq!(count("state=pending").await, 7);
    assert_eq!(count("state=dead").await, 0);
    assert_eq!(count("from=2023-10-31T15:17:14Z").await, 5);
    assert_eq!(count("from=2023-10-31T15:17:14Z&to=1698765435000").await, 1);
    for query in
        ["limit=0", "limit=x", "state=lost&state=dead", "camera=../x", "from=noon", "cursor=1", "shoe=1"]
    {
        assert_eq!(browser.get(&format!("/api/images?{query}")).await.status, 400, "{query}");
    }
}

/// S4.11
#[tokio::test]
async fn pages_by_number_are_the_same_list_and_end_where_it_ends() {
    let dashboard = dashboard().await;
    for n in 0..7 {
        dashboard.record(if n % 2 == 0 { "r1" } else { "r2" }, AT.plus_ms(n * 1000)).await;
    }
    let browser = dashboard.browser().await;
    let ids = |page: &Value| {
        page["images"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect::<Vec<_>>()
    };
    let all = ids(&browser.get("/api/images").await.json());
    for (query, expected) in [
        ("page=1&per_page=3", &all[..3]),
        ("page=2&per_page=3", &all[3..6]),
        ("page=3&per_page=3", &all[6..]),
        ("page=4&per_page=3", &[]),
        ("page=9&per_page=3", &[]),
        ("page=1", &all[..]),
        ("per_page=2", &all[..2]),
    ] {
        let page = browser.get(&format!("/api/images?{query}")).await.json();
        assert_eq!(ids(&page), expected, "{query}");
    }
    let of_one = browser.get("/api/images?page=1&per_page=20&camera=r1").await.json();
    assert_eq!(ids(&of_one).len(), 4);
    let numbers = |page: &Value| ["page", "per_page", "total"].map(|name| page[name].as_u64());
    assert_eq!(numbers(&of_one), [Some(1), Some(20), Some(4)]);
    let third = browser.get("/api/images?page=3&per_page=3").await.json();
    assert_eq!(numbers(&third), [Some(3), Some(3), Some(7)]);
    assert_eq!(numbers(&browser.get("/api/images").await.json()), [None; 3], "a cursor has no number");
    for query in ["page=0", "page=x", "page=201", "page=4294967295", "per_page=0", "per_page=201"] {
        assert_eq!(browser.get(&format!("/api/images?{query}")).await.status, 400, "{query}");
    }
    let words = browser.get("/api/images?page=201").await.json()["error"]["message"].clone();
    assert!(words.as_str().unwrap().contains("cursor"), "{words}");
    assert_eq!(ids(&browser.get("/api/images?page=200&per_page=200").await.json()), [] as [Value; 0]);
}

#[tokio::test]
async fn the_ledger_shows_failures_with_their_reason_and_open_triggers() {
    let dashboard = dashboard().await;
    let trigger = |ms| Trigger {
        camera: key("r1"),
        cause: Cause::Gpio,
        edge: Moment { at: std::time::Instant::now(), wall: AT.plus_ms(ms) },
        device: None,
    };
    dashboard.record("r1", AT).await;
    let failed = dashboard.store.triggers().begin(&trigger(1000)).await.unwrap();
    dashboard.store.triggers().fail(failed, "the camera was away").await.unwrap();
    let busy = NoPicture::Busy { waiting: 8 };
    dashboard.store.triggers().end(&trigger(500), Outcome::Coalesced, busy).await.unwrap();
    dashboard.store.triggers().begin(&trigger(2000)).await.unwrap();
    let browser = dashboard.browser().await;
    let events = browser.get("/api/events").await.json()["events"].clone();
    let told: Vec<_> = (0..4).map(|n| (&events[n]["outcome"], &events[n]["reason"])).collect();
    let null = &Value::Null;
    assert_eq!(
        told,
        [
            (null, null),
            (&json!("failed"), &json!("the camera was away")),
            (&json!("coalesced"), &json!("8 captures of this camera are already waiting")),
            (&json!("captured"), null)
        ]
    );
    let typed: Vec<_> = (0..4).map(|n| (&events[n]["reason_code"], &events[n]["reason_params"])).collect();
    let (none, busy, waiting) = (json!({}), json!("busy"), json!({"waiting": 8}));
    assert_eq!(typed, [(null, null), (null, &none), (&busy, &waiting), (null, null)], "for programs");
    assert_eq!(events[3]["images"][0]["filename"], "r1_1698765432.jpg");
    let failures = browser.get("/api/events?outcome=failed").await.json();
    assert_eq!(failures["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_picture_is_served_whole_in_part_and_not_twice() {
    let dashboard = dashboard().await;
    let image = dashboard.record_frame("r1", AT, grey(640, 480)).await;
    let browser = dashboard.browser().await;
    let path = "/api/images/r1_1698765432.jpg";
    let on_disk = std::fs::read(dashboard.store.path_of(&image)).unwrap();
    let whole = browser.get(path).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "image/jpeg"));
    assert_eq!(whole.body, on_disk);
    assert_eq!(whole.header("cache-control"), "private, no-cache");
    assert!(whole.header("content-security-policy").contains("sandbox"));
    let etag = whole.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", camera_capture::model::hex(&image.sha256)));
    assert_eq!(browser.get_with(path, &[("if-none-match", &etag)]).await.status, 304);
    assert_eq!(browser.get_with(path, &[("if-none-match", "\"other\"")]).await.status, 200);

    let part = browser.get_with(path, &[("range", "bytes=2-11")]).await;
    assert_eq!((part.status, part.body.as_slice()), (206, &on_disk[2..12]));
    assert_eq!(part.header("content-range"), format!("bytes 2-11/{}", on_disk.len()));
    let end = browser.get_with(path, &[("range", "bytes=-2")]).await;
    assert_eq!((end.status, end.body.as_slice()), (206, &[0xff, 0xd9][..]));
    let beyond = browser.get_with(path, &[("range", "bytes=99999999-")]).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", on_disk.len()));
    let stale = browser.get_with(path, &[("range", "bytes=2-11"), ("if-range", "\"other\"")]).await;
    assert_eq!((stale.status, stale.body.len()), (200, on_disk.len()));

    let thumbnail = browser.get(&format!("{path}?thumb=1")).await;
    assert_eq!(thumbnail.status, 200);
    assert_ne!(thumbnail.header("etag"), etag);
    let (width, _) = camera_capture::media::jpeg::inspect(&thumbnail.body).unwrap();
    assert_eq!(width, 320);
}

#[tokio::test]
async fn a_clip_is_served_as_video_in_ranges_with_its_poster() {
    let dashboard = dashboard().await;
    dashboard.record("r1", AT).await;
    let poster = b"\xff\xd8poster\xff\xd9";
    let clip = dashboard.record_clip("r1", AT, poster).await;
    let browser = dashboard.browser().await;
    let path = "/api/images/r1_1698765432.mp4";
    let on_disk = std::fs::read(dashboard.store.path_of(&clip)).unwrap();
    let whole = browser.get(path).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "video/mp4"));
    assert_eq!((whole.header("accept-ranges"), &whole.body), ("bytes", &on_disk));
    let policy = whole.header("content-security-policy");
    assert!(
        policy.contains("media-src 'self'") && !policy.contains("sandbox"),
        "it could not be played: {policy}"
    );
    let etag = whole.header("etag").to_owned();
    assert_eq!(browser.get_with(path, &[("if-none-match", &etag)]).await.status, 304);
    let part = browser.get_with(path, &[("range", "bytes=4-7"), ("if-range", &etag)]).await;
    assert_eq!((part.status, part.body.as_slice()), (206, &b"ftyp"[..]));
    assert_eq!(part.header("content-type"), "video/mp4");
    let thumbnail = browser.get(&format!("{path}?thumb=1")).await;
    assert_eq!((thumbnail.header("content-type"), thumbnail.body.as_slice()), ("image/jpeg", &poster[..]));
    assert_ne!(thumbnail.header("etag"), etag);

    let listed = browser.get("/api/images?media_type=video/mp4").await.json()["images"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let told = ["media_type", "kind", "note", "duration_ms", "frame_offset_ms"].map(|name| &listed[0][name]);
    assert_eq!(told, [&json!("video/mp4"), &json!("clip"), &json!("shortened"), &json!(80), &json!(-3000)]);
    let event = browser.get("/api/events").await.json()["events"][0].clone();
    let kinds: Vec<_> =
        event["images"].as_array().unwrap().iter().map(|image| image["kind"].clone()).collect();
    assert_eq!((event["remark"].clone(), kinds), (Value::Null, vec![json!("instant"), json!("clip")]));
    let status = browser.get("/api/status").await.json();
    assert_eq!(status["cameras"][0]["last_image"]["filename"], "r1_1698765432.jpg", "a picture, not a clip");
    assert_eq!(browser.change(Method::DELETE, &format!("{path}?force=true"), "").await.status, 204);
    assert_eq!(browser.get(path).await.status, 404);
    assert_eq!(browser.get("/api/images/r1_1698765432.jpg").await.status, 200);
}

#[tokio::test]
async fn a_clip_without_a_poster_has_no_small_version_and_says_so() {
    let dashboard = dashboard().await;
    dashboard.record("r1", AT).await;
    dashboard.record_clip("r1", AT, b"").await;
    let answer = dashboard.browser().await.get("/api/images/r1_1698765432.mp4?thumb=1").await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "no_thumbnail"));
}

#[tokio::test]
async fn no_path_reaches_a_file_that_is_no_picture() {
    let dashboard = dashboard().await;
    let image = dashboard.record("r1", AT).await;
    let linked = dashboard.record("r2", AT).await;
    let secret = dashboard.dir.path().join("secret.txt");
    std::fs::write(&secret, "TOP-SECRET").unwrap();
    for name in ["r1_1698765499.jpg", "r1_1698765499.mp4"] {
        std::fs::write(dashboard.store.root().join(name), "TOP-SECRET").unwrap();
    }
    let link = dashboard.store.path_of(&linked);
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    let browser = dashboard.browser().await;
    let headers = format!("Host: {}\r\nCookie: {}\r\n", dashboard.addr, browser.cookie);
    let relative = image.path.to_string_lossy().into_owned();
    let long = "a".repeat(300);
    for name in [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e%2fsecret.txt",
        "%252e%252e%252fsecret.txt",
        "..%5csecret.txt",
        "..\\secret.txt",
        "....//secret.txt",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "//etc/passwd",
        "r1_1698765432.jpg%00",
        "r1_1698765432.jpg%00.txt",
        "r1_1698765432.jpg/../../secret.txt",
        "r1_1698765432.jpg%2f..%2f..%2fsecret.txt",
        "r1_1698765432.JPG",
        "R1_1698765432.jpg",
        " r1_1698765432.jpg",
        "r1_1698765432.part",
        "r1_1698765432.MP4",
        "r1_1698765432.mp4",
        "r1_1698765432.mp4?thumb=1",
        "r1_1698765499.mp4",
        "../secret.mp4",
        "..%2fsecret.mp4",
        "r1_1698765432.mp4%00",
        "r1_1698765432.mp4%00.jpg",
        "r1_1698765432.jpg.mp4",
        "r1_1698765432.mp4/../../secret.txt",
        "r1_1698765499.jpg",
        "r2_1698765432.jpg",
        "r2_1698765432.jpg?thumb=1",
        ".",
        "..",
        "%",
        "%ff%fe",
        relative.as_str(),
        long.as_str(),
    ] {
        let target = format!("/api/images/{name}");
        let answer = raw(dashboard.addr, target.as_bytes(), &headers).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "404" | "400"), "{name}: {answer}");
        assert!(!answer.contains("TOP-SECRET") && !answer.contains("root:"), "{name}: {answer}");
    }
    let answer = raw(dashboard.addr, b"/api/images/r1_\x001698765432.jpg", &headers).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(browser.get("/api/images/r1_1698765432.jpg").await.status, 200);
}

#[tokio::test]
async fn pictures_that_are_owed_or_protected_are_not_deleted_by_mistake() {
    let dashboard = dashboard().await;
    let image = dashboard.record("r1", AT).await;
    let file = dashboard.store.path_of(&image);
    let browser = dashboard.browser().await;
    let path = "/api/images/r1_1698765432.jpg";
    let protect = format!("{path}/protect");
    assert_eq!(browser.change(Method::DELETE, path, "").await.code(), "upload_owed");
    let answer = browser.post(&protect, r#"{"protected": true}"#).await;
    assert_eq!(answer.json()["protected"], true);
    let forced = format!("{path}?force=true");
    assert_eq!(browser.change(Method::DELETE, &forced, "").await.code(), "protected");
    assert!(file.exists());
    browser.post(&protect, r#"{"protected": false}"#).await;
    assert_eq!(browser.change(Method::DELETE, &forced, "").await.status, 204);
    assert!(!file.exists());
    assert_eq!(browser.get(path).await.status, 404);
    assert_eq!(browser.change(Method::DELETE, path, "").await.status, 404);
    assert_eq!(browser.post(&protect, r#"{"protected": true}"#).await.status, 404);
}

#[tokio::test]
async fn what_was_put_aside_is_owed_again_at_a_wish() {
    let dashboard = dashboard().await;
    dashboard.record("r1", AT).await;
    let now = camera_capture::clock::now();
    let target = camera_capture::model::TargetId::API;
    let due = dashboard.store.queue(target).claim(now, 1, LaneTurn::default()).await.unwrap().uploads;
    let refused = Settlement::Dead { error: "422 no plate found".into() };
    dashboard.store.queue(due[0].target).settle(&due[0], refused).await.unwrap();
    let browser = dashboard.browser().await;
    let listed = browser.get("/api/images?state=dead").await.json();
    assert_eq!(listed["images"][0]["uploads"][0]["last_error"], "422 no plate found");
    let answer = browser.post("/api/images/r1_1698765432.jpg/retry", "").await;
    assert_eq!(answer.json()["uploads"][0]["state"], "pending");
}

#[tokio::test]
async fn the_status_shows_each_part_and_the_last_picture_after_a_restart() {
    let dashboard = dashboard().await;
    dashboard.record("r1", AT).await;
    let full = dashboard.status.alarm(AlarmKind::PicturesUnstored);
    full.raise("the disk is full; free some space".to_owned());
    let browser = dashboard.browser().await;
    let status = browser.get("/api/status").await.json();
    assert_eq!(status["cameras"][0]["key"], "r1");
    assert_eq!(status["cameras"][0]["state"], "connecting");
    assert_eq!(status["cameras"][0]["last_image"]["url"], "/api/images/r1_1698765432.jpg");
    assert_eq!(status["cameras"][1]["last_image"], Value::Null);
    assert_eq!(status["cameras"][2]["state"], "disabled");
    assert_eq!(status["uploads"]["pending"], 1);
    assert_eq!(status["demo"], false);
    assert_eq!(status["alarms"][0]["message"], "the disk is full; free some space");
    assert!(status["storage"]["free_bytes"].as_u64().unwrap() > 0);
    let stats = browser.get("/api/stats").await.json();
    assert_eq!(stats["total"]["captured"], 1);
    assert_eq!(stats["cameras"]["r2"]["captured"], 0);
    assert_eq!(stats["uploads"]["targets"]["api"]["pending"], 1);
    let metrics = String::from_utf8(browser.get("/metrics").await.body).unwrap();
    assert!(metrics.contains("camera_capture_triggers_total{camera=\"r1\",outcome=\"captured\"} 1\n"));
}

#[tokio::test]
async fn health_names_failing_parts_and_nothing_else() {
    let dashboard = dashboard().await;
    let health = async || {
        let answer = dashboard.send(Method::GET, "/health", &[], "").await;
        (answer.status, answer.json())
    };
    assert_eq!(health().await, (200, json!({"status": "ok", "received": null})));
    // Neither on a disk that is away nor in a ledger that cannot be written are pictures kept.
    for (kind, failing, code) in [
        (AlarmKind::PicturesUnstored, "storage", "pictures_unstored"),
        (AlarmKind::PicturesAway, "storage", "away"),
        (AlarmKind::LedgerLate, "database", "ledger_late"),
    ] {
        let alarm = dashboard.status.alarm(kind);
        alarm.raise("secret path /mnt/card is full".to_owned());
        let said = json!({"status": "failing", "failing": [failing], "alarms": [code]});
        assert_eq!(health().await, (503, said));
        alarm.clear();
        assert_eq!(health().await, (200, json!({"status": "ok", "received": null})));
    }
    let other = dashboard.status.alarm(AlarmKind::BackupFailed);
    other.raise("no copy".to_owned());
    assert_eq!(health().await.0, 200, "pictures are taken and kept");
}

#[tokio::test]
async fn captures_of_unknown_and_disabled_cameras_are_refused_in_words() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let answer = browser.post("/api/capture/r9", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    let answer = browser.post("/api/capture/r3", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "disabled"));
    assert_eq!(browser.get("/api/snapshot/r3").await.status, 409);
    assert_eq!(browser.get("/api/snapshot/..%2fr1").await.status, 404);
}

#[tokio::test]
async fn a_retention_run_reports_what_it_did() {
    let dashboard = dashboard().await;
    dashboard.record("r1", AT).await;
    let report = dashboard.browser().await.post("/api/cleanup/run", "").await.json();
    assert_eq!(report["deleted"], 0);
    assert_eq!(report["kept"], json!({"owed": 1, "dead": 0, "protected": 0}));
}

#[tokio::test]
async fn a_dry_run_is_a_preview_and_a_body_that_is_not_understood_deletes_nothing() {
    let dashboard = dashboard().await;
    dashboard.record("r1", AT).await;
    let browser = dashboard.browser().await;
    let preview = browser.post("/api/cleanup/run", r#"{"dry_run": true}"#).await.json();
    assert_eq!((&preview["dry_run"], &preview["deleted"]), (&json!(true), &json!(0)));
    assert_eq!(preview["held"]["owed"]["api"]["images"], 1);
    assert_eq!(preview["reasons"]["age"], json!({"images": 0, "bytes": 0}));
    for body in [r#"{"dry_run": 1}"#, r#"{"dryrun": true}"#, "{"] {
        let answer = browser.post("/api/cleanup/run", body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{body}");
    }
    assert_eq!(browser.post("/api/cleanup/run", "{}").await.json()["dry_run"], false);
}

#[tokio::test]
async fn the_status_the_stream_and_the_metrics_tell_how_the_disk_stands_and_health_fails_when_it_is_full() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let mut stream = browser.stream().await;
    dashboard.status.update_storage(|storage| {
        storage.level = RoomLevel::Full;
        storage.message = Some("secret path /mnt/card is full".to_owned());
        storage.evicted = 3;
    });
    let mut seen = String::new();
    while !seen.contains("event: storage\n") {
        seen += std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap();
    }
    for path in ["/api/status", "/api/stats"] {
        let storage = browser.get(path).await.json()["storage"].clone();
        assert_eq!((&storage["level"], &storage["evicted"]["images"]), (&json!("full"), &json!(3)), "{path}");
        assert!(storage["total_bytes"].as_u64().unwrap() > 0, "{path}");
    }
    let metrics = String::from_utf8(browser.get("/metrics").await.body).unwrap();
    for line in
        ["storage_level{level=\"full\"} 1", "storage_level{level=\"good\"} 0", "evicted_images_total 3"]
    {
        assert!(metrics.contains(&format!("camera_capture_{line}\n")), "{line}: {metrics}");
    }
    let health = dashboard.send(Method::GET, "/health", &[], "").await;
    let said = json!({"status": "failing", "failing": ["storage"], "alarms": []});
    assert_eq!((health.status, health.json()), (503, said), "the guard raises its alarm, and is not there");
}
