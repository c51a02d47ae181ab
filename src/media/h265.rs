//! H.265 streams (ITU-T H.265): what kind of picture an access unit is.

use super::h264::first_nal_units;

/// By the type of its slices (ITU-T H.265 table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Decoding can begin here, and nothing later refers to what came before (IDR, BLA).
    Refresh,
    /// Decoding can begin here, but [`Kind::Leading`] pictures that follow refer to what came before (CRA).
    Clean,
    /// Shown before the [`Kind::Clean`] picture it follows, and decodable only with what came before that (RASL).
    Leading,
    /// Every other picture.
    Other,
}

impl Kind {
    /// Of an Annex B access unit.
    pub fn of(annex_b: &[u8]) -> Self {
        match first_nal_units(annex_b).map(|nal| nal[0] >> 1 & 63).find(|of_nal| *of_nal < 32) {
            Some(16..=20) => Self::Refresh,
            Some(21) => Self::Clean,
            Some(8 | 9) => Self::Leading,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_slice_tells_the_kind_of_a_picture() {
        let of = |nal_type: u8| {
            let delimiter_and_slice = [&[0, 0, 1, 35 << 1, 1, 0x50][..], &[0, 0, 1, nal_type << 1, 1, 0xaf]];
            Kind::of(&delimiter_and_slice.concat())
        };
        assert_eq!([16, 19, 20].map(of), [Kind::Refresh; 3]);
        assert_eq!((of(21), of(8), of(9)), (Kind::Clean, Kind::Leading, Kind::Leading));
        assert_eq!([0, 1, 6, 7].map(of), [Kind::Other; 4]);
        assert_eq!(Kind::of(&[]), Kind::Other);
        assert_eq!(Kind::of(&[0, 0, 1]), Kind::Other);
    }
}
