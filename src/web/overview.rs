//! How things stand: the status of every part, the counts, and whether the program is well.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::error::ApiError;
use super::uploads::Backlog;
use super::{State, json as shape, latency};
use crate::config::WebAccess;
use crate::model::{CameraKey, Level, Medium, UploadState};
use crate::status::AlarmKind;
use crate::store::{CameraTally, ImageQuery, Stats};

/// A database that has not answered by then is not well.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// So many failures are shown beside their number; the others are in the ledger.
const UNSEEN_SHOWN: u32 = 3;

pub(super) async fn status(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let stats = state.store.stats().await?;
    let mut cameras = Vec::new();
    for camera in state.status.cameras() {
        let mut value = shape::camera(&camera);
        value["latency"] = latency::shown(&state, &camera.key);
        value["last_image"] = last_image(&state, camera.key).await?;
        cameras.push(value);
    }
    let targets = state.status.targets().into_iter().map(|target| {
        let mut value = shape::target(&target);
        value["backlog"] = shape::backlog(&Backlog::of(&target, &stats, &state.config));
        value
    });
    let targets: Vec<Value> = targets.collect();
    let unseen = state.store.unseen(UNSEEN_SHOWN).await?;
    Ok(HttpResponse::Ok().json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": state.status.uptime().as_secs(),
        "online": state.status.is_online(),
        "gpio": shape::gpio(&state.status.gpio()),
        "simulated": state.sim.is_some(),
        "uploads": shape::uploads(|wanted| stats.in_state(wanted)),
        "storage": storage(&state, &stats),
        "targets": targets,
        "clock": shape::clock(&state.status.clock()),
        "failures": shape::failures(&unseen),
        "alarms": shape::alarms(&state.status.alarms()),
        "demo": state.config.web.access == WebAccess::Demo,
        "cameras": cameras,
    })))
}

/// The last picture; not a clip. From the store, so that it is right after a restart and after a deletion.
async fn last_image(state: &State, camera: CameraKey) -> Result<Value, ApiError> {
    let medium = Some(Medium::Jpeg);
    let query = ImageQuery { camera: Some(camera), medium, limit: 1, ..ImageQuery::default() };
    let page = state.store.images(query).await?;
    Ok(page.items.first().map_or(Value::Null, shape::last_image))
}

fn storage(state: &State, stats: &Stats) -> Value {
    let mut value = shape::storage(&state.status.storage(), state.guard.wear());
    value["used_bytes"] = json!(stats.used_bytes());
    value["free_bytes"] = json!(stats.free_bytes);
    value["total_bytes"] = json!(stats.total_bytes);
    value["max_bytes"] = json!(state.config.storage.max_bytes);
    value["retention_days"] = json!(state.config.storage.retention_days);
    value
}

pub(super) async fn stats(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let stats = state.store.stats().await?;
    let total = stats.cameras.values().fold(CameraTally::default(), |sum, tally| CameraTally {
        captured: sum.captured + tally.captured,
        coalesced: sum.coalesced + tally.coalesced,
        failed: sum.failed + tally.failed,
        images: sum.images + tally.images,
        bytes: sum.bytes + tally.bytes,
    });
    let mut cameras: serde_json::Map<String, Value> =
        stats.cameras.iter().map(|(key, tally)| (key.clone(), shape::tally(tally))).collect();
    // A camera that has done nothing yet is there too.
    for camera in &state.config.cameras {
        let nothing = || shape::tally(&CameraTally::default());
        cameras.entry(camera.key.as_str().to_owned()).or_insert_with(nothing);
    }
    let by_target: serde_json::Map<String, Value> = stats
        .uploads
        .iter()
        .map(|(target, states)| (target.as_str().to_owned(), shape::uploads(|wanted| count(states, wanted))))
        .collect();
    let backlog: serde_json::Map<String, Value> = state
        .status
        .targets()
        .iter()
        .map(|target| {
            let backlog = Backlog::of(target, &stats, &state.config);
            (target.kind.as_str().to_owned(), shape::backlog(&backlog))
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "total": shape::tally(&total),
        "cameras": cameras,
        "uploads": {
            "total": shape::uploads(|wanted| stats.in_state(wanted)), "targets": by_target, "backlog": backlog,
        },
        "storage": storage(&state, &stats),
    })))
}

fn count(states: &[(UploadState, u64)], wanted: UploadState) -> u64 {
    states.iter().filter(|(state, _)| *state == wanted).map(|(_, n)| n).sum()
}

/// For monitors: whether the program can do its work, and no more than the names of the parts that cannot and the codes
/// of their alarms.
pub(super) async fn health(state: web::Data<State>) -> HttpResponse {
    let alarms = state.status.alarms();
    let raised = |wanted: &[AlarmKind]| -> Vec<&str> {
        alarms
            .iter()
            .map(|alarm| &alarm.kind)
            .filter(|kind| wanted.contains(kind))
            .map(AlarmKind::code)
            .collect()
    };
    let mut failing = Vec::new();
    let answers = matches!(tokio::time::timeout(PING_TIMEOUT, state.store.ping()).await, Ok(Ok(())));
    let late = raised(&[AlarmKind::LedgerLate]);
    if !answers || !late.is_empty() {
        failing.push("database");
    }
    let is_full = state.status.storage().level == Level::Full;
    let mut unstored = raised(&[AlarmKind::PicturesUnstored, AlarmKind::PicturesAway]);
    if is_full {
        unstored.extend(raised(&[AlarmKind::DiskShort]));
    }
    if is_full || !unstored.is_empty() {
        failing.push("storage");
    }
    if failing.is_empty() {
        HttpResponse::Ok().json(json!({"status": "ok"}))
    } else {
        let alarms = [late, unstored].concat();
        HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE)
            .json(json!({"status": "failing", "failing": failing, "alarms": alarms}))
    }
}
