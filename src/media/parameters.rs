//! What the parameter sets of a stream say to a player: codec string, size in pixels, decoder configuration record.

use std::collections::HashSet;

use super::gop::Codec;
use super::h264::nal_units;
use super::sps::Sps;

/// Parameter sets of a stream, in the order of their kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    codec: Codec,
    sets: Vec<Vec<u8>>,
}

/// A NAL unit's part in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Parameter set number 0, 1, 2 (VPS, SPS, PPS).
    Set(u8),
    /// Where a picture begins, or nothing: a player needs neither.
    Filler,
    /// Part of a picture, or a message.
    Picture,
}

/// What a player is told before the first picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayerDescription {
    /// As in RFC 6381, such as `avc1.64001f`.
    pub codec: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Kind of the sample entry and of the box in it.
    pub(super) entry: ([u8; 4], [u8; 4]),
    /// The content of that box.
    pub(super) configuration: Vec<u8>,
}

impl Parameters {
    /// Those that stand in an access unit; `None` when the stream has none, or not all.
    pub(super) fn of(codec: Codec, annex_b: &[u8]) -> Option<Self> {
        Self::of_all(codec, [annex_b])
    }

    /// The different ones that stand in several access units, in the order of their first coming; `None` as in
    /// [`Self::of`].
    pub(super) fn of_all<'a>(codec: Codec, units: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let kinds: &[u8] = match codec {
            Codec::H264 => &[1, 2],
            Codec::H265 => &[0, 1, 2],
            Codec::Jpeg => return None,
        };
        let mut found: Vec<(u8, &[u8])> = Vec::new();
        for nal in units.into_iter().flat_map(nal_units) {
            if let Kind::Set(kind) = kind(codec, nal)
                && !found.contains(&(kind, nal))
            {
                found.push((kind, nal));
            }
        }
        let sets =
            |wanted: u8| found.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, nal)| nal.to_vec());
        if kinds.iter().any(|kind| sets(*kind).next().is_none()) {
            return None;
        }
        Some(Self { codec, sets: kinds.iter().flat_map(|kind| sets(*kind)).collect() })
    }

    /// Whether all pictures have the same size and coding: there is one sequence parameter set, or there are several of
    /// different numbers that say so.
    pub(super) fn are_of_one_stream(&self) -> bool {
        let sets: Option<Vec<Sps>> = self.all(1).map(|set| Sps::of(self.codec, set)).collect();
        let Some([first, others @ ..]) = sets.as_deref() else { return self.all(1).count() == 1 };
        let coding = |sps: &Sps| (sps.size, sps.coded, sps.chroma, sps.depth);
        let numbers: HashSet<u32> = others.iter().map(|sps| sps.id).chain([first.id]).collect();
        numbers.len() == others.len() + 1 && others.iter().all(|sps| coding(sps) == coding(first))
    }

    /// What they say; `None` when they are damaged, or of a kind no player takes.
    pub(super) fn describe(&self) -> Option<PlayerDescription> {
        let sps = Sps::of(self.codec, self.all(1).next()?)?;
        match self.codec {
            Codec::H264 => self.avc(&sps),
            Codec::H265 => self.hevc(&sps),
            Codec::Jpeg => None,
        }
    }

    fn all(&self, wanted: u8) -> impl Iterator<Item = &[u8]> {
        self.sets.iter().map(Vec::as_slice).filter(move |set| kind(self.codec, set) == Kind::Set(wanted))
    }

    /// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 section 5.3.3.1.2).
    fn avc(&self, sps: &Sps) -> Option<PlayerDescription> {
        let [profile, constraints, level] = *sps.profile else { return None };
        let mut record = vec![1, profile, constraints, level, 0xfc | LENGTH_SIZE_MINUS_ONE];
        let (sps_count, pps_count) = (self.all(1).count(), self.all(2).count());
        record.push(0xe0 | u8::try_from(sps_count).ok().filter(|count| *count < 32)?);
        self.all(1).try_for_each(|set| put_set(&mut record, set))?;
        record.push(u8::try_from(pps_count).ok()?);
        self.all(2).try_for_each(|set| put_set(&mut record, set))?;
        if matches!(profile, 100 | 110 | 122 | 144 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            record.extend([0xfc | sps.chroma, 0xf8 | (sps.depth.0 - 8), 0xf8 | (sps.depth.1 - 8), 0]);
        }
        Some(self.description(sps, (*b"avc1", *b"avcC"), record))
    }

    /// `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 section 8.3.3.1.2).
    fn hevc(&self, sps: &Sps) -> Option<PlayerDescription> {
        let (layers, is_nested) = sps.layers;
        let mut record = vec![1];
        record.extend(&sps.profile);
        // No statement on segmentation or parallelism, frame rate unknown.
        record.extend([0xf0, 0, 0xfc, 0xfc | sps.chroma]);
        record.extend([0xf8 | (sps.depth.0 - 8), 0xf8 | (sps.depth.1 - 8), 0, 0]);
        record.push(layers << 3 | u8::from(is_nested) << 2 | LENGTH_SIZE_MINUS_ONE);
        record.push(3);
        for (wanted, nal_type) in [(0, 32), (1, 33), (2, 34)] {
            let is_complete = 0x80;
            record.push(is_complete | nal_type);
            record.extend(u16::try_from(self.all(wanted).count()).ok()?.to_be_bytes());
            self.all(wanted).try_for_each(|set| put_set(&mut record, set))?;
        }
        Some(self.description(sps, (*b"hvc1", *b"hvcC"), record))
    }

    fn description(&self, sps: &Sps, entry: ([u8; 4], [u8; 4]), configuration: Vec<u8>) -> PlayerDescription {
        let (width, height) = sps.size;
        PlayerDescription { codec: sps.rfc6381(self.codec), width, height, entry, configuration }
    }
}

/// A length before a NAL unit takes four bytes.
const LENGTH_SIZE_MINUS_ONE: u8 = 3;

fn put_set(record: &mut Vec<u8>, set: &[u8]) -> Option<()> {
    record.extend(u16::try_from(set.len()).ok()?.to_be_bytes());
    record.extend(set);
    Some(())
}

/// ITU-T H.264 table 7-1, H.265 table 7-1.
fn kind(codec: Codec, nal: &[u8]) -> Kind {
    let first = nal.first().copied().unwrap_or_default();
    match codec {
        Codec::H264 => match first & 31 {
            7 => Kind::Set(1),
            8 => Kind::Set(2),
            9..=12 => Kind::Filler,
            _ => Kind::Picture,
        },
        Codec::H265 => match first >> 1 & 63 {
            set @ 32..=34 => Kind::Set(set - 32),
            35..=38 => Kind::Filler,
            _ => Kind::Picture,
        },
        Codec::Jpeg => Kind::Picture,
    }
}

/// The NAL units of an access unit that stand in MP4: no parameter sets, which the sample entry has, and nothing that a
/// player does not need.
pub(super) fn picture_nals(codec: Codec, annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    nal_units(annex_b).filter(move |nal| kind(codec, nal) == Kind::Picture)
}

/// The pictures of an access unit as they stand in MP4: a length of four bytes instead of each start code.
pub(super) fn sample(codec: Codec, annex_b: &[u8]) -> Vec<u8> {
    let mut sample = Vec::with_capacity(annex_b.len() + 16);
    for nal in picture_nals(codec, annex_b) {
        sample.extend(u32::try_from(nal.len()).unwrap_or(u32::MAX).to_be_bytes());
        sample.extend_from_slice(nal);
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1366×768, High, level 3.2, as x264 writes it.
    const H264: &str = "0000000167640020acd94056061e6f011000000300100000030320f183196\
        00000000168ebe3cb22c00000010605";

    /// 1920×1080, Main, as x265 writes it.
    const H265: &str = "0000000140010c01ffff0160000003009000000300000300789598090000000142010\
        1016000000300900000030000030078a003c08010e596566924caf0168080000003008000000c8400000001\
        4401c172b46240000001260105";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    /// What FFmpeg writes of the same streams.
    #[test]
    fn streams_are_described_as_another_muxer_does() {
        let found = Parameters::of(Codec::H264, &bytes(H264)).unwrap().describe().unwrap();
        assert_eq!((found.codec.as_str(), found.width, found.height), ("avc1.640020", 1366, 768));
        let record = "01640020ffe1001b67640020acd94056061e6f011000000300100000030320f183196001000668ebe3cb\
            22c0fdf8f800";
        assert_eq!(found.configuration, bytes(record));
        let found = Parameters::of(Codec::H265, &bytes(H265)).unwrap().describe().unwrap();
        assert_eq!((found.codec.as_str(), found.width, found.height), ("hvc1.1.6.L120.90", 1920, 1080));
        let record = "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff0160000003009000\
            00030000030078959809a10001002a420101016000000300900000030000030078a003c08010e596566924ca\
            f0168080000003008000000c84a2000100074401c172b46240";
        assert_eq!(found.configuration, bytes(record));
    }

    #[test]
    fn a_stream_without_all_its_parameter_sets_is_not_described() {
        let without_pps = bytes("00000001676400280000016588");
        assert_eq!(Parameters::of(Codec::H264, &without_pps), None);
        assert_eq!(Parameters::of(Codec::Jpeg, &bytes(H264)), None);
    }

    proptest! {
        #[test]
        fn describing_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for (codec, heads) in [
                (Codec::H264, [&[0_u8, 0, 1, 0x67][..], &[0, 0, 1, 0x68], &[]]),
                (Codec::H265, [&[0, 0, 1, 0x40, 1], &[0, 0, 1, 0x42, 1], &[0, 0, 1, 0x44, 1]]),
            ] {
                let stream: Vec<u8> = heads.iter().flat_map(|head| [*head, &bytes].concat()).collect();
                let _ = Parameters::of(codec, &stream).and_then(|parameters| parameters.describe());
                let _ = sample(codec, &bytes);
            }
        }
    }
}
