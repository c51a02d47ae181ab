//! The read model of the dashboard: last known states, and the events that change them.
//!
//! What the database holds is not here: of that the store tells each change itself. Whoever does something else says so
//! here; whoever shows something reads here. Nothing waits: a reader that is too slow
//! for the events misses some and reads the states anew. Every change of what is shown is an event, told while nothing
//! else can change, so that events come in the order of the changes.

pub mod advice;
mod alarm;
mod analysis;
pub mod descriptors;
mod display;
pub mod pace;
mod target;
mod wall;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::broadcast;

use crate::clock;
use crate::config::{CameraConfig, Config};
use crate::gpio::{Level, Pin};
use crate::model::{AlarmText, CameraFault, CameraKey, Stamps, StorageState, TargetId, UnixMs};
use crate::status::pace::DeliveryPace;

pub use alarm::{Action, Alarm, AlarmHandle, AlarmKind, Severity};
pub use analysis::{AnalysisPause, AnalysisStatus};
pub use display::DisplayState;
pub use target::{Pause, TargetStatus};
pub use wall::{ClockStatus, ClockStep};

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
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct StreamInfo {
    /// As in RFC 6381, such as `avc1.640028`.
    pub codec: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames that arrive in a second as measured, if enough have been seen.
    pub fps: Option<f64>,
    /// Frames from one keyframe to the next as measured, if two have been seen.
    pub gop_frames: Option<u32>,
    /// How unevenly frames arrive: 19 of 20 are delayed by no more than this, in steps of 5 ms.
    pub jitter_ms: Option<u32>,
    /// The camera's clock minus ours in milliseconds, to a tenth of a second, if it tells its time (RTCP).
    pub clock_offset_ms: Option<i64>,
    /// Whether its time stamps are a clock, by which the instants of its pictures are told.
    pub stamps: Stamps,
}

/// How a camera's stream is decoded, as measured on this machine.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
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
#[derive(Clone, Debug, PartialEq)]
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
    pub last_error: Option<CameraFault>,
    /// What its stream is like, once one was open.
    pub stream: Option<StreamInfo>,
    /// How it is decoded, once that was measured.
    pub decoding: Option<Decoding>,
}

/// One contact.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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

/// A change of what is shown beyond the database, as it is pushed to dashboards.
#[derive(Clone, Debug)]
pub enum Event {
    /// What is known of a contact changed.
    Contact(LineState),
    /// The contacts are watched, or cannot be.
    Contacts(GpioStatus),
    /// A camera changed its state.
    Camera(Box<CameraStatus>),
    /// What is known of a target changed.
    Target(Box<TargetStatus>),
    /// The room on the disk changed, or pictures went to make room.
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
    targets: BTreeMap<TargetId, TargetStatus>,
    analysis: AnalysisStatus,
    storage: StorageState,
    /// Those that are raised by the part that owns them.
    alarms: BTreeMap<AlarmKind, Alarm>,
    /// Those that follow from everything else, as last found.
    found: Vec<Alarm>,
    clock: ClockStatus,
    display: Option<DisplayState>,
}

impl Inner {
    /// The worst first.
    fn all_alarms(&self) -> Vec<Alarm> {
        let mut all: Vec<Alarm> = self.alarms.values().chain(&self.found).cloned().collect();
        all.sort_by_key(Alarm::rank);
        all
    }
}

impl Status {
    /// The state of things before anything has begun.
    pub fn new(config: &Config) -> Self {
        let cameras =
            config.cameras.iter().map(|camera| (camera.number, CameraStatus::new(camera))).collect();
        let gpio = GpioStatus { enabled: config.gpio.enabled, backend: "", error: None, lines: Vec::new() };
        let targets = config.upload.in_use().filter(|_| config.upload.enabled).map(|id| {
            let status = TargetStatus {
                id,
                online: None,
                is_reachable: None,
                tried_at: None,
                is_failing: false,
                since: clock::now(),
                last_error: None,
                last_delivered: None,
                paused_until: None,
                paused_by: None,
                pace: DeliveryPace::default(),
                denied: None,
            };
            (id, status)
        });
        Self {
            inner: Arc::new(Mutex::new(Inner {
                cameras,
                gpio,
                targets: targets.collect(),
                analysis: AnalysisStatus::default(),
                storage: StorageState { since: clock::now(), ..StorageState::default() },
                alarms: BTreeMap::new(),
                found: Vec::new(),
                clock: ClockStatus::default(),
                display: None,
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
    fn publish(&self, event: Event) {
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

    /// Changes one camera; pushed when anything of it changed.
    pub fn update_camera(&self, key: &CameraKey, change: impl FnOnce(&mut CameraStatus)) {
        let mut inner = self.lock();
        let Some(camera) = inner.cameras.values_mut().find(|camera| camera.key == *key) else { return };
        let before = camera.clone();
        change(camera);
        if before != *camera {
            self.publish(Event::Camera(Box::new(camera.clone())));
        }
    }

    /// The contacts.
    pub fn gpio(&self) -> GpioStatus {
        self.lock().gpio.clone()
    }

    /// Changes what is known of the contacts as a whole; pushed when anything of it changed.
    pub fn update_gpio(&self, change: impl FnOnce(&mut GpioStatus)) {
        let gpio = &mut self.lock().gpio;
        let before = gpio.clone();
        change(gpio);
        if before != *gpio {
            self.publish(Event::Contacts(gpio.clone()));
        }
    }

    /// Takes over what `read` tells of some contacts; each is pushed when anything of it changed. It is read while nobody
    /// else may change it here, so that of two threads the later one tells the newer state.
    pub fn update_lines(&self, read: impl FnOnce() -> Vec<LineState>) {
        let mut inner = self.lock();
        let lines = &mut inner.gpio.lines;
        for line in read() {
            match lines.iter_mut().find(|known| known.pin == line.pin) {
                Some(known) if *known == line => continue,
                Some(known) => *known = line.clone(),
                None => {
                    lines.push(line.clone());
                    lines.sort_by_key(|line| line.pin);
                }
            }
            self.publish(Event::Contact(line));
        }
    }

    /// Every configured target.
    pub fn targets(&self) -> Vec<TargetStatus> {
        self.lock().targets.values().cloned().collect()
    }

    /// Changes one target; pushed when anything of it changed but its pace, which is only read.
    pub fn update_target(&self, id: TargetId, change: impl FnOnce(&mut TargetStatus)) {
        let mut inner = self.lock();
        let Some(target) = inner.targets.get_mut(&id) else { return };
        let before = target.clone();
        change(target);
        target.online = target.is_reachable.map(|is_reachable| is_reachable && !target.is_failing);
        if before.online != target.online {
            target.since = clock::now();
        }
        if !before.looks_like(target) {
            self.publish(Event::Target(Box::new(target.clone())));
        }
    }

    /// Whether every configured target took what it was sent last, or could be reached; true when there is none.
    pub fn is_online(&self) -> bool {
        self.lock().targets.values().all(|target| target.online.unwrap_or(true))
    }

    /// How the disk stands.
    pub fn storage(&self) -> StorageState {
        self.lock().storage.clone()
    }

    /// Changes what is known of the disk; pushed when anything of it changed.
    pub fn update_storage(&self, change: impl FnOnce(&mut StorageState)) {
        let storage = &mut self.lock().storage;
        let before = storage.clone();
        change(storage);
        if before != *storage {
            self.publish(Event::Storage(Box::new(storage.clone())));
        }
    }

    /// What an operator should know of, the worst first.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.lock().all_alarms()
    }

    /// For its owner only, see [`AlarmHandle`].
    fn raise(&self, kind: &AlarmKind, text: AlarmText) {
        let mut inner = self.lock();
        let mut raised = Alarm::new(kind.clone(), text, clock::now());
        if let Some(known) = inner.alarms.get(kind) {
            raised.since = known.since;
            if *known == raised {
                return;
            }
        }
        inner.alarms.insert(kind.clone(), raised);
        self.publish(Event::Alarms(inner.all_alarms()));
    }

    /// For its owner only, see [`AlarmHandle`].
    fn clear(&self, kind: &AlarmKind) {
        let mut inner = self.lock();
        if inner.alarms.remove(kind).is_some() {
            self.publish(Event::Alarms(inner.all_alarms()));
        }
    }

    /// Replaces the alarms that follow from everything else. One that stays keeps its beginning.
    pub fn show_found(&self, mut found: Vec<Alarm>) {
        let mut inner = self.lock();
        for alarm in &mut found {
            if let Some(known) = inner.found.iter().find(|known| known.kind == alarm.kind) {
                alarm.since = known.since;
            }
        }
        if found != inner.found {
            inner.found = found;
            self.publish(Event::Alarms(inner.all_alarms()));
        }
    }

    /// The server that reads texts in pictures.
    pub fn analysis(&self) -> AnalysisStatus {
        self.lock().analysis.clone()
    }

    /// Changes what is known of it.
    pub fn update_analysis(&self, change: impl FnOnce(&mut AnalysisStatus)) {
        change(&mut self.lock().analysis);
    }

    /// The wall clock.
    pub fn clock(&self) -> ClockStatus {
        self.lock().clock
    }

    /// Changes what is known of the clock; pushed when it changed.
    pub fn update_clock(&self, change: impl FnOnce(&mut ClockStatus)) {
        let clock = &mut self.lock().clock;
        let before = *clock;
        change(clock);
        if before != *clock {
            self.publish(Event::Clock(*clock));
        }
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

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
