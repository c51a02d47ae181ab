//! H.265 streams (ITU-T H.265 annex B).

use super::h264::nal_units;

/// `RASL_N` and `RASL_R` (ITU-T H.265 table 7-1).
const SKIPPED_LEADING: std::ops::RangeInclusive<u8> = 8..=9;

/// NAL unit types below this are slices of pictures.
const FIRST_NOT_SLICE: u8 = 32;

/// Slices lie behind parameter sets and messages, which are shorter than this.
const HEAD: usize = 4096;

/// Whether an access unit is a skipped leading picture: shown before the keyframe that precedes it, and referring to
/// pictures before that, so that a decoder that begins at the keyframe leaves it out (section 8.1.3).
pub fn is_skipped_leading(annex_b: &[u8]) -> bool {
    let head = &annex_b[..annex_b.len().min(HEAD)];
    let types = nal_units(head).filter_map(|nal| Some((nal.first()? >> 1) & 0x3f));
    types.into_iter().find(|kind| *kind < FIRST_NOT_SLICE).is_some_and(|kind| SKIPPED_LEADING.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn leading_pictures_are_told_by_their_first_slice() {
        let unit = |kind: u8| [&[0, 0, 1, 39 << 1, 1, 5][..], &[0, 0, 1, kind << 1, 1, 0x80]].concat();
        assert!(is_skipped_leading(&unit(8)) && is_skipped_leading(&unit(9)));
        assert!([0, 1, 6, 7, 19, 21].iter().all(|kind| !is_skipped_leading(&unit(*kind))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = is_skipped_leading(&bytes);
        }
    }
}
