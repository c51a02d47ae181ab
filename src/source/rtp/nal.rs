//! NAL units out of RTP payloads: H.264 (RFC 6184 section 5), H.265 (RFC 7798 section 4.4). Pure.
//!
//! What the formats do not know is passed over, as a receiver has to (RFC 6184 section 5.2): some firmware uses such
//! types for data of its own.

use crate::media::gop::Codec;
use crate::media::h264::nal_units;

/// A payload's part in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A NAL unit.
    Whole(&'a [u8]),
    /// A part of one.
    Part {
        /// The bytes its unit begins with: one in H.264, two in H.265.
        head: [u8; 2],
        /// It is the first part.
        begins: bool,
        /// It is the last part.
        ends: bool,
        /// What follows the head in this part.
        body: &'a [u8],
    },
}

/// How payloads are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// H.264 or H.265.
    pub codec: Codec,
    /// Units carry numbers of decoding order (RFC 7798 `sprop-max-don-diff` above 0).
    pub has_order: bool,
}

impl Format {
    /// Bytes of the head of a NAL unit.
    pub fn head(self) -> usize {
        if self.codec == Codec::H265 { 2 } else { 1 }
    }

    /// The type of a NAL unit that begins with this byte.
    pub fn kind(self, first: u8) -> u8 {
        if self.codec == Codec::H265 { first >> 1 & 63 } else { first & 31 }
    }

    /// Whether a unit of this type holds a part of a picture.
    pub fn is_picture(self, kind: u8) -> bool {
        match self.codec {
            Codec::H265 => kind < 32,
            // Slices and partitions, and slices of layers (ITU-T H.264 table 7-1).
            _ => matches!(kind, 1..=5 | 19..=21),
        }
    }

    /// Whether a NAL unit is one that a picture can begin with: its first slice, or what stands before one
    /// (ITU-T H.264 section 7.4.1.2.3, H.265 section 7.4.2.4.4).
    pub fn begins_picture(self, nal: &[u8]) -> bool {
        let Some(kind) = nal.first().map(|first| self.kind(*first)) else { return false };
        if self.is_picture(kind) {
            // `first_mb_in_slice` is 0, `first_slice_segment_in_pic_flag` is 1: a bit that is set in both. Partitions
            // and slices of other layers follow a first one.
            let is_first = nal.get(self.head()).is_some_and(|byte| byte & 0x80 != 0);
            is_first && (self.codec == Codec::H265 || matches!(kind, 1 | 2 | 5))
        } else {
            match self.codec {
                Codec::H265 => matches!(kind, 32..=35 | 39),
                _ => matches!(kind, 6..=9 | 14 | 15),
            }
        }
    }

    /// Gives the pieces of a payload.
    pub fn pieces<'a>(self, payload: &'a [u8], out: &mut impl FnMut(Piece<'a>)) {
        let Some(first) = payload.first() else { return };
        // Some firmware leaves the start code in front, and several units in one packet.
        if let [0, 0, 1, ..] | [0, 0, 0, 1, ..] = payload {
            nal_units(payload).for_each(|nal| out(Piece::Whole(nal)));
            return;
        }
        match (self.codec, self.kind(*first)) {
            (Codec::H264, 1..=23) => out(Piece::Whole(payload)),
            // STAP-A and B, MTAP16 and 24.
            (Codec::H264, 24) => units(payload.get(1..), 0, out),
            (Codec::H264, 25) => units(payload.get(3..), 0, out),
            (Codec::H264, 26) => units(payload.get(3..), 3, out),
            (Codec::H264, 27) => units(payload.get(3..), 4, out),
            // FU-A, and FU-B whose first part has a number.
            (Codec::H264, kind @ (28 | 29)) => {
                let [indicator, header, rest @ ..] = payload else { return };
                let begins = header & 0x80 != 0;
                let body = if kind == 29 && begins { rest.get(2..) } else { Some(rest) };
                if begins && body.is_none_or(<[u8]>::is_empty) {
                    // A head without a body begins nothing; firmware flushes empty buffers so.
                    return;
                }
                let head = [indicator & 0xe0 | header & 0x1f, 0];
                out(Piece::Part { head, begins, ends: header & 0x40 != 0, body: body.unwrap_or_default() });
            }
            (Codec::H265, 0..=47) => out(Piece::Whole(payload)),
            (Codec::H265, 48) if self.has_order => {
                // The first number has two bytes, every other one.
                let Some([high, low, rest @ ..]) = payload.get(4..) else { return };
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                let Some((nal, rest)) = rest.split_at_checked(length) else { return };
                out(Piece::Whole(nal));
                numbered(rest, out);
            }
            (Codec::H265, 48) => units(payload.get(2..), 0, out),
            (Codec::H265, 49) => {
                let [one, two, header, rest @ ..] = payload else { return };
                let begins = header & 0x80 != 0;
                let body = if self.has_order && begins { rest.get(2..) } else { Some(rest) };
                if begins && body.is_none_or(<[u8]>::is_empty) {
                    return;
                }
                let head = [one & 0x81 | (header & 0x3f) << 1, *two];
                out(Piece::Part { head, begins, ends: header & 0x40 != 0, body: body.unwrap_or_default() });
            }
            _ => {}
        }
    }
}

/// Units behind a length of two bytes each and so many others.
fn units<'a>(rest: Option<&'a [u8]>, between: usize, out: &mut impl FnMut(Piece<'a>)) {
    let mut rest = rest.unwrap_or_default();
    while let [high, low, units @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        // A length beyond the end leaves nothing that can be trusted.
        let Some((nal, after)) = units.get(between..).and_then(|units| units.split_at_checked(length)) else {
            return;
        };
        if !nal.is_empty() {
            out(Piece::Whole(nal));
        }
        rest = after;
    }
}

/// Units with a number of one byte in front of their length.
fn numbered<'a>(mut rest: &'a [u8], out: &mut impl FnMut(Piece<'a>)) {
    while let [_, high, low, units @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some((nal, after)) = units.split_at_checked(length) else { return };
        if !nal.is_empty() {
            out(Piece::Whole(nal));
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const H264: Format = Format { codec: Codec::H264, has_order: false };
    const H265: Format = Format { codec: Codec::H265, has_order: false };

    fn pieces(format: Format, payload: &[u8]) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        format.pieces(payload, &mut |piece| pieces.push(piece));
        pieces
    }

    #[test]
    fn every_kind_of_packet_of_h264() {
        let (a, b) = (Piece::Whole(&[0x67, 1]), Piece::Whole(&[0x68]));
        assert_eq!(pieces(H264, &[0x67, 1]), [a]);
        assert_eq!(pieces(H264, &[24, 0, 2, 0x67, 1, 0, 1, 0x68]), [a, b]);
        assert_eq!(pieces(H264, &[25, 9, 9, 0, 2, 0x67, 1, 0, 1, 0x68]), [a, b]);
        assert_eq!(pieces(H264, &[26, 9, 9, 0, 2, 7, 7, 7, 0x67, 1, 0, 1, 7, 7, 7, 0x68]), [a, b]);
        assert_eq!(pieces(H264, &[27, 9, 9, 0, 2, 7, 7, 7, 7, 0x67, 1]), [a]);
        let part = |begins, ends, body| Piece::Part { head: [0x65, 0], begins, ends, body };
        assert_eq!(pieces(H264, &[0x7c, 0x85, 1, 2]), [part(true, false, &[1, 2])]);
        // Small units in one part (OpenIPC, in retina PR 131).
        assert_eq!(pieces(H264, &[0x7c, 0xc5, 1]), [part(true, true, &[1])]);
        assert_eq!(pieces(H264, &[0x7d, 0x85, 9, 9, 1]), [part(true, false, &[1])]);
        assert_eq!(pieces(H264, &[0x7d, 0x45, 1]), [part(false, true, &[1])]);
        // Heads without a body.
        for empty in [&[0x7c][..], &[0x7c, 0x85], &[0x7d, 0x85, 9], &[24, 0], &[24, 0, 0]] {
            assert_eq!(pieces(H264, empty), [], "{empty:?}");
        }
        // Types that nobody defined.
        for unknown in [&[0x7e, 1][..], &[0x7f], &[0, 5], &[]] {
            assert_eq!(pieces(H264, unknown), [], "{unknown:?}");
        }
        assert_eq!(pieces(H264, &[24, 0, 2, 0x67, 1, 0, 9, 0x68]), [a], "a length beyond the end");
    }

    #[test]
    fn every_kind_of_packet_of_h265() {
        let (a, b) = (Piece::Whole(&[0x40, 1, 5]), Piece::Whole(&[0x42, 1]));
        assert_eq!(pieces(H265, &[0x40, 1, 5]), [a]);
        assert_eq!(pieces(H265, &[0x60, 1, 0, 3, 0x40, 1, 5, 0, 2, 0x42, 1]), [a, b]);
        let part = Piece::Part { head: [0x26, 1], begins: true, ends: false, body: &[7] };
        assert_eq!(pieces(H265, &[0x62, 1, 0x93, 7]), [part]);
        let ordered = Format { has_order: true, ..H265 };
        assert_eq!(pieces(ordered, &[0x62, 1, 0x93, 0, 0, 7]), [part]);
        assert_eq!(pieces(ordered, &[0x60, 1, 0, 0, 0, 3, 0x40, 1, 5, 1, 0, 2, 0x42, 1]), [a, b]);
        assert_eq!(pieces(H265, &[0x64, 1, 7]), []);
    }

    #[test]
    fn start_codes_that_firmware_leaves_in_a_packet_are_taken_out() {
        let (a, b) = (Piece::Whole(&[0x67, 1]), Piece::Whole(&[0x68]));
        assert_eq!(pieces(H264, &[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68]), [a, b]);
    }

    #[test]
    fn what_a_picture_begins_with() {
        for (nal, expected) in [
            (&[0x65, 0x88][..], true),
            (&[0x41, 0x9a], true),
            (&[0x41, 0x4a], false),
            (&[0x67, 1], true),
            (&[0x09, 0x10], true),
            (&[0x0c, 0xff], false),
            (&[0x43, 0x80], false),
            (&[], false),
        ] {
            assert_eq!(H264.begins_picture(nal), expected, "{nal:?}");
        }
        assert!(H265.begins_picture(&[0x02, 1, 0x80]) && !H265.begins_picture(&[0x02, 1, 0x40]));
        assert!(
            H265.begins_picture(&[0x46, 1]) && !H265.begins_picture(&[0x50, 1]),
            "delimiter, suffix message"
        );
    }

    proptest! {
        #[test]
        fn any_payload_is_taken_and_gives_no_more_than_it_has(
            payload in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..4], 0..80), h265 in any::<bool>(), has_order in any::<bool>(),
        ) {
            let format = Format { codec: if h265 { Codec::H265 } else { Codec::H264 }, has_order };
            let total: usize = pieces(format, &payload).iter().map(|piece| match piece {
                Piece::Whole(nal) => nal.len(),
                Piece::Part { body, .. } => body.len(),
            }).sum();
            prop_assert!(total <= payload.len());
        }
    }
}
