//! When was this frame taken? Turns RTP time stamps into instants.
//!
//! RTP time stamps are regular but start anywhere, and the camera's clock may run fast or slow; arrivals are on our
//! clock but jitter, because of the network and because a keyframe is large. So a line is laid along the lower edge of
//! arrivals over stamps (`line`), and a frame was taken where the line says.
//!
//! But arrivals are the truth. Cameras stamp 25 frames a second and send 21, stamp in milliseconds, or not at all; at
//! night they send fewer. Where frames depart from the line for good, instants come from arrivals (`steady`)
//! until stamps have kept to a line again for some seconds; if its pace is not that of a clock, they are scaled.
//! Downstream, RTP time is replaced by a time that goes on through all of this.

use std::time::{Duration, Instant};

use super::arrival_rate::ArrivalRate;
use super::doubt::{Doubt, DoubtCause};
use super::lateness::Lateness;
use super::line::{ArrivalLine, EndedPiece, Fit, Point, SURE};
use super::steady::Steady;
use crate::model::Stamps;

/// A camera's clock is never as wrong as this; a pace beyond it is no clock.
const DRIFT_MAX: f64 = 0.05;

/// Stamps that go back by more than this were restarted, unless they stay after the highest but one, as those of B-frames
/// do; and if they go back by more than the second.
const BACK_NS: i64 = 300_000_000;
const BACK_MAX_NS: i64 = 5_000_000_000;

/// A step of stamps that are no clock by more than this is a restart.
const STEP_MAX_NS: u64 = 60_000_000_000;

/// A frame earlier than the line by more than this: the camera restarted its stamps. Later by more without a step
/// forward: the same.
const JUMP_NS: i64 = 2_000_000_000;

/// At first, when frames that a restreamer has kept may come at once, the first is this.
const CACHED_JUMP_NS: i64 = 10_000_000_000;

/// So many restarts, each soon after the one before: the stamps are random.
const RESTARTS_MAX: u32 = 4;
const SOON_NS: i64 = 5_000_000_000;

/// So many stamps alike: there is no clock behind them.
const ALIKE_MAX: u32 = 4;

/// A frame later than this has not just been held up by the network, if others fare no better: some times the usual,
/// within these bounds.
const LATE_NS: std::ops::RangeInclusive<i64> = 70_000_000..=300_000_000;
const LATE_TIMES_USUAL: i64 = 6;

/// A delay that becomes less by this is one that passes.
const RELIEF_NS: i64 = 20_000_000;

/// So many frames that late, for so long, with no relief: the line does not hold. Scaled stamps have shown what they are
/// worth, so that they are given less.
const LATE_FRAMES: u32 = 4;
const LATE_FOR_NS: i64 = 1_000_000_000;
const LATE_FOR_SCALED_NS: i64 = 400_000_000;
/// At low rates.
const LATE_FOR_FEW_NS: i64 = 4_000_000_000;

/// After that a line is new enough to be judged from so many pieces.
const JUDGED_PIECES: usize = 4;

/// By so much stamps depart from any clock before they are called untrue. Wireless networks hold up by 200 ms.
const DEPARTURE_NS: f64 = 250e6;
/// The same after frames departed from the line.
const DEPARTURE_AGAIN_NS: f64 = 100e6;

/// Frames come faster than they were taken where a restreamer begins with what it has kept: for so long at first, or by
/// so much, that means nothing.
const CACHED_NS: i64 = 5_000_000_000;
const CACHED_MAX_NS: f64 = 6e9;

/// Stamps are trusted again, or scaled, after so long on a line from which pieces depart by no more than this.
const PROVEN_PIECES: usize = 10;
const PROVEN_NS: f64 = 5e9;
const TIGHT_NS: f64 = 30e6;
const TIGHT_FARTHEST_NS: f64 = 100e6;

/// Pieces of a line that are so uneven say nothing of its pace.
const UNEVEN_NS: f64 = 80e6;

/// A frame that came later than this by the line may be no older than its arrival. B-frames come after their turn.
const DOUBT_NS: i64 = 400_000_000;

/// How far instants by arrival may be off before it was measured.
const UNMEASURED: Duration = Duration::from_millis(100);

/// What is told of how well frames keep to their turn covers this.
const JITTER_NS: i64 = 10_000_000_000;

/// What a restreamer has kept comes faster than this for each frame, and so many times as fast as it was taken. A frame of
/// it that is earlier by the line than all before it by more than the last shows that those are older than they seemed.
const CACHED_STEP_NS: i64 = 20_000_000;
const CACHED_TIMES: i64 = 4;
const MOVED_NS: i64 = 10_000_000;

/// A frame's place in time.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Nanoseconds since a fixed start; gives the order of display. Steps of RTP time while that is a clock.
    pub stream_ns: i64,
    /// When it was taken.
    pub instant: Instant,
    /// Whether that is sure.
    pub doubt: Option<Doubt>,
    /// By so much frames before it were taken earlier than was told of them.
    pub moved: Option<Duration>,
    /// The camera restarted its stamps.
    pub restarted: bool,
}

/// What instants are taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Mode {
    /// Stamps.
    #[default]
    Good,
    /// Arrivals, until it is clear why frames came late since `since`; the line before goes back to `before`.
    Unsure { since: i64, before: i64 },
    /// Arrivals.
    Untrusted,
    /// Stamps, scaled.
    Scaled,
}

/// Frames that came late one after the other.
#[derive(Clone, Copy, Debug)]
struct Run {
    since: i64,
    late: i64,
    frames: u32,
}

/// Maps RTP time to instants, for one session. Nanoseconds; arrivals since the first one.
#[derive(Debug, Default)]
pub struct Timeline {
    origin: Option<Instant>,
    mode: Mode,
    line: ArrivalLine,
    steady: Steady,
    lateness: Lateness,
    rate: ArrivalRate,
    run: Option<Run>,
    /// A frame later than this may begin a run.
    late_limit: i64,
    /// The newest frame as it was stamped, the highest stamp and the one that was before, and the newest frame's RTP time
    /// with restarts taken out.
    raw: i64,
    raw_highest: i64,
    raw_lower: i64,
    rtp: i64,
    at: i64,
    placed: i64,
    /// No frame is placed before what was placed by arrival.
    not_before: i64,
    stream: i64,
    stream_highest: i64,
    /// Stamps in a row that were alike.
    alike: u32,
    restarts: u32,
    restarted_at: i64,
    is_past_cached: bool,
}

impl Timeline {
    /// Places a frame with RTP time `raw_ns` (nanoseconds since any fixed start) that began to arrive at `arrival`.
    pub fn push(&mut self, raw_ns: i64, arrival: Instant) -> Placed {
        self.rate.push(arrival);
        let Some(origin) = self.origin else { return self.begin(raw_ns, arrival) };
        let at = nanoseconds_between(origin, arrival);
        let restarted = self.take_stamp(raw_ns, at);
        let point = Point { at, rtp: self.rtp };
        let early = self.line.lateness(point).saturating_neg();
        let moved =
            (early > MOVED_NS && self.is_cached(at)).then(|| Duration::from_nanos(early.unsigned_abs()));
        let before = (self.placed, self.mode);
        let ended = self.line.push(point);
        let late = self.line.lateness(point);
        self.follow(at, late);
        if let Some(ended) = ended {
            self.judge(at, ended);
        }
        if self.alike >= ALIKE_MAX || self.restarts >= RESTARTS_MAX {
            self.distrust(at);
        }
        let placed = self.place(at, point, before.1);
        self.go_on(raw_ns, at, placed, before.0, restarted);
        let instant = instant_at(origin, placed).unwrap_or(arrival);
        let moved = moved.filter(|_| before.1 == self.mode);
        Placed { stream_ns: self.stream, instant, doubt: self.doubt(late), moved, restarted }
    }

    /// Whether stamps are a clock.
    pub fn stamps(&self) -> Stamps {
        match self.mode {
            Mode::Good | Mode::Unsure { .. } => Stamps::Good,
            Mode::Untrusted => Stamps::Untrusted,
            Mode::Scaled => Stamps::Scaled { pace: two_digits(1.0 / self.line.pace()) },
        }
    }

    /// Frames by their arrival.
    pub fn rate(&self) -> &ArrivalRate {
        &self.rate
    }

    /// How late frames arrive: 19 of 20 within this time of their turn, in the last ten seconds; `None` before.
    pub fn jitter(&self) -> Option<Duration> {
        let begun = self.lateness.begun()?;
        (self.at.saturating_sub(begun) >= JITTER_NS).then(|| self.lateness.most()).flatten()
    }

    fn begin(&mut self, raw_ns: i64, arrival: Instant) -> Placed {
        self.origin = Some(arrival);
        (self.raw, self.raw_highest, self.raw_lower) = (raw_ns, raw_ns, raw_ns);
        (self.stream, self.stream_highest) = (raw_ns, raw_ns);
        self.late_limit = *LATE_NS.end();
        self.not_before = i64::MIN;
        self.line.push(Point::default());
        Placed { stream_ns: raw_ns, instant: arrival, doubt: None, moved: None, restarted: false }
    }

    /// Takes a stamp as RTP time without the camera's restarts; whether this is one.
    fn take_stamp(&mut self, raw_ns: i64, at: i64) -> bool {
        let step = raw_ns.saturating_sub(self.raw);
        let rtp = self.rtp.saturating_add(step);
        let late = self.line.lateness(Point { at, rtp });
        let back = self.raw_highest.saturating_sub(raw_ns);
        let went_back = back > BACK_NS && (raw_ns <= self.raw_lower || back > BACK_MAX_NS);
        let restarted = match self.mode {
            Mode::Untrusted => went_back || step.unsigned_abs() > STEP_MAX_NS,
            Mode::Good | Mode::Unsure { .. } | Mode::Scaled => {
                let early_max = if at < CACHED_NS { CACHED_JUMP_NS } else { JUMP_NS };
                let due = late.saturating_sub(back.saturating_mul(2));
                went_back || late < -early_max || (step <= 0 && due > JUMP_NS)
            }
        };
        self.alike = if step == 0 { self.alike + 1 } else { 0 };
        if !restarted {
            self.rtp = rtp;
            if raw_ns > self.raw_highest {
                (self.raw_lower, self.raw_highest) = (self.raw_highest, raw_ns);
            }
            return false;
        }
        (self.raw_lower, self.raw_highest) = (raw_ns, raw_ns);
        let is_soon = at.saturating_sub(self.restarted_at) < SOON_NS;
        self.restarts = if is_soon { self.restarts + 1 } else { 1 };
        self.restarted_at = at;
        // As if it came without delay: what comes next shows if it did not.
        self.rtp = match self.mode {
            Mode::Untrusted => self.rtp.saturating_add(at.saturating_sub(self.at)),
            Mode::Good | Mode::Unsure { .. } | Mode::Scaled => self.line.rtp_at(at),
        };
        if self.mode == Mode::Untrusted {
            self.line.go_on(at);
        }
        true
    }

    /// Whether all frames so far came as fast as what a restreamer has kept.
    fn is_cached(&self, at: i64) -> bool {
        let frames = i64::try_from(self.rate.count()).unwrap_or(i64::MAX) - 1;
        let is_quick = at <= frames.saturating_mul(CACHED_STEP_NS) && at < self.rtp / CACHED_TIMES;
        self.mode == Mode::Good && at < CACHED_NS && is_quick
    }

    /// Looks at how late a frame comes by the line.
    fn follow(&mut self, at: i64, late: i64) {
        match self.mode {
            Mode::Untrusted => return,
            Mode::Unsure { before, .. } => {
                if late <= self.late_limit / 2 {
                    // It passed, as a stall does.
                    self.line.go_on(before);
                    self.stamps_again(Mode::Good);
                }
                return;
            }
            Mode::Good | Mode::Scaled => {}
        }
        self.lateness.add(at, late);
        if late <= self.late_limit {
            self.run = None;
            return;
        }
        let run = match self.run {
            Some(run) if late >= run.late - RELIEF_NS => Run { frames: run.frames + 1, ..run },
            _ => Run { since: at, late, frames: 1 },
        };
        self.run = Some(run);
        let lasted = at - run.since;
        let limit = if self.mode == Mode::Scaled { LATE_FOR_SCALED_NS } else { LATE_FOR_NS };
        let is_many = run.frames >= LATE_FRAMES && lasted >= limit;
        let is_long = run.frames + 1 >= LATE_FRAMES && lasted >= LATE_FOR_FEW_NS;
        if !is_many && !is_long {
            return;
        }
        self.run = None;
        if self.mode == Mode::Scaled {
            self.distrust(run.since);
        } else {
            self.mode = Mode::Unsure { since: run.since, before: self.line.since() };
            self.steady = Steady::from(self.placed, self.at);
            self.line.freeze();
        }
    }

    /// Judges the stamps when a piece of the line has ended.
    fn judge(&mut self, at: i64, ended: EndedPiece) {
        match self.mode {
            Mode::Good => self.judge_good(at),
            Mode::Unsure { since, .. } => self.judge_unsure(since),
            Mode::Scaled if ended == EndedPiece::Faster => self.distrust(self.line.since()),
            Mode::Scaled => {}
            Mode::Untrusted => self.judge_untrusted(at),
        }
        if self.run.is_none() {
            let usual = self.lateness.most().map_or(i64::MAX, nanoseconds);
            self.late_limit = usual.saturating_mul(LATE_TIMES_USUAL).clamp(*LATE_NS.start(), *LATE_NS.end());
        }
    }

    fn judge_good(&mut self, at: i64) {
        if at >= CACHED_NS && !self.is_past_cached {
            self.is_past_cached = true;
            if self.line.pace() < 1.0 - DRIFT_MAX {
                self.line.go_on(at);
            }
        }
        let Some(fit) = self.line.fit(self.line.since()).filter(|fit| fit.pieces >= SURE) else { return };
        let limit = DEPARTURE_NS + 4.0 * fit.spread;
        let is_told = fit.pace > 1.0 || self.is_past_cached || fit.excess(DRIFT_MAX) > CACHED_MAX_NS;
        if is_told && fit.excess(DRIFT_MAX) > limit {
            self.distrust(self.line.since());
        }
    }

    fn judge_unsure(&mut self, since: i64) {
        let Some(fit) = self.line.fit(since).filter(|fit| fit.pieces >= JUDGED_PIECES) else { return };
        let is_other = fit.excess(DRIFT_MAX) > DEPARTURE_AGAIN_NS + 4.0 * fit.spread;
        if is_other || fit.pieces >= SURE && fit.spread > UNEVEN_NS {
            self.distrust(since);
        } else if fit.pieces >= SURE {
            // The way here has become longer.
            self.line.go_on(since);
            self.stamps_again(Mode::Good);
        }
    }

    fn judge_untrusted(&mut self, at: i64) {
        let is_tight = |fit: &Fit| fit.spread <= TIGHT_NS && fit.farthest <= TIGHT_FARTHEST_NS;
        let Some(fit) = self.line.fit(self.line.since()) else { return };
        if !fit.pace.is_finite() || (fit.pieces >= SURE && !is_tight(&fit)) {
            // The longest end of the line that is one.
            self.line.forget_first();
            return;
        }
        let is_calm = self.alike == 0 && at.saturating_sub(self.restarted_at) >= SOON_NS;
        if fit.pieces < PROVEN_PIECES || fit.span < PROVEN_NS || !is_calm {
            return;
        }
        let is_clock = fit.excess(DRIFT_MAX) <= 2.0 * fit.spread;
        self.line.go_on(self.line.since());
        self.stamps_again(if is_clock { Mode::Good } else { Mode::Scaled });
    }

    /// Takes instants from stamps again.
    fn stamps_again(&mut self, mode: Mode) {
        self.mode = mode;
        (self.not_before, self.run) = (self.placed, None);
        (self.lateness, self.late_limit) = (Lateness::default(), *LATE_NS.end());
    }

    /// Takes instants from arrivals; a line is looked for from `since` on.
    fn distrust(&mut self, since: i64) {
        (self.restarts, self.run) = (0, None);
        self.line.go_on(since);
        if self.mode == Mode::Untrusted {
            return;
        }
        if !matches!(self.mode, Mode::Unsure { .. }) {
            self.steady = Steady::from(self.placed, self.at);
        }
        self.mode = Mode::Untrusted;
        self.lateness = Lateness::default();
    }

    /// Where a frame lies in time.
    fn place(&mut self, at: i64, point: Point, before: Mode) -> i64 {
        match self.mode {
            Mode::Good | Mode::Scaled => {
                let placed = at.saturating_sub(self.line.lateness(point).max(0));
                if before == self.mode { placed.max(self.not_before) } else { placed.max(self.placed) }
            }
            Mode::Unsure { .. } | Mode::Untrusted => {
                let interval = self.rate.interval().map_or(0, nanoseconds);
                let (placed, off) = self.steady.place(at.max(self.at), interval);
                if self.mode == Mode::Untrusted {
                    self.lateness.add(at, off);
                }
                placed
            }
        }
    }

    /// Carries the time of display on.
    fn go_on(&mut self, raw_ns: i64, at: i64, placed: i64, placed_before: i64, restarted: bool) {
        let raw_step = raw_ns.saturating_sub(self.raw);
        let by_arrival = |timeline: &Self, step: i64| {
            timeline.stream.saturating_add(step.max(1)).max(timeline.stream_highest.saturating_add(1))
        };
        self.stream = match self.mode {
            Mode::Good | Mode::Scaled if restarted || raw_step == 0 => {
                by_arrival(self, if restarted { at.saturating_sub(self.at) } else { 1 })
            }
            Mode::Good => self.stream.saturating_add(raw_step),
            Mode::Scaled => self.stream.saturating_add((raw_step as f64 * self.line.pace()) as i64),
            Mode::Unsure { .. } | Mode::Untrusted => by_arrival(self, placed.saturating_sub(placed_before)),
        };
        self.stream_highest = self.stream_highest.max(self.stream);
        (self.raw, self.at, self.placed) = (raw_ns, at, placed);
    }

    fn doubt(&self, late: i64) -> Option<Doubt> {
        let usual = || self.lateness.most().unwrap_or(UNMEASURED);
        let of_ns = |ns: i64| Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
        match self.mode {
            Mode::Good | Mode::Unsure { .. } => {
                let reordered = self.raw_highest.saturating_sub(self.raw).saturating_mul(2);
                let late = late.saturating_sub(reordered);
                (late > DOUBT_NS).then_some(Doubt { cause: DoubtCause::Late, within: of_ns(late) })
            }
            Mode::Untrusted => {
                let within = usual().max(of_ns(self.steady.held_up()));
                Some(Doubt { cause: DoubtCause::Arrival, within })
            }
            Mode::Scaled => Some(Doubt { cause: DoubtCause::Scaled, within: usual().max(of_ns(late)) }),
        }
    }
}

/// Two digits that count, so that the figure changes seldom.
fn two_digits(pace: f64) -> f64 {
    let unit = 10_f64.powf(pace.abs().log10().floor() - 1.0);
    if unit.is_normal() { (pace / unit).round() * unit } else { pace }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn instant_at(origin: Instant, at: i64) -> Option<Instant> {
    let distance = Duration::from_nanos(at.unsigned_abs());
    if at >= 0 { origin.checked_add(distance) } else { origin.checked_sub(distance) }
}

fn nanoseconds_between(origin: Instant, instant: Instant) -> i64 {
    match instant.checked_duration_since(origin) {
        Some(later) => nanoseconds(later),
        None => -nanoseconds(origin.duration_since(instant)),
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
