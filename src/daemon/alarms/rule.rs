//! What is an alarm, and since when. Pure: the clock is passed in.
//!
//! A condition becomes an alarm once it has lasted as long as its patience. A short spell in which all is well does not
//! begin the count anew, or a camera that comes and goes would never be one; but an alarm is only said while its
//! condition holds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::config::words_of;
use crate::model::{AlarmText, Because, CameraKey, PlateText, TargetId, UnixMs};
use crate::status::{Alarm, AlarmKind, CameraState, CameraStatus, LineState, TargetStatus};
use crate::store::WatchedNews;

/// A camera or target may be away for so long: it restarts, or the network does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Well for so long is well again.
const CALM: Duration = Duration::from_secs(20);

/// A car that waits in front of a barrier is not there for so long.
const STUCK: Duration = Duration::from_secs(10 * 60);

/// Bounces are counted over so much time.
const NOISE_SPAN: Duration = Duration::from_secs(60);

/// More bounces in that time are no contact but a bad wire: a relay bounces ten times at most, and no gate opens once
/// a second.
const NOISE: u64 = 600;

/// How everything stands.
pub(super) struct AlarmFacts<'a> {
    pub(super) cameras: &'a [CameraStatus],
    pub(super) targets: &'a [TargetStatus],
    pub(super) lines: &'a [LineState],
    /// How many pictures each target has refused for good.
    pub(super) refused: &'a [(TargetId, u64)],
    pub(super) failures: &'a FailureCounts,
    pub(super) watched: &'a WatchedNews,
}

/// Failed triggers that nobody has seen and that are not over.
#[derive(Clone, Debug, Default)]
pub(super) struct FailureCounts {
    pub(super) unseen: u64,
    /// Number in the ledger, camera, instant and reason of the newest.
    pub(super) newest: Option<(i64, CameraKey, UnixMs, Option<String>)>,
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Rule {
    spells: BTreeMap<AlarmKind, Spell>,
    noise: BTreeMap<u8, Noise>,
}

/// How long a condition has held.
#[derive(Clone, Copy, Debug)]
struct Spell {
    began: Instant,
    last: Instant,
}

/// The bounces of a line.
#[derive(Clone, Copy, Debug)]
struct Noise {
    from: Instant,
    bounces: u64,
    is_noisy: bool,
}

/// A condition that holds.
struct Condition {
    kind: AlarmKind,
    patience: Duration,
    /// What programs are told beside the kind.
    args: Value,
    text: AlarmText,
}

impl Rule {
    /// Every alarm at `now`, which is `wall` by the wall clock.
    pub(super) fn judge(&mut self, now: Instant, wall: UnixMs, facts: &AlarmFacts<'_>) -> Vec<Alarm> {
        let mut conditions = Vec::new();
        conditions.extend(facts.cameras.iter().filter_map(camera));
        conditions.extend(facts.targets.iter().filter_map(target));
        conditions.extend(facts.refused.iter().filter_map(|(target, count)| refused(*target, *count)));
        conditions.extend(facts.targets.iter().filter_map(denied));
        conditions.extend(facts.lines.iter().filter_map(|line| stuck(line, facts.cameras)));
        for line in facts.lines {
            if self.is_noisy(now, line) {
                conditions.push(noisy(line, facts.cameras));
            }
        }
        conditions.extend(failed(facts.failures, facts.cameras));
        conditions.extend(watched(facts.watched, facts.cameras));
        let found = conditions.into_iter().filter_map(|condition| self.alarm(now, wall, condition)).collect();
        self.spells.retain(|_, spell| now.saturating_duration_since(spell.last) < CALM);
        found
    }

    /// The alarm of a condition that has lasted.
    fn alarm(&mut self, now: Instant, wall: UnixMs, condition: Condition) -> Option<Alarm> {
        let Condition { kind, patience, args, text } = condition;
        let spell = self.spells.entry(kind.clone()).or_insert(Spell { began: now, last: now });
        spell.last = now;
        let lasted = now.saturating_duration_since(spell.began);
        let since = wall.plus_ms(-i64::try_from(lasted.as_millis()).unwrap_or(0));
        (lasted >= patience).then(|| Alarm::new(kind, text, since).with_args(args))
    }

    /// Whether the line bounced more than a contact can, in the last whole span or already in this one.
    fn is_noisy(&mut self, now: Instant, line: &LineState) -> bool {
        let fresh = Noise { from: now, bounces: line.bounces, is_noisy: false };
        let noise = self.noise.entry(line.pin).or_insert(fresh);
        let is_much = line.bounces.saturating_sub(noise.bounces) > NOISE;
        let is_noisy = noise.is_noisy || is_much;
        if now.saturating_duration_since(noise.from) >= NOISE_SPAN {
            *noise = Noise { is_noisy: is_much, ..fresh };
        }
        is_noisy
    }
}

fn camera(camera: &CameraStatus) -> Option<Condition> {
    let is_away = match camera.state {
        CameraState::Degraded | CameraState::Connecting => true,
        CameraState::Connected | CameraState::Disabled => false,
    };
    if !is_away || !camera.enabled {
        return None;
    }
    let reason =
        camera.last_error.as_ref().map_or_else(|| "it has not answered yet".to_owned(), ToString::to_string);
    let (label, cause) = (camera.label.clone(), camera.last_error.clone().map(Because::new));
    Some(Condition {
        kind: AlarmKind::CameraAway(camera.key.clone()),
        patience: PATIENCE,
        text: AlarmText::CameraAway { label, cause },
        args: json!({"reason": reason}),
    })
}

fn target(target: &TargetStatus) -> Option<Condition> {
    if target.online != Some(false) {
        return None;
    }
    let said = target.last_error.as_ref().map(|fault| words_of(target.id, &fault.to_string()));
    let reason = said.unwrap_or_else(|| "it has said nothing".to_owned());
    let (name, cause) = (target.id.to_string(), target.last_error.clone().map(Because::new));
    let (kind, text) = if target.is_reachable == Some(false) {
        (AlarmKind::TargetAway(target.id), AlarmText::TargetAway { target: name, cause })
    } else {
        (AlarmKind::TargetRefusing(target.id), AlarmText::TargetRefusing { target: name, cause })
    };
    Some(Condition { kind, patience: PATIENCE, text, args: json!({"reason": reason}) })
}

fn refused(target: TargetId, count: u64) -> Option<Condition> {
    (count > 0).then(|| Condition {
        kind: AlarmKind::PicturesRefused(target),
        patience: Duration::ZERO,
        text: AlarmText::PicturesRefused { target: target.to_string(), count },
        args: Value::Null,
    })
}

fn denied(target: &TargetStatus) -> Option<Condition> {
    let (count, reason) = target.denied.as_ref().filter(|(count, _)| *count > 0)?;
    let (name, cause) = (target.id.to_string(), Because::new(reason.clone()));
    Some(Condition {
        kind: AlarmKind::PicturesUnreadable(target.id),
        patience: Duration::ZERO,
        text: AlarmText::PicturesUnreadable { target: name, count: *count, cause },
        args: json!({"reason": reason.to_string()}),
    })
}

fn stuck(line: &LineState, cameras: &[CameraStatus]) -> Option<Condition> {
    line.active.then(|| Condition {
        kind: AlarmKind::ContactStuck(line.camera.clone()),
        patience: STUCK,
        text: AlarmText::ContactStuck { label: label(&line.camera, cameras), minutes: STUCK.as_secs() / 60 },
        args: json!({"pin": line.pin}),
    })
}

fn noisy(line: &LineState, cameras: &[CameraStatus]) -> Condition {
    Condition {
        kind: AlarmKind::ContactNoisy(line.camera.clone()),
        patience: Duration::ZERO,
        text: AlarmText::ContactNoisy { label: label(&line.camera, cameras), most: NOISE },
        args: json!({"pin": line.pin}),
    }
}

fn failed(failures: &FailureCounts, cameras: &[CameraStatus]) -> Option<Condition> {
    let (id, camera, edge_at, reason) = failures.newest.as_ref()?;
    if failures.unseen == 0 {
        return None;
    }
    let text = AlarmText::TriggerFailed {
        label: label(camera, cameras),
        count: failures.unseen,
        reason: reason.clone(),
    };
    let reason = reason.as_deref().unwrap_or("no reason is known");
    Some(Condition {
        kind: AlarmKind::TriggerFailed,
        patience: Duration::ZERO,
        text,
        args: json!({
            "count": failures.unseen, "id": id, "camera": camera, "edge_at": edge_at.rfc3339(), "reason": reason,
        }),
    })
}

fn watched(news: &WatchedNews, cameras: &[CameraStatus]) -> Option<Condition> {
    let newest = news.newest.as_ref()?;
    // How it is written, with blanks and in small letters, is not news.
    let is_same = PlateText::of_reading(&newest.read).is_some_and(|read| read.as_str() == newest.watched);
    let read = if is_same { &newest.watched } else { &newest.read };
    let text = AlarmText::TextWatched {
        label: label(&newest.camera, cameras),
        text: newest.watched.clone(),
        read: read.clone(),
        count: news.count,
    };
    Some(Condition {
        kind: AlarmKind::TextWatched,
        patience: Duration::ZERO,
        text,
        args: json!({
            "reading": newest.reading, "filename": newest.filename, "camera": newest.camera,
            "taken_at": newest.taken_at.rfc3339(),
        }),
    })
}

fn label(key: &CameraKey, cameras: &[CameraStatus]) -> String {
    let known = cameras.iter().find(|camera| camera.key == *key);
    known.map_or_else(|| key.to_string(), |camera| camera.label.clone())
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
