//! The edge thread: waits for edges, lets [`Debounce`] judge them, and tells what came of it.
//!
//! A [`Watcher`] owns the lines and ends when they fail; whoever started it opens them again. What is worth keeping
//! across that, the counters and the heartbeat, lives in [`Contacts`], which also is what the dashboard looks at.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{ActiveLevel, GpioConfig};
use crate::gpio::{Edge, EdgeSource, GpioError, Level, Pin};
use crate::model::{CameraKey, UnixMs};
use crate::trigger::debounce::{Debounce, EdgeVerdict, Settled};
pub use crate::trigger::gpio_check::{Summary, test_gpio};

/// The longest wait for an edge: how often the heartbeat beats, how soon a stop is noticed, and how long a lost edge
/// stays unnoticed.
pub const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// How much later than another line's edge a line's own edge of the same time may be queued: the latency of an
/// interrupt on a busy machine.
const LAG: Duration = Duration::from_millis(20);

/// A line has nothing queued when this many edges per line came without one of its own. The character device tells
/// the edges of all lines in their order; rppal takes one edge of every line that has any in turn, so that one may
/// come early by a round.
const ROUNDS: usize = 2;

/// What the watcher tells, in the order in which it becomes known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineEvent {
    /// An edge came.
    Edge {
        /// Which line.
        pin: Pin,
        /// The level after it.
        level: Level,
        /// When, by the kernel's stamp.
        at: Instant,
        /// What it meant.
        verdict: EdgeVerdict,
    },
    /// A contact closed: take the picture.
    Fired {
        /// Which line.
        pin: Pin,
        /// The camera of that line.
        camera: CameraKey,
        /// The first edge of the closing, by the kernel's stamp.
        at: Instant,
    },
    /// A contact closed and no picture is taken.
    Ignored {
        /// Which line.
        pin: Pin,
        /// The first edge of the closing.
        at: Instant,
        /// Why not.
        reason: Ignored,
    },
    /// A line has settled at another level than before.
    Level {
        /// Which line.
        pin: Pin,
        /// The level.
        level: Level,
        /// Whether that means closed.
        active: bool,
    },
}

/// Why a closed contact takes no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It began within the bounce time of the trigger before.
    Deaf,
    /// It was not closed long enough without a break.
    TooShort,
}

/// One line as the dashboard shows it. The counters run since the program's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineStatus {
    /// BCM number.
    pub pin: Pin,
    /// The camera it triggers.
    pub camera: CameraKey,
    /// As of the last edge or reading; `None` while nobody watches the line.
    pub level: Option<Level>,
    /// Whether the contact is closed, bounce set aside.
    pub active: bool,
    /// When the last edge was.
    pub last_edge: Option<UnixMs>,
    /// Edges in all.
    pub edges: u64,
    /// Those of them that were bounce.
    pub bounces: u64,
    /// Triggers.
    pub fired: u64,
    /// Closings ignored because they began in the bounce time.
    pub deaf: u64,
    /// Closings ignored because they were too short.
    pub too_short: u64,
    /// Level changes nobody reported, found by reading the level.
    pub lost: u64,
}

/// What is known of every line, readable from any thread. Outlives the [`Watcher`]s that keep it up to date.
#[derive(Clone)]
pub struct Contacts(Arc<Board>);

struct Board {
    lines: Mutex<Vec<LineStatus>>,
    turns: AtomicU64,
}

impl Contacts {
    /// Lines nobody watches yet, each with the camera it triggers.
    pub fn new(lines: &[(Pin, CameraKey)]) -> Self {
        let unwatched = |(pin, camera): &(Pin, CameraKey)| LineStatus {
            pin: *pin,
            camera: camera.clone(),
            level: None,
            active: false,
            last_edge: None,
            edges: 0,
            bounces: 0,
            fired: 0,
            deaf: 0,
            too_short: 0,
            lost: 0,
        };
        let lines = Mutex::new(lines.iter().map(unwatched).collect());
        Self(Arc::new(Board { lines, turns: AtomicU64::new(0) }))
    }

    /// The lines, in the order they were given in.
    pub fn lines(&self) -> Vec<LineStatus> {
        self.status().clone()
    }

    /// The pins, as [`crate::gpio::open`] wants them.
    pub fn pins(&self) -> Vec<Pin> {
        self.status().iter().map(|line| line.pin).collect()
    }

    /// The heartbeat: grows at least every [`LONGEST_WAIT`] while a watcher runs. If it stands still, the edge thread
    /// hangs.
    pub fn turns(&self) -> u64 {
        self.0.turns.load(Ordering::Relaxed)
    }

    /// A panic elsewhere leaves counters behind that are off by one at most, so a poisoned lock is still good.
    fn status(&self) -> MutexGuard<'_, Vec<LineStatus>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Contacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contacts").field(&*self.status()).finish()
    }
}

#[derive(Debug)]
struct Line {
    debounce: Debounce,
    /// Edges of other lines since the last one of this line.
    passed: usize,
}

/// Watches lines. Blocking: give it a thread of its own.
pub struct Watcher {
    source: Box<dyn EdgeSource>,
    active: ActiveLevel,
    /// In the order of `contacts`.
    lines: Vec<Line>,
    contacts: Contacts,
}

impl Watcher {
    /// Reads the levels. A contact that is closed has to open before it can fire, because nobody knows when it closed.
    pub fn new(
        mut source: Box<dyn EdgeSource>,
        config: &GpioConfig,
        contacts: &Contacts,
    ) -> Result<Self, GpioError> {
        let levels = source.levels()?;
        let mut lines = Vec::new();
        for line in contacts.status().iter_mut() {
            let level = level_in(&levels, line.pin).ok_or(GpioError::NoSuchLine { pin: line.pin })?;
            line.level = Some(level);
            line.active = level.is_active(config.active);
            lines.push(Line { debounce: Debounce::new(config.active, config.bounce, level), passed: 0 });
        }
        Ok(Self { source, active: config.active, lines, contacts: contacts.clone() })
    }

    /// The back end's name.
    pub fn backend(&self) -> &'static str {
        self.source.name()
    }

    /// Watches until `stop` is cancelled, which takes up to [`LONGEST_WAIT`], or the lines fail.
    ///
    /// `sink` is called on this thread and must not block: edges are stamped by the kernel and keep, but its queue
    /// does not hold them for ever.
    pub fn run(mut self, stop: &CancellationToken, mut sink: impl FnMut(LineEvent)) -> Result<(), GpioError> {
        while !stop.is_cancelled() {
            self.turn(LONGEST_WAIT, &mut sink)?;
        }
        Ok(())
    }

    /// One round of [`Self::run`]: waits for the next edge or deadline, for at most `longest`.
    pub fn turn(&mut self, longest: Duration, sink: &mut impl FnMut(LineEvent)) -> Result<(), GpioError> {
        self.contacts.0.turns.fetch_add(1, Ordering::Relaxed);
        let deadline = self.lines.iter().filter_map(|line| line.debounce.deadline()).min();
        let timeout = deadline
            .map_or(longest, |deadline| deadline.saturating_duration_since(Instant::now()).min(longest));
        match self.source.wait(timeout)? {
            Some(edge) => {
                self.take(edge, sink);
                // `checked_sub`, because an `Instant` may not reach back before the machine's start.
                if let Some(safe) = edge.at.checked_sub(LAG) {
                    self.settle(safe, ROUNDS * self.lines.len(), sink);
                }
            }
            None if deadline.is_some() => self.settle(Instant::now(), 0, sink),
            None => self.look(sink)?,
        }
        Ok(())
    }

    fn take(&mut self, edge: Edge, sink: &mut impl FnMut(LineEvent)) {
        for index in 0..self.lines.len() {
            if self.pin(index) != edge.pin {
                self.lines[index].passed += 1;
                continue;
            }
            self.lines[index].passed = 0;
            let (settled, verdict) = self.lines[index].debounce.edge(edge.level, edge.at);
            if let Some(settled) = settled {
                self.tell(index, settled, sink);
            }
            {
                let line = &mut self.contacts.status()[index];
                line.level = Some(edge.level);
                line.last_edge = Some(clock::wall_at(edge.at));
                line.edges += 1;
                line.bounces += u64::from(verdict == EdgeVerdict::Bounce);
            }
            sink(LineEvent::Edge { pin: edge.pin, level: edge.level, at: edge.at, verdict });
        }
    }

    /// Lets time pass for the lines that at least `passed` edges of others have passed by. Without it, a contact
    /// that chatters, so that there always is an edge queued, would keep the other ones from firing.
    fn settle(&mut self, now: Instant, passed: usize, sink: &mut impl FnMut(LineEvent)) {
        for index in 0..self.lines.len() {
            let line = &mut self.lines[index];
            let settled = if line.passed >= passed { line.debounce.settle(now) } else { None };
            if let Some(settled) = settled {
                self.tell(index, settled, sink);
            }
        }
    }

    /// Reads the levels of quiet lines: the kernel drops the oldest edges when its queue is full, and a line whose
    /// last edge went missing would be believed closed, and deaf, for ever.
    fn look(&mut self, sink: &mut impl FnMut(LineEvent)) -> Result<(), GpioError> {
        let levels = self.source.levels()?;
        let now = Instant::now();
        let changed: Vec<(Pin, Level)> = (0..self.lines.len())
            .filter_map(|index| level_in(&levels, self.pin(index)).map(|level| (index, level)))
            .filter(|(index, level)| self.lines[*index].debounce.level() != *level)
            .map(|(index, level)| (self.pin(index), level))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        // The edge may have come between waiting and reading.
        if let Some(edge) = self.source.wait(Duration::ZERO)? {
            self.take(edge, sink);
            return Ok(());
        }
        for (pin, level) in changed {
            tracing::debug!(pin, %level, "level changed without an edge");
            for line in self.contacts.status().iter_mut().filter(|line| line.pin == pin) {
                line.lost += 1;
            }
            self.take(Edge { pin, level, at: now }, sink);
        }
        Ok(())
    }

    fn tell(&mut self, index: usize, settled: Settled, sink: &mut impl FnMut(LineEvent)) {
        let active = self.lines[index].debounce.is_settled_closed();
        let level = if active { Level::closed(self.active) } else { Level::open(self.active) };
        let (pin, camera) = {
            let line = &mut self.contacts.status()[index];
            line.active = active;
            line.fired += u64::from(matches!(settled, Settled::Fired { .. }));
            line.deaf += u64::from(matches!(settled, Settled::Deaf { .. }));
            line.too_short += u64::from(matches!(settled, Settled::TooShort { .. }));
            (line.pin, line.camera.clone())
        };
        match settled {
            Settled::Fired { at } => sink(LineEvent::Fired { pin, camera, at }),
            Settled::Deaf { at } => sink(LineEvent::Ignored { pin, at, reason: Ignored::Deaf }),
            Settled::TooShort { at } => sink(LineEvent::Ignored { pin, at, reason: Ignored::TooShort }),
            Settled::Opened | Settled::Dropout => {}
        }
        match settled {
            Settled::Fired { .. } | Settled::Deaf { .. } | Settled::Opened => {
                sink(LineEvent::Level { pin, level, active });
            }
            Settled::TooShort { .. } | Settled::Dropout => {}
        }
    }

    fn pin(&self, index: usize) -> Pin {
        self.contacts.status()[index].pin
    }
}

impl Drop for Watcher {
    /// Nobody knows the levels from here on.
    fn drop(&mut self) {
        for line in self.contacts.status().iter_mut() {
            line.level = None;
            line.active = false;
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("backend", &self.backend()).field("lines", &self.lines).finish()
    }
}

fn level_in(levels: &[(Pin, Level)], pin: Pin) -> Option<Level> {
    levels.iter().find(|line| line.0 == pin).map(|line| line.1)
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
