//! Is a reference missing? Some decoders paint over a lost picture without a word; the slice headers tell of it.
//!
//! H.264: `frame_num` of a picture is that of the reference picture before it, or one more (ITU-T H.264 section
//! 7.4.3). It comes round after 16 pictures or more, so a hole that long is told by time alone ([`Cadence`]). H.265 has
//! no such number and is not judged here.

use std::collections::VecDeque;

use h264_reader::Context;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::slice::{DecRefPicMarking, MemoryManagementControlOperation, SliceHeader};
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal, RefNal, UnitType};

use super::gop::{AccessUnit, Codec};
use super::h264::first_nal_units;

/// Steps in time that are remembered. Few, so that a change of the frame rate is soon known.
const STEPS: usize = 12;

/// The time from picture to picture of a stream, over all its groups.
#[derive(Default)]
pub struct Cadence {
    /// RTP time of the unit before.
    before: Option<i64>,
    /// Steps forward in decoding order, the newest last.
    steps: VecDeque<i64>,
}

impl Cadence {
    /// Takes the RTP time of the next unit in decoding order, in nanoseconds; returns how many pictures seem to be
    /// missing before it. It is a guess: the camera may have slowed down instead.
    pub fn missing(&mut self, rtp_ns: i64) -> u32 {
        let step = self.before.replace(rtp_ns).map(|before| rtp_ns.saturating_sub(before));
        // With B-frames, steps back come between steps forward; they tell nothing.
        let Some(step) = step.filter(|step| *step > 0) else { return 0 };
        let missing = self.interval().map_or(0, |interval| step.saturating_add(interval / 2) / interval - 1);
        if self.steps.len() == STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
        u32::try_from(missing).unwrap_or(0)
    }

    /// The lower quartile: with B-frames the longer steps go over several pictures, and two pictures in quick
    /// succession are an exception.
    fn interval(&self) -> Option<i64> {
        let mut steps: Vec<i64> = self.steps.iter().copied().collect();
        steps.sort_unstable();
        steps.get(steps.len() / 4).copied()
    }
}

/// Follows one group of pictures from its IDR.
#[derive(Default)]
pub struct Continuity {
    context: Context,
    /// `PrevRefFrameNum`; none before the first slice that could be read.
    last_reference: Option<u16>,
}

impl Continuity {
    /// Takes note of the next unit in decoding order; whether a reference picture is missing before it.
    pub fn misses(&mut self, codec: Codec, unit: &AccessUnit) -> bool {
        if codec != Codec::H264 {
            return false;
        }
        for nal in first_nal_units(&unit.data) {
            let nal = RefNal::new(nal, &[], true);
            let Ok(header) = nal.header() else { continue };
            match header.nal_unit_type() {
                UnitType::SeqParameterSet => {
                    if let Ok(sps) = SeqParameterSet::from_bits(nal.rbsp_bits()) {
                        self.context.put_seq_param_set(sps);
                    }
                }
                UnitType::PicParameterSet => {
                    if let Ok(pps) = PicParameterSet::from_bits(&self.context, nal.rbsp_bits()) {
                        self.context.put_pic_param_set(pps);
                    }
                }
                UnitType::SliceLayerWithoutPartitioningIdr => {
                    self.last_reference = Some(0);
                    return false;
                }
                UnitType::SliceLayerWithoutPartitioningNonIdr => {
                    let parsed = SliceHeader::from_bits(&self.context, &mut nal.rbsp_bits(), header);
                    // A header that cannot be read tells nothing; the decoder will have its own opinion.
                    let Ok((slice, sps, _)) = parsed else { return false };
                    let last = self.last_reference;
                    if header.nal_ref_idc() != 0 {
                        let starts_over = matches!(&slice.dec_ref_pic_marking, Some(DecRefPicMarking::Adaptive(all))
                            if all.iter().any(|one| matches!(one, MemoryManagementControlOperation::AllRefPicturesUnused)));
                        self.last_reference = Some(if starts_over { 0 } else { slice.frame_num });
                    }
                    let modulus = 1_u32 << sps.log2_max_frame_num();
                    return last.is_some_and(|last| {
                        let next = (u32::from(last) + 1) % modulus;
                        let fits = slice.frame_num == last || u32::from(slice.frame_num) == next;
                        // Numbers come round; a hole in time so long may hide a whole round.
                        let is_round = unit.missing >= modulus - 1;
                        !sps.gaps_in_frame_num_value_allowed_flag && (!fits || is_round)
                    });
                }
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::grey_steps;
    use super::*;
    use proptest::prelude::*;
    use std::time::Instant;

    #[test]
    fn a_whole_group_misses_nothing_and_a_missing_reference_is_noticed_at_the_next_picture() {
        let units = grey_steps(40);
        let mut whole = Continuity::default();
        assert!(
            !units.iter().any(|unit| whole.misses(Codec::H264, unit)),
            "frame_num wraps at 16 and goes on"
        );
        for lost in 1..39 {
            let mut torn = Continuity::default();
            let noticed: Vec<usize> =
                (0..40).filter(|i| *i != lost).filter(|i| torn.misses(Codec::H264, &units[*i])).collect();
            assert_eq!(noticed, [lost + 1]);
        }
    }

    #[test]
    fn a_hole_as_long_as_the_numbers_take_to_come_round_is_noticed_even_right_after_the_idr() {
        let modulus = 16;
        for first in [1, 2, 5, 20] {
            let mut units = grey_steps(40);
            units.drain(first..first + modulus);
            let mut cadence = Cadence::default();
            // The group before.
            (-10..0).for_each(|i| _ = cadence.missing(i * 40_000_000));
            for unit in &mut units {
                unit.missing = cadence.missing(unit.rtp_ns);
            }
            let mut torn = Continuity::default();
            let noticed: Vec<usize> =
                (0..units.len()).filter(|i| torn.misses(Codec::H264, &units[*i])).collect();
            assert_eq!(noticed, [first]);
        }
    }

    /// How many pictures each unit of these times, in frames, finds missing before it.
    fn missing(times: &[i64]) -> Vec<u32> {
        let mut cadence = Cadence::default();
        times.iter().map(|time| cadence.missing(time * 40_000_000)).collect()
    }

    #[test]
    fn a_steady_cadence_misses_nothing_and_a_hole_is_counted() {
        assert_eq!(missing(&[0, 1, 2, 3, 4, 7, 8, 25, 26]), [0, 0, 0, 0, 0, 2, 0, 16, 0]);
    }

    #[test]
    fn b_frames_hide_no_hole() {
        let times = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11, 31, 29, 30];
        let missing = missing(&times);
        assert!(missing[..13].iter().all(|missing| *missing < 5), "{missing:?}");
        assert_eq!(missing[13], 19);
    }

    #[test]
    fn a_camera_that_slows_down_is_believed_after_a_few_pictures() {
        let slow: Vec<i64> = (0..20).chain((1..20).map(|i| 19 + 25 * i)).collect();
        let missing = missing(&slow);
        assert_eq!(missing[20], 24);
        assert!(missing[31..].iter().all(|missing| *missing == 0), "{missing:?}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(
            start in proptest::collection::vec(0_u8..4, 0..40), tail in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut continuity = Continuity::default();
            let data = [&[0, 0, 1, 0x67][..], &start, &[0, 0, 1, 0x68], &tail, &[0, 0, 1, 0x41], &tail].concat();
            let unit = AccessUnit {
                rtp_ns: 0, instant: Instant::now(), data: data.into(), starts: None, is_disposable: false, missing: 0, is_leading: false, doubt: None,
            };
            let _ = continuity.misses(Codec::H264, &unit);
        }
    }
}
