//! One camera's decoder, kept between triggers: a second picture of the same group goes on where the first one ended.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::continuity::Continuity;
use super::decode_error::DecodeError;
use super::decoder::{Decoder, DecoderKind};
use super::footprint::KEPT_BYTES_MAX;
use super::frame::{Colours, Frame};
use super::gop::{AccessUnit, Codec, DecodeRun};
use super::{sps, unit};

/// Decoded pictures kept, the newest, as far as [`KEPT_BYTES_MAX`] allows; 3 MB each at 1080p.
const KEPT: usize = 4;

/// Wishes remembered: the instants of one trigger.
const WISHES: usize = 9;

/// Bytes at the begin of an IDR unit that differ when the size of the picture does.
const PARAMETERS: usize = 32;

/// Units from which on threads are worth their start, which takes half a millisecond.
const BURST: usize = 4;

/// Which unit a picture came from: its RTP time, and its instant, which no unit of another session has.
pub type Stamp = (i64, Instant);

/// A decoder and how far it has come.
#[derive(Default)]
pub struct DecodeSession {
    running: Option<Running>,
    /// Pictures that will be asked for.
    wishes: VecDeque<Stamp>,
    /// The begin of the group that a decoder with threads did not get through. One without them says why.
    doubted: Option<Arc<[u8]>>,
}

struct Running {
    kind: DecoderKind,
    codec: Codec,
    decoder: Box<dyn Decoder>,
    threads: usize,
    continuity: Continuity,
    /// The bytes the group begins with; the same memory means the same group.
    idr: Arc<[u8]>,
    colours: Colours,
    /// Units of the group that were taken, skipped ones included.
    taken: usize,
    /// Units whose pictures have not come out; they come in this order.
    held_back: BTreeSet<Stamp>,
    /// The highest RTP time taken.
    newest: i64,
    /// Pictures come in another order than they are coded.
    is_reordered: bool,
    /// Drained in mid-group by a decoder that cannot go on.
    is_spent: bool,
    /// Another group has begun since.
    is_past_first: bool,
    recent: VecDeque<(Stamp, Arc<Frame>)>,
}

/// What a piece of work did.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The wanted picture.
    pub frame: Arc<Frame>,
    /// Units decoded for it, beyond what had been decoded before.
    pub units: usize,
}

impl DecodeSession {
    /// Remembers that a picture will be asked for, so that it is kept when it comes by.
    pub fn wish(&mut self, picture: Stamp) {
        if self.wishes.contains(&picture) {
            return;
        }
        if self.wishes.len() == WISHES {
            self.wishes.pop_front();
        }
        self.wishes.push_back(picture);
    }

    /// Threads of the decoder that is kept; 1 when there is none.
    pub fn threads(&self) -> usize {
        self.running.as_ref().map_or(1, |running| running.threads)
    }

    /// The wanted picture of an excerpt, by a decoder of this kind. Where many units are to be decoded for it, they are
    /// by so many threads; pictures and errors are those of one. Blocking, some milliseconds for each unit.
    pub fn picture(
        &mut self,
        excerpt: &DecodeRun,
        kind: DecoderKind,
        threads: usize,
    ) -> Result<Decoded, DecodeError> {
        let wanted = wanted(excerpt);
        self.wish(wanted);
        let known = self.running.as_ref().and_then(|running| running.find(wanted));
        let decoded = match known {
            Some(frame) => Some(Decoded { frame, units: 0 }),
            None => {
                let (frame, units) = self.work(excerpt, kind, threads, |running, keep| {
                    running.take(&excerpt.units, keep, None)?;
                    running.bring(wanted, keep)
                })?;
                frame.map(|frame| Decoded { frame, units })
            }
        };
        self.wishes.retain(|wish| *wish != wanted);
        let total = excerpt.units.len();
        let held_back = self.running.as_ref().map_or(0, |running| running.held_back.len());
        decoded.ok_or(DecodeError::NotShown { shown: total.saturating_sub(held_back), total })
    }

    /// Decodes what there is of an excerpt, ahead of the wish for its picture or one after it; ends early once `stop` is
    /// set. What goes wrong will go wrong again, and be told, when the picture is asked for. Returns the units decoded.
    pub fn begin(
        &mut self,
        excerpt: &DecodeRun,
        kind: DecoderKind,
        threads: usize,
        stop: &AtomicBool,
    ) -> usize {
        self.wish(wanted(excerpt));
        let taken = self.work(excerpt, kind, threads, |running, keep| {
            running.take(&excerpt.units, keep, Some(stop)).map(Some)
        });
        taken.map_or(0, |(_, units)| units)
    }

    /// Lets the decoder go on in an excerpt, and says how many units it took. When one with threads meets trouble, or does
    /// not show what it should, one without them begins anew, and what that says is true: with threads it is not certain
    /// which picture an error is of.
    fn work<T>(
        &mut self,
        excerpt: &DecodeRun,
        kind: DecoderKind,
        threads: usize,
        go_on: impl Fn(&mut Running, Keep<'_>) -> Result<Option<T>, DecodeError>,
    ) -> Result<(Option<T>, usize), DecodeError> {
        let mut running = self.resume(excerpt, kind, threads)?;
        let keep = self.keep(excerpt.wanted_rtp_ns);
        let (recent, before) = (running.recent.clone(), running.taken);
        let done = go_on(&mut running, keep);
        if running.threads == 1 || matches!(done, Ok(Some(_))) {
            let (done, units) = (done?, running.taken - before);
            self.running = Some(running);
            return Ok((done, units));
        }
        self.doubted = Some(Arc::clone(&running.idr));
        drop(running);
        let mut running = Running { recent, ..Running::start(excerpt, kind, 1)? };
        let done = go_on(&mut running, self.keep(excerpt.wanted_rtp_ns))?;
        let units = running.taken;
        self.running = Some(running);
        Ok((done, units))
    }

    /// Decodes what is new in an excerpt that grows, and gives every picture that came out, at most the newest four. A
    /// group that is begun uses the decoder of the one before.
    pub fn follow(
        &mut self,
        excerpt: &DecodeRun,
        kind: DecoderKind,
    ) -> Result<Vec<(Stamp, Arc<Frame>)>, DecodeError> {
        let mut running = match self.running.take() {
            Some(running)
                if running.is_of(excerpt, kind)
                    && !running.is_spent
                    && running.threads == 1
                    && running.taken <= excerpt.units.len() =>
            {
                running
            }
            // Threads hold pictures back.
            Some(running)
                if running.kind == kind && running.codec == excerpt.codec && running.threads == 1 =>
            {
                running.renew(excerpt)?
            }
            _ => Running::start(excerpt, kind, 1)?,
        };
        running.recent.clear();
        running.take(&excerpt.units, self.keep(i64::MIN), None)?;
        let is_held_back = !running.is_reordered && !running.held_back.is_empty();
        if is_held_back && running.decoder.goes_on_after_drain() {
            running.drain(self.keep(i64::MIN))?;
        }
        let shown = running.recent.iter().cloned().collect();
        self.running = Some(running);
        Ok(shown)
    }

    fn keep(&self, from: i64) -> Keep<'_> {
        Keep { from, wishes: &self.wishes }
    }

    /// Gives the decoder's memory back.
    pub fn rest(&mut self) {
        self.running = None;
    }

    /// Whether there is much to decode, which begins with an IDR: elsewhere references are missing, of which decoders
    /// complain.
    fn is_for_threads(&self, excerpt: &DecodeRun) -> bool {
        let Some(first) = excerpt.units.first().filter(|_| excerpt.units.len() >= BURST) else {
            return false;
        };
        let is_doubted = self.doubted.as_ref().is_some_and(|idr| Arc::ptr_eq(idr, &first.data));
        !is_doubted && unit::kind(excerpt.codec, &first.data).is_idr
    }

    /// The running decoder if it can go on towards the wanted picture, else a new one, which takes over the pictures
    /// that were wished for. It is out of its place while it works, so that a failure or panic leaves none behind.
    fn resume(
        &mut self,
        excerpt: &DecodeRun,
        kind: DecoderKind,
        threads: usize,
    ) -> Result<Running, DecodeError> {
        let threads = if self.is_for_threads(excerpt) { threads } else { 1 };
        let Some(mut running) = self.running.take() else { return Running::start(excerpt, kind, threads) };
        if running.is_of(excerpt, kind)
            && !running.is_spent
            && running.taken <= excerpt.units.len()
            && running.may_show(wanted(excerpt), &excerpt.units)
        {
            return Ok(running);
        }
        let keep = self.keep(i64::MAX);
        if running.held_back.iter().any(|stamp| keep.wants(*stamp)) {
            let known = running.recent.clone();
            // What goes wrong here will be told when the picture is asked for; with threads, only now is it known.
            if running.drain(keep).is_err() {
                running.recent = known;
            }
        }
        let mut recent = std::mem::take(&mut running.recent);
        recent.retain(|(stamp, _)| keep.wants(*stamp));
        // Two decoders at a time would take twice the memory.
        drop(running);
        Ok(Running { recent, ..Running::start(excerpt, kind, threads)? })
    }
}

/// The stamp of the picture an excerpt is for.
fn wanted(excerpt: &DecodeRun) -> Stamp {
    (excerpt.wanted_rtp_ns, excerpt.instant)
}

/// How the samples become colours of the pictures from a unit on; `None` when it does not say.
fn colours(codec: Codec, unit: &AccessUnit) -> Option<Colours> {
    sps::facts(codec, &unit.data).map(|facts| facts.colours)
}

/// The stamp of a unit.
fn stamp(unit: &AccessUnit) -> Stamp {
    (unit.rtp_ns, unit.instant)
}

impl Running {
    fn start(excerpt: &DecodeRun, kind: DecoderKind, threads: usize) -> Result<Self, DecodeError> {
        let started = match kind.start(excerpt.codec, threads) {
            // There may be no more threads.
            Err(_) if threads > 1 => return Self::start(excerpt, kind, 1),
            started => started,
        };
        let decoder = started.map_err(|reason| DecodeError::Start { reason })?;
        Ok(Self { threads, ..Self::around(decoder, excerpt, kind)? })
    }

    /// A decoder at the begin of a group.
    fn around(
        decoder: Box<dyn Decoder>,
        excerpt: &DecodeRun,
        kind: DecoderKind,
    ) -> Result<Self, DecodeError> {
        let first = excerpt.units.first().ok_or(DecodeError::NotShown { shown: 0, total: 0 })?;
        Ok(Self {
            kind,
            codec: excerpt.codec,
            decoder,
            threads: 1,
            continuity: Continuity::default(),
            idr: Arc::clone(&first.data),
            colours: colours(excerpt.codec, first).unwrap_or(Colours::VIDEO),
            taken: 0,
            held_back: BTreeSet::new(),
            newest: i64::MIN,
            is_reordered: false,
            is_spent: false,
            is_past_first: false,
            recent: VecDeque::new(),
        })
    }

    /// The same decoder at the begin of another group; another one if the parameters of the stream have changed.
    fn renew(mut self, excerpt: &DecodeRun) -> Result<Self, DecodeError> {
        let is_reordered = self.is_reordered;
        let parameters = |idr: &[u8]| idr[..idr.len().min(PARAMETERS)].to_vec();
        let is_same =
            excerpt.units.first().is_some_and(|unit| parameters(&unit.data) == parameters(&self.idr));
        let fresh = if is_same && self.decoder.drain(&mut |_| {}).is_ok() {
            Self::around(self.decoder, excerpt, self.kind)?
        } else {
            Self::start(excerpt, self.kind, 1)?
        };
        Ok(Self { is_reordered, ..fresh })
    }

    fn is_of(&self, excerpt: &DecodeRun, kind: DecoderKind) -> bool {
        let idr = excerpt.units.first().map(|unit| &unit.data);
        self.kind == kind && idr.is_some_and(|idr| Arc::ptr_eq(idr, &self.idr))
    }

    fn find(&self, picture: Stamp) -> Option<Arc<Frame>> {
        self.recent.iter().find(|(stamp, _)| *stamp == picture).map(|(_, frame)| Arc::clone(frame))
    }

    /// Whether the picture can still come out.
    fn may_show(&self, picture: Stamp, units: &[AccessUnit]) -> bool {
        let is_ahead = || units[self.taken..].iter().any(|unit| stamp(unit) == picture);
        self.find(picture).is_some() || self.held_back.contains(&picture) || is_ahead()
    }

    /// Takes the units not yet taken.
    fn take(
        &mut self,
        units: &[AccessUnit],
        keep: Keep<'_>,
        stop: Option<&AtomicBool>,
    ) -> Result<(), DecodeError> {
        let total = units.len();
        for (i, unit) in units.iter().enumerate().skip(self.taken) {
            if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return Ok(());
            }
            if self.continuity.misses(self.codec, unit) {
                return Err(DecodeError::Gap { number: i + 1, total });
            }
            self.taken = i + 1;
            self.is_past_first |= i > 0 && unit.is_start();
            if i > 0 && unit.is_start() {
                self.colours = colours(self.codec, unit).unwrap_or(self.colours);
            }
            // What it refers to was never taken.
            if unit.is_leading && !self.is_past_first {
                continue;
            }
            self.is_reordered |= unit.rtp_ns < self.newest;
            self.newest = self.newest.max(unit.rtp_ns);
            // Nothing refers to it, and it is not wanted.
            if unit.is_disposable && !keep.wants(stamp(unit)) {
                continue;
            }
            self.held_back.insert(stamp(unit));
            let mut sink = Sink {
                held_back: &mut self.held_back,
                recent: &mut self.recent,
                keep,
                colours: self.colours,
            };
            let fed = self.decoder.feed(unit, &mut |shown| sink.show(&shown));
            fed.map_err(|reason| DecodeError::Refused { number: i + 1, total, reason })?;
        }
        Ok(())
    }

    /// The wanted picture, once its unit was taken.
    fn bring(&mut self, wanted: Stamp, keep: Keep<'_>) -> Result<Option<Arc<Frame>>, DecodeError> {
        if self.threads > 1 && self.find(wanted).is_none() {
            self.catch_up(keep)?;
        }
        if self.find(wanted).is_none() {
            self.drain(keep)?;
        }
        Ok(self.find(wanted))
    }

    /// Shows what is held back only by threads.
    fn catch_up(&mut self, keep: Keep<'_>) -> Result<(), DecodeError> {
        let mut sink =
            Sink { held_back: &mut self.held_back, recent: &mut self.recent, keep, colours: self.colours };
        let shown = self.decoder.catch_up(&mut |shown| sink.show(&shown));
        let total = self.taken;
        shown.map_err(|reason| DecodeError::Refused { number: total, total, reason })
    }

    /// Shows everything that was taken.
    fn drain(&mut self, keep: Keep<'_>) -> Result<(), DecodeError> {
        let mut sink =
            Sink { held_back: &mut self.held_back, recent: &mut self.recent, keep, colours: self.colours };
        let drained = self.decoder.drain(&mut |shown| sink.show(&shown));
        self.is_spent = self.is_reordered || !self.decoder.goes_on_after_drain();
        let total = self.taken;
        drained.map_err(|reason| DecodeError::Refused { number: total, total, reason })
    }
}

/// Which pictures are kept.
#[derive(Clone, Copy)]
struct Keep<'a> {
    /// From this RTP time on.
    from: i64,
    /// And these.
    wishes: &'a VecDeque<Stamp>,
}

impl Keep<'_> {
    fn wants(&self, picture: Stamp) -> bool {
        picture.0 >= self.from || self.wishes.contains(&picture)
    }
}

/// Tells which unit a picture came from, and keeps those that may be wanted.
struct Sink<'a> {
    held_back: &'a mut BTreeSet<Stamp>,
    recent: &'a mut VecDeque<(Stamp, Arc<Frame>)>,
    keep: Keep<'a>,
    colours: Colours,
}

impl Sink<'_> {
    fn show(&mut self, shown: &super::decoder::DecodedPicture<'_>) {
        // Pictures come in display order, so it is the earliest that is held back, unless the decoder says itself.
        let named =
            shown.rtp_ns.and_then(|rtp_ns| self.held_back.iter().find(|stamp| stamp.0 == rtp_ns).copied());
        let Some(stamp) = named.or_else(|| self.held_back.first().copied()) else { return };
        self.held_back.remove(&stamp);
        if !self.keep.wants(stamp) {
            return;
        }
        let is_wished = |stamp: Stamp| self.keep.wishes.contains(&stamp);
        if let Some(frame) = shown.to_frame(self.colours) {
            self.recent.push_back((stamp, Arc::new(frame)));
            forget(self.recent, is_wished);
        }
    }
}

/// Drops pictures until no more are kept than may be: what nobody wished for first, the oldest of it; one always stays.
fn forget(recent: &mut VecDeque<(Stamp, Arc<Frame>)>, is_wished: impl Fn(Stamp) -> bool) {
    while recent.len() > 1 {
        let newest = recent.len() - 1;
        let unwished = recent.range(..newest).position(|(stamp, _)| !is_wished(*stamp));
        let bytes: usize = recent.iter().map(|(_, frame)| frame.bytes()).sum();
        let place = if recent.len() > KEPT && unwished.is_some() {
            unwished
        } else if bytes > KEPT_BYTES_MAX {
            unwished.or_else(|| Some(newest).filter(|newest| !is_wished(recent[*newest].0)))
        } else if recent.len() > WISHES {
            None
        } else {
            return;
        };
        recent.remove(place.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::native::libav;
    use super::super::testing::{excerpt, grey_steps, step_shown};
    use super::*;

    fn kinds() -> Vec<DecoderKind> {
        let mut kinds = vec![DecoderKind::OpenH264, DecoderKind::RustH264];
        kinds.extend(libav::is_available().then_some(DecoderKind::Libavcodec));
        kinds
    }

    #[test]
    fn every_decoder_shows_the_wanted_picture_and_no_other() {
        let units = grey_steps(20);
        for kind in kinds() {
            for wanted in [0, 1, 7, 19] {
                let decoded = DecodeSession::default().picture(&excerpt(&units, wanted), kind, 1).unwrap();
                assert_eq!((step_shown(&decoded.frame), decoded.units), (wanted, wanted + 1), "{kind:?}");
            }
        }
    }

    #[test]
    fn a_later_picture_of_the_same_group_costs_only_the_units_in_between() {
        let units = grey_steps(20);
        let mut lane = DecodeSession::default();
        let costs: Vec<usize> = [4, 9, 9, 10]
            .map(|wanted| {
                let decoded = lane.picture(&excerpt(&units, wanted), DecoderKind::OpenH264, 1).unwrap();
                assert_eq!(step_shown(&decoded.frame), wanted);
                decoded.units
            })
            .to_vec();
        assert_eq!(costs, [5, 5, 0, 1]);
        let earlier = lane.picture(&excerpt(&units, 2), DecoderKind::OpenH264, 1).unwrap();
        assert_eq!((step_shown(&earlier.frame), earlier.units), (2, 3), "what is past is decoded anew");
    }

    #[test]
    fn threads_of_a_burst_go_on_with_the_group() {
        if !libav::is_available() {
            return;
        }
        let units = grey_steps(20);
        let (mut lane, go_on) = (DecodeSession::default(), AtomicBool::new(false));
        assert_eq!(lane.begin(&excerpt(&units, 9), DecoderKind::Libavcodec, 3, &go_on), 10);
        let costs: Vec<usize> = [10, 10, 11, 15]
            .map(|wanted| {
                let decoded = lane.picture(&excerpt(&units, wanted), DecoderKind::Libavcodec, 3).unwrap();
                assert_eq!((step_shown(&decoded.frame), lane.threads()), (wanted, 3));
                decoded.units
            })
            .to_vec();
        assert_eq!(costs, [1, 0, 1, 4]);
        let elsewhere = DecodeRun { units: units[3..12].to_vec(), ..excerpt(&units, 11) };
        assert!(!lane.is_for_threads(&elsewhere), "what is missing is complained of");
        let followed = lane.follow(&excerpt(&units, 16), DecoderKind::Libavcodec).unwrap();
        let shown: Vec<usize> = followed.iter().map(|(_, frame)| step_shown(frame)).collect();
        assert!(
            shown.ends_with(&[14, 15, 16]) && lane.threads() == 1,
            "held back from who watches: {shown:?}"
        );
    }

    #[test]
    fn a_group_that_threads_did_not_get_through_is_left_to_one() {
        if !libav::is_available() {
            return;
        }
        let mut units = grey_steps(20);
        let torn = units[6].data.len() / 2;
        units[6].data = units[6].data[..torn].into();
        let mut lane = DecodeSession::default();
        let alone =
            DecodeSession::default().picture(&excerpt(&units, 12), DecoderKind::Libavcodec, 1).unwrap_err();
        for _ in 0..2 {
            let error = lane.picture(&excerpt(&units, 12), DecoderKind::Libavcodec, 3).unwrap_err();
            assert_eq!(error, alone);
        }
        let before = lane.picture(&excerpt(&units, 5), DecoderKind::Libavcodec, 3).unwrap();
        assert_eq!((step_shown(&before.frame), lane.threads()), (5, 1));
        let other = grey_steps(8);
        lane.picture(&excerpt(&other, 7), DecoderKind::Libavcodec, 3).unwrap();
        assert_eq!(lane.threads(), 3, "the next group is another one");
    }

    #[test]
    fn what_was_begun_is_not_decoded_again() {
        let units = grey_steps(20);
        for kind in kinds() {
            let mut lane = DecodeSession::default();
            let go_on = AtomicBool::new(false);
            assert_eq!(lane.begin(&excerpt(&units, 10), kind, 1, &go_on), 11);
            let decoded = lane.picture(&excerpt(&units, 11), kind, 1).unwrap();
            assert_eq!(step_shown(&decoded.frame), 11);
            assert!(decoded.units == 1, "{kind:?} decoded {}", decoded.units);
            assert_eq!(
                lane.begin(&excerpt(&units, 19), kind, 1, &AtomicBool::new(true)),
                0,
                "it was told to stop"
            );
        }
    }

    #[test]
    fn instants_that_were_wished_for_are_there_when_they_are_asked_for() {
        let units = grey_steps(20);
        for kind in kinds() {
            let mut lane = DecodeSession::default();
            let go_on = AtomicBool::new(false);
            [3, 8, 13].into_iter().for_each(|wanted: usize| lane.wish(stamp(&units[wanted])));
            lane.begin(&excerpt(&units, 19), kind, 1, &go_on);
            for wanted in [3, 8, 13, 19] {
                let decoded = lane.picture(&excerpt(&units, wanted), kind, 1).unwrap();
                let held_back = if kind == DecoderKind::RustH264 { 20 } else { 0 };
                assert_eq!(step_shown(&decoded.frame), wanted);
                assert!(decoded.units <= held_back, "{kind:?} decoded {} for {wanted}", decoded.units);
            }
        }
    }

    #[test]
    fn large_pictures_are_kept_by_their_bytes_and_the_wanted_one_always() {
        let start = Instant::now();
        let large = |bytes: usize| {
            let (width, height) = (1, 1);
            Arc::new(Frame {
                width,
                height,
                y: vec![0; bytes],
                u: Vec::new(),
                v: Vec::new(),
                colours: Colours::JPEG,
            })
        };
        // Of 4K; of 1080p; of what alone is too much.
        for (bytes, wished, kept) in [
            (12_441_600, vec![0], vec![0, 9]),
            (12_441_600, vec![], vec![8, 9]),
            (3_110_400, vec![], vec![6, 7, 8, 9]),
            (3_110_400, vec![0, 1, 2, 3], vec![0, 1, 2, 3, 9]),
            (KEPT_BYTES_MAX + 1, vec![], vec![9]),
            (KEPT_BYTES_MAX + 1, vec![4], vec![4]),
        ] {
            let mut recent = VecDeque::new();
            for i in 0..10 {
                recent.push_back(((i, start), large(bytes)));
                forget(&mut recent, |stamp| wished.contains(&stamp.0));
            }
            let numbers: Vec<i64> = recent.iter().map(|(stamp, _)| stamp.0).collect();
            assert_eq!(numbers, kept, "{bytes} bytes, {wished:?} wished for");
        }
    }

    #[test]
    fn a_wished_picture_outlives_its_group() {
        let (before, after) = (grey_steps(20), grey_steps(4));
        let mut lane = DecodeSession::default();
        lane.begin(&excerpt(&before, 12), DecoderKind::OpenH264, 1, &AtomicBool::new(false));
        lane.begin(&excerpt(&after, 2), DecoderKind::OpenH264, 1, &AtomicBool::new(false));
        let decoded = lane.picture(&excerpt(&before, 12), DecoderKind::OpenH264, 1).unwrap();
        assert_eq!((step_shown(&decoded.frame), decoded.units), (12, 0));
    }

    #[test]
    fn a_stream_that_is_followed_gives_every_picture_at_once_across_groups() {
        let groups = [grey_steps(6), grey_steps(5)];
        // `rust_h264` holds pictures back until its buffer is full.
        for kind in kinds().into_iter().filter(|kind| *kind != DecoderKind::RustH264) {
            let mut lane = DecodeSession::default();
            let mut shown = Vec::new();
            for group in &groups {
                for newest in 0..group.len() {
                    let pictures = lane.follow(&excerpt(group, newest), kind).unwrap();
                    shown.extend(pictures.iter().map(|(_, frame)| step_shown(frame)));
                }
            }
            assert_eq!(shown, [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4], "{kind:?}");
        }
    }

    #[test]
    fn a_lost_reference_is_an_error_of_every_decoder_and_never_a_picture() {
        let mut units = grey_steps(20);
        units.remove(6);
        for kind in kinds() {
            let error = DecodeSession::default().picture(&excerpt(&units, 12), kind, 1).unwrap_err();
            assert!(matches!(error, DecodeError::Gap { number: 7, .. }), "{kind:?}: {error}");
        }
        let before = DecodeSession::default().picture(&excerpt(&units, 5), DecoderKind::OpenH264, 1).unwrap();
        assert_eq!(step_shown(&before.frame), 5);
    }
}
