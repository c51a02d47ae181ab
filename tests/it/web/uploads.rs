//! The queue as a whole in the API: what waits, and what was put aside.

use camera_capture::clock;
use camera_capture::model::{TargetId, UnixMs, UploadState};
use camera_capture::store::{LaneTurn, Settlement, Wake};
use serde_json::{Value, json};

use super::harness::{Dashboard, dashboard};

/// Records pictures of three hours ago, a second apart, and lets the target refuse the first `dead` of them.
async fn with_dead(count: i64, dead: usize, words: &str) -> Dashboard {
    let dashboard = dashboard().await;
    let first = clock::now().plus_ms(-3 * 3_600_000);
    for n in 0..count {
        dashboard.record("r1", first.plus_ms(n * 1000)).await;
    }
    let now = UnixMs(clock::now().0);
    let claim = dashboard.store.queue(TargetId::API).claim(now, dead, LaneTurn::default()).await.unwrap();
    for upload in claim.uploads {
        let refused = Settlement::Dead { error: words.into() };
        assert!(dashboard.store.queue(upload.target).settle(&upload, refused).await.unwrap());
    }
    dashboard
}

#[tokio::test]
async fn the_backlog_is_told_by_target_in_status_stats_and_metrics() {
    let dashboard = with_dead(3, 1, "no").await;
    dashboard.status.update_target(TargetId::API, |target| {
        for _ in 0..7 {
            target.pace.add(std::time::Instant::now(), 300_000);
        }
    });
    let browser = dashboard.browser().await;
    let status = browser.get("/api/status").await.json();
    let backlog = &status["targets"][0]["backlog"];
    assert_eq!(
        (&backlog["pending"], &backlog["parallel"], &backlog["window"]),
        (&json!(2), &json!(1), &Value::Null)
    );
    let age = backlog["oldest_age_s"].as_i64().unwrap();
    assert!((3 * 3600 - 1..3 * 3600 + 60).contains(&age), "{backlog}");
    // Seven in less than the shortest time that is reckoned with, ten seconds.
    assert!((30.0..=42.0).contains(&backlog["pictures_per_minute"].as_f64().unwrap()), "{backlog}");
    assert!((2..=4).contains(&backlog["drained_in_s"].as_i64().unwrap()), "{backlog}");
    assert_eq!(status["targets"][0]["paused_by"], Value::Null);
    let stats = browser.get("/api/stats").await.json();
    assert_eq!(stats["uploads"]["backlog"]["api"]["pending"], 2);
    let metrics = String::from_utf8(browser.get("/metrics").await.body).unwrap();
    for line in [
        "upload_oldest_seconds{target=\"api\"} 10",
        "upload_drain_seconds{target=\"api\"} ",
        "target_paused{target=\"api\"} 0\n",
    ] {
        assert!(metrics.contains(&format!("camera_capture_{line}")), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn what_was_put_aside_is_listed_in_pages_and_given_out_as_a_table_that_runs_nothing() {
    let words = "=1+1 \"said\", the server";
    let dashboard = with_dead(7, 5, words).await;
    let browser = dashboard.browser().await;
    let mut names = Vec::new();
    let mut path = "/api/uploads/dead?limit=2&target=api".to_owned();
    loop {
        let page = browser.get(&path).await.json();
        let items = page["uploads"].as_array().unwrap().clone();
        assert!(items.len() <= 2);
        for item in &items {
            assert_eq!((&item["last_error"], &item["attempts"]), (&json!(words), &json!(1)));
            assert!(item["tried_at"].is_string());
            assert_eq!(item["label"], "HTTP API");
        }
        names.extend(items.iter().map(|item| item["filename"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/uploads/dead?limit=2&target=api&cursor={cursor}");
    }
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    sorted.reverse();
    assert_eq!((names.len(), &names), (5, &sorted), "each once, newest first");

    let table = browser.get("/api/uploads/dead?format=csv").await;
    assert_eq!((table.status, table.header("content-type")), (200, "text/csv; charset=utf-8"));
    assert!(table.header("content-disposition").starts_with("attachment"));
    let text = String::from_utf8(table.body).unwrap();
    let lines: Vec<_> = text.split("\r\n").collect();
    assert_eq!((lines.len(), lines[6]), (7, ""));
    assert_eq!(lines[0], "filename,camera,taken_at,bytes,target,attempts,tried_at,error");
    for (line, name) in lines[1..6].iter().zip(&names) {
        assert!(line.starts_with(&format!("\"{name}\",\"r1\",")), "{line}");
        assert!(line.ends_with(",\"'=1+1 \"\"said\"\", the server\""), "{line}");
    }
    for query in ["format=xml", "target=ftp", "cursor=1", "limit=0", "state=dead"] {
        assert_eq!(browser.get(&format!("/api/uploads/dead?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_long_table_comes_whole_in_pieces() {
    let dashboard = with_dead(1, 1, "no").await;
    let sql = rusqlite::Connection::open(dashboard.dir.path().join("camera-capture.db")).unwrap();
    sql.execute_batch(
        "pragma synchronous = off;
         with recursive n(i) as (select 2 union all select i + 1 from n where i < 1700)
         insert into images (id, uid, camera, file_name, path, cause, taken_at, width, height, bytes, sha256)
             select i, randomblob(16), 'r1', 'r1_' || (1800000000 + i) || '.jpg', 'p' || i, 'gpio', i, 1, 1, 1, zeroblob(32)
             from n;
         insert into uploads (image_id, target, state, camera, taken_at)
             select id, 'api', 'dead', 'r1', taken_at from images where id > 1;",
    )
    .unwrap();
    let browser = dashboard.browser().await;
    let text = String::from_utf8(browser.get("/api/uploads/dead?format=csv").await.body).unwrap();
    assert_eq!(text.lines().count(), 1 + 1700);
    let answer = browser.post("/api/uploads/retry", r#"{"state": "dead"}"#).await;
    assert_eq!(answer.json(), json!({"owed_again": 1700}));
    let stats = dashboard.store.stats().await.unwrap();
    assert_eq!((stats.in_state(UploadState::Dead), stats.in_state(UploadState::Pending)), (0, 1700));
}

#[tokio::test]
async fn everything_that_was_put_aside_is_owed_again_at_one_wish() {
    let dashboard = with_dead(4, 3, "no").await;
    let mut waking = dashboard.store.wakes().of(TargetId::API);
    let browser = dashboard.browser().await;
    for (body, status) in [
        (r#"{"state": "lost"}"#, 400),
        (r#"{"target": "api"}"#, 400),
        (r#"{"state": "dead", "target": "ftp"}"#, 400),
        (r#"{"state": "dead", "shoe": 1}"#, 400),
    ] {
        assert_eq!(browser.post("/api/uploads/retry", body).await.status, status, "{body}");
    }
    let answer = browser.post("/api/uploads/retry", r#"{"state": "dead", "target": "api"}"#).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"owed_again": 3})));
    assert_eq!(waking.next().await, Wake::Person, "the lane is woken");
    assert_eq!(browser.get("/api/stats").await.json()["uploads"]["targets"]["api"]["pending"], 4);
    assert_eq!(browser.get("/api/uploads/dead").await.json(), json!({"uploads": [], "next_cursor": null}));
    let again = browser.post("/api/uploads/retry", r#"{"state": "dead"}"#).await;
    assert_eq!(again.json(), json!({"owed_again": 0}));
}
