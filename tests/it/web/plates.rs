//! What was read in pictures, in the API: lists, the search, corrections, and the server's state.

use camera_capture::clock;
use camera_capture::config::{Config, Env, WebAccess};
use camera_capture::model::{TextBox, TextRead, UnixMs};
use camera_capture::store::{AnalysisOutcome, Image, NewReading, Settlement};
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Dashboard, dashboard, password_hash, start_configured};

/// A dashboard with a server that is never asked, because no lane runs.
async fn reading() -> Dashboard {
    start_configured(WebAccess::Password, Some(password_hash()), |config| {
        let pairs = [
            ("ANALYSE_URL", "http://localhost:9/"),
            ("ANALYSE_TOKEN", "hunter2hunter2"),
            ("ANALYSE_WATCH", "AB12CD"),
            ("ANALYSE_PER_MONTH", "100"),
        ];
        config.analysis = Config::parse(&Env::from_pairs(pairs)).unwrap().0.analysis;
    })
    .await
}

/// A picture in which this was read.
async fn seen(dashboard: &Dashboard, second: i64, text: &str, score: f64) -> Image {
    let image = dashboard.record("r1", UnixMs(clock::now().0 - 3_600_000 + second * 1000)).await;
    let queue = dashboard.store.analyses();
    let due = queue.claim(clock::now()).await.unwrap().unwrap();
    let place = Some(TextBox { xmin: 4, ymin: 5, xmax: 40, ymax: 15 });
    let read = TextRead { text: text.to_owned(), score: Some(score), place };
    let readings = vec![NewReading { read, is_unsure: score < 0.8, watched: None }];
    let outcome = AnalysisOutcome::Read { readings, answer: "{}".to_owned(), at: clock::now() };
    queue.settle(&due, outcome, Vec::new(), Some(clock::now())).await.unwrap();
    image
}

fn reading_of(image: &Value) -> &Value {
    &image["analysis"]["readings"][0]
}

#[tokio::test]
async fn a_text_is_searched_for_and_each_reading_says_how_it_agrees() {
    let dashboard = reading().await;
    for (second, text) in [(0, "AB12CD"), (1, "A812CD"), (2, "AB12CD7"), (3, "XY99ZZ")] {
        seen(&dashboard, second, text, 0.9).await;
    }
    let browser = dashboard.browser().await;
    let found = browser.get("/api/images?text=ab-12+cd").await.json();
    let said: Vec<_> = found["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| {
            let reading = reading_of(image);
            (reading["text"].as_str().unwrap(), reading["match"].as_str().unwrap())
        })
        .collect();
    assert_eq!(said, [("AB12CD7", "prefix"), ("A812CD", "near"), ("AB12CD", "exact")]);
    let plain = browser.get("/api/images?limit=1").await.json();
    assert_eq!(reading_of(&plain["images"][0])["match"], Value::Null);
    assert_eq!(reading_of(&plain["images"][0])["box"], json!({"xmin": 4, "ymin": 5, "xmax": 40, "ymax": 15}));
    let page = browser.get("/api/images?text=AB12CD&page=2&per_page=2").await.json();
    assert_eq!(reading_of(&page["images"][0])["text"], "AB12CD");
    let refused = browser.get("/api/images?text=--").await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"));
}

#[tokio::test]
async fn a_person_corrects_a_reading_and_both_are_kept_with_who_it_was() {
    let dashboard = reading().await;
    let image = seen(&dashboard, 0, "A8l2CD", 0.4).await;
    let browser = dashboard.browser().await;
    let state = browser.get("/api/analysis").await.json();
    assert_eq!((&state["unsure"], &state["asked_this_month"]), (&json!(1), &json!(1)));
    assert_eq!(state["to_check"][0]["filename"], image.filename.to_string());
    assert_eq!(state["watch"][0]["text"], "AB12CD");
    assert!(state["watch"][0]["misreads"].as_array().unwrap().contains(&json!("A812CD")));
    let id = reading_of(&state["to_check"][0])["id"].as_i64().unwrap();
    let path = format!("/api/images/{}/readings/{id}", image.filename);
    for bad in [r#"{"text":"--"}"#.to_owned(), format!(r#"{{"text":"{}"}}"#, "A".repeat(99)), "{}".to_owned()]
    {
        assert_eq!(browser.post(&path, &bad).await.status, 400, "{bad}");
    }
    let corrected = browser.post(&path, r#"{"text":"AB 12 CD"}"#).await.json();
    let reading = reading_of(&corrected);
    assert_eq!((&reading["read"], &reading["corrected"]), (&json!("A8l2CD"), &json!("AB 12 CD")));
    assert_eq!((&reading["watched"], &reading["unsure"]), (&json!("AB12CD"), &json!(false)));
    assert!(reading["checked_by"].as_str().unwrap().starts_with("a person at 127.0.0.1"), "{reading}");
    let found = browser.get("/api/images?text=AB12CD").await.json();
    assert_eq!(reading_of(&found["images"][0])["match"], "exact");
    assert_eq!(browser.get("/api/analysis").await.json()["unsure"], 0);
    let gone = format!("/api/images/{}/readings/12345", image.filename);
    assert_eq!(browser.post(&gone, r#"{"text":"X"}"#).await.status, 404);
    let reader = browser.token("read").await;
    let bearer = format!("Bearer {reader}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let refused = dashboard.send(Method::POST, &path, &headers, r#"{"text":"X"}"#).await;
    assert_eq!(refused.status, 403, "a program that may only read corrects nothing");
}

#[tokio::test]
async fn a_picture_is_asked_about_on_demand_and_what_was_put_aside_once_more() {
    let dashboard = reading().await;
    let image = dashboard.record("r1", clock::now()).await;
    let browser = dashboard.browser().await;
    let queue = dashboard.store.analyses();
    let due = queue.claim(clock::now()).await.unwrap().unwrap();
    let dead = AnalysisOutcome::Failed(Settlement::Dead { error: "no hunter".into() });
    queue.settle(&due, dead, Vec::new(), None).await.unwrap();
    let state = browser.get("/api/analysis").await.json();
    assert_eq!((&state["dead"], &state["put_aside"][0]["analysis"]["state"]), (&json!(1), &json!("dead")));
    assert!(!state.to_string().contains("hunter2"));
    assert_eq!(browser.post("/api/analysis/retry", "").await.json(), json!({"owed": 1}));
    assert!(queue.claim(clock::now()).await.unwrap().is_some());
    let path = format!("/api/images/{}/analyse", image.filename);
    assert_eq!(browser.post(&path, "").await.json()["analysis"]["state"], "pending");
    let answer = format!("/api/images/{}/analysis", image.filename);
    assert_eq!(browser.get(&answer).await.json(), json!({"answer": null}));
    assert_eq!(browser.get("/api/images/r1_1.jpg/analysis").await.status, 404);
    assert_eq!(browser.get("/api/status").await.json()["analysis"], true);
}

#[tokio::test]
async fn a_watched_text_is_listed_until_somebody_says_it_was_seen() {
    let dashboard = reading().await;
    let image = dashboard.record("r1", clock::now()).await;
    let queue = dashboard.store.analyses();
    let due = queue.claim(clock::now()).await.unwrap().unwrap();
    let read = TextRead { text: "a812cd".to_owned(), score: Some(0.9), place: None };
    let readings = vec![NewReading { read, is_unsure: false, watched: Some("AB12CD".to_owned()) }];
    let outcome = AnalysisOutcome::Read { readings, answer: "{}".to_owned(), at: clock::now() };
    queue.settle(&due, outcome, Vec::new(), None).await.unwrap();
    let browser = dashboard.browser().await;
    let state = browser.get("/api/analysis").await.json();
    assert_eq!((&state["watched_unseen"], state["watched"].as_array().unwrap().len()), (&json!(1), 1));
    assert_eq!(state["watched"][0]["filename"], image.filename.to_string());
    let seen = json!({"up_to": state["watched_up_to"]}).to_string();
    let bearer = format!("Bearer {}", browser.token("read").await);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let refused = dashboard.send(Method::POST, "/api/analysis/seen", &headers, &seen).await;
    assert_eq!(refused.status, 403, "a program that may only read ends no alarm");
    let answer = browser.post("/api/analysis/seen", &seen).await.json();
    assert_eq!(answer, json!({"seen": 1, "unseen": 0}));
    let state = browser.get("/api/analysis").await.json();
    assert_eq!(
        (&state["watched_unseen"], &state["watched_up_to"], &state["watched"]),
        (&json!(0), &json!(null), &json!([]))
    );
    assert_eq!(browser.post("/api/analysis/seen", "{}").await.status, 400);
}

#[tokio::test]
async fn without_a_server_nothing_is_asked_and_that_is_said() {
    let dashboard = dashboard().await;
    let image = dashboard.record("r1", clock::now()).await;
    let browser = dashboard.browser().await;
    let refused = browser.post(&format!("/api/images/{}/analyse", image.filename), "").await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "analysis_off"));
    assert_eq!(browser.get("/api/analysis").await.json()["enabled"], false);
    let listed = browser.get("/api/images").await.json();
    assert_eq!(listed["images"][0]["analysis"], Value::Null);
}
