//! The API's description: what stands in the file, and whether it is true.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use camera_capture::gpio::Level;
use camera_capture::model::{Cause, Moment, Outcome, TargetId, TargetKind, Trigger, UnixMs};
use camera_capture::status::{AlarmKind, ClockStep, LineState};
use camera_capture::store::{LaneTurn, Settlement};
use camera_capture::web::openapi;
use camera_capture::web::routes::{Access, ROUTES};
use serde_json::Value;

use super::harness::{dashboard, key};
use super::live::Events;
use super::shapes::{compare, description};

/// Rewrite the file with `BLESS=1 cargo test --test it description_is_made`, and look at what has changed.
#[test]
fn the_description_is_made_of_the_table_of_routes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/openapi.json");
    let made = openapi::document();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    let differs = made.lines().zip(kept.lines()).position(|(made, kept)| made != kept);
    assert!(
        made == kept,
        "web/openapi.json is not what the table says, from line {:?} on; BLESS=1 rewrites it",
        differs.map(|line| line + 1)
    );
}

#[tokio::test]
async fn the_description_names_every_route_and_is_served_as_it_is() {
    let mut described = BTreeSet::new();
    for (path, methods) in description()["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let is_public = operation["security"].as_array().is_some_and(Vec::is_empty);
            described.insert((path.clone(), method.to_uppercase(), is_public));
        }
    }
    let served: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| {
            (
                route.path.to_owned(),
                route.method.to_string(),
                matches!(route.access, Access::Public | Access::Link),
            )
        })
        .collect();
    assert_eq!(described, served);
    let answer = dashboard().await.browser().await.get("/api/openapi.json").await;
    assert_eq!(answer.body, include_bytes!("../../../web/openapi.json"));
}

#[test]
fn every_example_is_as_its_schema_says() {
    fn walk(value: &'static Value, at: &str, count: &mut usize) {
        match value {
            Value::Object(fields) => {
                if let (Some(example), Some(schema)) = (fields.get("example"), fields.get("schema")) {
                    let mut faults = Vec::new();
                    compare(schema, example, "", &mut faults);
                    assert_eq!(faults, [""; 0], "{at}");
                    *count += 1;
                }
                fields.iter().for_each(|(name, value)| walk(value, &format!("{at}/{name}"), count));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, at, count)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut count = 0;
    walk(description(), "", &mut count);
    assert!(count > 30, "{count} examples");
}

#[test]
fn every_target_is_as_described_and_a_new_kind_does_not_change_the_description() {
    let pattern = description()["components"]["schemas"]["TargetId"]["pattern"].as_str().unwrap();
    let pattern = regex_lite::Regex::new(pattern).unwrap();
    for kind in TargetKind::ALL {
        for id in (0..=99).filter_map(|number| TargetId::new(kind, number)) {
            assert!(pattern.is_match(id.as_str()), "{id}");
        }
        assert!(!pattern.as_str().contains(kind.as_str()), "{kind}");
    }
    assert!(!pattern.is_match("api_1") && !pattern.is_match("API"));
}

#[tokio::test]
async fn an_empty_parameter_counts_as_none_and_is_described_so() {
    let site = dashboard().await;
    let browser = site.browser().await;
    for path in ["/api/images", "/api/events", "/api/uploads/dead"] {
        let mut empty = Vec::new();
        for parameter in description()["paths"][path]["get"]["parameters"].as_array().unwrap() {
            assert_eq!(parameter["allowEmptyValue"], true, "{path} {parameter}");
            empty.push(format!("{}=", parameter["name"].as_str().unwrap()));
        }
        assert_eq!(browser.get(&format!("{path}?{}", empty.join("&"))).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_cursor_is_taken_exactly_if_it_is_as_described() {
    let site = dashboard().await;
    let browser = site.browser().await;
    for path in ["/api/images", "/api/events"] {
        let parameters = description()["paths"][path]["get"]["parameters"].as_array().unwrap();
        let cursor = parameters.iter().find(|parameter| parameter["name"] == "cursor").unwrap();
        let pattern = regex_lite::Regex::new(cursor["schema"]["pattern"].as_str().unwrap()).unwrap();
        let mut taken = 0;
        for text in [
            "1795176000250.1204",
            "-1.-2",
            "0.0",
            "999999999999999999.1",
            "1000000000000000000.1",
            "%2B1.1",
            "1.%2B1",
            "1",
            "1.",
            ".1",
            "-.1",
            "--1.1",
            "1.1.1",
            "1.x",
            "1.1%20",
        ] {
            let meant = text.replace("%2B", "+").replace("%20", " ");
            let status = browser.get(&format!("{path}?cursor={text}")).await.status;
            assert_eq!(status == 200, pattern.is_match(&meant), "{path} {meant}: {status}");
            taken += usize::from(status == 200);
        }
        assert_eq!(taken, 4, "{path}");
    }
}

#[test]
fn every_name_in_a_path_is_described_and_no_other() {
    for (path, methods) in description()["paths"].as_object().unwrap() {
        let names = |text: &str| {
            let parts = text.split('{').skip(1).filter_map(|part| part.split('}').next());
            parts.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        for operation in methods.as_object().unwrap().values() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let in_path = parameters.filter(|one| one["in"] == "path");
            let described: BTreeSet<_> =
                in_path.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
            assert_eq!(names(path), described, "{path}");
        }
    }
}

#[tokio::test]
async fn every_event_is_as_described() {
    let dashboard = dashboard().await;
    let browser = dashboard.browser().await;
    let mut events = Events::of(&browser).await;
    let (store, status) = (&dashboard.store, &dashboard.status);
    let at = UnixMs(1_698_765_432_250);
    let image = dashboard.record("r1", at).await;
    events.next("image").await;
    store.protect(&image.filename, true).await.unwrap();
    events.next("changed").await;
    store.protect(&image.filename, false).await.unwrap();
    let due = store.queue(TargetId::API).claim(at, 1, LaneTurn::default()).await.unwrap().uploads;
    store.queue(due[0].target).settle(&due[0], Settlement::Delivered { at }).await.unwrap();
    events.next("upload").await;
    store.delete_image(&image.filename, true).await.unwrap();
    events.next("deleted").await;
    let edge = Moment { at: Instant::now(), wall: at };
    let trigger = Trigger { camera: key("r1"), cause: Cause::Gpio, edge, device: None };
    let failed = store.triggers().end(&trigger, Outcome::Failed, "nothing listens").await.unwrap();
    events.next("trigger").await;
    store.see_failures(failed, at).await.unwrap();
    events.next("seen").await;
    let line = LineState {
        pin: 17,
        camera: key("r1"),
        level: Some(Level::Low),
        active: true,
        last_edge: Some(at),
        edges: 2,
        bounces: 1,
    };
    status.update_lines(|| vec![line]);
    status.update_gpio(|gpio| gpio.error = Some("no chip".to_owned()));
    events.next("contacts").await;
    status.update_camera(&key("r1"), |camera| camera.last_error = Some("no route".into()));
    events.next("camera").await;
    status.update_target(TargetId::API, |target| target.last_error = Some("no answer".into()));
    events.next("connectivity").await;
    status.update_clock(|clock| clock.last_step = Some(ClockStep { at, moved_ms: -2 }));
    events.next("clock").await;
    status.update_storage(|storage| storage.evicted = 3);
    events.next("storage").await;
    let alarm = status.alarm(AlarmKind::PicturesUnstored);
    alarm.raise("full".to_owned());
    events.next("alarms").await;
}
