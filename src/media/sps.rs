//! The sequence parameter set of a stream, the one place where it is read: what its pictures are like.
//!
//! Cameras write sets that are wrong or end early in what comes last, the usability information (VUI), and every player
//! shows their pictures. So sizes must be there, and of the rest that is taken which can be read.

use std::num::NonZeroUsize;

use h264_reader::rbsp::{BitRead, BitReader, ByteReader};

use super::frame::{Colours, Matrix};
use super::gop::Codec;
use super::h264::nal_units;
use super::sps_skip::{Bits, KEPT_MAX, SkipResult, skip_h265_tools, skip_hrd, skip_scaling_list};

/// `aspect_ratio_idc` of a ratio that follows (ITU-T H.264 table E-1, H.265 table E.1).
const EXTENDED_SAR: u8 = 255;

/// `aspect_ratio_idc` 1 to 16 of the same tables.
const ASPECTS: [(u16, u16); 16] = [
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];

/// From this height on pictures are of BT.709 when nothing is said, below of BT.601.
const HD_LINES: u32 = 720;

/// What a sequence parameter set says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sps {
    /// `seq_parameter_set_id`; one of the same number takes its place.
    pub(super) id: u32,
    /// Of H.264 `profile_idc`, constraints and `level_idc`; of H.265 the twelve bytes from `general_profile_space` on.
    pub(super) profile: Vec<u8>,
    /// Pixels that are coded, before cropping.
    pub(super) coded: (u32, u32),
    /// Pixels that are shown.
    pub(super) size: (u32, u32),
    /// `chroma_format_idc`: 0 for monochrome, 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4.
    pub(super) chroma: u8,
    /// Bits a sample, of luma and of chroma.
    pub(super) depth: (u8, u8),
    /// Pictures the decoder has to keep, as far as is said.
    pub(super) kept: u32,
    /// Fields or macroblock pairs may occur (H.264, `frame_mbs_only_flag` is 0).
    pub(super) is_interlaced: bool,
    /// `gaps_in_frame_num_value_allowed_flag` (H.264).
    pub(super) allows_gaps: bool,
    /// `sps_max_sub_layers_minus1` + 1 and `sps_temporal_id_nesting_flag` (H.265).
    pub(super) layers: (u8, bool),
    /// What the usability information says, as far as it can be read.
    pub(super) usability: Usability,
}

/// Usability information (ITU-T H.264 annex E, H.265 annex E).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usability {
    /// Width and height of a sample.
    aspect: Option<(u16, u16)>,
    is_full_range: bool,
    /// `matrix_coefficients`.
    matrix: Option<u8>,
    /// Pictures that are kept for their order.
    kept: Option<u32>,
}

/// What the parameter sets of a stream say of its pictures, for whoever shows or decodes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpsFacts {
    /// As in RFC 6381, such as `avc1.64001f`.
    pub rfc6381: String,
    /// Pixels, after cropping.
    pub width: u32,
    /// Pixels, after cropping.
    pub height: u32,
    /// `chroma_format_idc`: 0 for monochrome, 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4.
    pub chroma: u8,
    /// Bits a sample.
    pub bits: u8,
    /// Fields or macroblock pairs may occur (H.264).
    pub is_interlaced: bool,
    /// Width and height of a sample; (1, 1) when nothing is said.
    pub aspect: (u16, u16),
    /// How samples become colours.
    pub colours: Colours,
}

/// What the first sequence parameter set in an Annex B byte stream that can be read says; `None` without one.
pub fn facts(codec: Codec, annex_b: &[u8]) -> Option<SpsFacts> {
    nal_units(annex_b).find_map(|nal| Sps::of(codec, nal)).map(|sps| sps.facts(codec))
}

impl SpsFacts {
    /// What kind of coding that is, for people: `H.264 4:2:2, 10 bit`. `None` for 4:2:0 with eight bits, which is usual.
    pub fn unusual(&self) -> Option<String> {
        let chroma = match self.chroma {
            0 => Some("monochrome"),
            2 => Some("4:2:2"),
            3 => Some("4:4:4"),
            _ => None,
        };
        let bits = (self.bits > 8).then(|| format!("{} bit", self.bits));
        let words: Vec<String> = chroma.map(str::to_owned).into_iter().chain(bits).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

impl Sps {
    /// Of a NAL unit; `None` when it is none, or cannot be read as far as the size of its pictures.
    pub(super) fn of(codec: Codec, nal: &[u8]) -> Option<Self> {
        let first = *nal.first()?;
        match codec {
            Codec::H264 if first & 31 == 7 => Self::h264(nal),
            Codec::H265 if first >> 1 & 63 == 33 => Self::h265(nal),
            Codec::H264 | Codec::H265 | Codec::Jpeg => None,
        }
    }

    /// ITU-T H.264 section 7.3.2.1.1; also of a subset, which begins alike (section 7.3.2.1.3).
    pub(super) fn h264(nal: &[u8]) -> Option<Self> {
        let mut bits = BitReader::new(ByteReader::skipping_h264_header(nal));
        let mut profile = vec![0; 3];
        for byte in &mut profile {
            *byte = bits.read(8, "profile_idc, constraints, level_idc").ok()?;
        }
        let id = bits.read_ue("seq_parameter_set_id").ok()?;
        let (mut chroma, mut depth) = (1, (8, 8));
        if matches!(profile[0], 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            chroma = chroma_format(&mut bits)?;
            depth = (bit_depth(&mut bits)?, bit_depth(&mut bits)?);
            bits.skip(1, "qpprime_y_zero_transform_bypass_flag").ok()?;
            if bits.read_bool("seq_scaling_matrix_present_flag").ok()? {
                for list in 0..if chroma == 3 { 12 } else { 8 } {
                    if bits.read_bool("seq_scaling_list_present_flag").ok()? {
                        skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        bits.read_ue("log2_max_frame_num_minus4").ok()?;
        match bits.read_ue("pic_order_cnt_type").ok()? {
            0 => _ = bits.read_ue("log2_max_pic_order_cnt_lsb_minus4").ok()?,
            1 => {
                bits.skip(1, "delta_pic_order_always_zero_flag").ok()?;
                bits.read_se("offset_for_non_ref_pic").ok()?;
                bits.read_se("offset_for_top_to_bottom_field").ok()?;
                let cycle = bits.read_ue("num_ref_frames_in_pic_order_cnt_cycle").ok()?;
                for _ in 0..Some(cycle).filter(|cycle| *cycle < 256)? {
                    bits.read_se("offset_for_ref_frame").ok()?;
                }
            }
            _ => {}
        }
        let references = bits.read_ue("max_num_ref_frames").ok()?;
        let allows_gaps = bits.read_bool("gaps_in_frame_num_value_allowed_flag").ok()?;
        let columns = bits.read_ue("pic_width_in_mbs_minus1").ok()?;
        let rows = bits.read_ue("pic_height_in_map_units_minus1").ok()?;
        let is_frames_only = bits.read_bool("frame_mbs_only_flag").ok()?;
        let side = |blocks: u32| blocks.checked_add(1)?.checked_mul(16);
        let fields = if is_frames_only { 1 } else { 2 };
        let coded = (side(columns)?, side(rows)?.checked_mul(fields)?);
        // From here on a set that ends early has said what matters.
        let mut rest = || {
            if !is_frames_only {
                bits.skip(1, "mb_adaptive_frame_field_flag")?;
            }
            bits.skip(1, "direct_8x8_inference_flag")?;
            let unit =
                (if matches!(chroma, 1 | 2) { 2 } else { 1 }, if chroma == 1 { 2 } else { 1 } * fields);
            SkipResult::Ok(window(&mut bits, coded, unit)?.unwrap_or(coded))
        };
        let size = rest();
        let usability = match size {
            Ok(_) => Usability::read(&mut bits, Codec::H264),
            Err(_) => Usability::default(),
        };
        Some(Self {
            id,
            profile,
            coded,
            size: size.unwrap_or(coded),
            chroma,
            depth,
            kept: references.max(usability.kept.unwrap_or(0)).min(KEPT_MAX),
            is_interlaced: !is_frames_only,
            allows_gaps,
            layers: (1, true),
            usability,
        })
    }

    /// ITU-T H.265 section 7.3.2.2.
    fn h265(nal: &[u8]) -> Option<Self> {
        let bytes = ByteReader::skipping_bytes(nal, const { NonZeroUsize::new(2).expect("2 is not 0") });
        let mut bits = BitReader::new(bytes);
        bits.skip(4, "sps_video_parameter_set_id").ok()?;
        let layers_minus1: u8 = bits.read(3, "sps_max_sub_layers_minus1").ok()?;
        let is_nested = bits.read_bool("sps_temporal_id_nesting_flag").ok()?;
        let mut profile = vec![0; 12];
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
        let id = bits.read_ue("sps_seq_parameter_set_id").ok()?;
        let chroma = chroma_format(&mut bits)?;
        let coded = (
            bits.read_ue("pic_width_in_luma_samples").ok()?,
            bits.read_ue("pic_height_in_luma_samples").ok()?,
        );
        // The window is counted in chroma samples (ITU-T H.265 table 6-1).
        let unit = (if matches!(chroma, 1 | 2) { 2 } else { 1 }, if chroma == 1 { 2 } else { 1 });
        let size = window(&mut bits, coded, unit).ok()?.unwrap_or(coded);
        let depth = (bit_depth(&mut bits)?, bit_depth(&mut bits)?);
        let order_bits =
            bits.read_ue("log2_max_pic_order_cnt_lsb_minus4").ok().filter(|bits| *bits <= 12)? + 4;
        let is_for_each = bits.read_bool("sps_sub_layer_ordering_info_present_flag").ok()?;
        let mut kept = 0;
        for _ in 0..if is_for_each { layers_minus1 + 1 } else { 1 } {
            let one = bits.read_ue("sps_max_dec_pic_buffering_minus1").ok().filter(|one| *one < 16)? + 1;
            kept = one.max(kept).max(bits.read_ue("sps_max_num_reorder_pics").ok()?.min(KEPT_MAX));
            bits.read_ue("sps_max_latency_increase_plus1").ok()?;
        }
        if size.0 == 0 || size.1 == 0 {
            return None;
        }
        let usability = match skip_h265_tools(&mut bits, order_bits) {
            Some(()) => Usability::read(&mut bits, Codec::H265),
            None => Usability::default(),
        };
        Some(Self {
            id,
            profile,
            coded,
            size,
            chroma,
            depth,
            kept,
            is_interlaced: false,
            allows_gaps: false,
            layers: (layers_minus1 + 1, is_nested),
            usability,
        })
    }

    fn facts(&self, codec: Codec) -> SpsFacts {
        SpsFacts {
            rfc6381: self.rfc6381(codec),
            width: self.size.0,
            height: self.size.1,
            chroma: self.chroma,
            bits: self.depth.0.max(self.depth.1),
            is_interlaced: self.is_interlaced,
            aspect: self.usability.aspect.unwrap_or((1, 1)),
            colours: self.colours(),
        }
    }

    /// What is said of colours, or what is usual where nothing is.
    fn colours(&self) -> Colours {
        let matrix = match self.usability.matrix {
            Some(1) => Matrix::Bt709,
            // FCC is within a thousandth of BT.601.
            Some(4..=6) => Matrix::Bt601,
            Some(9 | 10) => Matrix::Bt2020,
            _ if self.size.1 >= HD_LINES => Matrix::Bt709,
            _ => Matrix::Bt601,
        };
        Colours { matrix, is_full_range: self.usability.is_full_range }
    }

    /// RFC 6381 section 3.3; of H.265, ISO/IEC 14496-15 annex E.3.
    pub(super) fn rfc6381(&self, codec: Codec) -> String {
        if codec != Codec::H265 {
            let digits: String = self.profile.iter().map(|byte| format!("{byte:02x}")).collect();
            return format!("avc1.{digits}");
        }
        let [first, c0, c1, c2, c3, constraints @ .., level] = &self.profile[..] else {
            return "hvc1".to_owned();
        };
        let space = ["", "A", "B", "C"][usize::from(first >> 6)];
        let tier = if first >> 5 & 1 == 1 { 'H' } else { 'L' };
        let compatibility = u32::from_be_bytes([*c0, *c1, *c2, *c3]).reverse_bits();
        let mut codec = format!("hvc1.{space}{}.{compatibility:x}.{tier}{level}", first & 31);
        let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        constraints[..used].iter().for_each(|byte| codec.push_str(&format!(".{byte:x}")));
        codec
    }
}

impl Usability {
    /// As far as it can be read; a set that ends early leaves out what stands at its end.
    fn read(bits: &mut Bits<'_>, codec: Codec) -> Self {
        let mut usability = Self::default();
        // What is missing is not there, whatever the reader calls that.
        let _ = usability.fill(bits, codec);
        usability
    }

    fn fill(&mut self, bits: &mut Bits<'_>, codec: Codec) -> SkipResult<()> {
        if !flag(bits)? {
            return Ok(());
        }
        if flag(bits)? {
            self.aspect = match bits.read(8, "aspect_ratio_idc")? {
                EXTENDED_SAR => Some((bits.read(16, "sar_width")?, bits.read(16, "sar_height")?)),
                index => ASPECTS.get(usize::from(index).wrapping_sub(1)).copied(),
            }
            .filter(|(width, height)| *width > 0 && *height > 0);
        }
        if flag(bits)? {
            bits.skip(1, "overscan_appropriate_flag")?;
        }
        if flag(bits)? {
            bits.skip(3, "video_format")?;
            let is_full_range = flag(bits)?;
            if flag(bits)? {
                bits.skip(16, "colour_primaries, transfer_characteristics")?;
                self.matrix = Some(bits.read(8, "matrix_coefficients")?).filter(|matrix| *matrix != 2);
            }
            self.is_full_range = is_full_range;
        }
        if flag(bits)? {
            bits.read_ue("chroma_sample_loc_type_top_field")?;
            bits.read_ue("chroma_sample_loc_type_bottom_field")?;
        }
        if codec != Codec::H264 {
            return Ok(());
        }
        if flag(bits)? {
            bits.skip(65, "timing")?;
        }
        let has_nal_hrd = flag(bits)?;
        if has_nal_hrd {
            skip_hrd(bits)?;
        }
        let has_vcl_hrd = flag(bits)?;
        if has_vcl_hrd {
            skip_hrd(bits)?;
        }
        if has_nal_hrd || has_vcl_hrd {
            bits.skip(1, "low_delay_hrd_flag")?;
        }
        bits.skip(1, "pic_struct_present_flag")?;
        if flag(bits)? {
            bits.skip(1, "motion_vectors_over_pic_boundaries_flag")?;
            for _ in 0..4 {
                bits.read_ue("bitstream_restriction")?;
            }
            let held_back = bits.read_ue("max_num_reorder_frames")?;
            self.kept = Some(bits.read_ue("max_dec_frame_buffering")?.max(held_back))
                .filter(|kept| *kept <= KEPT_MAX);
        }
        Ok(())
    }
}

/// The next flag that is one: the last bits of a set are not, and a set that ends early has no more.
fn flag(bits: &mut Bits<'_>) -> SkipResult<bool> {
    Ok(bits.has_more_rbsp_data("flag")? && bits.read_bool("flag")?)
}

fn chroma_format(bits: &mut Bits<'_>) -> Option<u8> {
    let chroma = u8::try_from(bits.read_ue("chroma_format_idc").ok()?).ok().filter(|chroma| *chroma < 4)?;
    if chroma == 3 {
        bits.skip(1, "separate_colour_plane_flag").ok()?;
    }
    Some(chroma)
}

fn bit_depth(bits: &mut Bits<'_>) -> Option<u8> {
    let above_eight = u8::try_from(bits.read_ue("bit_depth_minus8").ok()?).ok()?;
    (above_eight < 8).then(|| above_eight + 8)
}

/// What is left of a picture within its window; `None` when there is no window, or nothing is left: players show all of
/// such a picture.
fn window(bits: &mut Bits<'_>, coded: (u32, u32), unit: (u32, u32)) -> SkipResult<Option<(u32, u32)>> {
    if !bits.read_bool("frame_cropping_flag")? {
        return Ok(None);
    }
    let mut side = |length: u32, unit: u32| {
        let cut = u64::from(bits.read_ue("offset")?) + u64::from(bits.read_ue("offset")?);
        SkipResult::Ok(
            u64::from(length).checked_sub(cut * u64::from(unit)).and_then(|left| u32::try_from(left).ok()),
        )
    };
    let (width, height) = (side(coded.0, unit.0)?, side(coded.1, unit.1)?);
    Ok(width.zip(height).filter(|(width, height)| *width > 0 && *height > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    fn of(codec: Codec, hex: &str) -> SpsFacts {
        facts(codec, &[&[0, 0, 1][..], &bytes(hex)].concat()).unwrap()
    }

    fn plain(rfc6381: &str, width: u32, height: u32) -> SpsFacts {
        SpsFacts {
            rfc6381: rfc6381.to_owned(),
            width,
            height,
            chroma: 1,
            bits: 8,
            is_interlaced: false,
            aspect: (1, 1),
            colours: Colours::VIDEO,
        }
    }

    const FULL: Colours = Colours { matrix: Matrix::Bt601, is_full_range: true };
    const HD: Colours = Colours { matrix: Matrix::Bt709, is_full_range: false };

    /// 1440×1080 with HRD parameters, as x264 writes it.
    const HD_H264: &str =
        "67640028acd9405a0227e5c05a808080a00000030020000003028c08001e848003d09496500f183196";

    /// As x264 and x265 write them; what they say is what FFmpeg says of the same streams.
    #[test]
    fn what_encoders_write_is_read() {
        assert_eq!(of(Codec::H264, HD_H264), SpsFacts { colours: HD, ..plain("avc1.640028", 1440, 1080) });
        let interlaced = of(Codec::H264, "677a0016b6cd940b024d80b640000003004000000507c50a6580");
        let expected = plain("avc1.7a0016", 704, 576);
        let expected = SpsFacts { chroma: 2, bits: 10, is_interlaced: true, colours: FULL, ..expected };
        assert_eq!(interlaced, expected);
        assert_eq!(interlaced.unusual().as_deref(), Some("4:2:2, 10 bit"));
        let grey = of(Codec::H264, "67640016f3650260b7899f016c80000003008000000a078b16cb");
        assert_eq!(grey, SpsFacts { chroma: 0, colours: FULL, ..plain("avc1.640016", 600, 346) });
        let hd = "42010101600000030090000003000003005da00280802d165959a4932bc39a80808082000003000200000300\
            1410";
        let expected = SpsFacts { aspect: (4, 3), colours: HD, ..plain("hvc1.1.6.L93.90", 1280, 720) };
        assert_eq!(of(Codec::H265, hd), expected);
        let deep =
            "42010102200000030090000003000003005aa005a200904d96566924e578237090e0904000000300400000030282";
        let expected = plain("hvc1.2.4.L90.90", 720, 576);
        let colours = Colours { matrix: Matrix::Bt2020, is_full_range: true };
        assert_eq!(of(Codec::H265, deep), SpsFacts { bits: 10, aspect: (16, 11), colours, ..expected });
        let grey = "4201010408000003009fc800000300003fc0140805a596566924caf016c080000003008000000504";
        assert_eq!(of(Codec::H265, grey).chroma, 0);
        assert_eq!(of(Codec::H265, grey).unusual().as_deref(), Some("monochrome"));
    }

    /// Cameras of which FFmpeg says "Truncated or incorrect SPS VUI", and those of retina issue 68, whose restrictions
    /// contradict each other.
    #[test]
    fn a_set_whose_usability_information_ends_early_keeps_its_size_and_what_came_before() {
        let whole = bytes(HD_H264);
        for length in 12..whole.len() {
            let cut = facts(Codec::H264, &[&[0, 0, 1], &whole[..length], &[0x80]].concat()).unwrap();
            assert_eq!(
                (cut.width, cut.height, cut.rfc6381.as_str()),
                (1440, 1080, "avc1.640028"),
                "{length}"
            );
            assert_eq!(cut.colours, HD, "which is also what is usual for such a size");
        }
        assert_eq!(facts(Codec::H264, &[&[0, 0, 1], &whole[..6]].concat()), None);
    }

    /// The parameter set that x265 writes for 640×360, eight bits; cropped, because it codes blocks of 16.
    #[test]
    fn the_size_of_an_h265_stream_is_that_after_cropping() {
        let sps = [
            0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
            0x00, 0x3f, 0xa0, 0x05, 0x02, 0x01, 0x71, 0xf2, 0xe5, 0x96, 0x56, 0x69,
        ];
        assert_eq!(Sps::of(Codec::H265, &sps).unwrap().size, (640, 360));
    }

    #[test]
    fn a_window_that_leaves_nothing_is_no_window() {
        // Baseline, 640×368, the bottom cropped by 2 × 184 lines or more.
        let set = |cut: &str| {
            let bits = format!("1 1 1 010 1 0 00000101000 000010111 1 1 1 1 1 1 {cut} 0 1");
            let bits: Vec<u8> = bits.bytes().filter(|bit| *bit != b' ').collect();
            let value = |byte: &[u8]| {
                byte.iter().chain(&[b'0'; 8]).take(8).fold(0, |value, bit| value << 1 | (bit - b'0'))
            };
            let payload: Vec<u8> = bits.chunks(8).map(value).collect();
            facts(Codec::H264, &[&[0, 0, 1, 0x67, 66, 0, 31][..], &payload].concat()).unwrap()
        };
        assert_eq!((set("00101").width, set("00101").height), (640, 360), "4 × 2 lines");
        assert_eq!(set("000000010111001").height, 368);
    }

    /// Found by fuzzing: 250 bits more than eight do not fit into a byte.
    #[test]
    fn a_depth_that_nothing_has_is_not_reckoned_with() {
        let set = [0, 0, 1, 0x67, 100, 0, 30, 0xa0, 0x1f, 0x7f, 0xff, 0xff];
        assert_eq!(facts(Codec::H264, &set), None);
    }

    proptest! {
        #[test]
        fn reading_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..120), at in 0_usize..40, value: u8) {
            for (codec, head) in [(Codec::H264, &[0, 0, 1, 0x67][..]), (Codec::H265, &[0, 0, 1, 0x42, 1])] {
                let _ = facts(codec, &[head, &bytes].concat());
            }
            let mut known = self::bytes(HD_H264);
            known[at] = value;
            if let Some(facts) = facts(Codec::H264, &[&[0, 0, 1][..], &known].concat()) {
                prop_assert!(facts.width > 0 && facts.height > 0);
            }
        }
    }
}
