//! The read model of the dashboard: last known states, and the events that change them.
//!
//! Whoever does something says so here; whoever shows something reads here. Nothing waits: a reader that is too slow
//! for the events misses some and reads the states anew.

mod wall;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::broadcast;

use crate::clock;
use crate::config::{CameraConfig, Config};
use crate::gpio::{Level, Pin};
use crate::model::{CameraKey, StorageState, TargetKind, UnixMs, UploadState};
use crate::pace::Pace;
use crate::store::{Image, LedgerEntry};

pub use wall::{ClockStatus, Step};

/// Events a slow reader may lag behind before it misses some; a burst of three cameras fills a few dozen.
const EVENTS_KEPT: usize = 256;

/// How ready a camera is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameraState {
    /// Pictures arrive and can be taken.
    Connected,
    /// The first attempt of this run is under way.
    Connecting,
    /// It failed; it is tried again by itself.
    Degraded,
    /// Not used.
    Disabled,
}

impl CameraState {
    /// As in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Connecting => "connecting",
            Self::Degraded => "degraded",
            Self::Disabled => "disabled",
        }
    }
}

/// What is known of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamInfo {
    /// As in RFC 6381, such as `avc1.640028`.
    pub codec: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second as measured, if enough have been seen.
    pub fps: Option<f64>,
    /// Frames from one keyframe to the next as measured, if two have been seen.
    pub gop_frames: Option<u32>,
    /// How unevenly frames arrive: 19 of 20 are delayed by no more than this, in steps of 5 ms.
    pub jitter_ms: Option<u32>,
    /// The camera's clock minus ours in milliseconds, to a tenth of a second, if it tells its time (RTCP).
    pub clock_offset_ms: Option<i64>,
}

/// How a camera's stream is decoded, as measured on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoding {
    /// The decoder that was found to be fastest and right.
    pub decoder: &'static str,
    /// Milliseconds for one frame, on average since a keyframe.
    pub ms_per_frame: f64,
    /// Milliseconds for encoding one picture.
    pub encode_ms: u64,
    /// Whether frames are decoded as they arrive.
    pub is_hot: bool,
    /// What that costs, or would cost, in percent of one core.
    pub core_percent: f64,
    /// Milliseconds of decoding and encoding that a trigger takes on average when the camera is not hot, if the group's length is known.
    pub mean_ms: Option<u64>,
    /// The same at worst.
    pub worst_ms: Option<u64>,
    /// Whether frames are decoded as they arrive, and the processor cannot keep up.
    pub is_behind: bool,
}

/// One camera.
#[derive(Clone, Debug)]
pub struct CameraStatus {
    /// Its key.
    pub key: CameraKey,
    /// Its name for people.
    pub label: String,
    /// Whether it is used.
    pub enabled: bool,
    /// How ready it is.
    pub state: CameraState,
    /// What is wrong, and what to do; `None` while nothing is.
    pub last_error: Option<String>,
    /// What its stream is like, once one was open.
    pub stream: Option<StreamInfo>,
    /// How it is decoded, once that was measured.
    pub decoding: Option<Decoding>,
}

/// One contact.
#[derive(Clone, Debug)]
pub struct LineState {
    /// BCM number.
    pub pin: Pin,
    /// The camera it triggers.
    pub camera: CameraKey,
    /// The level, if it could be read.
    pub level: Option<Level>,
    /// Whether the contact is closed.
    pub active: bool,
    /// The newest edge.
    pub last_edge: Option<UnixMs>,
    /// Edges seen.
    pub edges: u64,
    /// Edges that were bounce.
    pub bounces: u64,
}

/// All contacts.
#[derive(Clone, Debug)]
pub struct GpioStatus {
    /// `GPIO_ENABLED`.
    pub enabled: bool,
    /// `rppal`, `cdev`, `sim`, or empty while none is open.
    pub backend: &'static str,
    /// Why the lines cannot be watched, and what to do.
    pub error: Option<String>,
    /// By pin.
    pub lines: Vec<LineState>,
}

/// Why nothing is sent to a target for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// It could not be reached, asked for patience or refused us; see its last error.
    Fault,
    /// It refuses one picture after the other in the same way; see its last error.
    Refusals,
    /// It is outside of its `UPLOAD_WINDOW`.
    Window,
}

impl Pause {
    /// As in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Refusals => "refusals",
            Self::Window => "window",
        }
    }
}

/// One upload target.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// Which.
    pub kind: TargetKind,
    /// Whether the last contact with it succeeded; `None` before the first.
    pub online: Option<bool>,
    /// Since when it is as it is.
    pub since: UnixMs,
    /// What it last said when it refused or could not be reached.
    pub last_error: Option<String>,
    /// When it last took a picture.
    pub last_delivered: Option<UnixMs>,
    /// When it is tried again, while it is paused.
    pub paused_until: Option<UnixMs>,
    /// Why it is paused.
    pub paused_by: Option<Pause>,
    /// How fast it takes pictures.
    pub pace: Pace,
}

/// Something an operator should know of, that is not a camera, contact or target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Which part it is about; one alarm each.
    pub part: &'static str,
    /// What is wrong and what to do.
    pub message: String,
    /// Since when.
    pub since: UnixMs,
}

/// A change, as it is pushed to dashboards.
#[derive(Clone, Debug)]
pub enum Event {
    /// A picture was stored.
    Image(Box<Image>),
    /// A trigger ended.
    Trigger(Box<LedgerEntry>),
    /// An upload changed its state.
    Upload {
        /// Name of the picture.
        filename: String,
        /// To whom.
        target: TargetKind,
        /// How it stands.
        state: UploadState,
        /// What was met, unless it was delivered.
        error: Option<String>,
    },
    /// A contact closed or opened.
    Contact(LineState),
    /// A camera changed its state.
    Camera(Box<CameraStatus>),
    /// A target was lost or is back.
    Target(TargetStatus),
    /// Pictures were deleted.
    Deleted(Vec<String>),
    /// The room on the disk has another level, or pictures went to make room.
    Storage(Box<StorageState>),
    /// An alarm began or ended.
    Alarms(Vec<Alarm>),
    /// The clock was set, is vouched for from now on, or times were corrected.
    Clock(ClockStatus),
}

/// A cheap handle on the read model.
#[derive(Clone)]
pub struct Status {
    inner: Arc<Mutex<Inner>>,
    events: broadcast::Sender<Event>,
    started: Instant,
}

struct Inner {
    cameras: BTreeMap<u8, CameraStatus>,
    gpio: GpioStatus,
    targets: BTreeMap<TargetKind, TargetStatus>,
    storage: StorageState,
    alarms: Vec<Alarm>,
    clock: ClockStatus,
}

impl Status {
    /// The state of things before anything has begun.
    pub fn new(config: &Config) -> Self {
        let cameras =
            config.cameras.iter().map(|camera| (camera.number, CameraStatus::new(camera))).collect();
        let gpio = GpioStatus { enabled: config.gpio.enabled, backend: "", error: None, lines: Vec::new() };
        let targets = config.upload.in_use().filter(|_| config.upload.enabled).map(|kind| {
            let status = TargetStatus {
                kind,
                online: None,
                since: clock::now(),
                last_error: None,
                last_delivered: None,
                paused_until: None,
                paused_by: None,
                pace: Pace::default(),
            };
            (kind, status)
        });
        Self {
            inner: Arc::new(Mutex::new(Inner {
                cameras,
                gpio,
                targets: targets.collect(),
                storage: StorageState { since: clock::now(), ..StorageState::default() },
                alarms: Vec::new(),
                clock: ClockStatus::default(),
            })),
            events: broadcast::Sender::new(EVENTS_KEPT),
            started: Instant::now(),
        }
    }

    /// Every change from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Tells whoever listens; nobody listening is fine.
    pub fn publish(&self, event: Event) {
        // An error means that there is no receiver.
        let _ = self.events.send(event);
    }

    /// How long the program has been running.
    pub fn uptime(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// Every camera, in the order of its number.
    pub fn cameras(&self) -> Vec<CameraStatus> {
        self.lock().cameras.values().cloned().collect()
    }

    /// One camera.
    pub fn camera(&self, key: &CameraKey) -> Option<CameraStatus> {
        self.lock().cameras.values().find(|camera| camera.key == *key).cloned()
    }

    /// Changes one camera; pushed when its state or error changed.
    pub fn update_camera(&self, key: &CameraKey, change: impl FnOnce(&mut CameraStatus)) {
        let changed = {
            let mut inner = self.lock();
            let Some(camera) = inner.cameras.values_mut().find(|camera| camera.key == *key) else { return };
            let seen = |camera: &CameraStatus| {
                (camera.state, camera.last_error.clone(), camera.stream.clone(), camera.decoding.clone())
            };
            let before = seen(camera);
            change(camera);
            (before != seen(camera)).then(|| camera.clone())
        };
        if let Some(camera) = changed {
            self.publish(Event::Camera(Box::new(camera)));
        }
    }

    /// The contacts.
    pub fn gpio(&self) -> GpioStatus {
        self.lock().gpio.clone()
    }

    /// Changes what is known of the contacts as a whole.
    pub fn update_gpio(&self, change: impl FnOnce(&mut GpioStatus)) {
        change(&mut self.lock().gpio);
    }

    /// Replaces what is known of one contact; pushed when its level changed.
    pub fn update_line(&self, line: LineState) {
        let changed = {
            let lines = &mut self.lock().gpio.lines;
            match lines.iter_mut().find(|known| known.pin == line.pin) {
                Some(known) => {
                    let changed = known.level != line.level;
                    *known = line.clone();
                    changed
                }
                None => {
                    lines.push(line.clone());
                    lines.sort_by_key(|line| line.pin);
                    true
                }
            }
        };
        if changed {
            self.publish(Event::Contact(line));
        }
    }

    /// Every configured target.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.lock().targets.values().cloned().collect()
    }

    /// Changes one target; pushed when its connection changed.
    pub fn update_target(&self, kind: TargetKind, change: impl FnOnce(&mut TargetStatus)) {
        let changed = {
            let mut inner = self.lock();
            let Some(target) = inner.targets.get_mut(&kind) else { return };
            let before = (target.online, target.last_error.clone(), target.paused_by);
            change(target);
            if before.0 != target.online {
                target.since = clock::now();
            }
            (before != (target.online, target.last_error.clone(), target.paused_by)).then(|| target.clone())
        };
        if let Some(target) = changed {
            self.publish(Event::Target(target));
        }
    }

    /// Whether every configured target could be reached when it was last tried; true when there is none.
    pub fn is_online(&self) -> bool {
        self.lock().targets.values().all(|target| target.online.unwrap_or(true))
    }

    /// How the disk stands.
    pub fn storage(&self) -> StorageState {
        self.lock().storage.clone()
    }

    /// Changes what is known of the disk; pushed when its level changed or pictures went.
    pub fn update_storage(&self, change: impl FnOnce(&mut StorageState)) {
        let changed = {
            let storage = &mut self.lock().storage;
            let before = (storage.level, storage.evicted);
            change(storage);
            (before != (storage.level, storage.evicted)).then(|| storage.clone())
        };
        if let Some(storage) = changed {
            self.publish(Event::Storage(Box::new(storage)));
        }
    }

    /// What an operator should know of.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.lock().alarms.clone()
    }

    /// Raises the alarm of a part, or changes its words.
    pub fn raise(&self, part: &'static str, message: String) {
        let alarms = {
            let alarms = &mut self.lock().alarms;
            match alarms.iter_mut().find(|alarm| alarm.part == part) {
                Some(alarm) if alarm.message == message => return,
                Some(alarm) => alarm.message = message,
                None => alarms.push(Alarm { part, message, since: clock::now() }),
            }
            alarms.clone()
        };
        self.publish(Event::Alarms(alarms));
    }

    /// The wall clock.
    pub fn clock(&self) -> ClockStatus {
        self.lock().clock
    }

    /// Changes what is known of the clock; pushed when it changed.
    pub fn update_clock(&self, change: impl FnOnce(&mut ClockStatus)) {
        let changed = {
            let clock = &mut self.lock().clock;
            let before = *clock;
            change(clock);
            (before != *clock).then_some(*clock)
        };
        if let Some(clock) = changed {
            self.publish(Event::Clock(clock));
        }
    }

    /// Ends the alarm of a part, if there is one.
    pub fn clear(&self, part: &'static str) {
        let alarms = {
            let alarms = &mut self.lock().alarms;
            let before = alarms.len();
            alarms.retain(|alarm| alarm.part != part);
            if alarms.len() == before {
                return;
            }
            alarms.clone()
        };
        self.publish(Event::Alarms(alarms));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change leaves the states whole, so a panic elsewhere does not spoil them.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CameraStatus {
    fn new(config: &CameraConfig) -> Self {
        Self {
            key: config.key.clone(),
            label: config.label.clone(),
            enabled: config.enabled,
            state: if config.enabled { CameraState::Connecting } else { CameraState::Disabled },
            last_error: None,
            stream: None,
            decoding: None,
        }
    }
}
