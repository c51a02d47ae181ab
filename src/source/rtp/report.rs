//! What a camera says of its own clock: sender reports (RFC 3550 section 6.4.1). Everything else of RTCP, and what is
//! broken, is passed over.

/// A sender report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// Time of day since 1900: seconds in the upper half, parts of one in the lower.
    pub ntp: u64,
    /// The same instant as RTP time.
    pub time: u32,
}

/// Kind of a sender report.
const SENDER: u8 = 200;

/// Bytes of a sender report before its blocks.
const LENGTH: usize = 28;

impl SenderReport {
    /// The first one in a compound packet.
    pub fn find(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        while let [first, kind, high, low, ..] = *rest {
            if first >> 6 != 2 {
                return None;
            }
            let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
            // Also when the length says that more follows than came (Edimax, in mediamtx 1085).
            if kind == SENDER
                && let Some(body) = rest.get(8..LENGTH)
            {
                let (ntp, time) = (body.first_chunk::<8>()?, body[8..].first_chunk::<4>()?);
                return Some(Self { ntp: u64::from_be_bytes(*ntp), time: u32::from_be_bytes(*time) });
            }
            rest = rest.get(length..)?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_report_is_found_behind_others_and_with_a_wrong_length() {
        let body = [&[0; 4][..], &7_u64.to_be_bytes(), &9_u32.to_be_bytes(), &[0; 8]].concat();
        let report = |words: u8| [&[0x80, 200, 0, words][..], &body].concat();
        let expected = Some(SenderReport { ntp: 7, time: 9 });
        assert_eq!(SenderReport::find(&report(6)), expected);
        assert_eq!(SenderReport::find(&report(20)), expected);
        assert_eq!(SenderReport::find(&[&[0x80, 201, 0, 1, 0, 0, 0, 0][..], &report(6)].concat()), expected);
        assert_eq!(SenderReport::find(&report(6)[..27]), None);
        assert_eq!(SenderReport::find(&[0x80, 0xc9, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = SenderReport::find(&bytes);
        }
    }
}
