//! The head of an RTP packet (RFC 3550 section 5.1), read as liberally as cameras write it.

/// The shortest head.
const HEAD: usize = 12;

/// Second bytes that belong to a report and to no packet, since both may come on one channel (RFC 5761 section 4).
const REPORTS: std::ops::RangeInclusive<u8> = 192..=223;

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Ends a picture, with most cameras.
    pub mark: bool,
    /// What kind of payload it says it carries.
    pub payload_type: u8,
    /// Number of the packet.
    pub sequence: u16,
    /// RTP time of its picture.
    pub time: u32,
    /// Who sends it, as a number that changes when the stream begins anew.
    pub ssrc: u32,
    /// The profile and the content of the header extension, if there is one.
    pub extension: Option<(u16, &'a [u8])>,
    /// What it carries, without padding.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet; `None` if it is none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let head = bytes.get(..HEAD)?;
        if head[0] >> 6 != 2 || REPORTS.contains(&head[1]) {
            return None;
        }
        let mut begin = HEAD + 4 * usize::from(head[0] & 0x0f);
        let mut extension = None;
        if head[0] & 0x10 != 0 {
            let words = bytes.get(begin..begin + 4)?;
            let end = begin + 4 + 4 * usize::from(u16::from_be_bytes([words[2], words[3]]));
            extension = Some((u16::from_be_bytes([words[0], words[1]]), bytes.get(begin + 4..end)?));
            begin = end;
        }
        let payload = bytes.get(begin..)?;
        // Padding that cannot be is none: some firmware sets the bit and pads nothing.
        let padding = if head[0] & 0x20 == 0 { 0 } else { payload.last().copied().unwrap_or(0) };
        let payload = match payload.len().checked_sub(usize::from(padding)) {
            Some(rest) if rest > 0 => &payload[..rest],
            _ => payload,
        };
        Some(Self {
            mark: head[1] & 0x80 != 0,
            payload_type: head[1] & 0x7f,
            sequence: u16::from_be_bytes([head[2], head[3]]),
            time: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
            extension,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn heads() {
        let plain = [0x80, 0xe0, 0, 7, 0, 0, 1, 0, 1, 2, 3, 4, 0x65, 9];
        let expected = Packet {
            mark: true,
            payload_type: 96,
            sequence: 7,
            time: 256,
            ssrc: 0x0102_0304,
            extension: None,
            payload: &[0x65, 9],
        };
        assert_eq!(Packet::parse(&plain), Some(expected));
        // Two contributing sources, an extension of one word, three bytes of padding.
        let long = [
            &[0xb2, 0x60, 0, 7, 0, 0, 1, 0, 1, 2, 3, 4][..],
            &[0; 8],
            &[0xbe, 0xde, 0, 1, 1, 2, 3, 4],
            &[0x41, 0, 0, 3],
        ]
        .concat();
        let packet = Packet::parse(&long).unwrap();
        assert_eq!((packet.payload, packet.extension), (&[0x41][..], Some((0xbede, &[1, 2, 3, 4][..]))));
        assert_eq!(Packet::parse(&long[..27]), None);
        assert_eq!(Packet::parse(&plain[..11]), None);
        assert_eq!(Packet::parse(b"GET / HTTP/1.1"), None);
        assert_eq!(Packet::parse(&[0x80, 200, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]), None, "a report");
    }

    #[test]
    fn padding_that_is_longer_than_the_packet_is_none() {
        let packet = [0xa0, 0x60, 0, 7, 0, 0, 1, 0, 1, 2, 3, 4, 0x41, 9];
        assert_eq!(Packet::parse(&packet).unwrap().payload, [0x41, 9]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_none(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.payload.len() + HEAD <= bytes.len());
            }
        }
    }
}
