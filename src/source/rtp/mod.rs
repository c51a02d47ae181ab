//! RTP (RFC 3550) as cameras send it: packets and the times at which they came go in, whole pictures come out. Pure: no
//! clock, no input or output, and memory for one picture and what waits for its turn.
//!
//! Nothing that comes is an error here. What cannot be read is passed over, what is missing damages the picture it
//! belongs to, and the stream goes on: one bad packet costs its picture, not the session.

pub mod assembly;
pub mod jpeg;
pub mod marker;
pub mod nal;
pub mod order;
pub mod packet;
pub mod report;
pub mod sets;
pub mod tables;

use std::collections::VecDeque;
use std::time::Instant;

use crate::media::gop::Codec;
use assembly::{Assembled, Assembly};
use marker::Markers;
use nal::Format;
use order::PacketOrder;
use packet::Packet;

/// So many packets of another type are passed over before they are taken for the stream.
const OTHER_TYPE: u32 = 50;

/// What a session description says of a stream.
#[derive(Clone, Debug)]
pub struct Described {
    /// How its pictures are coded.
    pub codec: Codec,
    /// What its packets call themselves.
    pub payload_type: u8,
    /// Parameter sets.
    pub sets: Vec<Vec<u8>>,
    /// Units carry numbers of decoding order.
    pub has_order: bool,
    /// Pixels.
    pub size: Option<(u32, u32)>,
}

/// A picture and its RTP time without wrapping, in ticks since any fixed start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// RTP time.
    pub ticks: i64,
    /// The rest.
    pub picture: Assembled,
}

#[derive(Debug)]
enum Kind {
    Nal(Box<Assembly>),
    Jpeg(Box<jpeg::JpegAssembly>),
}

/// Makes pictures of the packets of one stream.
#[derive(Debug)]
pub struct RtpReceiver {
    payload_type: u8,
    /// Packets that called themselves otherwise, before any that did not.
    others: Option<u32>,
    order: PacketOrder,
    kind: Kind,
    made: Made,
}

/// Pictures that were made.
#[derive(Debug, Default)]
struct Made {
    ready: VecDeque<Unit>,
    /// The newest RTP time, and the same without wrapping.
    newest: Option<(u32, i64)>,
    count: u64,
}

impl RtpReceiver {
    /// Of a stream that comes over a connection (in order) or as datagrams; nothing has come.
    pub fn new(described: &Described, is_ordered: bool, markers: Markers) -> Self {
        let Described { codec, payload_type, sets, has_order, size } = described;
        let kind = match codec {
            Codec::Jpeg => Kind::Jpeg(Box::new(jpeg::JpegAssembly::new(*size))),
            Codec::H264 | Codec::H265 => {
                let format = Format { codec: *codec, has_order: *has_order };
                Kind::Nal(Box::new(Assembly::new(format, sets, markers)))
            }
        };
        Self {
            payload_type: *payload_type,
            others: Some(0),
            order: PacketOrder::new(is_ordered),
            kind,
            made: Made::default(),
        }
    }

    /// Takes a packet; whether it is one of this stream.
    pub fn take(&mut self, bytes: &[u8], at: Instant) -> bool {
        let Some(packet) = Packet::parse(bytes) else { return false };
        if packet.payload_type == self.payload_type {
            self.others = None;
        } else {
            // Some call themselves otherwise than they said; others send more than one stream on a channel.
            let Some(others) = &mut self.others else { return false };
            *others += 1;
            if *others < OTHER_TYPE {
                return false;
            }
            (self.payload_type, self.others) = (packet.payload_type, None);
        }
        let Self { order, kind, made, .. } = self;
        order
            .take(packet, bytes, at, &mut |bytes, place| kind.take(bytes, place, &mut |unit| made.put(unit)));
        true
    }

    /// Bytes came beside whole packets.
    pub fn slip(&mut self) {
        self.order.slip();
    }

    /// When to call [`Self::expire`], if nothing comes before.
    pub fn due_at(&self) -> Option<Instant> {
        let unit = match &self.kind {
            Kind::Nal(assembly) => assembly.due_at(),
            Kind::Jpeg(pictures) => pictures.due_at(),
        };
        [self.order.due_at(), unit].into_iter().flatten().min()
    }

    /// Time has passed: what has waited long enough goes on.
    pub fn expire(&mut self, now: Instant) {
        let Self { order, kind, made, .. } = self;
        order.expire(now, &mut |bytes, place| kind.take(bytes, place, &mut |unit| made.put(unit)));
        match kind {
            Kind::Nal(assembly) => assembly.expire(now, &mut |unit| made.put(unit)),
            Kind::Jpeg(pictures) => pictures.expire(now, &mut |unit| made.put(unit)),
        }
    }

    /// The next picture that is whole.
    pub fn ready(&mut self) -> Option<Unit> {
        self.made.ready.pop_front()
    }

    /// Pictures made so far.
    pub fn count(&self) -> u64 {
        self.made.count
    }

    /// Bytes of what is not a whole picture yet.
    pub fn held(&self) -> usize {
        let open = match &self.kind {
            Kind::Nal(assembly) => assembly.held(),
            Kind::Jpeg(pictures) => pictures.held(),
        };
        open + self.order.held()
    }

    /// What markers are worth, for the next session with this camera.
    pub fn markers(&self) -> Markers {
        match &self.kind {
            Kind::Nal(assembly) => assembly.markers(),
            Kind::Jpeg(_) => Markers::default(),
        }
    }

    /// Whether pictures come whose size is said nowhere.
    pub fn has_no_size(&self) -> bool {
        matches!(&self.kind, Kind::Jpeg(pictures) if pictures.has_no_size())
    }

    /// An RTP time near the newest one, without wrapping; `None` before the first picture.
    pub fn ticks(&self, time: u32) -> Option<i64> {
        self.made.newest.map(|newest| unwrapped(newest, time))
    }
}

impl Kind {
    fn take(&mut self, bytes: &[u8], place: order::PacketPlace, out: &mut impl FnMut(Assembled)) {
        let Some(packet) = Packet::parse(bytes) else { return };
        match self {
            Self::Nal(assembly) => assembly.take(packet, place, out),
            Self::Jpeg(pictures) => pictures.take(packet, place, out),
        }
    }
}

impl Made {
    fn put(&mut self, picture: Assembled) {
        let ticks = self.newest.map_or(0, |newest| unwrapped(newest, picture.time));
        self.newest = Some((picture.time, ticks));
        self.count += 1;
        self.ready.push_back(Unit { ticks, picture });
    }
}

/// RTP times lie less than half a round apart (RFC 3550 section 5.1: 32 bits).
fn unwrapped((newest, ticks): (u32, i64), time: u32) -> i64 {
    ticks.saturating_add(i64::from(time.wrapping_sub(newest).cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn described(codec: Codec) -> Described {
        Described { codec, payload_type: 96, sets: Vec::new(), has_order: false, size: None }
    }

    fn packet(payload_type: u8, sequence: u16, time: u32, payload: &[u8]) -> Vec<u8> {
        let head = [0x80, 0x80 | payload_type];
        [&head[..], &sequence.to_be_bytes(), &time.to_be_bytes(), &[0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn time_goes_on_where_32_bits_end() {
        let mut receiver = RtpReceiver::new(&described(Codec::H264), true, Markers::Seen(9));
        for (i, time) in (0..).zip([u32::MAX - 3599, 0, 3600]) {
            assert!(receiver.take(&packet(96, i, time, &[0x41, 0x9a]), Instant::now()));
        }
        let ticks: Vec<i64> = std::iter::from_fn(|| receiver.ready()).map(|unit| unit.ticks).collect();
        assert_eq!(ticks, [0, 3600, 7200]);
        assert_eq!(receiver.ticks(0), Some(3600));
    }

    #[test]
    fn another_type_than_the_one_said_is_taken_when_nothing_else_comes() {
        let mut receiver = RtpReceiver::new(&described(Codec::H264), true, Markers::Seen(9));
        let taken = |receiver: &mut RtpReceiver, count: u16, kind| {
            (0..count)
                .filter(|i| receiver.take(&packet(kind, *i, u32::from(*i), &[0x41, 0x9a]), Instant::now()))
                .count()
        };
        assert_eq!(taken(&mut receiver, 60, 35), 11);
        let mut receiver = RtpReceiver::new(&described(Codec::H264), true, Markers::Seen(9));
        assert_eq!(
            (taken(&mut receiver, 1, 96), taken(&mut receiver, 200, 35)),
            (1, 0),
            "a stream beside it"
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_is_bounded(
            packets in prop::collection::vec(prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..4, Just(0x80_u8)], 0..60), 0..120),
            is_ordered in any::<bool>(), codec in prop_oneof![Just(Codec::H264), Just(Codec::H265), Just(Codec::Jpeg)],
        ) {
            let mut receiver = RtpReceiver::new(&described(codec), is_ordered, Markers::default());
            let (mut now, mut bytes) = (Instant::now(), 0);
            for payload in &packets {
                now += Duration::from_millis(7);
                let whole = [&[0x80, 96][..], payload].concat();
                bytes += 8 * whole.len();
                receiver.take(&whole, now);
                if receiver.due_at().is_some_and(|due| due <= now) {
                    receiver.expire(now);
                    prop_assert!(receiver.due_at().is_none_or(|due| due > now));
                }
                while receiver.ready().is_some() {}
                prop_assert!(receiver.held() <= bytes);
            }
        }
    }
}
