//! What is stepped over in a sequence parameter set on the way to what matters.

use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, ByteReader};

/// Most pictures a conforming stream has a decoder keep (ITU-T H.264 section A.3.1, H.265 section A.4.2).
pub(super) const KEPT_MAX: u32 = 16;

/// The bits of a set.
pub(super) type Bits<'a> = BitReader<ByteReader<&'a [u8]>>;
/// What was read, or why not.
pub(super) type SkipResult<T> = Result<T, BitReaderError>;

/// `scaling_list` (ITU-T H.264 section 7.3.2.1.1.1).
pub(super) fn skip_scaling_list(bits: &mut Bits<'_>, length: usize) -> Option<()> {
    let (mut last, mut next) = (8_i32, 8_i32);
    for _ in 0..length {
        if next != 0 {
            next = (last.checked_add(bits.read_se("delta_scale").ok()?)?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// `hrd_parameters` (ITU-T H.264 section E.1.2).
pub(super) fn skip_hrd(bits: &mut Bits<'_>) -> SkipResult<()> {
    let count = bits.read_ue("cpb_cnt_minus1")?.min(31) + 1;
    bits.skip(8, "bit_rate_scale, cpb_size_scale")?;
    for _ in 0..count {
        bits.read_ue("bit_rate_value_minus1")?;
        bits.read_ue("cpb_size_value_minus1")?;
        bits.skip(1, "cbr_flag")?;
    }
    bits.skip(20, "lengths")
}

/// What stands between the numbers of pictures and the usability information of H.265.
pub(super) fn skip_h265_tools(bits: &mut Bits<'_>, order_bits: u32) -> Option<()> {
    for _ in 0..6 {
        bits.read_ue("block sizes and depths").ok()?;
    }
    if bits.read_bool("scaling_list_enabled_flag").ok()?
        && bits.read_bool("sps_scaling_list_data_present_flag").ok()?
    {
        skip_h265_scaling_lists(bits)?;
    }
    bits.skip(2, "amp_enabled_flag, sample_adaptive_offset_enabled_flag").ok()?;
    if bits.read_bool("pcm_enabled_flag").ok()? {
        bits.skip(8, "pcm_sample_bit_depth").ok()?;
        bits.read_ue("log2_min_pcm_luma_coding_block_size_minus3").ok()?;
        bits.read_ue("log2_diff_max_min_pcm_luma_coding_block_size").ok()?;
        bits.skip(1, "pcm_loop_filter_disabled_flag").ok()?;
    }
    let sets = bits.read_ue("num_short_term_ref_pic_sets").ok().filter(|sets| *sets <= 64)?;
    let mut before = 0;
    for index in 0..sets {
        before = skip_reference_set(bits, index, before)?;
    }
    if bits.read_bool("long_term_ref_pics_present_flag").ok()? {
        let count = bits.read_ue("num_long_term_ref_pics_sps").ok().filter(|count| *count <= 32)?;
        bits.skip(count * (order_bits + 1), "long-term pictures").ok()?;
    }
    bits.skip(2, "sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag").ok()
}

/// `scaling_list_data` (ITU-T H.265 section 7.3.4).
fn skip_h265_scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4_u32 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !bits.read_bool("scaling_list_pred_mode_flag").ok()? {
                bits.read_ue("scaling_list_pred_matrix_id_delta").ok()?;
                continue;
            }
            if size > 1 {
                bits.read_se("scaling_list_dc_coef_minus8").ok()?;
            }
            for _ in 0..(1_u32 << (4 + (size << 1))).min(64) {
                bits.read_se("scaling_list_delta_coef").ok()?;
            }
        }
    }
    Some(())
}

/// `st_ref_pic_set` (ITU-T H.265 section 7.3.7); returns its `NumDeltaPocs`, given that of the set before.
fn skip_reference_set(bits: &mut Bits<'_>, index: u32, before: u32) -> Option<u32> {
    if index > 0 && bits.read_bool("inter_ref_pic_set_prediction_flag").ok()? {
        bits.skip(1, "delta_rps_sign").ok()?;
        bits.read_ue("abs_delta_rps_minus1").ok()?;
        let mut count = 0;
        for _ in 0..=before {
            let is_used = bits.read_bool("used_by_curr_pic_flag").ok()?;
            count += u32::from(is_used || bits.read_bool("use_delta_flag").ok()?);
        }
        return Some(count);
    }
    let pictures = |bits: &mut Bits<'_>| bits.read_ue("num_pics").ok().filter(|count| *count <= KEPT_MAX);
    let count = pictures(bits)? + pictures(bits)?;
    for _ in 0..count {
        bits.read_ue("delta_poc_minus1").ok()?;
        bits.skip(1, "used_by_curr_pic_flag").ok()?;
    }
    Some(count)
}
