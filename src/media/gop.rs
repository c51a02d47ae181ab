//! The newest groups of pictures of a camera, undecoded: what a trigger needs to show an instant that is already past.
//!
//! A group begins where decoding can: at an IDR, or at a recovery point. After some recovery points pictures are clean only
//! after a while (periodic intra refresh), so what is needed for a picture may begin some groups before it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::doubt::Doubt;
use super::shelf::{Shelf, ShelfPart};

/// How pictures are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    H265,
    /// JPEG; every picture stands alone (RFC 2435).
    Jpeg,
}

/// One coded picture (ITU-T H.264 section 3.1), shared and never copied.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// RTP time in nanoseconds since the session began; gives the order of display.
    pub rtp_ns: i64,
    /// When it was taken, on our clock.
    pub instant: Instant,
    /// Annex B byte stream with parameter sets before each unit at which decoding can begin, or a JPEG file.
    pub data: Arc<[u8]>,
    /// Decoding can begin here, and pictures are clean after so many that others refer to: 0 at an IDR and at a recovery
    /// point with an intra picture, more where pictures are refreshed a part at a time.
    pub starts: Option<u32>,
    /// Whether no other picture refers to it (ITU-T H.264 `nal_ref_idc` 0, ITU-T H.265 sub-layer non-reference).
    pub is_disposable: bool,
    /// How many pictures seem to be missing before it, by the cadence of the stream; 0 where nobody looked.
    pub missing: u32,
    /// It is shown before the unit its group begins with, and refers to the group before (ITU-T H.265 RASL). Where
    /// decoding begins with its group it cannot be had.
    pub is_leading: bool,
    /// Whether and why its instant may be off.
    pub doubt: Option<Doubt>,
}

impl AccessUnit {
    /// Whether decoding can begin here.
    pub fn is_start(&self) -> bool {
        self.starts.is_some()
    }
}

/// The access units a decoder needs for one wanted picture, in decoding order, from one at which decoding can begin.
#[derive(Clone, Debug)]
pub struct DecodeRun {
    /// How they are coded.
    pub codec: Codec,
    /// Never empty; decoding can begin with the first.
    pub units: Vec<AccessUnit>,
    /// RTP time of the wanted picture, which is among them.
    pub wanted_rtp_ns: i64,
    /// When the wanted picture was taken.
    pub instant: Instant,
    /// What its camera's answer says of it, for people.
    pub remark: Option<Arc<str>>,
    /// From the picture before it; zero where that is not known.
    pub spacing: Duration,
}

impl DecodeRun {
    /// Whether the wanted picture is whole when decoding begins where the excerpt does; else parts of it are yet to be
    /// refreshed.
    pub fn is_clean(&self) -> bool {
        let wanted = self.units.iter().position(|unit| unit.rtp_ns == self.wanted_rtp_ns);
        wanted.and_then(|wanted| bases(self.units.iter().map(|unit| (unit, true)))[wanted]).is_some()
    }

    /// Whether and why the instant of the wanted picture may be off.
    pub fn doubt(&self) -> Option<Doubt> {
        self.units.iter().rev().find(|unit| unit.rtp_ns == self.wanted_rtp_ns)?.doubt
    }
}

/// Pictures farther apart than this are rare: of a time-lapse, or of a camera that saves its battery.
const RARE: Duration = Duration::from_secs(2);

/// Whole groups of pictures that cover a stretch of time.
#[derive(Clone, Debug)]
pub struct UnitRange {
    /// How they are coded.
    pub codec: Codec,
    /// Never empty; in decoding order, decoding can begin with the first.
    pub units: Vec<AccessUnit>,
}

/// Bounds of the buffer.
#[derive(Clone, Copy, Debug)]
pub struct GopLimits {
    /// Bytes of all units together.
    pub bytes: usize,
    /// From the oldest to the newest unit.
    pub span: Duration,
}

/// A picture that is not whole is taken when the nearest whole one is farther away than it by more than this: right after
/// connecting to a camera that refreshes its pictures a part at a time, or after a loss.
const UNCLEAN_BEYOND: Duration = Duration::from_secs(1);

/// For each unit the place of the last one that decoding can begin with for its picture to be whole; `None` where there is
/// none. Units are given in decoding order, with whether the one before is the one that came before it.
pub fn bases<'a>(units: impl Iterator<Item = (&'a AccessUnit, bool)>) -> Vec<Option<usize>> {
    // Units at which decoding can begin, and the pictures until it is clean; and the last one for which it is.
    let (mut begun, mut clean): (VecDeque<(usize, u32)>, Option<usize>) = (VecDeque::new(), None);
    // What was clean where the newest group begins: leading pictures need it.
    let mut before = None;
    let place = |(i, (unit, is_joined)): (usize, (&AccessUnit, bool))| {
        if !is_joined {
            (clean, before) = (None, None);
            begun.clear();
        }
        if !unit.is_disposable {
            begun.iter_mut().for_each(|(_, left)| *left = left.saturating_sub(1));
        }
        if let Some(left) = unit.starts {
            before = clean;
            begun.push_back((i, left));
        }
        // One that is clean later than a newer one is of no use any more.
        if let Some(newest) = begun.iter().rposition(|(_, left)| *left == 0) {
            clean = Some(begun[newest].0);
            begun.drain(..=newest);
        }
        if unit.is_leading { before } else { clean }
    };
    units.enumerate().map(place).collect()
}

/// A unit in its place.
#[derive(Clone, Debug)]
struct Kept {
    unit: AccessUnit,
    /// The unit before it is the one that came before it.
    is_joined: bool,
}

impl std::ops::Deref for Kept {
    type Target = AccessUnit;

    fn deref(&self) -> &AccessUnit {
        &self.unit
    }
}

/// Whole groups of pictures, the newest last. Holds the current group and those before it that still reach into the
/// time that must be kept; decoding can begin with the first, or it is empty.
#[derive(Debug)]
pub struct Gops {
    codec: Codec,
    limits: GopLimits,
    /// How far back an instant may be asked for.
    reach: Duration,
    units: VecDeque<Kept>,
    bytes: usize,
    /// Its part of what all cameras may keep.
    place: Option<ShelfPart>,
    /// RTP time and instant of the unit that is shown last.
    last_shown: Option<(i64, Instant)>,
    /// Up to this instant everything has come; see [`Self::settled`].
    settled: Option<Instant>,
    /// Units have come that are shown before an earlier one: there are B-frames.
    is_reordered: bool,
    /// The current group outgrew the limits or lost packets; nothing is kept until the next group.
    waits_for_start: bool,
    /// The current group is gone because it outgrew the limits.
    is_outgrown: bool,
    /// The group before the current one is not there up to its end, so leading units are of no use.
    is_cut_off: bool,
}

impl Gops {
    /// An empty buffer that keeps at least the current group, and older ones as far as `reach` needs them.
    pub fn new(codec: Codec, limits: GopLimits, reach: Duration) -> Self {
        Self {
            codec,
            limits,
            reach,
            units: VecDeque::new(),
            bytes: 0,
            place: None,
            last_shown: None,
            settled: None,
            is_reordered: false,
            waits_for_start: false,
            is_outgrown: false,
            is_cut_off: false,
        }
    }

    /// Within what all cameras may keep together.
    pub fn on(self, shelf: &Shelf) -> Self {
        Self { place: Some(shelf.place()), ..self }
    }

    /// Whether the current group is gone because it outgrew the limits.
    pub fn is_outgrown(&self) -> bool {
        self.is_outgrown
    }

    /// How the units are coded.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends a unit; whether it was of use. Units before the first at which decoding can begin are not, and are
    /// dropped.
    pub fn push(&mut self, unit: AccessUnit) -> bool {
        let mut is_joined = true;
        if unit.is_start() {
            self.is_cut_off = self.units.is_empty() || self.waits_for_start;
            is_joined = !self.is_cut_off;
            (self.waits_for_start, self.is_outgrown) = (false, false);
        } else if self.units.is_empty() || self.waits_for_start || (unit.is_leading && self.is_cut_off) {
            return false;
        }
        match self.last_shown {
            Some((rtp_ns, _)) if unit.rtp_ns < rtp_ns => self.is_reordered = true,
            last_shown => {
                self.settled = last_shown.map(|(_, instant)| instant);
                self.last_shown = Some((unit.rtp_ns, unit.instant));
            }
        }
        self.units.push_back(Kept { unit, is_joined });
        self.weigh();
        self.forget();
        !self.units.is_empty()
    }

    /// What is kept was taken earlier than was known when it came.
    pub fn move_back(&mut self, by: Duration) {
        let earlier = |instant: &mut Instant| *instant = instant.checked_sub(by).unwrap_or(*instant);
        self.units.iter_mut().for_each(|kept| earlier(&mut kept.unit.instant));
        self.last_shown.iter_mut().for_each(|(_, instant)| earlier(instant));
        self.settled.iter_mut().for_each(earlier);
    }

    /// Drops everything; the next unit kept is one at which decoding can begin.
    pub fn clear(&mut self) {
        self.units.clear();
        self.weigh();
        (self.last_shown, self.settled) = (None, None);
    }

    /// What is taken off the instants for the camera's latency is another from now on: those kept are moved along, so
    /// that order and distances stay.
    pub fn shift(&mut self, was: Duration, is: Duration) {
        if was == is {
            return;
        }
        let moved = |at: Instant| (at + was).checked_sub(is).unwrap_or(at);
        for kept in &mut self.units {
            kept.unit.instant = moved(kept.unit.instant);
        }
        self.last_shown = self.last_shown.map(|(rtp_ns, at)| (rtp_ns, moved(at)));
        self.settled = self.settled.map(moved);
    }

    /// Packets were lost: what follows refers to what is missing, so nothing is kept until the next group. What came
    /// before stays.
    pub fn break_off(&mut self) {
        self.waits_for_start = true;
    }

    /// A decoder found that `unit` cannot be decoded, and so nothing after it in its group: all that is dropped, with the
    /// leading units of the next group, and if it is the current group, what follows until the next one. What came before
    /// stays.
    pub fn drop_damaged(&mut self, unit: &AccessUnit) {
        let Some(first) = self.units.iter().position(|known| Arc::ptr_eq(&known.data, &unit.data)) else {
            return;
        };
        let begins = |from: usize| (from..self.units.len()).find(|i| self.units[*i].is_start());
        let next = begins(first + 1);
        // No decoder complains of a leading unit that refers to what is dropped here.
        let end = next.map_or(self.units.len(), |next| begins(next + 1).unwrap_or(self.units.len()));
        self.is_cut_off |= next.is_some() && end == self.units.len();
        let mut index = 0;
        self.units.retain(|unit| {
            let of_next = next.is_some_and(|next| index >= next);
            let is_kept = !(first..end).contains(&index) || (of_next && !unit.is_leading);
            index += 1;
            is_kept
        });
        if next.is_some() {
            // What was the begin of the next group stands in the place of the first that went.
            self.units[first].is_joined = false;
        }
        self.weigh();
        if next.is_none() {
            self.break_off();
            self.last_shown = self.units.iter().map(|unit| (unit.rtp_ns, unit.instant)).max();
            self.settled = self.last_shown.map(|(_, instant)| instant);
        }
    }

    /// Whether a picture can be decoded.
    pub fn is_ready(&self) -> bool {
        !self.units.is_empty()
    }

    /// For an instant up to this one no nearer picture can come any more.
    ///
    /// That is the newest picture; with B-frames, which come after the picture they are shown before, the one that was
    /// the newest before it.
    pub fn settled(&self) -> Option<Instant> {
        if self.units.is_empty() {
            return None;
        }
        if self.is_reordered { self.settled } else { self.last_shown.map(|(_, instant)| instant) }
    }

    /// What a decoder needs to show the picture taken nearest to `at`; `None` while nothing is kept.
    pub fn nearest(&self, at: Instant) -> Option<DecodeRun> {
        let distance = |i: &usize| self.units[*i].instant.max(at) - self.units[*i].instant.min(at);
        let bases = self.bases();
        let all = 0..self.units.len();
        let clean = all.clone().filter(|i| bases[*i].is_some()).min_by_key(distance);
        let nearest = all.filter(|i| !self.units[*i].is_leading).min_by_key(distance)?;
        let is_better = |clean: &usize| distance(clean) <= distance(&nearest) + UNCLEAN_BEYOND;
        let index = clean.filter(is_better).unwrap_or(nearest);
        let first = bases[index].or_else(|| self.earliest(index))?;
        let wanted = &self.units[index];
        Some(DecodeRun {
            codec: self.codec,
            units: self.from(first, index + 1).map(|(_, unit)| unit.clone()).collect(),
            wanted_rtp_ns: wanted.rtp_ns,
            instant: wanted.instant,
            remark: None,
            spacing: self.spacing(index),
        })
    }

    /// Whether pictures come so seldom that the one before an instant may be the nearest there will be for seconds.
    pub fn are_rare(&self) -> bool {
        self.units.len().checked_sub(1).is_some_and(|newest| self.spacing(newest) > RARE)
    }

    /// From the unit before one to it.
    fn spacing(&self, index: usize) -> Duration {
        let before = index.checked_sub(1).and_then(|before| self.units.get(before));
        before.map_or(Duration::ZERO, |before| {
            self.units[index].instant.saturating_duration_since(before.instant)
        })
    }

    /// Everything from where decoding must begin for `from`, or the oldest there is, up to `to`; `None` while nothing is
    /// kept.
    pub fn stretch(&self, from: Instant, to: Instant) -> Option<UnitRange> {
        let before = self.units.iter().enumerate().filter(|(_, unit)| unit.instant <= from);
        let shown_at = before.max_by_key(|(_, unit)| unit.instant).map(|(i, _)| i);
        let first = shown_at.and_then(|i| self.bases()[i].or_else(|| self.begin(i))).unwrap_or(0);
        let last = self.units.iter().rposition(|unit| unit.instant <= to)?.max(first);
        // What is shown before a later picture that others refer to comes after it.
        let shown_last = self.units.range(first..=last).map(|unit| unit.rtp_ns).max()?;
        let between =
            self.units.range(last + 1..).take_while(|unit| unit.rtp_ns < shown_last && !unit.is_start());
        let last = last + between.count();
        let units = self.from(first, last + 1).map(|(_, unit)| unit.clone()).collect();
        Some(UnitRange { codec: self.codec, units })
    }

    /// The current group, so far, with those before it that it needs.
    pub fn current(&self) -> Option<UnitRange> {
        let newest = self.begin(self.units.len().checked_sub(1)?)?;
        let is_gradual = self.units[newest].starts != Some(0);
        let base = if is_gradual { self.bases().last().copied().flatten() } else { None };
        let first = base.unwrap_or(newest);
        let units = self.from(first, self.units.len()).map(|(_, unit)| unit.clone()).collect();
        Some(UnitRange { codec: self.codec, units })
    }

    fn bases(&self) -> Vec<Option<usize>> {
        bases(self.units.iter().map(|kept| (&kept.unit, kept.is_joined)))
    }

    /// The earliest unit at which decoding can begin with no hole up to this one: the more pictures come before one that
    /// is not whole, the more of it is refreshed.
    fn earliest(&self, index: usize) -> Option<usize> {
        let since = (0..=index).rev().find(|i| !self.units[*i].is_joined).unwrap_or(0);
        (since..=index).find(|i| self.units[*i].is_start())
    }

    /// Where the group of a unit begins.
    fn begin(&self, index: usize) -> Option<usize> {
        (0..=index).rev().find(|i| self.units[*i].is_start())
    }

    /// The units from the begin of a group on, and their places, as far as they can be decoded when decoding begins there.
    fn from(&self, first: usize, end: usize) -> impl Iterator<Item = (usize, &AccessUnit)> {
        let next = (first + 1..end).find(|i| self.units[*i].is_start()).unwrap_or(end);
        let units = self.units.range(first..end).enumerate().map(move |(i, kept)| (first + i, &kept.unit));
        units.filter(move |(i, unit)| *i > next || !unit.is_leading)
    }

    /// Drops old groups that nothing needs any more, and everything once the limits are passed.
    fn forget(&mut self) {
        while let Some(next) = self.second_group() {
            // The group before is needed while an instant within reach may be nearer to it, or needs it.
            let newest = self.units.back().map_or(self.units[next].instant, |unit| unit.instant);
            let is_within_reach = self
                .clean_at(next)
                .is_none_or(|clean_at| newest.saturating_duration_since(clean_at) <= self.reach);
            if is_within_reach && self.fits() {
                return;
            }
            self.units.drain(..next);
            self.weigh();
        }
        if !self.fits() {
            self.clear();
            (self.waits_for_start, self.is_outgrown) = (true, true);
        }
    }

    fn second_group(&self) -> Option<usize> {
        (1..self.units.len()).find(|i| self.units[*i].is_start())
    }

    /// The instant from which pictures are whole when decoding begins with this unit; `None` while that is to come, or when
    /// there is a hole before.
    fn clean_at(&self, start: usize) -> Option<Instant> {
        let mut left = self.units[start].starts?;
        if left == 0 {
            return Some(self.units[start].instant);
        }
        for unit in self.units.range(start + 1..) {
            left = left.saturating_sub(u32::from(!unit.is_disposable));
            if left == 0 || !unit.is_joined {
                return Some(unit.instant);
            }
        }
        None
    }

    /// Counts its bytes anew; there are some hundred units.
    fn weigh(&mut self) {
        self.bytes = self.units.iter().map(|unit| unit.data.len()).sum();
        if let Some(place) = &mut self.place {
            place.set(self.bytes);
        }
    }

    fn fits(&self) -> bool {
        let span = match (self.units.front(), self.units.back()) {
            (Some(first), Some(last)) => last.instant.saturating_duration_since(first.instant),
            _ => Duration::ZERO,
        };
        let is_over = self.place.as_ref().is_some_and(ShelfPart::is_over);
        !is_over && self.bytes <= self.limits.bytes && span <= self.limits.span
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: GopLimits = GopLimits { bytes: 10_000, span: Duration::from_secs(60) };

    fn unit(start: Instant, i: u32, gop: u32, bytes: usize) -> AccessUnit {
        AccessUnit {
            rtp_ns: i64::from(i) * 40_000_000,
            instant: start + Duration::from_millis(40) * i,
            data: vec![0; bytes].into(),
            starts: i.is_multiple_of(gop).then_some(0),
            is_disposable: false,
            missing: 0,
            is_leading: false,
            doubt: None,
        }
    }

    fn filled(start: Instant, frames: u32, gop: u32) -> Gops {
        let mut gops = Gops::new(Codec::H264, LIMITS, Duration::from_secs(1));
        (0..frames).for_each(|i| _ = gops.push(unit(start, i, gop, 10)));
        gops
    }

    #[test]
    fn the_nearest_frame_comes_with_all_it_needs_from_its_idr() {
        let start = Instant::now();
        let excerpt = filled(start, 75, 50).nearest(start + Duration::from_millis(61 * 40 + 15)).unwrap();
        assert_eq!(excerpt.units.len(), 12);
        assert!(excerpt.units[0].is_start());
        assert_eq!(excerpt.wanted_rtp_ns, 61 * 40_000_000);
        assert_eq!(excerpt.instant, start + Duration::from_millis(61 * 40));
    }

    #[test]
    fn another_latency_moves_what_is_kept_along_with_what_comes() {
        let (start, ms) = (Instant::now() + Duration::from_secs(9), Duration::from_millis);
        let mut gops = filled(start, 75, 50);
        gops.shift(ms(100), ms(240));
        let excerpt = gops.nearest(start + ms(61 * 40 - 140)).unwrap();
        assert_eq!((excerpt.wanted_rtp_ns, excerpt.instant), (61 * 40_000_000, start + ms(61 * 40 - 140)));
        assert_eq!(gops.settled(), Some(start + ms(74 * 40 - 140)));
        gops.shift(ms(240), ms(100));
        assert_eq!(gops.settled(), Some(start + ms(74 * 40)));
    }

    #[test]
    fn right_after_an_idr_the_frame_before_it_is_still_there() {
        let start = Instant::now();
        let excerpt = filled(start, 51, 50).nearest(start + Duration::from_millis(49 * 40)).unwrap();
        assert_eq!((excerpt.units.len(), excerpt.wanted_rtp_ns), (50, 49 * 40_000_000));
    }

    #[test]
    fn units_before_the_first_idr_are_not_kept() {
        let start = Instant::now();
        let mut gops = Gops::new(Codec::H264, LIMITS, Duration::ZERO);
        (1..50).for_each(|i| _ = gops.push(unit(start, i, 50, 10)));
        assert!(!gops.is_ready());
        gops.push(unit(start, 50, 50, 10));
        assert!(gops.is_ready());
    }

    #[test]
    fn a_group_larger_than_the_limit_is_dropped_until_the_next_idr() {
        let start = Instant::now();
        let mut gops = Gops::new(Codec::H264, LIMITS, Duration::ZERO);
        (0..49).for_each(|i| _ = gops.push(unit(start, i, 50, 400)));
        assert!(!gops.is_ready() && gops.is_outgrown());
        gops.push(unit(start, 50, 50, 400));
        assert!(gops.is_ready());
    }

    #[test]
    fn a_camera_that_takes_the_room_of_others_loses_its_oldest_group_and_they_lose_nothing() {
        let (start, shelf) = (Instant::now(), Shelf::new(8_000));
        let gops = || Gops::new(Codec::H264, LIMITS, Duration::from_secs(9)).on(&shelf);
        let (mut large, mut small) = (gops(), gops());
        (0..70).for_each(|i| _ = large.push(unit(start, i, 50, 100)));
        (0..45).for_each(|i| _ = small.push(unit(start, i, 50, 50)));
        assert_eq!((large.units.len(), small.units.len()), (70, 45));
        large.push(unit(start, 70, 50, 100));
        assert_eq!((large.units.len(), large.is_outgrown()), (21, false));
        drop(large);
        assert_eq!(small.units.len(), 45);
    }

    #[test]
    fn after_a_loss_nothing_is_kept_until_the_next_idr_and_nothing_before_it_is_forgotten() {
        let start = Instant::now();
        let mut gops = filled(start, 20, 50);
        gops.break_off();
        (20..50).for_each(|i| _ = gops.push(unit(start, i, 50, 10)));
        assert_eq!(gops.settled(), Some(start + Duration::from_millis(19 * 40)));
        gops.push(unit(start, 50, 50, 10));
        assert_eq!(gops.settled(), Some(start + Duration::from_millis(50 * 40)));
    }

    #[test]
    fn a_damaged_unit_goes_with_all_that_follows_in_its_group_and_nothing_else() {
        let start = Instant::now();
        let at = |i: u32| start + Duration::from_millis(40) * i;
        let number = |gops: &Gops, i| gops.nearest(at(i)).unwrap().wanted_rtp_ns / 40_000_000;
        let mut gops = filled(start, 70, 50);
        let damaged = gops.units[60].unit.clone();
        gops.drop_damaged(&damaged);
        assert_eq!((number(&gops, 65), gops.settled()), (59, Some(at(59))));
        assert!(!gops.push(unit(start, 70, 50, 10)), "what follows refers to it");
        assert!(gops.push(unit(start, 100, 50, 10)));
        assert_eq!((number(&gops, 65), number(&gops, 90)), (59, 100));
        let mut gops = filled(start, 70, 50);
        let damaged = gops.units[40].unit.clone();
        gops.drop_damaged(&damaged);
        assert_eq!((number(&gops, 44), number(&gops, 46), gops.settled()), (39, 50, Some(at(69))));
        assert_eq!(gops.bytes, gops.units.iter().map(|u| u.data.len()).sum::<usize>());
    }

    #[test]
    fn with_b_frames_an_instant_is_settled_when_the_next_reference_has_come() {
        let start = Instant::now();
        let mut gops = Gops::new(Codec::H264, LIMITS, Duration::from_secs(1));
        let mut settled = Vec::new();
        for shown in [0, 3, 1, 2, 6, 4, 5, 9] {
            gops.push(unit(start, shown, 50, 10));
            settled.push(gops.settled().map(|at| at.duration_since(start).as_millis() / 40));
        }
        let unknown_yet = [Some(0), Some(3)];
        assert_eq!(settled[..2], unknown_yet, "before the first B-frame nobody knows of them");
        assert_eq!(settled[2..], [Some(0), Some(0), Some(3), Some(3), Some(3), Some(6)]);
        assert_eq!(gops.nearest(start + Duration::from_millis(45)).unwrap().wanted_rtp_ns, 40_000_000);
    }

    #[test]
    fn a_stretch_begins_at_the_idr_before_it_and_ends_with_its_last_unit() {
        let start = Instant::now();
        let gops = filled(start, 75, 25);
        let at = |i: u32| start + Duration::from_millis(40) * i;
        let shown = |stretch: UnitRange| {
            let number = |unit: &AccessUnit| unit.rtp_ns / 40_000_000;
            (number(&stretch.units[0]), number(stretch.units.last().unwrap()))
        };
        assert_eq!(shown(gops.stretch(at(60), at(70)).unwrap()), (50, 70));
        assert_eq!(shown(gops.stretch(at(55), at(999)).unwrap()), (50, 74));
        assert_eq!(shown(gops.current().unwrap()), (50, 74));
        let oldest = shown(gops.stretch(at(0), at(30)).unwrap());
        assert_eq!(oldest.1, 30, "what is forgotten is left out: {oldest:?}");
    }

    #[test]
    fn a_stretch_with_b_frames_has_every_picture_up_to_the_one_shown_last() {
        let start = Instant::now();
        let at = |i: u32| start + Duration::from_millis(40) * i;
        let mut gops = Gops::new(Codec::H264, LIMITS, Duration::from_secs(5));
        for shown in [0, 3, 1, 2, 6, 4, 5, 9, 7, 8] {
            gops.push(unit(start, shown, 50, 10));
        }
        for (to, shown_last) in [(3, 3), (4, 6), (5, 6), (6, 6)] {
            let stretch = gops.stretch(at(0), at(to)).unwrap();
            let mut shown: Vec<i64> = stretch.units.iter().map(|unit| unit.rtp_ns / 40_000_000).collect();
            shown.sort_unstable();
            assert_eq!(shown, (0..=shown_last).collect::<Vec<_>>(), "up to {to}");
        }
    }

    #[test]
    fn a_leading_unit_comes_with_the_group_before_and_not_without_it() {
        let start = Instant::now();
        let at = |i: u32| start + Duration::from_millis(40) * i;
        // Decoding order: 0 1 2 3, 6 4l 5l 7 8, 11 9l 10l 12
        let order = [0, 1, 2, 3, 6, 4, 5, 7, 8, 11, 9, 10, 12];
        let filled = |lost: u32, reach: Duration| {
            let mut gops = Gops::new(Codec::H265, LIMITS, reach);
            for i in order {
                let unit = AccessUnit {
                    starts: matches!(i, 0 | 6 | 11).then_some(0),
                    is_leading: matches!(i, 4 | 5 | 9 | 10),
                    ..unit(start, i, 50, 10)
                };
                if i == lost {
                    gops.break_off();
                } else {
                    gops.push(unit);
                }
            }
            gops
        };
        let got = |gops: &Gops, i: u32| -> Vec<i64> {
            gops.nearest(at(i)).unwrap().units.iter().map(|unit| unit.rtp_ns / 40_000_000).collect()
        };
        let whole = filled(99, Duration::from_secs(5));
        assert_eq!(got(&whole, 5), [0, 1, 2, 3, 6, 4, 5]);
        assert_eq!(got(&whole, 8), [6, 7, 8]);
        assert_eq!(got(&whole, 9), [6, 7, 8, 11, 9]);
        assert_eq!(got(&whole, 12), [11, 12]);
        let torn = filled(3, Duration::from_secs(5));
        assert_eq!(got(&torn, 4).last(), Some(&2), "what it refers to is gone");
        assert_eq!(got(&torn, 5), [6]);
        let mut damaged = filled(99, Duration::from_secs(5));
        let third = damaged.nearest(at(3)).unwrap().units.pop().unwrap();
        damaged.drop_damaged(&third);
        assert_eq!(got(&damaged, 4), [0, 1, 2], "so it is when a decoder finds the group before damaged");
        assert_eq!((got(&damaged, 5), got(&damaged, 9)), (vec![6], vec![6, 7, 8, 11, 9]));
        let short = filled(99, Duration::ZERO);
        assert_eq!(got(&short, 9), [11], "the group before is forgotten");
        let current: Vec<i64> =
            whole.current().unwrap().units.iter().map(|unit| unit.rtp_ns / 40_000_000).collect();
        assert_eq!(current, [11, 12]);
    }

    /// A round of refresh every ten pictures, of which eight are needed.
    #[test]
    fn with_intra_refresh_a_picture_comes_with_the_rounds_before_it_that_it_needs() {
        let start = Instant::now();
        let at = |i: u32| start + Duration::from_millis(40) * i;
        let mut gops = Gops::new(Codec::H264, LIMITS, Duration::from_millis(200));
        let push = |gops: &mut Gops, i: u32| {
            gops.push(AccessUnit { starts: i.is_multiple_of(10).then_some(8), ..unit(start, i, 50, 10) })
        };
        let got = |gops: &Gops, i: u32| {
            let excerpt = gops.nearest(at(i)).unwrap();
            let number = |rtp_ns: i64| rtp_ns / 40_000_000;
            (number(excerpt.units[0].rtp_ns), number(excerpt.wanted_rtp_ns), excerpt.is_clean())
        };
        assert!(!push(&mut gops, 7));
        (10..14).for_each(|i| _ = push(&mut gops, i));
        assert_eq!(got(&gops, 13), (10, 13, false), "better than none");
        (14..45).for_each(|i| _ = push(&mut gops, i));
        assert_eq!(
            [44, 40, 39, 38].map(|i| got(&gops, i)),
            [(30, 44, true), (30, 40, true), (30, 39, true), (30, 38, true)]
        );
        assert_eq!(gops.units[0].rtp_ns / 40_000_000, 30, "what nothing needs is forgotten");
        // After a loss the old picture is nearer than a whole one, until that is too old.
        gops.break_off();
        (50..53).for_each(|i| _ = push(&mut gops, i));
        assert_eq!(got(&gops, 52), (30, 44, true));
        (53..69).for_each(|i| _ = push(&mut gops, i));
        assert_eq!((got(&gops, 55), got(&gops, 68)), ((50, 58, true), (60, 68, true)));
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_the_buffer_starts_with_an_idr(
            sizes in proptest::collection::vec(0_usize..3_000, 0..300), gop in 1_u32..80,
        ) {
            let start = Instant::now();
            let mut gops = Gops::new(Codec::H264, LIMITS, Duration::from_secs(1));
            for (i, size) in sizes.iter().enumerate() {
                gops.push(unit(start, u32::try_from(i).unwrap(), gop, *size));
                prop_assert!(gops.bytes <= LIMITS.bytes);
                prop_assert_eq!(gops.bytes, gops.units.iter().map(|u| u.data.len()).sum::<usize>());
                prop_assert!(gops.units.front().is_none_or(|u| u.is_start()));
            }
        }

        #[test]
        fn the_base_of_a_picture_is_the_last_start_that_is_clean_by_then(
            units in prop::collection::vec((prop::option::weighted(0.3, 0_u32..6), any::<bool>(), any::<bool>(), 0_u8..10), 1..40),
        ) {
            let now = Instant::now();
            let units: Vec<(AccessUnit, bool)> = units.into_iter().zip(0..).map(|((starts, is_disposable, is_leading, hole), i)| {
                let is_start = starts.is_some();
                let (is_disposable, is_leading) = (is_disposable && !is_start, is_leading && !is_start);
                (AccessUnit { starts, is_disposable, is_leading, ..unit(now, i, 50, 1) }, hole > 0 || !is_start)
            }).collect();
            let found = bases(units.iter().map(|(unit, is_joined)| (unit, *is_joined)));
            for (i, (unit, _)) in units.iter().enumerate() {
                // A leading picture is decoded with what came before its group.
                let own = (0..=i).rev().find(|start| units[*start].0.is_start());
                let end = if unit.is_leading { own } else { Some(i + 1) };
                let is_base = |start: &usize| {
                    let after = &units[start + 1..end.unwrap_or(0).max(start + 1)];
                    let pictures = after.iter().filter(|(unit, _)| !unit.is_disposable).count();
                    units[*start].0.starts.is_some_and(|left| pictures >= left as usize)
                        && units[start + 1..=i].iter().all(|(_, is_joined)| *is_joined)
                };
                let expected = (0..end.unwrap_or(0)).rev().find(is_base);
                prop_assert_eq!(found[i], expected, "unit {}", i);
            }
        }

        #[test]
        fn no_kept_frame_is_nearer_than_the_one_given(frames in 1_u32..200, gop in 1_u32..60, ms in 0_u64..9_000) {
            let start = Instant::now();
            let gops = filled(start, frames, gop);
            let at = start + Duration::from_millis(ms);
            let excerpt = gops.nearest(at).unwrap();
            let distance = |instant: Instant| instant.max(at) - instant.min(at);
            let best = gops.units.iter().map(|u| distance(u.instant)).min().unwrap();
            prop_assert_eq!(distance(excerpt.instant), best);
            prop_assert_eq!(excerpt.units.last().unwrap().rtp_ns, excerpt.wanted_rtp_ns);
        }
    }
}
