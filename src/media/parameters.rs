//! What the parameter sets of a stream say to a player: codec string, size in pixels, decoder configuration record.

use std::num::NonZeroUsize;

use h264_reader::nal::sps::{ChromaFormat, SeqParameterSet};
use h264_reader::nal::{Nal, RefNal};
use h264_reader::rbsp::{BitRead, BitReader, ByteReader};

use super::footprint::{Claim, halves};
use super::gop::Codec;
use super::h264::nal_units;

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
pub struct Description {
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

    /// Whether all pictures have the same size and coding: there is one sequence parameter set.
    pub(super) fn are_of_one_stream(&self) -> bool {
        self.all(1).count() == 1
    }

    /// What they say; `None` when they are damaged, or of a kind no player takes.
    pub(super) fn describe(&self) -> Option<Description> {
        match self.codec {
            Codec::H264 => self.avc(),
            Codec::H265 => self.hevc(),
            Codec::Jpeg => None,
        }
    }

    fn all(&self, wanted: u8) -> impl Iterator<Item = &[u8]> {
        self.sets.iter().map(Vec::as_slice).filter(move |set| kind(self.codec, set) == Kind::Set(wanted))
    }

    /// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15 section 5.3.3.1.2).
    fn avc(&self) -> Option<Description> {
        let first = self.all(1).next()?;
        let [_, profile, constraints, level, ..] = *first else { return None };
        let sps = SeqParameterSet::from_bits(RefNal::new(first, &[], true).rbsp_bits()).ok()?;
        let (width, height) = sps.pixel_dimensions().ok()?;
        let mut record = vec![1, profile, constraints, level, 0xfc | LENGTH_SIZE_MINUS_ONE];
        let (sps_count, pps_count) = (self.all(1).count(), self.all(2).count());
        record.push(0xe0 | u8::try_from(sps_count).ok().filter(|count| *count < 32)?);
        self.all(1).try_for_each(|set| put_set(&mut record, set))?;
        record.push(u8::try_from(pps_count).ok()?);
        self.all(2).try_for_each(|set| put_set(&mut record, set))?;
        if matches!(profile, 100 | 110 | 122 | 144 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            let chroma = &sps.chroma_info;
            let format = match chroma.chroma_format {
                ChromaFormat::Monochrome => 0,
                ChromaFormat::YUV420 => 1,
                ChromaFormat::YUV422 => 2,
                ChromaFormat::YUV444 => 3,
                ChromaFormat::Invalid(_) => return None,
            };
            record.push(0xfc | format);
            record.extend([0xf8 | chroma.bit_depth_luma_minus8, 0xf8 | chroma.bit_depth_chroma_minus8, 0]);
        }
        let codec = format!("avc1.{profile:02x}{constraints:02x}{level:02x}");
        Some(Description { codec, width, height, entry: (*b"avc1", *b"avcC"), configuration: record })
    }

    /// `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15 section 8.3.3.1.2).
    fn hevc(&self) -> Option<Description> {
        let sps = HevcSps::read(self.all(1).next()?)?;
        let mut record = vec![1];
        record.extend(sps.profile);
        // No statement on segmentation or parallelism, frame rate unknown.
        record.extend([0xf0, 0, 0xfc, 0xfc | sps.chroma_format]);
        record.extend([0xf8 | sps.luma_depth_minus8, 0xf8 | sps.chroma_depth_minus8, 0, 0]);
        record.push(sps.layers << 3 | u8::from(sps.is_nested) << 2 | LENGTH_SIZE_MINUS_ONE);
        record.push(3);
        for (wanted, nal_type) in [(0, 32), (1, 33), (2, 34)] {
            let is_complete = 0x80;
            record.push(is_complete | nal_type);
            record.extend(u16::try_from(self.all(wanted).count()).ok()?.to_be_bytes());
            self.all(wanted).try_for_each(|set| put_set(&mut record, set))?;
        }
        let (width, height) = (sps.width, sps.height);
        Some(Description {
            codec: sps.codec(),
            width,
            height,
            entry: (*b"hvc1", *b"hvcC"),
            configuration: record,
        })
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

/// The beginning of a sequence parameter set (ITU-T H.265 section 7.3.2.2).
pub(super) struct HevcSps {
    /// `general_profile_space` to `general_level_idc`, as they stand.
    profile: [u8; 12],
    layers: u8,
    is_nested: bool,
    chroma_format: u8,
    luma_depth_minus8: u8,
    chroma_depth_minus8: u8,
    width: u32,
    height: u32,
    /// Before cropping.
    coded: (u32, u32),
    /// `sps_max_dec_pic_buffering`, of all sub-layers.
    pictures: u32,
}

impl HevcSps {
    pub(super) fn read(nal: &[u8]) -> Option<Self> {
        let bytes = ByteReader::skipping_bytes(nal, const { NonZeroUsize::new(2).expect("2 is not 0") });
        let mut bits = BitReader::new(bytes);
        bits.skip(4, "sps_video_parameter_set_id").ok()?;
        let layers_minus1: u8 = bits.read(3, "sps_max_sub_layers_minus1").ok()?;
        let is_nested = bits.read_bool("sps_temporal_id_nesting_flag").ok()?;
        let mut profile = [0; 12];
        for byte in &mut profile {
            *byte = bits.read(8, "profile_tier_level").ok()?;
        }
        if layers_minus1 > 0 {
            // Two flags a layer, padded to eight layers: whether 88 bits of profile and 8 of level follow.
            let flags: u16 = bits.read(16, "sub_layer_present_flags").ok()?;
            for layer in 0..layers_minus1 {
                let has = |flag: u16| flags >> (15 - u16::from(layer) * 2 - flag) & 1 == 1;
                bits.skip(88 * u32::from(has(0)) + 8 * u32::from(has(1)), "sub_layer").ok()?;
            }
        }
        bits.read_ue("sps_seq_parameter_set_id").ok()?;
        let chroma_format = u8::try_from(bits.read_ue("chroma_format_idc").ok()?).ok().filter(|f| *f < 4)?;
        if chroma_format == 3 {
            bits.skip(1, "separate_colour_plane_flag").ok()?;
        }
        let mut width = bits.read_ue("pic_width_in_luma_samples").ok()?;
        let mut height = bits.read_ue("pic_height_in_luma_samples").ok()?;
        let coded = (width, height);
        if bits.read_bool("conformance_window_flag").ok()? {
            // The window is counted in chroma samples (ITU-T H.265 table 6-1).
            let (x, y) =
                (if matches!(chroma_format, 1 | 2) { 2 } else { 1 }, if chroma_format == 1 { 2 } else { 1 });
            for (side, unit) in [(&mut width, x), (&mut height, y)] {
                for _ in 0..2 {
                    let offset = bits.read_ue("conf_win_offset").ok()?.checked_mul(unit)?;
                    *side = side.checked_sub(offset)?;
                }
            }
        }
        let mut depth_minus8 =
            || u8::try_from(bits.read_ue("bit_depth_minus8").ok()?).ok().filter(|d| *d < 8);
        let (luma_depth_minus8, chroma_depth_minus8) = (depth_minus8()?, depth_minus8()?);
        bits.read_ue("log2_max_pic_order_cnt_lsb_minus4").ok()?;
        let is_for_each = bits.read_bool("sps_sub_layer_ordering_info_present_flag").ok()?;
        let mut pictures = 0;
        for _ in 0..if is_for_each { layers_minus1 + 1 } else { 1 } {
            let one = bits.read_ue("sps_max_dec_pic_buffering_minus1").ok().filter(|one| *one < 16)? + 1;
            pictures = one.max(pictures).max(bits.read_ue("sps_max_num_reorder_pics").ok()?.min(16));
            bits.read_ue("sps_max_latency_increase_plus1").ok()?;
        }
        if width == 0 || height == 0 {
            return None;
        }
        Some(Self {
            profile,
            layers: layers_minus1 + 1,
            is_nested,
            chroma_format,
            luma_depth_minus8,
            chroma_depth_minus8,
            width,
            height,
            coded,
            pictures,
        })
    }

    /// What its pictures take.
    pub(super) fn claim(&self) -> Claim {
        Claim {
            size: self.coded,
            halves: halves(u32::from(self.chroma_format)),
            bits: self.luma_depth_minus8.max(self.chroma_depth_minus8) + 8,
            kept: self.pictures,
        }
    }

    /// ISO/IEC 14496-15 annex E.3.
    fn codec(&self) -> String {
        let [first, c0, c1, c2, c3, constraints @ .., level] = self.profile;
        let space = ["", "A", "B", "C"][usize::from(first >> 6)];
        let tier = if first >> 5 & 1 == 1 { 'H' } else { 'L' };
        let compatibility = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
        let mut codec = format!("hvc1.{space}{}.{compatibility:x}.{tier}{level}", first & 31);
        let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        constraints[..used].iter().for_each(|byte| codec.push_str(&format!(".{byte:x}")));
        codec
    }
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

    /// The parameter set that x265 writes for 640×360, eight bits; cropped, because it codes blocks of 16.
    #[test]
    fn the_size_of_an_h265_stream_is_that_after_cropping() {
        let sps = [
            0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
            0x00, 0x3f, 0xa0, 0x05, 0x02, 0x01, 0x71, 0xf2, 0xe5, 0x96, 0x56, 0x69,
        ];
        let parsed = HevcSps::read(&sps).unwrap();
        assert_eq!((parsed.width, parsed.height), (640, 360));
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
