//! H.264 streams (ITU-T H.264 annex B): their NAL units, and what the parameter sets say.

use h264_reader::nal::sps::{FrameMbsFlags, SeqParameterSet};
use h264_reader::nal::{Nal, RefNal, UnitType};

/// Parameter sets and the first slice header lie within so many bytes; what comes later tells nothing of a unit.
const HEAD: usize = 4096;

/// What the parameter set of an IDR unit says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFacts {
    /// `video_full_range_flag`; video range when nothing says otherwise (ITU-T H.264 section E.2.1).
    pub is_full_range: bool,
    /// Fields or macroblock pairs may occur (`frame_mbs_only_flag` is 0).
    pub is_interlaced: bool,
}

impl StreamFacts {
    /// Of the first one; the defaults when there is none that can be read.
    pub fn of(annex_b: &[u8]) -> Self {
        let sps = nal_units(annex_b).find_map(|nal| {
            let nal = RefNal::new(nal, &[], true);
            (nal.header().ok()?.nal_unit_type() == UnitType::SeqParameterSet)
                .then(|| SeqParameterSet::from_bits(nal.rbsp_bits()).ok())?
        });
        let Some(sps) = sps else { return Self::default() };
        let signal = sps.vui_parameters.and_then(|vui| vui.video_signal_type);
        Self {
            is_full_range: signal.is_some_and(|signal| signal.video_full_range_flag),
            is_interlaced: !matches!(sps.frame_mbs_flags, FrameMbsFlags::Frames),
        }
    }
}

/// The NAL units at the begin of an access unit, also of H.265; the last one may be cut off.
pub(super) fn first_nal_units(annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    nal_units(&annex_b[..annex_b.len().min(HEAD)])
}

/// The NAL units of an Annex B byte stream, without their start codes.
pub fn nal_units(annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = skip_start_code(annex_b);
    std::iter::from_fn(move || {
        loop {
            let bytes = rest?;
            let end = zeros(bytes, |third| third <= 1);
            let nal = &bytes[..end.unwrap_or(bytes.len())];
            rest = end.and_then(|end| skip_start_code(&bytes[end..]));
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    })
}

/// What follows the first start code; `None` when there is none.
fn skip_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = zeros(bytes, |third| third == 1)?;
    Some(&bytes[at + 3..])
}

/// Where two zeros and a third byte of that kind, which is at most 1, first stand. Every unit of every stream is looked
/// through, so most bytes are stepped over: a third byte above 1 is part of none.
fn zeros(bytes: &[u8], is_third: impl Fn(u8) -> bool) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at..at + 3)? {
            [_, _, third] if third > 1 => at += 3,
            [0, 0, third] if is_third(third) => return Some(at),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nal_units_are_split_at_both_kinds_of_start_codes() {
        let stream = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65];
        let units: Vec<&[u8]> = nal_units(&stream).collect();
        assert_eq!(units, [&[0x67, 1, 2][..], &[0x68, 3], &[0x65]]);
    }

    proptest! {
        #[test]
        fn start_codes_are_found_where_a_plain_search_finds_them(bytes in proptest::collection::vec(0_u8..4, 0..60)) {
            let plain = |kind: fn(u8) -> bool| bytes.windows(3).position(|w| w[0] == 0 && w[1] == 0 && kind(w[2]));
            prop_assert_eq!(zeros(&bytes, |third| third <= 1), plain(|third| third <= 1));
            prop_assert_eq!(zeros(&bytes, |third| third == 1), plain(|third| third == 1));
        }

        #[test]
        fn splitting_any_bytes_never_panics(bytes in proptest::collection::vec(0_u8..3, 0..100)) {
            prop_assert!(nal_units(&bytes).all(|nal| !nal.is_empty()));
            let _ = StreamFacts::of(&bytes);
        }
    }
}
