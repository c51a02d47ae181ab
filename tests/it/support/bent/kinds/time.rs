//! Stamps, and when pictures come.

use std::time::Duration;

use super::super::loops::SLOW_LOOP;
use super::super::{ARRIVAL_MS, Bend, Expect, Memory, Out, PLAIN, Packet, all};

/// Stamps that are no clock: known after some seconds, and true from then on.
const UNTRUE: Bend = Bend {
    expect: Expect::Exact(ARRIVAL_MS),
    settles: Duration::from_secs(6),
    lasts: Duration::from_secs(14),
    ..PLAIN
};

/// A report of this NTP time for the last packet.
fn with_report(packets: Vec<Packet>, memory: &Memory, ntp: u64) -> Vec<Out> {
    let time = packets[0].time.to_be_bytes();
    let mut out = all(packets);
    if memory.pictures % 20 == 3 {
        let head = [0x80, 200, 0, 6, 10, 11, 12, 13];
        let ntp = ntp.to_be_bytes();
        out.push(Out::Report([&head[..], &ntp, &time, &[0, 0, 0, 1, 0, 0, 0, 1]].concat()));
    }
    out
}

pub(crate) static TIMES: &[Bend] = &[
    Bend { name: "stamps are 0", report: "frigate 4131, 7298", stamp: |_, _| 0, ..UNTRUE },
    Bend {
        name: "stamps are milliseconds",
        report: "frigate 1467; bluecherry 641",
        stamp: |i, fps| i * 1000 / fps,
        ..UNTRUE
    },
    Bend { name: "stamps count pictures", report: "bluecherry 641, its kind", stamp: |i, _| i, ..UNTRUE },
    Bend {
        name: "a clock rate of 25, stamps of 90 kHz",
        report: "moonfire-nvr 213, its family of bad clock rates",
        description: |text, _| text.replace("H264/90000", "H264/25"),
        ..UNTRUE
    },
    Bend {
        name: "stamps say 25 pictures a second, 20 come",
        report: "open-nvr 229; lightNVR 608",
        stamp: |i, _| i * 3600,
        ..UNTRUE
    },
    Bend {
        name: "stamps say 15 pictures a second, 20 come",
        report: "open-nvr 229; lightNVR 608",
        stamp: |i, _| i * 6000,
        ..UNTRUE
    },
    Bend {
        name: "stamps say 25 pictures a second, 10 come",
        report: "open-nvr 229; slow shutters at night",
        stream: &SLOW_LOOP,
        stamp: |i, _| i * 3600,
        expect: Expect::Exact(ARRIVAL_MS + 30),
        ..UNTRUE
    },
    Bend {
        name: "stamps are true, then half as fast, every 8 s in turn",
        report: "open-nvr 229; shutters that are slow at dusk",
        // A clock that runs at half its rate in every other span, without jumps.
        stamp: |i, fps| {
            let span = 8 * fps;
            let (spans, rest) = (i / span, i % span);
            let is_slow = spans % 2 == 1;
            let before = spans / 2 * (span + span / 2) + if is_slow { span } else { 0 };
            (before * 2 + if is_slow { rest } else { rest * 2 }) * 90_000 / fps / 2
        },
        expect: Expect::Noted,
        ..UNTRUE
    },
    Bend {
        name: "stamps begin anew every 3 s",
        report: "cameras whose encoder starts anew",
        stamp: |i, fps| i % (3 * fps) * 90_000 / fps,
        ..UNTRUE
    },
    Bend {
        name: "stamps go back and forth",
        report: "frigate 1467, its kind",
        stamp: |i, fps| i * 90_000 / fps + [0, 90_000, 20_000, 45_000][usize::try_from(i % 4).unwrap()],
        ..UNTRUE
    },
    Bend {
        name: "stamps wrap round",
        report: "RFC 3550 5.1, once in 13 hours",
        // Four seconds after the beginning.
        packets: |mut packets, memory| {
            let time = u32::try_from(memory.pictures * 4500).unwrap().wrapping_sub(4 * 90_000);
            packets.iter_mut().for_each(|packet| packet.time = time);
            all(packets)
        },
        settles: Duration::from_secs(1),
        lasts: Duration::from_secs(12),
        ..PLAIN
    },
    Bend {
        name: "the newest group comes at once, then live",
        report: "go2rtc 1887; mediamtx 1209, 4189",
        begins: -60,
        settles: Duration::from_millis(300),
        ..PLAIN
    },
    Bend {
        name: "one picture every six seconds",
        report: "time-lapse, low power",
        // Every sixth keyframe; its sets come first.
        packets: |packets, memory| {
            let is_keyframe = packets[0].payload[0] & 31 == 7;
            memory.count += u64::from(is_keyframe);
            if is_keyframe && memory.count % 6 == 1 { all(packets) } else { Vec::new() }
        },
        expect: Expect::Noted,
        // How long it is silent has to be learned once.
        settles: Duration::from_secs(14),
        lasts: Duration::from_secs(12),
        ..PLAIN
    },
    Bend {
        name: "reports of 1900 and of 1970, believed by a setting",
        report: "cameras without a clock",
        settings: &[("CLOCK", "camera")],
        packets: |packets, memory| {
            let ntp = if memory.pictures % 40 < 20 { 0 } else { 2_208_988_800 << 32 };
            with_report(packets, memory, ntp)
        },
        ..PLAIN
    },
    Bend {
        name: "reports whose clock runs at half its rate",
        report: "cameras whose clock is set every second",
        packets: |packets, memory| {
            let ntp = (3_990_000_000 << 32) + (memory.pictures << 32) / 40;
            with_report(packets, memory, ntp)
        },
        ..PLAIN
    },
    Bend {
        name: "pictures come in bursts of a second",
        report: "cameras on mobile networks; buffers of recorders",
        packets: |packets, memory| {
            memory.held.extend(packets);
            if memory.pictures % 20 == 19 { all(memory.held.drain(..).collect()) } else { Vec::new() }
        },
        expect: Expect::Noted,
        settles: Duration::from_secs(4),
        lasts: Duration::from_secs(6),
        ..PLAIN
    },
];
