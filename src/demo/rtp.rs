//! H.264 as RTP packets in an RTSP connection.
//!
//! RFC 6184: single NAL unit packets and FU-A fragments (packetization-mode 1); RFC 2326, 10.12: a `$`, the channel
//! and the length before each packet; RFC 3550, 6.4.1: sender reports that tie RTP timestamps to the wall clock.

use rtp_types::RtpPacketBuilder;

use crate::demo::annexb::nal_units;
use crate::demo::encoder::EncodedPicture;
use crate::model::UnixMs;

/// Payload type of the one stream (dynamic range, RFC 3551).
pub(super) const PAYLOAD_TYPE: u8 = 96;

/// Most payload bytes of a packet, so that it would fit an Ethernet frame if it went over UDP.
const PAYLOAD_MAX: usize = 1400;

/// `nal_unit_type` of a fragmentation unit.
const FU_A: u8 = 28;

/// Seconds from 1900, the epoch of NTP, to 1970.
const NTP_OFFSET_S: u64 = 2_208_988_800;

/// The RTP side of one client: its numbering and its counters.
#[derive(Debug)]
pub(super) struct Packetizer {
    /// Interleaved channels for RTP and RTCP.
    channels: (u8, u8),
    ssrc: u32,
    sequence: u16,
    packets: u32,
    octets: u32,
}

impl Packetizer {
    /// Random source and first sequence number, as RFC 3550, 5.1 asks.
    pub(super) fn new(channels: (u8, u8)) -> Self {
        Self { channels, ssrc: fastrand::u32(..), sequence: fastrand::u16(..), packets: 0, octets: 0 }
    }

    /// Synchronisation source of the packets.
    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Number that the next packet gets.
    pub(super) fn next_sequence(&self) -> u16 {
        self.sequence
    }

    /// Appends the packets of one access unit to `out`; the last one carries the marker.
    pub(super) fn push(&mut self, unit: &EncodedPicture, out: &mut Vec<u8>) {
        let mut nals = nal_units(&unit.annex_b).peekable();
        while let Some(nal) = nals.next() {
            let is_last = nals.peek().is_none();
            if nal.len() <= PAYLOAD_MAX {
                self.packet(&[], nal, unit.rtp_timestamp, is_last, out);
                continue;
            }
            let mut pieces = nal[1..].chunks(PAYLOAD_MAX - 2).peekable();
            let mut start = 0x80;
            while let Some(piece) = pieces.next() {
                let end = if pieces.peek().is_none() { 0x40 } else { 0 };
                let header = [nal[0] & 0xe0 | FU_A, start | end | nal[0] & 0x1f];
                self.packet(&header, piece, unit.rtp_timestamp, is_last && end != 0, out);
                start = 0;
            }
        }
    }

    fn packet(&mut self, header: &[u8], body: &[u8], timestamp: u32, is_last: bool, out: &mut Vec<u8>) {
        let packet = RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(PAYLOAD_TYPE)
            .marker_bit(is_last)
            .sequence_number(self.sequence)
            .timestamp(timestamp)
            .ssrc(self.ssrc)
            .payload(header)
            .payload(body)
            .write_vec_unchecked();
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add((header.len() + body.len()) as u32);
        interleave(self.channels.0, &packet, out);
    }

    /// Appends a sender report with the instant of `unit`, and the source description that RFC 3550 wants beside it.
    pub(super) fn sender_report(&self, unit: &EncodedPicture, out: &mut Vec<u8>) {
        const CNAME: &[u8; 6] = b"camera";
        let mut report = vec![0x80, 200, 0, 6];
        report.extend(self.ssrc.to_be_bytes());
        report.extend(ntp(unit.instant).to_be_bytes());
        report.extend(unit.rtp_timestamp.to_be_bytes());
        report.extend(self.packets.to_be_bytes());
        report.extend(self.octets.to_be_bytes());
        report.extend([0x81, 202, 0, 4]);
        report.extend(self.ssrc.to_be_bytes());
        report.extend([1, CNAME.len() as u8]);
        report.extend(CNAME);
        // At least one zero ends the list; more fill the 32-bit word.
        report.extend([0; 4]);
        interleave(self.channels.1, &report, out);
    }
}

fn interleave(channel: u8, packet: &[u8], out: &mut Vec<u8>) {
    // Packets are at most PAYLOAD_MAX and a header long, far below the 16 bits of the length.
    let length = packet.len() as u16;
    out.extend([b'$', channel]);
    out.extend(length.to_be_bytes());
    out.extend(packet);
}

/// 32 bits of seconds since 1900, 32 bits of fraction.
fn ntp(instant: UnixMs) -> u64 {
    let ms = u64::try_from(instant.0).unwrap_or(0);
    let fraction = ((ms % 1000) << 32) / 1000;
    ((ms / 1000 + NTP_OFFSET_S) & 0xffff_ffff) << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit(annex_b: Vec<u8>) -> EncodedPicture {
        EncodedPicture { annex_b, rtp_timestamp: 9000, instant: UnixMs(1_698_765_432_500) }
    }

    /// Takes interleaved frames apart: channel and packet.
    fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
        let mut frames = Vec::new();
        while let [b'$', channel, high, low, rest @ ..] = bytes {
            let (packet, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            frames.push((*channel, packet));
            bytes = rest;
        }
        assert_eq!(bytes, [0; 0]);
        frames
    }

    #[test]
    fn long_and_short_start_codes_part_the_units() {
        let stream = [0, 0, 0, 1, 7, 1, 0, 0, 1, 8, 2, 0, 0, 0, 1, 0, 0, 1, 5, 3];
        assert_eq!(nal_units(&stream).collect::<Vec<_>>(), [&[7, 1][..], &[8, 2], &[5, 3]]);
    }

    #[test]
    fn a_sender_report_ties_the_timestamp_to_the_instant() {
        let mut out = Vec::new();
        Packetizer::new((0, 1)).sender_report(&unit(vec![]), &mut out);
        let frames = frames(&out);
        let (channel, report) = frames[0];
        assert_eq!((channel, report.len(), &report[..4]), (1, 28 + 20, &[0x80, 200, 0, 6][..]));
        let seconds = u64::from(u32::from_be_bytes(report[8..12].try_into().unwrap()));
        assert_eq!(
            (seconds - NTP_OFFSET_S, &report[12..20]),
            (1_698_765_432, &[128, 0, 0, 0, 0, 0, 35, 40][..])
        );
    }

    proptest! {
        #[test]
        fn packets_put_together_again_are_the_access_unit(
            nals in proptest::collection::vec((1_u8..24, proptest::collection::vec(1_u8.., 0..6000)), 1..5),
        ) {
            let nals: Vec<Vec<u8>> = nals.into_iter().map(|(kind, body)| [vec![0x60 | kind], body].concat()).collect();
            let annex_b = nals.iter().flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat()).collect();
            let mut out = Vec::new();
            let mut packetizer = Packetizer::new((4, 5));
            let first = packetizer.next_sequence();
            packetizer.push(&unit(annex_b), &mut out);

            let mut seen: Vec<Vec<u8>> = Vec::new();
            let frames = frames(&out);
            for (index, (channel, packet)) in frames.iter().enumerate() {
                let packet = rtp_types::RtpPacket::parse(packet).unwrap();
                prop_assert_eq!((*channel, packet.timestamp(), packet.payload_type()), (4, 9000, 96));
                prop_assert_eq!(packet.sequence_number(), first.wrapping_add(index as u16));
                prop_assert_eq!(packet.marker_bit(), index + 1 == frames.len());
                let payload = packet.payload();
                prop_assert!(payload.len() <= PAYLOAD_MAX);
                match payload {
                    [indicator, header, piece @ ..] if indicator & 0x1f == FU_A => {
                        if header & 0x80 != 0 {
                            seen.push(vec![indicator & 0xe0 | header & 0x1f]);
                        }
                        seen.last_mut().unwrap().extend(piece);
                    }
                    whole => seen.push(whole.to_vec()),
                }
            }
            prop_assert_eq!(seen, nals);
        }

        #[test]
        fn any_bytes_are_parted_without_a_panic(bytes in proptest::collection::vec(0_u8..3, 0..200)) {
            prop_assert!(nal_units(&bytes).all(|nal| !nal.is_empty()));
        }
    }
}
