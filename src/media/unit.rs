//! What kind of access unit one is, by the first bytes of its NAL units, and where decoding can begin.
//!
//! An IDR is not the only place: many encoders send one when they start and from then on intra pictures that a recovery
//! point message announces (ITU-T H.264 section D.2.8, H.265 section D.3.8), or pictures of which a part is refreshed at a
//! time, so that decoding begun at any recovery point is clean after so many pictures.

use h264_reader::rbsp::{BitRead, BitReader, ByteReader};

use super::gop::Codec;
use super::h264::nal_units;

/// Payload type of a recovery point message (ITU-T H.264 annex D.1, H.265 annex D.2).
const RECOVERY_POINT: u32 = 6;

/// Bytes of a NAL unit that are looked at: the parameters of a slice stand at its begin, and before a recovery point
/// message may stand what the maker of the camera wants to say.
const HEAD: usize = 4096;

/// What an access unit is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitKind {
    /// It holds a picture, not messages and parameter sets alone.
    pub has_picture: bool,
    /// Decoding can begin here, and pictures are clean after so many that others refer to; 0 where all are.
    pub starts: Option<u32>,
    /// Nothing says that decoding can begin here, but the picture is intra and has its parameter sets. What follows may
    /// refer to what came before, so [`Starts`] uses it only in streams that have no better place.
    pub is_guess: bool,
    /// Nothing later refers to what came before (IDR; of H.265 also BLA), and nothing later is shown before it.
    pub is_idr: bool,
    /// No picture of its sub-layer refers to it (ITU-T H.264 `nal_ref_idc` 0, ITU-T H.265 sub-layer non-reference).
    pub is_disposable: bool,
    /// It is shown before the unit its group begins with, and refers to the group before (ITU-T H.265 RASL).
    pub is_leading: bool,
    /// Its temporal sub-layer, and the highest one of the stream if its parameter sets are in the unit (ITU-T H.265).
    pub layer: (u8, Option<u8>),
}

/// The kind of an access unit in Annex B, or of a JPEG.
pub fn kind(codec: Codec, unit: &[u8]) -> UnitKind {
    match codec {
        Codec::H264 => h264(unit),
        Codec::H265 => h265(unit),
        Codec::Jpeg => UnitKind { has_picture: true, starts: Some(0), is_idr: true, ..UnitKind::default() },
    }
}

/// Follows a stream in decoding order and tells of each unit what only its predecessors tell.
#[derive(Clone, Debug, Default)]
pub struct Starts {
    /// An IDR or a recovery point has come, so others will.
    has_certain: bool,
    /// RTP time of the newest unit at which decoding can begin, if it is no IDR.
    open: Option<i64>,
    /// The highest temporal sub-layer.
    top_layer: u8,
}

/// What a unit is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// As [`super::gop::AccessUnit::starts`].
    pub starts: Option<u32>,
    /// As [`super::gop::AccessUnit::is_disposable`].
    pub is_disposable: bool,
    /// As [`super::gop::AccessUnit::is_leading`].
    pub is_leading: bool,
}

impl Starts {
    /// Takes the next unit and the nanoseconds of its RTP time.
    pub fn role(&mut self, codec: Codec, kind: UnitKind, rtp_ns: i64) -> Role {
        self.top_layer = kind.layer.1.unwrap_or(self.top_layer);
        self.has_certain |= kind.starts.is_some() && !kind.is_guess;
        let starts = kind.starts.filter(|_| !kind.is_guess || !self.has_certain);
        if starts.is_some() {
            self.open = (!kind.is_idr).then_some(rtp_ns);
        }
        // H.265 marks those that cannot be decoded; of H.264, what is shown before an intra picture that it follows in
        // decoding order has been predicted from the group before.
        let is_earlier = codec == Codec::H264 && self.open.is_some_and(|start| rtp_ns < start);
        let is_top = codec != Codec::H265 || kind.layer.0 >= self.top_layer;
        Role {
            starts,
            is_disposable: kind.is_disposable && starts.is_none() && is_top,
            is_leading: starts.is_none() && (kind.is_leading || is_earlier),
        }
    }
}

/// ITU-T H.264 table 7-1.
fn h264(unit: &[u8]) -> UnitKind {
    let mut kind = UnitKind::default();
    let (mut recovery, mut has_parameters, mut is_intra) = (None, false, true);
    for nal in nal_units(unit) {
        let head = &nal[..nal.len().min(HEAD)];
        match head[0] & 31 {
            slice @ (1 | 2 | 5) => {
                if !kind.has_picture {
                    (kind.has_picture, kind.is_idr) = (true, slice == 5);
                    kind.is_disposable = head[0] >> 5 & 3 == 0;
                }
                is_intra &= slice != 2 && is_intra_slice(head);
                // All that is asked for of the rest is whether it is intra, too.
                if kind.is_idr || !is_intra {
                    break;
                }
            }
            6 => {
                recovery = recovery.or_else(|| message(&head[1..], |bits| bits.read_ue("recovery_frame_cnt")))
            }
            7 => has_parameters = true,
            _ => {}
        }
    }
    kind.starts = match recovery {
        _ if !kind.has_picture => None,
        _ if kind.is_idr => Some(0),
        Some(0) => is_intra.then_some(0),
        Some(after) => Some(after),
        None => (is_intra && has_parameters && !kind.is_disposable).then_some(0),
    };
    kind.is_guess = kind.starts.is_some() && !kind.is_idr && recovery.is_none();
    kind
}

/// Whether the type of a slice of H.264 says I or SI (ITU-T H.264 table 7-6).
fn is_intra_slice(nal: &[u8]) -> bool {
    let mut bits = BitReader::new(ByteReader::skipping_h264_header(nal));
    let mut slice_type = || {
        bits.read_ue("first_mb_in_slice").ok()?;
        bits.read_ue("slice_type").ok()
    };
    slice_type().is_some_and(|slice_type| matches!(slice_type, 2 | 4 | 7 | 9))
}

/// ITU-T H.265 table 7-1.
fn h265(unit: &[u8]) -> UnitKind {
    let mut kind = UnitKind::default();
    let mut recovery = None;
    for nal in nal_units(unit) {
        let head = &nal[..nal.len().min(HEAD)];
        let [first, second, payload @ ..] = head else { continue };
        // Of other layers (ITU-T H.265 annexes F to I) nobody makes a picture here.
        if (first & 1) << 5 | second >> 3 != 0 {
            continue;
        }
        match first >> 1 & 63 {
            slice @ 0..=31 => {
                kind.has_picture = true;
                kind.layer.0 = (second & 7).saturating_sub(1);
                kind.is_idr = (16..=20).contains(&slice);
                kind.is_disposable = slice < 16 && slice % 2 == 0;
                kind.is_leading = matches!(slice, 8 | 9);
                let is_irap = (16..=23).contains(&slice);
                kind.starts = is_irap.then_some(0).or(recovery.filter(|_| !kind.is_leading));
                break;
            }
            33 => kind.layer.1 = payload.first().map(|byte| byte >> 1 & 7),
            39 => {
                let after = message(payload, |bits| bits.read_se("recovery_poc_cnt"));
                recovery = recovery.or(after.map(|after| u32::try_from(after).unwrap_or(0)));
            }
            _ => {}
        }
    }
    kind
}

type Bits<'a> = BitReader<ByteReader<&'a [u8]>>;

/// What a recovery point message among the messages of a NAL unit, given without its header, begins with.
fn message<T>(
    payload: &[u8],
    read: impl Fn(&mut Bits<'_>) -> Result<T, h264_reader::rbsp::BitReaderError>,
) -> Option<T> {
    let mut bits = BitReader::new(ByteReader::without_skip(payload));
    loop {
        let mut number = || {
            let mut sum = 0_u32;
            loop {
                let byte: u8 = bits.read(8, "payload").ok()?;
                sum += u32::from(byte);
                if byte < 255 {
                    return Some(sum);
                }
            }
        };
        let (kind, bytes) = (number()?, number()?);
        if kind == RECOVERY_POINT {
            return read(&mut bits).ok();
        }
        bits.skip(bytes.checked_mul(8)?, "message").ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPS: &[u8] = &[0, 0, 0, 1, 0x67, 66, 0, 31];
    const PPS: &[u8] = &[0, 0, 0, 1, 0x68, 0xce];
    /// First macroblock 0, slice types 7 (I), 5 (P) and 2 (I).
    const ALL_I: u8 = 0b1000_1000;
    const ALL_P: u8 = 0b1001_1000;
    const I: u8 = 0b1011_0000;

    fn recovery(bits: u8) -> Vec<u8> {
        // After a message of another kind, as x264 writes them.
        vec![0, 0, 0, 1, 0x06, 1, 2, 9, 9, 6, 1, bits, 0x80]
    }

    fn of(parts: &[&[u8]]) -> UnitKind {
        kind(Codec::H264, &parts.concat())
    }

    fn slice(header: u8, first: u8) -> Vec<u8> {
        vec![0, 0, 1, header, first, 0x11, 0x22]
    }

    #[test]
    fn an_idr_a_recovery_point_and_a_gradual_refresh_are_places_to_begin() {
        let idr = of(&[SPS, PPS, &slice(0x65, ALL_I)]);
        assert_eq!((idr.starts, idr.is_idr, idr.is_guess), (Some(0), true, false));
        let open = of(&[&recovery(0b1000_0000), &slice(0x41, ALL_I), &slice(0x41, I)]);
        assert_eq!(
            (open.starts, open.is_idr, open.is_guess, open.has_picture),
            (Some(0), false, false, true)
        );
        // 39 pictures: 0000_0101_000.
        let gradual = [0, 0, 0, 1, 0x06, 6, 2, 0b0000_0101, 0b0000_0000, 0x80];
        let gradual = of(&[&gradual, &slice(0x41, ALL_P)]);
        assert_eq!((gradual.starts, gradual.is_guess), (Some(39), false));
        let claimed = of(&[&recovery(0b1000_0000), &slice(0x41, ALL_I), &slice(0x41, ALL_P)]);
        assert_eq!(claimed.starts, None, "clean at once it is not, whatever the message says");
    }

    #[test]
    fn an_intra_picture_with_its_parameter_sets_is_a_guess_and_one_without_is_nothing() {
        let guess = of(&[SPS, PPS, &slice(0x41, ALL_I)]);
        assert_eq!((guess.starts, guess.is_guess), (Some(0), true));
        assert_eq!(of(&[&slice(0x41, ALL_I)]).starts, None);
        assert_eq!(of(&[SPS, PPS, &slice(0x41, ALL_P)]).starts, None);
        assert_eq!(of(&[SPS, PPS]), UnitKind::default());
        let mut starts = Starts::default();
        let role = |starts: &mut Starts, kind| starts.role(Codec::H264, kind, 0).starts;
        assert_eq!(role(&mut starts, guess), Some(0), "as long as nothing better comes");
        assert_eq!(role(&mut starts, of(&[&slice(0x65, ALL_I)])), Some(0));
        assert_eq!(role(&mut starts, guess), None);
    }

    #[test]
    fn what_is_shown_before_an_open_start_leads_it_and_nothing_leads_an_idr() {
        let (idr, open) = (of(&[&slice(0x65, ALL_I)]), of(&[&recovery(0b1000_0000), &slice(0x41, ALL_I)]));
        let (p, b) = (of(&[&slice(0x41, ALL_P)]), of(&[&slice(0x01, ALL_P)]));
        assert!(!p.is_disposable && b.is_disposable);
        let mut starts = Starts::default();
        let units = [(idr, 0), (p, 2), (b, 1), (open, 4), (b, 3), (p, 6), (b, 5)];
        let roles = units.map(|(kind, time)| starts.role(Codec::H264, kind, time));
        assert_eq!(roles.map(|role| role.is_leading), [false, false, false, false, true, false, false]);
        assert_eq!(roles.map(|role| role.starts.is_some()), [true, false, false, true, false, false, false]);
    }

    #[test]
    fn the_first_slice_of_h265_tells_the_kind_of_a_picture() {
        let of = |nal_type: u8, layer: u8| {
            let delimiter_and_slice =
                [&[0, 0, 1, 35 << 1, 1, 0x50][..], &[0, 0, 1, nal_type << 1, layer + 1, 0xaf]];
            kind(Codec::H265, &delimiter_and_slice.concat())
        };
        for idr in 16..=20 {
            assert_eq!((of(idr, 0).starts, of(idr, 0).is_idr), (Some(0), true));
        }
        assert_eq!((of(21, 0).starts, of(21, 0).is_idr), (Some(0), false), "CRA");
        assert_eq!([8, 9, 6, 7, 0, 1].map(|n| of(n, 0).is_leading), [true, true, false, false, false, false]);
        assert_eq!([0, 1, 2, 8, 9].map(|n| of(n, 0).is_disposable), [true, false, true, true, false]);
        assert!(!of(40, 0).has_picture);
        let recovery = [0, 0, 1, 39 << 1, 1, 6, 1, 0b0010_0100, 0x80, 0, 0, 1, 1 << 1, 1, 0xaf];
        assert_eq!(kind(Codec::H265, &recovery).starts, Some(2));
        // Two sub-layers: the lower one's pictures are referred to by the higher one's.
        let two = [0, 0, 1, 33 << 1, 1, 0b0000_0011, 1];
        let first = kind(Codec::H265, &[&two[..], &[0, 0, 1, 19 << 1, 1, 0xaf]].concat());
        let mut starts = Starts::default();
        let roles = [first, of(0, 0), of(0, 1)].map(|kind| starts.role(Codec::H265, kind, 0).is_disposable);
        assert_eq!(roles, [false, false, true]);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_kind(
            nals in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            rtp_ns: i64,
        ) {
            let unit: Vec<u8> = nals.iter().flat_map(|(head, rest)| [&[0, 0, 1, *head][..], rest].concat()).collect();
            for codec in [Codec::H264, Codec::H265, Codec::Jpeg] {
                let kind = kind(codec, &unit);
                prop_assert!(kind.has_picture || kind.starts.is_none());
                let role = Starts::default().role(codec, kind, rtp_ns);
                prop_assert!(role.starts.is_none() || !role.is_leading && !role.is_disposable);
            }
        }
    }
}
