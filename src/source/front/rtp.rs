//! As much of an RTP packet (RFC 3550 section 5.1) as bounds need, and what a packet costs whoever puts pictures
//! together.

use crate::media::gop::Codec;

/// What one packet or one NAL unit costs beside its bytes: entries in lists, two of which are kept.
const ENTRY: usize = 64;

/// The head of a packet, and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Ends a picture, with most cameras.
    pub mark: bool,
    /// Number of the packet.
    pub sequence: u16,
    /// RTP time of its picture.
    pub time: u32,
    /// What comes behind the head, padding included.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet; `None` if it is none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let head = bytes.get(..12)?;
        if head[0] >> 6 != 2 {
            return None;
        }
        let mut begin = 12 + 4 * usize::from(head[0] & 0x0f);
        if head[0] & 0x10 != 0 {
            let words = bytes.get(begin + 2..begin + 4)?;
            begin += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        Some(Self {
            mark: head[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([head[2], head[3]]),
            time: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            payload: bytes.get(begin..)?,
        })
    }

    /// What it costs until its picture is whole: its bytes, and an entry for itself and each unit inside.
    pub fn cost(&self, codec: Codec) -> usize {
        ENTRY + self.payload.len() + ENTRY * units(self.payload, codec)
    }
}

/// How many NAL units a payload may be cut into, beside the one it is part of: aggregated ones (RFC 6184 section 5.7.1,
/// RFC 7798 section 4.4.2), and those behind start codes, which some firmware leaves inside.
fn units(payload: &[u8], codec: Codec) -> usize {
    let aggregated = match (codec, payload.first()) {
        (Codec::H264, Some(first)) if first & 0x1f == 24 => aggregated(payload, 1),
        (Codec::H265, Some(first)) if first >> 1 & 0x3f == 48 => aggregated(payload, 2),
        (Codec::Jpeg, _) => return 0,
        _ => 0,
    };
    aggregated + start_codes(payload)
}

fn aggregated(payload: &[u8], head: usize) -> usize {
    let (mut rest, mut count) = (payload.get(head..).unwrap_or_default(), 0);
    while let [high, low, units @ ..] = rest {
        rest = units.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
        count += 1;
    }
    count
}

/// Counts 00 00 01, looking at every third byte where nothing is near.
fn start_codes(bytes: &[u8]) -> usize {
    let (mut at, mut count) = (2, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            0 => at += 1,
            1 => {
                count += usize::from(bytes[at - 1] == 0 && bytes[at - 2] == 0);
                at += 3;
            }
            _ => at += 3,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads() {
        let plain = [0x80, 0xe0, 0, 7, 0, 0, 1, 0, 1, 2, 3, 4, 0x65, 9];
        let packet = Packet::parse(&plain).unwrap();
        assert_eq!(packet, Packet { mark: true, sequence: 7, time: 256, payload: &[0x65, 9] });
        // Two contributing sources and an extension of one word.
        let long = [
            &[0x92, 0x60, 0, 7, 0, 0, 1, 0, 1, 2, 3, 4][..],
            &[0; 8],
            &[0xbe, 0xde, 0, 1, 1, 2, 3, 4],
            &[0x41],
        ]
        .concat();
        assert_eq!(Packet::parse(&long).unwrap().payload, [0x41]);
        assert_eq!(Packet::parse(&long[..long.len() - 2]), None);
        assert_eq!(Packet::parse(&plain[..11]), None);
        assert_eq!(Packet::parse(b"GET / HTTP/1.1"), None);
    }

    #[test]
    fn many_small_units_cost_more_than_their_bytes() {
        let cost = |codec, payload: &[u8]| {
            Packet { mark: false, sequence: 0, time: 0, payload }.cost(codec) - payload.len()
        };
        assert_eq!(cost(Codec::H264, &[0x65; 1400]), ENTRY);
        assert_eq!(cost(Codec::H264, &[24, 0, 1, 9, 0, 1, 9]), 3 * ENTRY);
        assert_eq!(cost(Codec::H265, &[0x60, 1, 0, 1, 9, 0, 1]), 3 * ENTRY);
        assert_eq!(cost(Codec::H265, &[&[0x02, 1][..], &[0, 0, 1, 2].repeat(10)].concat()), 11 * ENTRY);
        assert_eq!(cost(Codec::Jpeg, &[0, 0, 1].repeat(10)), ENTRY);
    }

    proptest! {
        #[test]
        fn no_start_code_is_overlooked(bytes in prop::collection::vec(0_u8..4, 0..200)) {
            let expected = bytes.windows(3).filter(|window| *window == [0, 0, 1]).count();
            prop_assert_eq!(start_codes(&bytes), expected);
        }

        #[test]
        fn any_bytes_have_a_cost(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(packet) = Packet::parse(&bytes) {
                for codec in [Codec::H264, Codec::H265, Codec::Jpeg] {
                    prop_assert!(packet.cost(codec) >= packet.payload.len());
                }
            }
        }
    }
}
