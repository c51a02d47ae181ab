//! How things stand: the status of every part, the counts, and whether the program is well.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::error::ApiError;
use super::uploads::Backlog;
use super::view::camera::CameraAndImage;
use super::view::health::{Healthy, Unhealthy};
use super::view::image::LastImage;
use super::view::receiver::{Brought, DeviceView, ReceiverView, RefusedKept};
use super::view::status::{AlarmView, StatsView, StatusView, Tally, UploadStats};
use super::view::storage::{StorageAndUse, StorageView};
use super::view::target::{BacklogView, TargetAndBacklog};
use super::view::upload::UploadCounts;
use super::{State, guard, ingest, latency};
use crate::config::{DeviceConfig, WebAccess};
use crate::model::{CameraKey, Medium, RoomLevel, UploadState};
use crate::status::AlarmKind;
use crate::store::{CameraTally, DeviceTally, ImageQuery, RefusedCount, Stats};

/// A database that has not answered by then is not well.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// So many failures are shown beside their number; the others are in the ledger.
const UNSEEN_SHOWN: u32 = 3;

pub(super) async fn status(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let stats = state.store.stats().await?;
    let mut cameras = Vec::new();
    for camera in state.status.cameras() {
        cameras.push(CameraAndImage {
            latency: latency::shown(&state, &camera.key),
            last_image: last_image(&state, camera.key.clone()).await?,
            camera: camera.into(),
        });
    }
    let targets = state.status.targets().into_iter().map(|target| TargetAndBacklog {
        backlog: (&Backlog::of(&target, &stats, &state.config)).into(),
        target: target.into(),
    });
    let targets = targets.collect();
    let unseen = state.store.unseen(UNSEEN_SHOWN).await?;
    let devices = devices(&state, &stats).await?;
    Ok(HttpResponse::Ok().json(StatusView {
        version: env!("CARGO_PKG_VERSION"),
        uptime: state.status.uptime().as_secs(),
        online: state.status.is_online(),
        gpio: state.status.gpio().into(),
        simulated: state.sim.is_some(),
        uploads: UploadCounts::of(|wanted| stats.in_state(wanted)),
        storage: storage(&state, &stats),
        targets,
        clock: (&state.status.clock()).into(),
        failures: unseen.into(),
        alarms: state.status.alarms().into_iter().map(AlarmView::from).collect(),
        demo: state.config.web.access == WebAccess::Demo,
        cameras,
        receiver: receiver(&state, &devices).await,
        display: state.status.display().map(Into::into),
        devices,
        analysis: state.analysis.is_some(),
    }))
}

/// The devices as configured, each with what it has brought.
async fn devices(state: &State, stats: &Stats) -> Result<Vec<DeviceView>, ApiError> {
    let mut counts = state.pushes.counts();
    let mut devices = Vec::new();
    for device in &state.config.ingest.devices {
        let count = counts.remove(&device.name).unwrap_or_default();
        let DeviceTally { pushed, delivered } =
            stats.devices.get(device.name.as_str()).copied().unwrap_or_default();
        devices.push(DeviceView {
            name: device.name.to_string(),
            camera: device.key().clone(),
            ways: ways(device),
            brought: Brought::by_all([&count].into_iter()),
            stored_in_all: pushed,
            sent_on: delivered,
            last_image: last_pushed(state, device).await?,
            last_refusal: count.last_refusal.map(Into::into),
        });
    }
    Ok(devices)
}

fn ways(device: &DeviceConfig) -> Vec<&'static str> {
    let all = [
        (device.token.is_some(), "http_token"),
        (!device.addresses.is_empty(), "http_address"),
        (device.ftp.is_some(), "ftp"),
        (device.folder.is_some(), "folder"),
    ];
    all.into_iter().filter(|(has, _)| *has).map(|(_, way)| way).collect()
}

/// The last picture that a device has brought.
async fn last_pushed(state: &State, device: &DeviceConfig) -> Result<Option<LastImage>, ApiError> {
    let (device, medium) = (Some(device.name.clone()), Some(Medium::Jpeg));
    let query = ImageQuery { device, medium, limit: 1, ..ImageQuery::default() };
    let page = state.store.images(query).await?;
    Ok(page.items.into_iter().next().map(LastImage::from))
}

async fn refused_kept(state: &State) -> Option<RefusedKept> {
    let (folder, RefusedCount { pictures, bytes }) = state.guard.refused().await?;
    let place = ingest::absolute(folder.place()).await;
    Some(RefusedKept { pictures, bytes, bytes_max: folder.bytes_max(), place })
}

async fn receiver(state: &State, devices: &[DeviceView]) -> ReceiverView {
    let sum = |count: fn(&DeviceView) -> u64| devices.iter().map(count).sum();
    ReceiverView {
        received: sum(|device| device.brought.stored + device.brought.known),
        stored: sum(|device| device.stored_in_all),
        sent_on: sum(|device| device.sent_on),
        place: ingest::absolute(state.store.root().to_owned()).await,
        refused_kept: refused_kept(state).await,
        ftp_port: state.config.ingest.ftp.as_ref().map(|ftp| ftp.port),
    }
}

/// The last picture; not a clip. From the store, so that it is right after a restart and after a deletion.
async fn last_image(state: &State, camera: CameraKey) -> Result<Option<LastImage>, ApiError> {
    let medium = Some(Medium::Jpeg);
    let query = ImageQuery { camera: Some(camera), medium, limit: 1, ..ImageQuery::default() };
    let page = state.store.images(query).await?;
    Ok(page.items.into_iter().next().map(LastImage::from))
}

fn storage(state: &State, stats: &Stats) -> StorageAndUse {
    StorageAndUse {
        disk: StorageView::of(state.status.storage(), state.guard.wear()),
        used_bytes: stats.used_bytes(),
        free_bytes: stats.free_bytes,
        total_bytes: stats.total_bytes,
        max_bytes: state.config.storage.max_bytes,
        retention_days: state.config.storage.retention_days,
    }
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
    let mut cameras: BTreeMap<String, Tally> =
        stats.cameras.iter().map(|(key, tally)| (key.clone(), tally.into())).collect();
    // A camera that has done nothing yet is there too.
    for camera in &state.config.cameras {
        let nothing = || Tally::from(&CameraTally::default());
        cameras.entry(camera.key.as_str().to_owned()).or_insert_with(nothing);
    }
    let targets = stats
        .uploads
        .iter()
        .map(|(target, states)| (target.as_str(), UploadCounts::of(|wanted| count(states, wanted))));
    let targets = targets.collect();
    let backlog = state.status.targets();
    let backlog = backlog
        .iter()
        .map(|target| (target.id.as_str(), BacklogView::from(&Backlog::of(target, &stats, &state.config))));
    let backlog = backlog.collect();
    let uploads = UploadStats { total: UploadCounts::of(|wanted| stats.in_state(wanted)), targets, backlog };
    let storage = storage(&state, &stats);
    Ok(HttpResponse::Ok().json(StatsView { total: (&total).into(), cameras, uploads, storage }))
}

fn count(states: &[(UploadState, u64)], wanted: UploadState) -> u64 {
    states.iter().filter(|(state, _)| *state == wanted).map(|(_, n)| n).sum()
}

/// For monitors: whether the program can do its work, and no more than the names of the parts that cannot and the codes
/// of their alarms; for those who may look, what devices have brought.
pub(super) async fn health(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let alarms = state.status.alarms();
    let raised = |wanted: &[AlarmKind]| -> Vec<&'static str> {
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
    let is_full = state.status.storage().level == RoomLevel::Full;
    let mut unstored = raised(&[AlarmKind::PicturesUnstored, AlarmKind::PicturesAway]);
    if is_full {
        unstored.extend(raised(&[AlarmKind::DiskShort]));
    }
    if is_full || !unstored.is_empty() {
        failing.push("storage");
    }
    if failing.is_empty() {
        let may_look = guard::principal(&request).await.is_ok_and(|principal| principal.is_some());
        let received = may_look.then(|| Brought::by_all(state.pushes.counts().values()));
        HttpResponse::Ok().json(Healthy { status: "ok", received })
    } else {
        let alarms = [late, unstored].concat();
        let unhealthy = Unhealthy { status: "failing", failing, alarms };
        HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE).json(unhealthy)
    }
}
