//! How things look in the API. Times are RFC 3339 in UTC and, beside them, milliseconds where programs reckon.

use serde_json::{Value, json};

use super::uploads::Backlog;
use crate::advice;
use crate::clock;
use crate::gpio::Level;
use crate::model::{ClockState, FileName, StorageState, TargetKind, UnixMs, UploadState, hex};
use crate::retention::Report;
use crate::status::{Alarm, CameraStatus, ClockStatus, GpioStatus, LineState, Pause, TargetStatus};
use crate::storage::Wear;
use crate::store::{CameraTally, DeadLetter, Heap, Image, LedgerEntry, Unseen, UploadInfo};

pub(super) fn image(image: &Image) -> Value {
    let uploads: Vec<Value> = image.uploads.iter().map(upload).collect();
    json!({
        "id": image.id,
        "filename": image.filename,
        "media_type": image.filename.medium().media_type(),
        "kind": image.kind,
        "note": image.note,
        "duration_ms": image.duration_ms,
        "camera": image.camera,
        "taken_at": image.taken_at.rfc3339(),
        "taken_at_ms": image.taken_at.0,
        "clock": image.clock,
        "cause": image.cause,
        "frame_offset_ms": image.frame_offset_ms,
        "width": image.width,
        "height": image.height,
        "bytes": image.bytes,
        "sha256": hex(&image.sha256),
        "protected": image.protected,
        "uploads": uploads,
    })
}

pub(super) fn event(entry: &LedgerEntry) -> Value {
    json!({
        "id": entry.id.get(),
        "camera": entry.camera,
        "cause": entry.cause,
        "edge_at": entry.edge_at.rfc3339(),
        "edge_at_ms": entry.edge_at.0,
        "clock": entry.clock,
        "stamped_at": entry.stamped_at.map(UnixMs::rfc3339),
        "outcome": entry.outcome,
        "reason": entry.reason,
        "remark": entry.remark,
        "latency_ms": entry.latency_ms,
        "seen_at": entry.seen_at.map(UnixMs::rfc3339),
        "images": entry.images.iter().map(image).collect::<Vec<_>>(),
    })
}

pub(super) fn camera(camera: &CameraStatus) -> Value {
    let stream = camera.stream.as_ref().map(|stream| {
        json!({
            "codec": stream.codec,
            "width": stream.width,
            "height": stream.height,
            "fps": stream.fps,
            "gop_frames": stream.gop_frames,
            "jitter_ms": stream.jitter_ms,
            "clock_offset_ms": stream.clock_offset_ms,
            "stamps": stream.stamps.as_str(),
        })
    });
    let about = advice::about(camera.stream.as_ref(), camera.decoding.as_ref());
    let decoding = camera.decoding.as_ref().map(|decoding| {
        json!({
            "decoder": decoding.decoder,
            "ms_per_frame": decoding.ms_per_frame,
            "hot": decoding.is_hot,
            "core_percent": decoding.core_percent,
            "mean_ms": decoding.mean_ms,
            "worst_ms": decoding.worst_ms,
            "encode_ms": decoding.encode_ms,
            "behind": decoding.is_behind,
        })
    });
    json!({
        "key": camera.key,
        "label": camera.label,
        "enabled": camera.enabled,
        "state": camera.state.as_str(),
        "last_error": camera.last_error,
        "stream": stream,
        "decoding": decoding,
        "about": {"facts": about.facts, "changes": about.changes},
    })
}

pub(super) fn last_image(image: &Image) -> Value {
    json!({
        "filename": image.filename,
        "taken_at": image.taken_at.rfc3339(),
        "taken_at_ms": image.taken_at.0,
        "url": format!("/api/images/{}", image.filename),
    })
}

pub(super) fn gpio(gpio: &GpioStatus) -> Value {
    json!({
        "enabled": gpio.enabled,
        "backend": gpio.backend,
        "error": gpio.error,
        "lines": gpio.lines.iter().map(line).collect::<Vec<_>>(),
    })
}

pub(super) fn line(line: &LineState) -> Value {
    json!({
        "pin": line.pin,
        "level": line.level.map(level),
        "active": line.active,
        "camera": line.camera,
        "last_edge": line.last_edge.map(UnixMs::rfc3339),
        "last_edge_ms": line.last_edge.map(|at| at.0),
        "edges": line.edges,
        "bounces": line.bounces,
    })
}

pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::Low => "low",
        Level::High => "high",
    }
}

pub(super) fn target(target: &TargetStatus) -> Value {
    json!({
        "target": target.kind,
        "online": target.online,
        "reachable": target.is_reachable,
        "failing": target.is_failing,
        "since": target.since.rfc3339(),
        "last_error": target.last_error,
        "last_delivered": target.last_delivered.map(UnixMs::rfc3339),
        "paused_until": target.paused_until.map(UnixMs::rfc3339),
        "paused_by": target.paused_by.map(Pause::as_str),
    })
}

/// How a target is served: what waits, how fast it goes, when it is done.
pub(super) fn backlog(backlog: &Backlog) -> Value {
    json!({
        "pending": backlog.pending,
        "oldest": backlog.oldest.map(UnixMs::rfc3339),
        "oldest_age_s": backlog.oldest_age.map(|age| age.as_secs()),
        "pictures_per_minute": rounded(backlog.rate.pictures),
        "bytes_per_minute": backlog.rate.bytes.round(),
        "drained_in_s": backlog.drained_in.map(|wait| wait.as_secs()),
        "parallel": backlog.lane.parallel,
        "window": backlog.lane.window.map(|window| window.to_string()),
    })
}

/// To a tenth.
fn rounded(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

pub(super) fn dead_letter(letter: &DeadLetter) -> Value {
    json!({
        "filename": letter.filename,
        "camera": letter.camera,
        "taken_at": letter.taken_at.rfc3339(),
        "taken_at_ms": letter.taken_at.0,
        "bytes": letter.bytes,
        "target": letter.target,
        "attempts": letter.attempts,
        "last_error": letter.last_error,
        "tried_at": letter.tried_at.map(UnixMs::rfc3339),
    })
}

pub(super) fn alarms(alarms: &[Alarm]) -> Value {
    alarms
        .iter()
        .map(|alarm| {
            let action = alarm.kind.action();
            json!({
                "code": alarm.kind.code(),
                "args": alarm.args,
                "severity": alarm.kind.severity().as_str(),
                "part": alarm.kind.part(),
                "message": alarm.message,
                "since": alarm.since.rfc3339(),
                "action": {"code": action.code, "text": action.text, "link": action.link},
            })
        })
        .collect()
}

/// Failed triggers that nobody has seen yet.
pub(super) fn failures(unseen: &Unseen) -> Value {
    json!({"unseen": unseen.count, "newest": unseen.newest.iter().map(event).collect::<Vec<_>>()})
}

pub(super) fn clock(clock: &ClockStatus) -> Value {
    let now = clock::now();
    json!({
        "state": if clock.is_synced { ClockState::Synced } else { ClockState::Unsynced },
        "now": now.rfc3339(),
        "message": clock.message(now),
        "steps": clock.steps,
        "last_step_at": clock.last_step.map(|step| step.at.rfc3339()),
        "moved_ms": clock.last_step.map(|step| step.moved_ms),
        "corrected": clock.corrected,
    })
}

pub(super) fn tally(tally: &CameraTally) -> Value {
    json!({
        "captured": tally.captured,
        "coalesced": tally.coalesced,
        "failed": tally.failed,
        "images": tally.images,
        "bytes": tally.bytes,
    })
}

/// Every state with its number, also those that are nought.
pub(super) fn uploads(count: impl Fn(UploadState) -> u64) -> Value {
    UploadState::ALL.iter().map(|state| (state.as_str().to_owned(), json!(count(*state)))).collect()
}

fn upload(upload: &UploadInfo) -> Value {
    json!({
        "target": upload.target,
        "state": upload.state,
        "attempts": upload.attempts,
        "last_error": upload.last_error,
        "delivered_at": upload.delivered_at.map(UnixMs::rfc3339),
        "next_attempt_at": upload.next_attempt.map(UnixMs::rfc3339),
    })
}

/// How an upload stands since it changed: as in its picture, with the name of that and what was met.
pub(super) fn changed_upload(filename: &FileName, changed: &UploadInfo) -> Value {
    let mut data = upload(changed);
    let error = changed.last_error.as_ref().filter(|_| changed.state != UploadState::Delivered);
    data["filename"] = json!(filename);
    data["error"] = json!(error);
    data
}

fn heap(heap: &Heap) -> Value {
    json!({"images": heap.pictures, "bytes": heap.bytes})
}

pub(super) fn report(report: &Report) -> Value {
    let by_target = |list: &[(TargetKind, Heap)]| -> Value {
        list.iter().map(|(target, of)| (target.as_str().to_owned(), heap(of))).collect()
    };
    let cameras: Value = report.by_camera.iter().map(|(key, of)| (key.clone(), heap(of))).collect();
    json!({
        "dry_run": report.is_dry_run,
        "deleted": report.deleted,
        "freed_bytes": report.freed_bytes,
        "reasons": {
            "age": heap(&report.by_age),
            "limit": heap(&report.by_limit),
            "space": heap(&report.by_space),
        },
        "cameras": cameras,
        "from": report.span.map(|(from, _)| from.rfc3339()),
        "to": report.span.map(|(_, to)| to.rfc3339()),
        "names": report.names,
        "kept": {"owed": report.kept.owed, "dead": report.kept.dead, "protected": report.kept.protected},
        "held": {
            "owed": by_target(&report.held.owed),
            "dead": by_target(&report.held.dead),
            "protected": heap(&report.held.protected),
        },
        "before": report.before.rfc3339(),
        "before_ms": report.before.0,
        "refused": report.refused,
    })
}

/// How the disk stands, as known since it was last looked at.
pub(super) fn storage(storage: &StorageState, wear: Option<Wear>) -> Value {
    let written = wear.map(|wear| {
        json!({
            "bytes": wear.written_bytes,
            "seconds": wear.since.as_secs(),
            "captures": wear.captures,
            "bytes_per_day": wear.bytes_per_day(),
            "bytes_per_capture": wear.bytes_per_capture(),
        })
    });
    let database = storage
        .database
        .map(|space| json!({"free_bytes": space.free_bytes, "total_bytes": space.total_bytes}));
    json!({
        "level": storage.level.as_str(),
        "since": storage.since.rfc3339(),
        "message": storage.message,
        "floor_bytes": storage.floor_bytes,
        "free_inodes": storage.pictures.free_inodes,
        "total_inodes": storage.pictures.total_inodes,
        "database": database,
        "ballast_bytes": storage.ballast_bytes,
        "evicted": {
            "images": storage.evicted,
            "bytes": storage.evicted_bytes,
            "at": storage.evicted_at.map(UnixMs::rfc3339),
        },
        "written": written,
    })
}
