//! Whether a picture was taken after it was wanted: what its time, its stamp and its bytes prove. Pure.
//!
//! An ESP32-CAM fills its frame buffer right after the previous picture was fetched, so the next request gets a picture
//! that may be a minute old (espressif/esp32-camera issues 363 and 666: `fb_count = 1`, or `CAMERA_GRAB_WHEN_EMPTY`).
//! The picture after that one is fresh. Its firmware stamps each picture with the time since its start (`X-Timestamp`);
//! where it does, an old picture is proven old and nothing is thrown away in vain. Other cameras give a cached picture,
//! or the last one of an encoder that hangs; two pictures with the same bytes give them away, because no two exposures
//! of a sensor are alike.

use std::time::{Duration, Instant};

use crate::config::Flush;

/// Answers after which the camera's clock is known well enough: of two buffered pictures and one that was taken since.
const ANSWERS_TO_SETTLE: u32 = 3;

/// A stamp that is so much smaller than the newest is of a clock that was set anew. Smaller steps back come from
/// firmware with two buffers, which it may empty in the wrong order.
const RESTART: Duration = Duration::from_secs(10);

/// The camera's clock may be wrong by one part in so many: 200 ppm, several times what a crystal has in the sun.
const DRIFT: u32 = 5_000;

/// What an answer tells of the instant of its picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// When it was asked for.
    pub(super) sent: Instant,
    /// When its first byte came.
    pub(super) first_byte: Instant,
    /// When it had come as a whole.
    pub(super) done: Instant,
    /// `X-Timestamp`: begin of the exposure on the camera's clock, which may count from anywhere.
    pub(super) stamp: Option<Duration>,
    /// Whether the answer looks like that of an ESP32-CAM.
    pub(super) is_esp32: bool,
    /// SHA-256 of the picture.
    pub(super) hash: [u8; 32],
}

/// Whether a picture may be shown as one of the wanted instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FreshnessVerdict {
    /// Taken after it was wanted.
    Fresh {
        /// When it was taken, as near as can be known.
        instant: Instant,
        /// It is good for whatever was wanted up to here.
        until: Instant,
        /// The instant may be off by so much to either side.
        within: Duration,
    },
    /// Not proven fresh; the next one may be.
    Old(Why),
}

/// Why a picture does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The camera is one that gives a buffered picture first.
    Habit,
    /// Its clock is not known yet.
    Unsettled,
    /// Its stamp lies before the wanted instant.
    Stamp,
    /// It is the previous picture once more.
    Same,
}

/// What the pictures of a camera have shown of its habits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureHabits {
    /// Pictures whose stamp proved them older than the request.
    pub old: u32,
    /// How old the oldest of them was.
    pub oldest: Duration,
    /// Pictures that were the previous one once more.
    pub same: u32,
    /// Whether answers come with a stamp.
    pub is_stamped: bool,
    /// Whether answers look like those of an ESP32-CAM.
    pub is_esp32: bool,
    /// How many pictures it is behind, where its pictures have shown that.
    pub lag: Option<u32>,
}

/// The pictures asked for until one is fresh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    wanted: Instant,
    asked: u32,
    /// When the first one was asked for, and when it had come.
    first: Option<(Instant, Instant)>,
}

impl Round {
    /// For a picture taken at `wanted` or later.
    pub(super) fn new(wanted: Instant) -> Self {
        Self { wanted, asked: 0, first: None }
    }

    /// How many pictures were asked for.
    pub(super) fn asked(&self) -> u32 {
        self.asked
    }
}

/// What is known of a camera's clock and of its previous picture.
#[derive(Debug)]
pub(super) struct Freshness {
    flush: Flush,
    clock: Option<Clock>,
    previous: Option<[u8; 32]>,
    habits: PictureHabits,
    /// How many pictures it is behind, as its pictures have shown (`lag.rs`).
    lag: u32,
}

impl Freshness {
    /// Nothing is known yet.
    pub(super) fn new(flush: Flush) -> Self {
        Self { flush, clock: None, previous: None, habits: PictureHabits::default(), lag: 0 }
    }

    /// What has been seen so far.
    pub(super) fn habits(&self) -> PictureHabits {
        self.habits
    }

    /// Whether nothing but the pictures themselves can tell how old they are.
    pub(super) fn is_silent(&self) -> bool {
        self.flush == Flush::Auto && !self.habits.is_stamped && !self.habits.is_esp32
    }

    /// Its pictures have shown that it is so many behind.
    pub(super) fn learn(&mut self, lag: usize) {
        self.lag = u32::try_from(lag).unwrap_or(0);
        self.habits.lag = Some(self.lag);
    }

    /// Whether a picture is the previous one once more; that is remembered.
    pub(super) fn is_same(&mut self, evidence: &Evidence) -> bool {
        let is_same = self.previous == Some(evidence.hash);
        self.habits.same += u32::from(is_same);
        is_same
    }

    /// Remembers a picture that is shown as what it is, of no certain instant.
    pub(super) fn note(&mut self, evidence: &Evidence) {
        self.previous = Some(evidence.hash);
        self.habits.is_esp32 |= evidence.is_esp32;
        self.habits.is_stamped |= evidence.stamp.is_some();
        match (&mut self.clock, evidence.stamp) {
            (Some(clock), Some(stamp)) => clock.learn(stamp, evidence.first_byte),
            (clock, Some(stamp)) => *clock = Some(Clock::new(stamp, evidence.first_byte)),
            (_, None) => {}
        }
    }

    /// Judges the next picture of a round.
    pub(super) fn judge(&mut self, round: &mut Round, evidence: &Evidence) -> FreshnessVerdict {
        let is_same = self.is_same(evidence);
        self.note(evidence);
        round.asked += 1;
        let (first_sent, first_done) = *round.first.get_or_insert((evidence.sent, evidence.done));
        if is_same {
            return FreshnessVerdict::Old(Why::Same);
        }
        let in_vain = match self.flush {
            Flush::Fixed(pictures) => u32::from(pictures),
            // A stamp says more than the look of the answer.
            Flush::Auto if evidence.stamp.is_some() => 0,
            Flush::Auto => self.lag.max(u32::from(evidence.is_esp32)),
        };
        if round.asked <= in_vain {
            return FreshnessVerdict::Old(Why::Habit);
        }
        let (Some(stamp), Some(clock)) = (evidence.stamp, &self.clock) else {
            // A buffer is filled when its picture has been fetched, and a camera without a buffer takes the picture
            // when it is asked: either way between these two.
            let from = if in_vain == 0 { evidence.sent } else { first_done };
            let within = evidence.first_byte.saturating_duration_since(from) / 2;
            return FreshnessVerdict::Fresh { instant: from + within, until: first_sent, within };
        };
        if self.flush == Flush::Auto && clock.answers < ANSWERS_TO_SETTLE {
            return FreshnessVerdict::Old(Why::Unsettled);
        }
        let instant = clock.latest(stamp).min(evidence.first_byte);
        if instant < round.wanted {
            self.habits.old += 1;
            self.habits.oldest = self.habits.oldest.max(round.wanted - instant);
            return FreshnessVerdict::Old(Why::Stamp);
        }
        FreshnessVerdict::Fresh { instant, until: instant, within: Duration::ZERO }
    }
}

/// The camera's clock on ours.
///
/// A picture was taken before its first byte came, so each answer says: this stamp means that instant, or an earlier
/// one. The answer that took the shortest time says it best; it is right but for that time, some tenths of a second.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// A stamp, and the latest instant it can mean.
    anchor: (Duration, Instant),
    newest: Duration,
    answers: u32,
}

impl Clock {
    fn new(stamp: Duration, first_byte: Instant) -> Self {
        Self { anchor: (stamp, first_byte), newest: stamp, answers: 1 }
    }

    fn learn(&mut self, stamp: Duration, first_byte: Instant) {
        if stamp + RESTART < self.newest {
            *self = Self::new(stamp, first_byte);
            return;
        }
        if first_byte < self.latest(stamp) {
            self.anchor = (stamp, first_byte);
        }
        self.newest = self.newest.max(stamp);
        self.answers = self.answers.saturating_add(1);
    }

    /// The latest instant at which a picture with this stamp can have been taken.
    fn latest(&self, stamp: Duration) -> Instant {
        let (known, instant) = self.anchor;
        match stamp.checked_sub(known) {
            Some(since) => instant.checked_add(since + since / DRIFT).unwrap_or(instant),
            None => instant.checked_sub(known - stamp).unwrap_or(instant),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A camera without a stamp that answers within 100 ms.
    fn plain(start: Instant, sent_ms: u64, picture: u8) -> Evidence {
        let sent = start + ms(sent_ms);
        Evidence {
            sent,
            first_byte: sent + ms(60),
            done: sent + ms(100),
            stamp: None,
            is_esp32: false,
            hash: [picture; 32],
        }
    }

    /// A camera whose clock began `boot` seconds before `start`, with a picture taken at `taken_ms`.
    fn stamped(start: Instant, boot: u64, sent_ms: u64, taken_ms: u64) -> Evidence {
        let picture = u8::try_from(taken_ms / 10 % 251).unwrap();
        Evidence {
            stamp: Some(Duration::from_secs(boot) + ms(taken_ms)),
            is_esp32: true,
            ..plain(start, sent_ms, picture)
        }
    }

    fn is_fresh(verdict: FreshnessVerdict) -> bool {
        matches!(verdict, FreshnessVerdict::Fresh { .. })
    }

    #[test]
    fn a_plain_camera_takes_its_picture_between_request_and_answer() {
        let start = Instant::now();
        let verdict = Freshness::new(Flush::Auto).judge(&mut Round::new(start), &plain(start, 10, 1));
        assert_eq!(
            verdict,
            FreshnessVerdict::Fresh { instant: start + ms(40), until: start + ms(10), within: ms(30) }
        );
    }

    #[test]
    fn of_an_esp32_without_stamps_the_second_picture_counts_and_is_of_after_the_first() {
        let start = Instant::now();
        let mut freshness = Freshness::new(Flush::Auto);
        let mut round = Round::new(start);
        let esp32 = |sent_ms, picture| Evidence { is_esp32: true, ..plain(start, sent_ms, picture) };
        assert_eq!(freshness.judge(&mut round, &esp32(0, 1)), FreshnessVerdict::Old(Why::Habit));
        let fresh = FreshnessVerdict::Fresh { instant: start + ms(130), until: start, within: ms(30) };
        assert_eq!(freshness.judge(&mut round, &esp32(100, 2)), fresh);
    }

    #[test]
    fn as_many_pictures_are_thrown_away_as_are_configured() {
        let start = Instant::now();
        for flush in 0..=3_u8 {
            let mut freshness = Freshness::new(Flush::Fixed(flush));
            let mut round = Round::new(start);
            let fresh = (0..5_u8)
                .find(|i| is_fresh(freshness.judge(&mut round, &plain(start, u64::from(*i) * 100, *i))));
            assert_eq!(fresh, Some(flush));
        }
    }

    #[test]
    fn a_stamp_tells_the_buffered_picture_from_the_new_one() {
        let start = Instant::now();
        let mut freshness = Freshness::new(Flush::Auto);
        // The camera was asked long ago, and filled its buffer then. Each answer fills it anew at its end.
        let mut round = Round::new(start + ms(60_000));
        for (sent, taken, verdict) in [
            (60_000, 0, FreshnessVerdict::Old(Why::Unsettled)),
            (60_100, 60_100, FreshnessVerdict::Old(Why::Unsettled)),
        ] {
            assert_eq!(freshness.judge(&mut round, &stamped(start, 500, sent, taken)), verdict);
        }
        assert!(is_fresh(freshness.judge(&mut round, &stamped(start, 500, 60_200, 60_200))));
        let mut round = Round::new(start + ms(90_000));
        let verdict = freshness.judge(&mut round, &stamped(start, 500, 90_000, 60_300));
        assert_eq!(verdict, FreshnessVerdict::Old(Why::Stamp), "it is half a minute old");
        let verdict = freshness.judge(&mut round, &stamped(start, 500, 90_100, 90_100));
        let FreshnessVerdict::Fresh { instant, .. } = verdict else { panic!("{verdict:?}") };
        assert!(instant >= start + ms(90_100) && instant <= start + ms(90_160), "to the time of an answer");
        assert_eq!((freshness.habits.old, freshness.habits.oldest.as_secs()), (1, 29));
    }

    #[test]
    fn a_stamped_camera_without_the_habit_is_asked_once() {
        let start = Instant::now();
        let mut freshness = Freshness::new(Flush::Auto);
        let mut round = Round::new(start);
        for sent in [0, 100] {
            freshness.judge(&mut round, &stamped(start, 500, sent, sent + 20));
        }
        assert!(is_fresh(freshness.judge(&mut round, &stamped(start, 500, 200, 220))));
        for sent in [60_000, 120_000] {
            let mut round = Round::new(start + ms(sent));
            assert!(is_fresh(freshness.judge(&mut round, &stamped(start, 500, sent, sent + 20))));
        }
    }

    #[test]
    fn a_camera_that_started_anew_is_learnt_anew() {
        let start = Instant::now();
        let mut freshness = Freshness::new(Flush::Auto);
        for sent in [0, 100, 200] {
            freshness.judge(&mut Round::new(start), &stamped(start, 5000, sent, sent + 20));
        }
        let mut round = Round::new(start + ms(60_000));
        let verdicts = [60_000, 60_100, 60_200]
            .map(|sent| is_fresh(freshness.judge(&mut round, &stamped(start, 0, sent, sent + 20))));
        assert_eq!(verdicts, [false, false, true]);
    }

    #[test]
    fn the_same_bytes_again_are_never_fresh() {
        let start = Instant::now();
        for flush in [Flush::Auto, Flush::Fixed(0), Flush::Fixed(1)] {
            let mut freshness = Freshness::new(flush);
            freshness.note(&plain(start, 0, 7));
            let mut round = Round::new(start + ms(60_000));
            for sent in [60_000, 60_300, 60_600] {
                assert_eq!(
                    freshness.judge(&mut round, &plain(start, sent, 7)),
                    FreshnessVerdict::Old(Why::Same),
                    "{flush:?}"
                );
            }
            assert!(is_fresh(freshness.judge(&mut round, &plain(start, 60_900, 8))), "{flush:?}");
        }
    }

    proptest! {
        /// Whatever the camera's clock does: within its drift, an old picture older than the slowest answer is never
        /// taken for a fresh one, and a picture that was taken on request always counts once the clock is settled.
        #[test]
        fn a_settled_clock_is_neither_fooled_nor_unjust(
            boot in 0_u64..1_000_000, ppm in -150_i64..150, pauses in prop::collection::vec(1_000_u64..600_000, 1..20),
            latency in 5_u64..400, habit: bool,
        ) {
            let start = Instant::now();
            let mut freshness = Freshness::new(Flush::Auto);
            // Microseconds on our clock; the camera's runs too fast by `ppm`.
            let stamp = |at: u64| {
                let drift = i64::try_from(at).unwrap() * ppm / 1_000_000;
                Duration::from_secs(boot) + Duration::from_micros(at.checked_add_signed(drift).unwrap())
            };
            let (mut now, mut buffered, mut picture) = (1_000_000_u64, 0_u64, 0_u64);
            for pause in pauses {
                now += pause * 1000;
                let wanted = start + Duration::from_micros(now);
                let mut round = Round::new(wanted);
                for asked in 1.. {
                    prop_assert!(asked <= 4, "never satisfied");
                    let taken = if habit { buffered } else { now + 1000 };
                    picture += 1;
                    let mut hash = [0; 32];
                    hash[..8].copy_from_slice(&picture.to_le_bytes());
                    let evidence = Evidence {
                        sent: start + Duration::from_micros(now),
                        first_byte: start + Duration::from_micros(now + latency * 1000),
                        done: start + Duration::from_micros(now + latency * 1000 + 1000),
                        stamp: Some(stamp(taken)),
                        is_esp32: true,
                        hash,
                    };
                    now += latency * 1000 + 1000;
                    buffered = now;
                    if let FreshnessVerdict::Fresh { .. } = freshness.judge(&mut round, &evidence) {
                        let old_by = wanted.saturating_duration_since(start + Duration::from_micros(taken));
                        prop_assert!(old_by <= ms(latency + 200), "{old_by:?}");
                        break;
                    }
                }
            }
        }
    }
}
