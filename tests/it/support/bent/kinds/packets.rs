//! Packets over the connection.

use std::time::Duration;

use super::super::chunk::{PAYLOAD_MAX, aggregated, in_fragments};
use super::super::loops::{Codec, H265_LOOP, SLICES_LOOP, is_set};
use super::super::{Bend, Expect, Facts, Memory, Out, PLAIN, Packet, Payload, all, chunks, fragments};

/// Long enough for what comes every two seconds.
const LONG: Duration = Duration::from_secs(6);

/// A message of user data, as Hikvision's and others' encoders write one.
const SEI: &[u8] =
    &[6, 5, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, b'a', b'b', b'c', b'd', 0x80];

/// The payloads of some bytes, none of them marked.
fn unmarked(payloads: impl IntoIterator<Item = Vec<u8>>) -> Vec<Payload> {
    payloads.into_iter().map(|bytes| Payload { bytes, mark: false }).collect()
}

/// The same, the last one marked.
fn marked(payloads: impl IntoIterator<Item = Vec<u8>>) -> Vec<Payload> {
    let mut payloads = unmarked(payloads);
    payloads.last_mut().unwrap().mark = true;
    payloads
}

/// Small units in one packet, before the others.
fn gathered(units: &[Vec<u8>], facts: &Facts) -> Vec<Payload> {
    let codec = facts.stream.codec;
    let (small, large): (Vec<_>, Vec<_>) = units.iter().partition(|unit| unit.len() < 300);
    let small: Vec<_> = small.into_iter().map(Vec::as_slice).collect();
    let first = (!small.is_empty()).then(|| aggregated(&small, codec));
    marked(first.into_iter().chain(large.into_iter().flat_map(|unit| fragments(unit, codec))))
}

/// Another packet of the same time before the first one.
fn preceded(packets: Vec<Packet>, payload: &[u8], mark: bool, earlier: u32) -> Vec<Packet> {
    let mut packets = packets;
    let mut first = packets[0].clone();
    (first.payload, first.mark) = (payload.to_vec(), mark);
    first.time = first.time.wrapping_sub(earlier);
    packets.insert(0, first);
    packets
}

/// Numbers without gaps, though packets were put in between: these count on in `memory`.
fn numbered(packets: Vec<Packet>, memory: &mut Memory) -> Vec<Out> {
    let mut packets = packets;
    for packet in &mut packets {
        memory.count += 1;
        packet.sequence = u16::try_from(memory.count % 65_536).unwrap();
    }
    all(packets)
}

fn report(first: &[u8], length: usize) -> Out {
    let mut bytes = first.to_vec();
    bytes.resize(length, 0);
    Out::Report(bytes)
}

/// Something once in so many pictures, else the plain packets.
fn now_and_then(
    packets: Vec<Packet>,
    memory: &mut Memory,
    every: u64,
    bent: impl Fn(Vec<Packet>, &mut Memory) -> Vec<Out>,
) -> Vec<Out> {
    if memory.pictures % every == every / 2 { bent(packets, memory) } else { all(packets) }
}

pub(crate) static PACKETS: &[Bend] = &[
    Bend {
        name: "a marker on every slice",
        report: "obs-rtspserver PR 199; OpenIPC smolrtsp PR 43; ustreamer 115",
        stream: &SLICES_LOOP,
        payloads: |units, _, _| units.iter().flat_map(|unit| marked(fragments(unit, Codec::H264))).collect(),
        ..PLAIN
    },
    Bend {
        name: "a marker on every packet",
        report: "obs-rtspserver PR 199, its kind",
        packets: |mut packets, _| {
            packets.iter_mut().for_each(|packet| packet.mark = true);
            all(packets)
        },
        ..PLAIN
    },
    Bend {
        name: "no markers",
        report: "RFC 6184 5.1: receivers must not rely on it",
        packets: |mut packets, _| {
            packets.iter_mut().for_each(|packet| packet.mark = false);
            all(packets)
        },
        ..PLAIN
    },
    Bend {
        name: "a message after the slices, behind the marker",
        report: "mediamtx PR 6051, its kind; encoders that write their message last",
        packets: |packets, memory| {
            let mut packets = packets;
            let mut last = packets.last().unwrap().clone();
            (last.payload, last.mark) = (SEI.to_vec(), true);
            packets.push(last);
            numbered(packets, memory)
        },
        ..PLAIN
    },
    Bend {
        name: "a message with a marker and a time of its own before each picture",
        report: "mediamtx PR 6051; ZLMediaKit 4813",
        packets: |packets, memory| numbered(preceded(packets, SEI, true, 1800), memory),
        expect: Expect::Exact(110),
        ..PLAIN
    },
    Bend {
        name: "parameter sets with a marker and a time of their own",
        report: "mediamtx PR 6051, its kind",
        payloads: |units, _, _| {
            let (sets, rest): (Vec<_>, Vec<_>) = units.iter().partition(|unit| is_set(unit, Codec::H264));
            let sets = sets.into_iter().map(|set| Payload { bytes: set.clone(), mark: true });
            sets.chain(marked(rest.into_iter().flat_map(|unit| fragments(unit, Codec::H264)))).collect()
        },
        packets: |mut packets, _| {
            for packet in &mut packets {
                let is_set = matches!(packet.payload[0] & 31, 7 | 8);
                packet.time = packet.time.wrapping_sub(if is_set { 900 } else { 0 });
            }
            all(packets)
        },
        ..PLAIN
    },
    Bend {
        name: "small units in one packet",
        report: "RFC 6184 5.7.1, STAP-A",
        payloads: |units, facts, _| gathered(units, facts),
        ..PLAIN
    },
    Bend {
        name: "small units in one packet, one of them of no length",
        report: "RFC 6184 5.7.1, written by hand",
        payloads: |units, facts, _| {
            let mut payloads = gathered(units, facts);
            if payloads[0].bytes[0] & 31 == 24 {
                payloads[0].bytes.splice(1..1, [0, 0]);
            }
            payloads
        },
        ..PLAIN
    },
    Bend {
        name: "small units in one packet with their order, STAP-B",
        report: "RFC 6184 5.7.1",
        payloads: |units, facts, memory| {
            let mut payloads = gathered(units, facts);
            if payloads[0].bytes[0] & 31 == 24 {
                let order = u16::try_from(memory.pictures % 65_536).unwrap().to_be_bytes();
                payloads[0].bytes[0] = payloads[0].bytes[0] & 0xe0 | 25;
                payloads[0].bytes.splice(1..1, order);
            }
            payloads
        },
        ..PLAIN
    },
    Bend {
        name: "small units as fragments that begin and end",
        report: "retina PR 131 (OpenIPC); gortsplib PR 649",
        payloads: |units, _, _| {
            marked(units.iter().flat_map(|unit| in_fragments(unit, Codec::H264, PAYLOAD_MAX)))
        },
        ..PLAIN
    },
    Bend {
        name: "begins in the middle of a fragmented unit",
        report: "go2rtc 2490, 2491; milkv duo 98",
        packets: |packets, memory| {
            let skipped = if memory.pictures == 0 { packets.len() / 2 } else { 0 };
            let mut packets = packets;
            if memory.pictures == 0 {
                // The middle of a unit, whatever this picture is.
                for packet in &mut packets {
                    packet.payload = [&[0x7c, 5][..], &[0x33; 200]].concat();
                }
            }
            all(packets.split_off(skipped))
        },
        ..PLAIN
    },
    Bend {
        name: "filler after the slices, a delimiter before them",
        report: "encoders of a constant rate",
        units: |mut units, _| {
            units.insert(0, vec![9, 0xf0]);
            units.push([&[12][..], &[0xff; 40], &[0x80]].concat());
            units
        },
        ..PLAIN
    },
    Bend {
        name: "units of kinds that nobody knows",
        report: "firmware; RFC 6184 5.2: receivers ignore them",
        packets: |packets, memory| {
            let kinds = [0, 30, 31, 13, 26];
            let kind = kinds[usize::try_from(memory.pictures % 5).unwrap()];
            numbered(preceded(packets, &[&[0x60 | kind][..], &[1; 20]].concat(), false, 0), memory)
        },
        ..PLAIN
    },
    Bend {
        name: "payloads of nothing, and heads without a fragment",
        report: "firmware that flushes empty buffers",
        packets: |packets, memory| {
            let payload: &[u8] =
                [&[][..], &[0x7c], &[0x7c, 0x85], &[0x78, 0]][usize::try_from(memory.pictures % 4).unwrap()];
            numbered(preceded(packets, payload, false, 0), memory)
        },
        ..PLAIN
    },
    Bend {
        name: "reports whose length is too long",
        report: "mediamtx 1085; ireader 132",
        packets: |packets, memory| {
            let mut all = all(packets);
            if memory.pictures.is_multiple_of(7) {
                all.push(report(&[0x80, 200, 0, 20, 10, 11, 12, 13], 28));
            }
            all
        },
        ..PLAIN
    },
    Bend {
        name: "reports of four bytes, of none, of another version",
        report: "mediamtx 1085 (Edimax)",
        packets: |packets, memory| {
            let mut all = all(packets);
            all.push(match memory.pictures % 3 {
                0 => report(&[0x80, 201, 0, 0], 4),
                1 => report(&[], 0),
                _ => report(&[0x40, 200, 0, 6], 28),
            });
            all
        },
        ..PLAIN
    },
    Bend {
        name: "says good-bye, and goes on",
        report: "cameras whose encoder starts anew (RTCP BYE)",
        packets: |packets, memory| {
            let mut all = all(packets);
            if memory.pictures % 30 == 13 {
                all.push(report(&[0x81, 203, 0, 1, 10, 11, 12, 13], 8));
            }
            all
        },
        ..PLAIN
    },
    Bend {
        name: "a part of a packet is written twice",
        report: "moonfire-nvr 302; retina 80",
        framed: |bytes, memory| {
            memory.count += 1;
            if memory.count % 90 == 60 && bytes.len() > 400 {
                return [&bytes[..300], &bytes].concat();
            }
            bytes
        },
        expect: Expect::Noted,
        lasts: LONG,
        ..PLAIN
    },
    Bend {
        name: "a packet breaks off",
        report: "moonfire-nvr 302, its kind: buffers that are too small",
        framed: |mut bytes, memory| {
            memory.count += 1;
            if memory.count % 90 == 60 && bytes.len() > 400 {
                bytes.truncate(bytes.len() - 77);
            }
            bytes
        },
        expect: Expect::Noted,
        lasts: LONG,
        ..PLAIN
    },
    Bend {
        name: "empty lines and zeros between packets",
        report: "moonfire-nvr 302, its kind",
        framed: |mut bytes, memory| {
            memory.count += 1;
            if memory.count % 50 == 20 {
                bytes.extend(b"\r\n\r\n\0\0\0\0");
            }
            bytes
        },
        lasts: LONG,
        ..PLAIN
    },
    Bend {
        name: "packets on channels that nobody asked for",
        report: "recorders that send sound and metadata unasked",
        packets: |packets, memory| {
            let mut all = all(packets);
            if memory.pictures.is_multiple_of(2) {
                all.push(Out::Raw([&[b'$', 6, 0, 20][..], &[7; 20]].concat()));
            }
            all
        },
        ..PLAIN
    },
    Bend {
        name: "the last fragment has no end",
        report: "retina, in its source: FU-A with a marker and without its end",
        packets: |packets, memory| {
            now_and_then(packets, memory, 40, |mut packets, _| {
                let last = packets.last_mut().unwrap();
                if last.payload[0] & 31 == 28 {
                    last.payload[1] &= 0xbf;
                }
                all(packets)
            })
        },
        expect: Expect::Noted,
        lasts: LONG,
        ..PLAIN
    },
    Bend {
        name: "no fragment has an end",
        report: "retina, in its source, its kind",
        packets: |mut packets, _| {
            for packet in &mut packets {
                if packet.payload[0] & 31 == 28 {
                    packet.payload[1] &= 0xbf;
                }
            }
            all(packets)
        },
        ..PLAIN
    },
    Bend {
        name: "another source while it plays",
        report: "cameras whose encoder starts anew; retina refuses another SSRC",
        packets: |mut packets, memory| {
            let source = 0x0a0b_0c0d + u32::try_from(memory.pictures / 50).unwrap();
            packets.iter_mut().for_each(|packet| packet.ssrc = source);
            all(packets)
        },
        lasts: LONG,
        ..PLAIN
    },
    Bend {
        name: "numbers begin anew",
        report: "cameras whose encoder starts anew",
        packets: |mut packets, memory| {
            let shift = u16::try_from(memory.pictures / 40 * 9001 % 65_536).unwrap();
            packets.iter_mut().for_each(|packet| packet.sequence = packet.sequence.wrapping_add(shift));
            all(packets)
        },
        expect: Expect::Noted,
        lasts: LONG,
        ..PLAIN
    },
    Bend {
        name: "another payload type than said",
        report: "firmware whose description and stream differ",
        packets: |mut packets, _| {
            packets.iter_mut().for_each(|packet| packet.kind = 97);
            all(packets)
        },
        ..PLAIN
    },
    Bend {
        name: "extensions and padding",
        report: "ONVIF Streaming 6.3; RFC 3550 5.1",
        packets: |mut packets, _| {
            for packet in &mut packets {
                packet.first = 0xb0;
                packet.extension = [&[0xab, 0xac, 0, 3][..], &[1; 12]].concat();
                packet.payload.extend([0, 0, 0, 4]);
            }
            all(packets)
        },
        ..PLAIN
    },
    Bend {
        name: "sources are listed, and padding is longer than the packet",
        report: "RFC 3550 5.1: CSRC; firmware that leaves the bit on",
        packets: |mut packets, memory| {
            for packet in &mut packets {
                packet.first = 0x82;
                packet.extension = vec![9; 8];
            }
            if memory.pictures % 5 == 1 {
                let mut odd = packets[0].clone();
                (odd.first, odd.payload, odd.extension) = (0xa0, vec![0xff; 9], Vec::new());
                packets.insert(0, odd);
            }
            numbered(packets, memory)
        },
        ..PLAIN
    },
    Bend {
        name: "a packet of several units with start codes",
        report: "encoders whose output is sent as it is",
        payloads: |units, facts, _| {
            let is_keyframe = units.iter().any(|unit| is_set(unit, Codec::H264));
            if !is_keyframe {
                return chunks(units, facts);
            }
            // The sets in one unit, as the encoder gave them; then the slices.
            let (sets, rest): (Vec<_>, Vec<_>) = units.iter().partition(|unit| is_set(unit, Codec::H264));
            let sets: Vec<_> = sets.into_iter().map(Vec::as_slice).collect();
            let first = sets.join(&[0, 0, 0, 1][..]);
            marked(
                std::iter::once(first).chain(rest.into_iter().flat_map(|unit| fragments(unit, Codec::H264))),
            )
        },
        ..PLAIN
    },
    Bend {
        name: "a start code before each unit",
        report: "encoders whose output is sent as it is",
        units: |units, _| units.into_iter().map(|unit| [&[0, 0, 0, 1], &unit[..]].concat()).collect(),
        // Then fragments are of a unit of kind 0, whose beginning is the rest of the start code.
        payloads: |units, facts, _| {
            let plain: Vec<_> = units.iter().map(|unit| unit[4..].to_vec()).collect();
            let mut payloads = chunks(&plain, facts);
            for payload in &mut payloads {
                if payload.bytes[0] & 31 < 24 {
                    payload.bytes.splice(0..0, [0, 0, 0, 1]);
                }
            }
            payloads
        },
        ..PLAIN
    },
    Bend {
        name: "H.265, small units in one packet",
        report: "RFC 7798 4.4.2",
        stream: &H265_LOOP,
        payloads: |units, facts, _| gathered(units, facts),
        ..PLAIN
    },
    Bend {
        name: "H.265, small units as fragments that begin and end",
        report: "retina PR 131, its kind",
        stream: &H265_LOOP,
        payloads: |units, _, _| marked(units.iter().flat_map(|unit| in_fragments(unit, Codec::H265, 900))),
        ..PLAIN
    },
    Bend {
        name: "H.265, a packet of kind 50 now and then, fragments without an end",
        report: "RFC 7798 4.4.4, PACI",
        stream: &H265_LOOP,
        packets: |mut packets, memory| {
            for packet in &mut packets {
                if packet.payload[0] >> 1 & 63 == 49 {
                    packet.payload[2] &= 0xbf;
                }
            }
            let paci = [&[50 << 1, 1, 0, 0][..], &[3; 20]].concat();
            numbered(preceded(packets, &paci, false, 0), memory)
        },
        ..PLAIN
    },
    Bend {
        name: "H.265, a marker on every unit, a suffix message last",
        report: "obs-rtspserver PR 199, its kind",
        stream: &H265_LOOP,
        payloads: |units, _, _| {
            let suffix = [&[40 << 1, 1][..], &SEI[1..]].concat();
            units.iter().chain([&suffix]).flat_map(|unit| marked(fragments(unit, Codec::H265))).collect()
        },
        ..PLAIN
    },
];
