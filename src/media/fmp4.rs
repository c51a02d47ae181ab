//! Fragmented MP4 (ISO/IEC 14496-12 section 8.8) for a player that shows pictures while they come: an initialization
//! segment, then one fragment a picture. Nothing is decoded and nothing held back.
//!
//! How long a picture is shown is known only when the next one has come, so decoding times run by themselves, as regular
//! as the stream, and follow the presentation times at a distance; the difference goes into the composition offset. So
//! presentation times are exact, and decoding times have no gaps, which a player would take for the end of a sequence.

use std::sync::Arc;

use super::gop::{AccessUnit, Codec};
use super::mp4_box::{boxed, sample_entry};
use super::parameters::{Parameters, sample};

pub use super::parameters::PlayerDescription;

/// Ticks a second, as in RTP.
const TIMESCALE: u32 = 90_000;

/// How far decoding times lie before presentation times. Enough for B-frames; it delays nothing.
const LEAD: i64 = 36_000;

/// The interval between two pictures is this until it has been measured: 25 a second.
const INTERVAL: i64 = 3_600;

/// Between two groups the clock of the camera may leap by so much, or by three pictures; a longer gap is closed up,
/// because a player stops at a gap.
const LEAP: i64 = 45_000;

/// A picture's share in what is measured of the interval.
const SMOOTHING: i64 = 8;

/// What a player gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A stream begins, or changes: what it is, and its initialization segment.
    Begin(Arc<PlayerDescription>, Vec<u8>),
    /// A picture; the first one after [`Part::Begin`] needs no other.
    Fragment(Vec<u8>),
}

/// Makes one player's stream.
#[derive(Debug, Default)]
pub struct Muxer {
    begun: Option<(Parameters, Arc<PlayerDescription>)>,
    clock: Option<Clock>,
    /// The next unit of use is an IDR.
    waits_for_idr: bool,
    fragments: u32,
}

/// Times of one player's stream, in ticks.
#[derive(Debug)]
struct Clock {
    /// What is added to a presentation time of the camera.
    offset: i64,
    /// Highest presentation time so far.
    newest: i64,
    /// Decoding time of the next picture.
    next: i64,
    interval: i64,
}

impl Muxer {
    /// Takes the next unit in decoding order. Units before the first IDR give nothing, and neither do those whose
    /// parameter sets cannot be understood.
    pub fn push(&mut self, codec: Codec, unit: &AccessUnit) -> Vec<Part> {
        let mut parts = Vec::new();
        if unit.is_start() {
            let parameters = Parameters::of(codec, &unit.data);
            // Cameras that send parameter sets only at the beginning go on with those.
            if let Some(parameters) =
                parameters.filter(|new| self.begun.as_ref().is_none_or(|(known, _)| known != new))
            {
                let Some(description) = parameters.describe().map(Arc::new) else {
                    self.begun = None;
                    return parts;
                };
                parts.push(Part::Begin(Arc::clone(&description), initialization(&description)));
                self.begun = Some((parameters, description));
            }
            self.waits_for_idr = false;
        }
        if self.begun.is_none() || self.waits_for_idr {
            return parts;
        }
        let presented = i64::try_from(i128::from(unit.rtp_ns) * i128::from(TIMESCALE) / 1_000_000_000);
        let clock = match (&mut self.clock, unit.is_start()) {
            (Some(clock), _) => clock,
            (None, true) => self.clock.insert(Clock::new(presented.unwrap_or_default())),
            (None, false) => return parts,
        };
        let (decoded, offset, duration) = clock.push(presented.unwrap_or_default(), unit.is_start());
        self.fragments = self.fragments.wrapping_add(1);
        let sample = sample(codec, &unit.data);
        parts.push(Part::Fragment(fragment(
            self.fragments,
            (decoded, offset, duration),
            unit.is_start(),
            &sample,
        )));
        parts
    }

    /// Units were missed: nothing is of use until the next IDR.
    pub fn break_off(&mut self) {
        self.waits_for_idr = true;
    }
}

impl Clock {
    fn new(presented: i64) -> Self {
        Self { offset: LEAD.saturating_sub(presented), newest: LEAD - INTERVAL, next: 0, interval: INTERVAL }
    }

    /// Decoding time, presentation minus decoding time, duration.
    fn push(&mut self, presented: i64, is_idr: bool) -> (u64, i32, u32) {
        let mut presented_at = presented.saturating_add(self.offset);
        let expected = self.newest + self.interval;
        let leap = presented_at.saturating_sub(expected);
        if is_idr && (presented_at <= self.newest || leap > LEAP.max(3 * self.interval)) {
            // Another session, or a pause.
            self.offset = expected.saturating_sub(presented);
            presented_at = expected;
        }
        // With B-frames some pictures advance by several intervals and others not at all.
        let advance = presented_at.saturating_sub(self.newest).max(0);
        self.newest = self.newest.max(presented_at);
        self.interval += (advance.min(i64::from(TIMESCALE) * 10) - self.interval) / SMOOTHING;
        self.interval = self.interval.max(1);
        let decoded = self.next;
        let too_far = (self.newest.saturating_sub(decoded) - LEAD) / SMOOTHING;
        let duration = (self.interval + too_far).clamp(self.interval / 2 + 1, self.interval * 2);
        self.next += duration;
        let offset = presented_at.saturating_sub(decoded);
        (
            u64::try_from(decoded).unwrap_or_default(),
            i32::try_from(offset).unwrap_or(i32::MAX),
            u32::try_from(duration).unwrap_or(TIMESCALE),
        )
    }
}

/// Numbers of 32 bits.
fn words<const N: usize>(words: [u32; N]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// `ftyp` and `moov` of one track of video without a sample.
fn initialization(description: &PlayerDescription) -> Vec<u8> {
    const UNITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
    let PlayerDescription { width, height, .. } = description;
    // No creation time, no duration; rate 1, volume 1; the next track would be the second.
    let mvhd = boxed(
        b"mvhd",
        &[&words([0, 0, 0, TIMESCALE, 0, 0x1_0000, 0x100_0000, 0, 0]), &words(UNITY), &[0; 24], &words([2])],
    );
    // Enabled, in the movie and its preview; track 1; no layer, no volume.
    let size = [*width << 16, *height << 16];
    let tkhd = boxed(b"tkhd", &[&words([7, 0, 0, 1, 0, 0, 0, 0, 0, 0]), &words(UNITY), &words(size)]);
    // Language undetermined.
    let mdhd = boxed(b"mdhd", &[&words([0, 0, 0, TIMESCALE, 0, 0x55c4_0000])]);
    let hdlr = boxed(b"hdlr", &[&words([0, 0]), b"vide", &[0; 12], b"camera\0"]);
    let vmhd = boxed(b"vmhd", &[&words([1, 0, 0])]);
    let dref = boxed(b"dref", &[&words([0, 1]), &boxed(b"url ", &[&words([1])])]);
    let dinf = boxed(b"dinf", &[&dref]);
    let stsd = boxed(b"stsd", &[&words([0, 1]), &sample_entry(description)]);
    let stbl = boxed(
        b"stbl",
        &[
            &stsd,
            &boxed(b"stts", &[&words([0, 0])]),
            &boxed(b"stsc", &[&words([0, 0])]),
            &boxed(b"stsz", &[&words([0, 0, 0])]),
            &boxed(b"stco", &[&words([0, 0])]),
        ],
    );
    let minf = boxed(b"minf", &[&vmhd, &dinf, &stbl]);
    let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
    let trak = boxed(b"trak", &[&tkhd, &mdia]);
    let mvex = boxed(b"mvex", &[&boxed(b"trex", &[&words([0, 1, 1, 0, 0, 0])])]);
    let moov = boxed(b"moov", &[&mvhd, &trak, &mvex]);
    let ftyp = boxed(b"ftyp", &[b"iso6", &words([0]), b"iso6mp41"]);
    [ftyp, moov].concat()
}

/// `moof` and `mdat` of one picture. Its times are decoding time, presentation minus decoding time, and duration.
fn fragment(
    number: u32,
    (decoded, offset, duration): (u64, i32, u32),
    is_idr: bool,
    sample: &[u8],
) -> Vec<u8> {
    // What stands before the sample: a `moof` of 104 bytes, as below, and the head of `mdat`.
    const DATA_OFFSET: u32 = 112;
    // Depends on no other picture; or does, and is none to begin with (`sample_flags`, section 8.8.3.1).
    let flags = if is_idr { 0x0200_0000 } else { 0x0101_0000 };
    let size = u32::try_from(sample.len()).unwrap_or(u32::MAX);
    let mfhd = boxed(b"mfhd", &[&words([0, number])]);
    // Offsets count from the `moof`.
    let tfhd = boxed(b"tfhd", &[&words([0x02_0000, 1])]);
    let tfdt = boxed(b"tfdt", &[&words([0x0100_0000]), &decoded.to_be_bytes()]);
    // Version 1: the composition offset has a sign. With data offset, duration, size, flags and composition offset.
    let trun = boxed(
        b"trun",
        &[&words([0x0100_0f01, 1, DATA_OFFSET, duration, size, flags]), &offset.to_be_bytes()],
    );
    let traf = boxed(b"traf", &[&tfhd, &tfdt, &trun]);
    let moof = boxed(b"moof", &[&mfhd, &traf]);
    let mdat = boxed(b"mdat", &[sample]);
    [moof, mdat].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Instant;

    /// Parameter sets and an IDR slice of H.264 Baseline, 64×48.
    const IDR: &[u8] = &[
        0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x04, 0x7b, 0x01, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0x20,
        0xf1, 0x22, 0x64, 0x80, 0, 0, 0, 1, 0x68, 0xcb, 0x83, 0xcb, 0x20, 0, 0, 1, 0x65, 0x88, 0x84,
    ];

    fn unit(rtp_ns: i64, is_idr: bool) -> AccessUnit {
        let data = if is_idr { IDR } else { &[0, 0, 1, 0x41, 0x9a] };
        AccessUnit {
            rtp_ns,
            instant: Instant::now(),
            data: data.into(),
            starts: is_idr.then_some(0),
            is_disposable: false,
            missing: 0,
            is_leading: false,
            doubt: None,
        }
    }

    /// Decoding time, composition offset and sample of a fragment.
    fn read(part: &Part) -> (u64, i32, &[u8]) {
        let Part::Fragment(bytes) = part else { panic!("{part:?} is no fragment") };
        let kinds = [4, 12, 28, 36, 52, 72, 108].map(|at| std::str::from_utf8(&bytes[at..at + 4]).unwrap());
        assert_eq!(kinds, ["moof", "mfhd", "traf", "tfhd", "tfdt", "trun", "mdat"]);
        let (decoded, offset) = (bytes[60..68].try_into().unwrap(), bytes[100..104].try_into().unwrap());
        (u64::from_be_bytes(decoded), i32::from_be_bytes(offset), &bytes[112..])
    }

    #[test]
    fn a_stream_begins_with_its_description_and_the_idr_without_parameter_sets() {
        let mut muxer = Muxer::default();
        assert_eq!(muxer.push(Codec::H264, &unit(0, false)), []);
        let parts = muxer.push(Codec::H264, &unit(40_000_000, true));
        let [Part::Begin(description, bytes), first] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!(
            (description.codec.as_str(), description.width, description.height),
            ("avc1.42c00a", 64, 48)
        );
        assert_eq!((&bytes[4..8], &bytes[28..32]), (&b"ftyp"[..], &b"moov"[..]));
        assert_eq!(read(first), (0, i32::try_from(LEAD).unwrap(), &[0, 0, 0, 3, 0x65, 0x88, 0x84][..]));
        // Nothing is said twice.
        assert_eq!(muxer.push(Codec::H264, &unit(80_000_000, true)).len(), 1);
    }

    #[test]
    fn after_a_gap_the_stream_goes_on_with_the_next_idr_and_no_gap_in_its_times() {
        let mut muxer = Muxer::default();
        muxer.push(Codec::H264, &unit(0, true));
        muxer.break_off();
        assert_eq!(muxer.push(Codec::H264, &unit(40_000_000, false)), []);
        // An hour later, and in another session.
        for rtp_ns in [3_600_000_000_000, -5_000_000_000] {
            let parts = muxer.push(Codec::H264, &unit(rtp_ns, true));
            let (decoded, offset, _) = read(&parts[0]);
            let presented = i64::try_from(decoded).unwrap() + i64::from(offset);
            assert!((LEAD..LEAD + 3 * INTERVAL).contains(&presented), "{presented}");
        }
    }

    #[test]
    fn b_frames_are_presented_in_their_order() {
        let mut muxer = Muxer::default();
        let mut presented = Vec::new();
        for (place, is_idr) in
            [(0, true), (3, false), (1, false), (2, false), (6, false), (4, false), (5, false)]
        {
            let parts = muxer.push(Codec::H264, &unit(place * 40_000_000, is_idr));
            let (decoded, offset, _) = read(parts.last().unwrap());
            assert!(offset >= 0, "a picture is decoded before it is shown");
            presented.push((i64::try_from(decoded).unwrap() + i64::from(offset) - LEAD) / INTERVAL);
        }
        assert_eq!(presented, [0, 3, 1, 2, 6, 4, 5]);
    }

    proptest! {
        #[test]
        fn decoding_times_rise_without_gaps_and_presentation_times_are_exact(
            steps in proptest::collection::vec((1_i64..400, any::<bool>()), 1..200),
        ) {
            let (mut clock, mut presented, mut next) = (Clock::new(0), 0, 0);
            for (i, (step_ms, is_idr)) in steps.into_iter().enumerate() {
                let (decoded, offset, duration) = clock.push(presented, is_idr || i == 0);
                prop_assert_eq!(i64::try_from(decoded).unwrap(), next, "no gap");
                prop_assert!(duration > 0);
                prop_assert_eq!(next + i64::from(offset), presented + LEAD);
                next += i64::from(duration);
                presented += step_ms * 90;
            }
        }
    }
}
