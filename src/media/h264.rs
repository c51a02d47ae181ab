//! Byte streams of H.264 and H.265 (annex B of both): their NAL units.

/// Parameter sets and the first slice header lie within so many bytes; what comes later tells nothing of a unit.
const HEAD: usize = 4096;

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
        }
    }
}
