//! What the pictures are.

use std::time::Duration;

use super::super::bits::{cut_vui, second_pps, with_second_pps, without_vui};
use super::super::chunk::jpeg_payloads;
use super::super::loops::{
    BASELINE_LOOP, Codec, FULL_LOOP, GREY_LOOP, H265_LOOP, HIGH10_LOOP, HIGH422_LOOP, HUGE_JPEG_LOOP,
    JPEG_LOOP, MAIN10_LOOP, ODD_LOOP, RECOVERY_LOOP, REFRESH_LOOP, TABLE_LOOP,
};
use super::super::{Bend, Expect, Memory, PLAIN, Payload};

/// The SPS changed, the other units as they are.
fn sps(units: Vec<Vec<u8>>, change: fn(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    units.into_iter().map(|unit| if unit[0] & 31 == 7 { change(&unit) } else { unit }).collect()
}

/// A second PPS behind the first; the pictures that `uses` chooses refer to it.
fn two_pps(units: Vec<Vec<u8>>, uses: impl Fn(u8) -> bool) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for unit in units {
        match unit[0] & 31 {
            8 => out.extend([unit.clone(), second_pps(&unit)]),
            kind @ (1 | 5) if uses(kind) => out.push(with_second_pps(&unit)),
            _ => out.push(unit),
        }
    }
    out
}

/// Units before each slice of H.264.
fn before_slices(units: Vec<Vec<u8>>, before: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let with = |unit: Vec<u8>| match unit[0] & 31 {
        1 | 5 => vec![before(&unit), unit],
        _ => vec![unit],
    };
    units.into_iter().flat_map(with).collect()
}

fn one_table(units: &[Vec<u8>]) -> Vec<Payload> {
    let mut payloads: Vec<_> =
        jpeg_payloads(&units[0], false).into_iter().map(|bytes| Payload { bytes, mark: false }).collect();
    payloads.last_mut().unwrap().mark = true;
    payloads
}

fn every_other(memory: &Memory) -> bool {
    memory.pictures / 20 % 2 == 1
}

pub(crate) static PICTURES: &[Bend] = &[
    Bend {
        name: "two PPS, keyframes use one, the others the other",
        report: "viseron 714",
        stream: &BASELINE_LOOP,
        units: |units, _| two_pps(units, |kind| kind == 1),
        ..PLAIN
    },
    Bend {
        name: "two PPS, keyframes use the second, sets come once in a while",
        report: "viseron 714",
        stream: &BASELINE_LOOP,
        units: |units, memory| {
            let mut units = two_pps(units, |kind| kind == 5);
            if memory.pictures > 100 && every_other(memory) {
                units.retain(|unit| !matches!(unit[0] & 31, 7 | 8));
            }
            units
        },
        lasts: Duration::from_secs(6),
        ..PLAIN
    },
    Bend {
        name: "recovery points, hardly a keyframe",
        report: "webcodecs 650; fiftyone 8490",
        stream: &RECOVERY_LOOP,
        expect: Expect::Exact(160),
        settles: Duration::from_secs(3),
        ..PLAIN
    },
    Bend {
        name: "never a keyframe, the picture is refreshed in stripes",
        report: "mpp 523",
        stream: &REFRESH_LOOP,
        expect: Expect::Words(&["keyframe|I-frame|intra|IDR"]),
        settles: Duration::from_secs(6),
        ..PLAIN
    },
    Bend {
        name: "a VUI of four flags",
        report: "ffmpeg: truncated VUI; retina 68",
        units: |units, _| sps(units, cut_vui),
        ..PLAIN
    },
    Bend {
        name: "no VUI",
        report: "ITU-T H.264 7.4.2.1.1: it is optional",
        units: |units, _| sps(units, without_vui),
        ..PLAIN
    },
    Bend {
        name: "4:2:2",
        report: "encoders for television",
        stream: &HIGH422_LOOP,
        expect: Expect::Words(&["4:2:2|422|profile"]),
        ..PLAIN
    },
    Bend {
        name: "10 bit",
        report: "encoders for television",
        stream: &HIGH10_LOOP,
        expect: Expect::Words(&["10 bit|10-bit|high 10|profile"]),
        ..PLAIN
    },
    Bend {
        name: "H.265, 10 bit",
        report: "cameras with a large range of light",
        stream: &MAIN10_LOOP,
        expect: Expect::Words(&["10 bit|10-bit|main 10|profile"]),
        ..PLAIN
    },
    Bend { name: "grey", report: "thermal and night cameras", stream: &GREY_LOOP, ..PLAIN },
    Bend { name: "600 x 346", report: "ITU-T H.264 7.4.2.1.1: cropping", stream: &ODD_LOOP, ..PLAIN },
    Bend { name: "full range", report: "cameras that write 0 to 255", stream: &FULL_LOOP, ..PLAIN },
    Bend {
        name: "units of scalable video before the slices",
        report: "Hikvision SVC; Axis",
        units: |units, _| {
            before_slices(units, |slice| {
                let is_idr = slice[0] & 31 == 5;
                vec![slice[0] & 0x60 | 14, if is_idr { 0xc0 } else { 0x80 }, 0, 7, 0x80]
            })
        },
        ..PLAIN
    },
    Bend {
        name: "a recovery point before every picture",
        report: "encoders that mark each picture",
        units: |units, _| before_slices(units, |_| vec![6, 6, 1, 0xc4, 0x80]),
        expect: Expect::Noted,
        ..PLAIN
    },
    Bend { name: "H.265", report: "RFC 7798", stream: &H265_LOOP, ..PLAIN },
    Bend {
        name: "H.265, sets once in a while, a message before each picture",
        report: "Apra-Labs ODM 20, its kind",
        stream: &H265_LOOP,
        units: |mut units, memory| {
            if every_other(memory) {
                units.retain(|unit| !matches!(unit[0] >> 1 & 63, 32..=34));
            }
            let at = units.iter().position(|unit| unit[0] >> 1 & 63 < 32).unwrap_or(0);
            units.insert(at, vec![39 << 1, 1, 4, 3, 1, 2, 3, 0x80]);
            units
        },
        lasts: Duration::from_secs(5),
        ..PLAIN
    },
    Bend {
        name: "JPEG, one table",
        report: "GStreamer, and grey cameras",
        stream: &TABLE_LOOP,
        payloads: |units, facts, _| {
            assert_eq!(facts.stream.codec, Codec::Jpeg);
            one_table(units)
        },
        expect: Expect::Exact(110),
        ..PLAIN
    },
    Bend {
        name: "JPEG of 2560 x 1440",
        report: "sipsorcery 1387; SharpRTSP PR 95; OrbbecSDK 46",
        stream: &HUGE_JPEG_LOOP,
        description: |text, _| text + "a=framesize:26 2560-1440\r\na=x-dimensions:2560,1440\r\n",
        expect: Expect::Words(&["2040|2048|too large|larger|does not fit", "H.264|smaller|size|resolution"]),
        ..PLAIN
    },
    Bend {
        name: "JPEG without a marker",
        report: "Micro-RTSP and what descends from it, its kind",
        stream: &JPEG_LOOP,
        packets: |mut packets, _| {
            packets.iter_mut().for_each(|packet| packet.mark = false);
            super::super::all(packets)
        },
        expect: Expect::Exact(160),
        ..PLAIN
    },
];
