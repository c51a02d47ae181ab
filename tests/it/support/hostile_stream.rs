//! Streams that mean harm: one packet after the other, for as long as anybody listens.

use super::hostile::{self, Misdeed, packet};

/// The description that a stream comes with.
pub(super) fn description(misdeed: Misdeed) -> String {
    match misdeed {
        Misdeed::Orders => {
            hostile::description("H265").replace("packetization-mode=1", "sprop-max-don-diff=32767")
        }
        Misdeed::Jpeg => {
            hostile::description("JPEG") + "a=framesize:96 65535-65535\r\na=x-dimensions:65535,65535\r\n"
        }
        Misdeed::Offsets => hostile::description("JPEG"),
        _ => hostile::description("H264"),
    }
}

/// Bits, written from the left.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn u(mut self, count: usize, value: u32) -> Self {
        self.0.extend((0..count).rev().map(|n| value >> n & 1 == 1));
        self
    }

    fn ue(self, value: u32) -> Self {
        let length = usize::try_from((value + 1).ilog2()).unwrap();
        self.u(length, 0).u(length + 1, value + 1)
    }

    fn bytes(mut self, first: &[u8]) -> Vec<u8> {
        self.0.push(true);
        let body = self
            .0
            .chunks(8)
            .map(|byte| byte.iter().zip((0..8).rev()).fold(0, |sum, (bit, n)| sum | u8::from(*bit) << n));
        first.iter().copied().chain(body).collect()
    }
}

/// A set of parameters of the Baseline profile for pictures of so many macroblocks in both directions.
fn sps(number: u32, macroblocks: u32) -> Vec<u8> {
    let bits = Bits::default().ue(number).ue(0).ue(2).ue(1).u(1, 0).ue(macroblocks - 1).ue(macroblocks - 1);
    bits.u(1, 1).u(1, 0).u(1, 0).u(1, 0).bytes(&[0x67, 66, 0, 30])
}

fn pps(number: u32, sps: u32) -> Vec<u8> {
    let bits = Bits::default().ue(number).ue(sps).u(2, 0).ue(0).ue(0).ue(0).u(3, 0).ue(0).ue(0).ue(0);
    bits.u(3, 0).bytes(&[0x68])
}

/// What comes next.
pub(super) struct Stream {
    misdeed: Misdeed,
    count: u32,
}

impl Stream {
    pub(super) fn new(misdeed: Misdeed) -> Self {
        Self { misdeed, count: 0 }
    }

    /// The next packet, framed.
    pub(super) fn next(&mut self) -> Vec<u8> {
        use Misdeed::*;
        let n = self.count;
        self.count += 1;
        let sequence = u16::try_from(n % 65_536).unwrap();
        let time = n.wrapping_mul(3600);
        let body = |first: &[u8], length: usize| [first, &vec![0xab; length]].concat();
        match self.misdeed {
            // Not the first slice of a picture, so that none begins.
            Slices => packet(0, sequence, 1, false, &body(&[0x41, 0x40], 1300)),
            Numbers => {
                let set = if n.is_multiple_of(2) { sps(n / 2 % 32, 40) } else { pps(n / 2 % 256, 0) };
                packet(0, sequence, time, n % 8 == 7, &body(&set, 60_000))
            }
            Vast => match n % 3 {
                0 => packet(0, sequence, (n / 3).wrapping_mul(3600), false, &sps(0, 1024)),
                1 => packet(0, sequence, (n / 3).wrapping_mul(3600), false, &pps(0, 0)),
                _ => packet(0, sequence, (n / 3).wrapping_mul(3600), true, &body(&[0x65, 0x88, 0x84], 1300)),
            },
            Jpeg => {
                let head = [0, 0, 0, 0, 1, 60, 0, 0];
                packet(0, sequence, time, true, &body(&head, 1300))
            }
            Offsets => {
                let offset = (n % 256 * 65_535).to_be_bytes();
                let head = [0, offset[1], offset[2], offset[3], 1, 60, 255, 255];
                packet(0, sequence, 1, false, &body(&head, 1300))
            }
            Beginnings => packet(0, sequence, time, false, &body(&[0x7c, 0x85], 60_000)),
            Ahead => packet(0, sequence.wrapping_mul(30), time, false, &body(&[0x41, 0x9a], 1300)),
            Sources => {
                let mut packet = packet(0, sequence, time, true, &body(&[0x65, 0x88], 1300));
                packet[12..16].copy_from_slice(&n.to_be_bytes());
                packet
            }
            Slips => {
                let mut bytes = vec![0; 32 << 10];
                fastrand::fill(&mut bytes);
                [packet(0, sequence, time, true, &[0x41; 40]), bytes].concat()
            }
            Replies => format!("RTSP/1.0 200 OK\r\nCSeq: {n}\r\nSession: 1\r\n\r\n").into_bytes(),
            Stamps => packet(0, sequence, fastrand::u32(..), true, &body(&[0x65, 0x88, 0x84], 20)),
            Orders => {
                let order = fastrand::u16(..).to_be_bytes();
                packet(0, sequence, time, true, &body(&[2, 1, order[0], order[1], 0xd0], 1300))
            }
            Beyond => packet(0, sequence, time, true, &body(&[0x78, 0xff, 0xff, 0x65, 0x88], 1300)),
            Nothings => packet(0, sequence, time, true, &[&[0x78][..], &[0; 40_000]].concat()),
            Points => match n % 4 {
                0 => packet(0, sequence, (n / 4).wrapping_mul(3600), false, &sps(0, 40)),
                1 => packet(0, sequence, (n / 4).wrapping_mul(3600), false, &pps(0, 0)),
                2 => packet(0, sequence, (n / 4).wrapping_mul(3600), false, &[6, 6, 1, 0x84, 0x80]),
                _ => packet(0, sequence, (n / 4).wrapping_mul(3600), true, &body(&[0x41, 0x9a], 20)),
            },
            _ => packet(0, sequence, time, true, &body(&[0x65], 64_000)),
        }
    }
}
