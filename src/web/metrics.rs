//! Numbers for Prometheus, in its text format 0.0.4.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, web};

use super::State;
use super::error::ApiError;
use super::uploads::Backlog;
use crate::model::RoomLevel;
use crate::status::CameraState;
use crate::status::descriptors;

/// A text of metrics that is being written.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "# HELP camera_capture_{name} {help}\n# TYPE camera_capture_{name} {kind}");
    }

    /// Values of labels are camera keys, targets and words of this program; none needs escaping.
    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "camera_capture_{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.value(name, &[], value);
    }
}

/// A number about what waits, its meaning, and where it is; `None`: there is none at the moment.
type Gauge = (&'static str, &'static str, fn(&Backlog) -> Option<f64>);

/// What waits, by target.
const BACKLOG: [Gauge; 4] = [
    ("upload_oldest_seconds", "Age of the oldest picture that waits.", |b| {
        b.oldest_age.map(|age| age.as_secs_f64().round())
    }),
    ("upload_pictures_per_minute", "Deliveries of the last minutes.", |b| Some(b.rate.pictures)),
    ("upload_bytes_per_minute", "Bytes delivered in the last minutes.", |b| Some(b.rate.bytes)),
    ("upload_drain_seconds", "Time until nothing waits, at this rate.", |b| {
        b.drained_in.map(|wait| wait.as_secs_f64().round())
    }),
];

pub(super) async fn metrics(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let stats = state.store.stats().await?;
    let mut page = Page(String::new());
    page.head("info", "gauge", "The version that is running.");
    page.value("info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.single("uptime_seconds", "Seconds since the program started.", state.status.uptime().as_secs());

    page.head("triggers_total", "counter", "Triggers by camera and outcome.");
    for (camera, tally) in &stats.cameras {
        for (outcome, count) in
            [("captured", tally.captured), ("coalesced", tally.coalesced), ("failed", tally.failed)]
        {
            page.value("triggers_total", &[("camera", camera), ("outcome", outcome)], count);
        }
    }
    page.head("images", "gauge", "Pictures that are kept, by camera.");
    for (camera, tally) in &stats.cameras {
        page.value("images", &[("camera", camera)], tally.images);
    }
    page.head("image_bytes", "gauge", "Size of the pictures that are kept, by camera.");
    for (camera, tally) in &stats.cameras {
        page.value("image_bytes", &[("camera", camera)], tally.bytes);
    }
    page.head("uploads", "gauge", "Uploads by target and state.");
    for (target, states) in &stats.uploads {
        for (upload_state, count) in states {
            let labels = [("target", target.as_str()), ("state", upload_state.as_str())];
            page.value("uploads", &labels, count);
        }
    }
    page.single("uploads_pending", "Uploads that are owed to any target.", stats.pending());
    page.single("storage_free_bytes", "Bytes that can still be written.", stats.free_bytes);
    page.single("storage_total_bytes", "Size of the file system.", stats.total_bytes);
    let storage = state.status.storage();
    page.single("storage_free_inodes", "Files that can still be created.", storage.pictures.free_inodes);
    page.single(
        "storage_floor_bytes",
        "Below so many free bytes delivered pictures go early.",
        storage.floor_bytes,
    );
    page.single("storage_ballast_bytes", "Bytes held back for the ledger.", storage.ballast_bytes);
    page.head("storage_level", "gauge", "1 at the level the disk is at.");
    for level in [RoomLevel::Good, RoomLevel::Low, RoomLevel::Critical, RoomLevel::Full] {
        page.value("storage_level", &[("level", level.as_str())], u8::from(level == storage.level));
    }
    page.head("evicted_images_total", "counter", "Pictures deleted before their time to make room.");
    page.value("evicted_images_total", &[], storage.evicted);
    page.head("evicted_bytes_total", "counter", "Their size.");
    page.value("evicted_bytes_total", &[], storage.evicted_bytes);
    if let Some(wear) = state.guard.wear() {
        page.head("disk_written_bytes_total", "counter", "Bytes this process has written to the disk.");
        page.value("disk_written_bytes_total", &[], wear.written_bytes);
        page.head("captures_total", "counter", "Triggers that led to a picture since the start.");
        page.value("captures_total", &[], wear.captures);
    }

    page.head("camera_connected", "gauge", "1 while pictures can be taken.");
    for camera in state.status.cameras() {
        let is_connected = camera.state == CameraState::Connected;
        page.value("camera_connected", &[("camera", camera.key.as_str())], u8::from(is_connected));
    }
    page.head(
        "target_online",
        "gauge",
        "1 while the target can be reached and does not refuse or fail deliveries.",
    );
    for target in state.status.targets() {
        let is_online = target.online.unwrap_or(false);
        page.value("target_online", &[("target", target.id.as_str())], u8::from(is_online));
    }
    page.head(
        "target_paused",
        "gauge",
        "1 while nothing is sent to the target, for a fault or by its time of day.",
    );
    for target in state.status.targets() {
        page.value("target_paused", &[("target", target.id.as_str())], u8::from(target.paused_by.is_some()));
    }
    let backlogs: Vec<_> =
        state.status.targets().iter().map(|t| Backlog::of(t, &stats, &state.config)).collect();
    for (name, help, value) in BACKLOG {
        page.head(name, "gauge", help);
        for backlog in &backlogs {
            if let Some(number) = value(backlog) {
                page.value(name, &[("target", backlog.id.as_str())], number);
            }
        }
    }
    let lines = state.status.gpio().lines;
    page.head("contact_edges_total", "counter", "Level changes of a contact.");
    for line in &lines {
        page.value("contact_edges_total", &[("camera", line.camera.as_str())], line.edges);
    }
    page.head("contact_bounces_total", "counter", "Level changes of a contact that were bounce.");
    for line in &lines {
        page.value("contact_bounces_total", &[("camera", line.camera.as_str())], line.bounces);
    }
    let clock = state.status.clock();
    page.single("clock_synced", "1 while a time service vouches for the clock.", u8::from(clock.is_synced));
    page.head("clock_steps_total", "counter", "How often the clock was set since the program started.");
    page.value("clock_steps_total", &[], clock.steps);
    page.head(
        "times_corrected_total",
        "counter",
        "Triggers whose time was corrected since the program started.",
    );
    page.value("times_corrected_total", &[], clock.corrected);
    let counts = &state.connections;
    page.single("connections", "Connections to the dashboard.", counts.open.load(Ordering::Relaxed));
    page.single("connections_max", "The most there may be.", counts.most.load(Ordering::Relaxed));
    page.head(
        "connections_ended_total",
        "counter",
        "Connections to the dashboard that were too many: refused, or closed for a new one.",
    );
    page.value("connections_ended_total", &[("how", "refused")], counts.refused.load(Ordering::Relaxed));
    page.value("connections_ended_total", &[("how", "closed")], counts.closed.load(Ordering::Relaxed));
    if let Ok(in_use) = descriptors::in_use() {
        page.single("descriptors", "Open files, connections among them.", in_use);
    }
    page.single("descriptors_max", "Open files there may be.", descriptors::limit());
    page.single("alarms", "Alarms that are raised.", state.status.alarms().len());
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(page.0))
}
